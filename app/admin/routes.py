"""For admins: people and roles, links for forgotten passwords, codes to register with, runs, corrections, audit log."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from sqlalchemy import case, func, select, update
from werkzeug.wrappers import Response

from app.admin.forms import CategoryForm, InviteForm
from app.auth import service
from app.calls.models import Call, Category
from app.extensions import db
from app.models import ROLES, AuditEntry, Forecast, Invite, User, now
from app.profile.forms import EmptyForm
from app.runs.service import library
from utils.results import is_result_name, result_path
from utils.studies import study_runs

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
_PAGE = 100


@blueprint.before_request
@login_required
def for_admins() -> None:
    """Nobody else gets in."""
    if not current_user.is_admin:
        abort(403)


@blueprint.get("/people")
def people() -> str:
    """Everybody with an account, a page at a time."""
    found = db.paginate(select(User).order_by(User.id), per_page=_PAGE, max_per_page=_PAGE, error_out=False)
    return render_template("admin/people.html", people=found, roles=ROLES, button=EmptyForm(), link="")


@blueprint.post("/people/<int(max=2147483647):number>/role")
def role(number: int) -> Response:
    """Give somebody another role. The last admin stays one."""
    user, wish = _user(number), request.form.get("role", "")
    if wish not in ROLES:
        abort(400)
    if wish != "admin" and service.is_last_admin(user):
        flash(_("There must be an admin left."), "danger")
    else:
        service.audit(f"role {wish}", user.email)
        user.role = wish
        db.session.commit()
        flash(_("Saved."), "success")
    return redirect(url_for("admin.people"))


@blueprint.post("/people/<int(max=2147483647):number>/disable")
def disable(number: int) -> Response:
    """Close somebody's account, or open it again."""
    user = _user(number)
    if service.is_last_admin(user):
        flash(_("There must be an admin left."), "danger")
    else:
        user.disabled = not user.disabled
        if user.disabled:
            user.sessions.clear()
        service.audit("account closed" if user.disabled else "account opened", user.email)
        db.session.commit()
        flash(_("Saved."), "success")
    return redirect(url_for("admin.people"))


@blueprint.post("/people/<int(max=2147483647):number>/reset")
def reset(number: int) -> str:
    """Make a one-time link by which somebody sets a new password; it is shown this once."""
    user = _user(number)
    link = url_for("auth.reset", secret=service.start_reset(user), _external=True)
    service.audit("reset link", user.email)
    db.session.commit()
    found = db.paginate(select(User).order_by(User.id), per_page=_PAGE, max_per_page=_PAGE, error_out=False)
    return render_template(
        "admin/people.html", people=found, roles=ROLES, button=EmptyForm(), link=link, link_for=user
    )


@blueprint.route("/invites", methods=["GET", "POST"])
def invites() -> str | tuple[str, int]:
    """Codes by which a class registers; a new one is shown this once."""
    form, link, status = InviteForm(), "", 200
    if form.validate_on_submit():
        code = service.invite(form.name.data, form.uses.data, form.days.data)
        link = url_for("auth.register", invite=code, _external=True)
        service.audit("code made", form.name.data)
        db.session.commit()
        form, status = InviteForm(formdata=None), 201
    elif form.errors:
        status = 422
    found = db.paginate(
        select(Invite).order_by(Invite.id.desc()), per_page=_PAGE, max_per_page=_PAGE, error_out=False
    )
    told = {"code": link.rpartition("=")[2], "link": link, "now": now()}
    return render_template("admin/invites.html", invites=found, form=form, button=EmptyForm(), **told), status


@blueprint.post("/invites/<int(max=2147483647):number>/revoke")
def revoke_invite(number: int) -> Response:
    """Delete a code, so that nobody registers by it any more."""
    found = db.session.get(Invite, number)
    if found is None:
        abort(404)
    service.audit("code revoked", found.name)
    db.session.delete(found)
    db.session.commit()
    flash(_("The code is revoked."), "success")
    return redirect(url_for("admin.invites"))


@blueprint.route("/categories", methods=["GET", "POST"])
def categories() -> str | tuple[str, int]:
    """Under what published tasks are found; a new one."""
    return _categories(None)


@blueprint.route("/categories/<int(max=2147483647):number>", methods=["GET", "POST"])
def category(number: int) -> str | tuple[str, int] | Response:
    """Rename or move a category."""
    return _categories(_category(number))


@blueprint.post("/categories/<int(max=2147483647):number>/delete")
def delete_category(number: int) -> Response:
    """Delete a category; its tasks stay, without one."""
    found = _category(number)
    service.audit("category deleted", found.name)
    db.session.execute(update(Call).where(Call.category_id == number).values(category_id=None))
    db.session.delete(found)
    db.session.commit()
    flash(_("The category is deleted."), "success")
    return redirect(url_for("admin.categories"))


def _category(number: int) -> Category:
    found = db.session.get(Category, number)
    if found is None:
        abort(404)
    return found


def _categories(one: Category | None) -> str | tuple[str, int]:
    form, status = CategoryForm(obj=one), 200
    if form.validate_on_submit():
        same = db.session.scalar(select(Category).where(Category.name == form.name.data.strip()))
        if same is not None and same is not one:
            form.name.errors = [_("There is a category of this name already.")]
            status = 422
        else:
            kept = one or Category()
            kept.name, kept.name_zh = form.name.data.strip(), (form.name_zh.data or "").strip()
            kept.place = form.place.data or 0
            db.session.add(kept)
            service.audit("category changed" if one else "category made", kept.name)
            db.session.commit()
            form, one = CategoryForm(formdata=None), None
            flash(_("Saved."), "success")
    elif form.errors:
        status = 422
    found = db.session.scalars(select(Category).order_by(Category.place, Category.name)).all()
    page = render_template(
        "admin/categories.html", categories=found, form=form, button=EmptyForm(formdata=None), one=one
    )
    return page, status


@blueprint.get("/runs")
def runs() -> str:
    """All runs in cache/, unreadable ones included, and what room they take."""
    listed = [
        {**one, "megabytes_kept": sum(path.stat().st_size for path in _files(one["name"])) / 1e6}
        for one in library().summaries()
    ]
    return render_template("admin/runs.html", runs=listed, shipped=study_runs(), button=EmptyForm())


@blueprint.post("/runs/<name>/delete")
def delete_run(name: str) -> Response:
    """Delete a run with its model and card for good. Shipped runs stay."""
    if name in study_runs():
        abort(403)
    if not is_result_name(name) or not (files := _files(name)):
        abort(404)
    called = library().title(name)
    for path in files:
        path.unlink(missing_ok=True)
    service.audit("run deleted", name)
    db.session.commit()
    flash(_("%(run)s is deleted.", run=called), "success")
    return redirect(url_for("admin.runs"))


def _files(name: str) -> list[Path]:
    return [
        path
        for suffix in (".pkl", ".safetensors", ".md")
        if (path := result_path(library().folder, name).with_suffix(suffix)).is_file()
    ]


@blueprint.get("/forecasts")
def forecasts() -> str:
    """How often each model was right, of the kept forecasts that people corrected or confirmed."""
    right = func.sum(case((Forecast.answer == Forecast.correction, 1), else_=0))
    asked = select(Forecast.run, Forecast.model, func.count(Forecast.id), right).where(
        Forecast.correction != ""
    )
    rows = db.session.execute(asked.group_by(Forecast.run, Forecast.model).order_by(Forecast.run)).all()
    titles = {row.run: library().title(row.run) for row in rows}
    return render_template("admin/forecasts.html", rows=rows, titles=titles)


@blueprint.get("/audit")
def audit() -> str:
    """Log-ins and what admins did, the latest first."""
    found = db.paginate(
        select(AuditEntry).order_by(AuditEntry.id.desc()), per_page=_PAGE, max_per_page=_PAGE, error_out=False
    )
    return render_template("admin/audit.html", entries=found)


def _user(number: int) -> User:
    user = db.session.get(User, number)
    if user is None:
        abort(404)
    return user
