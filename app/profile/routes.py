"""One's own profile: nickname, looks, password, sessions, tokens, one-time passwords, export and the end of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pyotp
from flask import Blueprint, abort, flash, jsonify, redirect, render_template, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from sqlalchemy import select
from werkzeug.wrappers import Response

from app import language
from app.auth import service, tries
from app.calls import service as calls
from app.extensions import db, limiter
from app.forecast.service import exported
from app.jobs.service import leave
from app.models import ApiToken, Node, hash_secret, new_secret, now
from app.nodes import service as nodes
from app.profile.forms import CodeForm, DeleteForm, EmptyForm, PasswordForm, ProfileForm, TokenForm
from app.runs.service import library

blueprint = Blueprint("profile", __name__, url_prefix="/profile")
MAX_TOKENS = 20


@blueprint.before_request
@login_required
def for_people_who_are_logged_in() -> None:
    """Every page here is about the person who asks, and about nobody else."""


@blueprint.route("", methods=["GET", "POST"])
def profile() -> str | Response | tuple[str, int]:
    """Nickname and looks; the way to everything else."""
    form = ProfileForm(obj=current_user)
    if form.validate_on_submit():
        form.populate_obj(current_user)
        language.keep(current_user.language)
        db.session.commit()
        flash(_("Saved."), "success")
        return redirect(url_for("profile.profile"))
    return _page(form=form), 422 if form.errors else 200


@blueprint.post("/password")
def password() -> Response | tuple[str, int]:
    """Set a new password; every session but this one's successor ends."""
    form = PasswordForm()
    if form.validate_on_submit():
        if _confirmed(form.old.data):
            service.set_password(current_user, form.password.data, keep_tokens=form.tokens.data == "keep")
            service.audit("password changed", current_user.email)
            db.session.commit()
            service.forget()
            flash(_("The new password is set. Please log in."), "success")
            return redirect(url_for("auth.log_in"))
        form.old.errors = [_("This is not your password.")]
    return _page(password_form=form), 422


@blueprint.post("/sessions/end")
def end_sessions() -> Response:
    """Log out everywhere."""
    current_user.sessions.clear()
    service.audit("logged out everywhere", current_user.email)
    db.session.commit()
    service.forget()
    flash(_("You are logged out everywhere."), "success")
    return redirect(url_for("auth.log_in"))


@blueprint.post("/tokens")
@limiter.limit("30 per hour")
def new_token() -> tuple[str, int]:
    """Make a token and show it, this once."""
    form = TokenForm()
    if not form.validate_on_submit():
        return _page(token_form=form), 422
    service.hold(current_user)
    if len(current_user.tokens) >= MAX_TOKENS:
        form.name.errors = [_("You have %(count)s tokens, the most there can be.", count=MAX_TOKENS)]
        return _page(token_form=form), 422
    secret, secret_hash = new_secret()
    scopes = " ".join(form.scopes.data)
    ends = now() + timedelta(days=int(form.days.data)) if form.days.data else None
    token = ApiToken(name=form.name.data, secret_hash=secret_hash, scopes=scopes, expires=ends)
    current_user.tokens.append(token)
    db.session.commit()
    return _page(secret=secret), 201


@blueprint.post("/tokens/<int(max=2147483647):number>/revoke")
def revoke_token(number: int) -> Response:
    """Revoke one of one's own tokens."""
    own = [token for token in current_user.tokens if token.id == number]
    if not own:
        abort(404)
    current_user.tokens.remove(own[0])
    db.session.commit()
    flash(_("The token is revoked."), "success")
    return redirect(url_for("profile.profile"))


@blueprint.route("/codes", methods=["GET", "POST"])
def codes() -> str | Response | tuple[str, int]:
    """Switch one-time passwords on, once a first code was right, or off again."""
    form = CodeForm()
    on = bool(current_user.totp_secret)
    secret = current_user.totp_secret or session.setdefault("totp", pyotp.random_base32())
    if form.validate_on_submit():
        right = _confirmed(
            form.password.data,
            lambda: (
                service.check_code(current_user, form.code.data)
                if on
                else pyotp.TOTP(secret).verify(form.code.data.strip(), valid_window=1)
            ),
        )
        if right:
            current_user.totp_secret = "" if on else secret
            session.pop("totp", None)
            service.audit(f"one-time passwords {'off' if on else 'on'}", current_user.email)
            db.session.commit()
            flash(_("Saved."), "success")
            return redirect(url_for("profile.profile"))
        form.form_errors.append(_("E-mail, password or code is wrong."))
    address = "" if on else pyotp.TOTP(secret).provisioning_uri(name=current_user.email, issuer_name="SkyFed")
    page = render_template(
        "profile/codes.html", form=form, on=on, secret="" if on else secret, address=address
    )
    return page, 422 if form.is_submitted() else 200


@blueprint.get("/export")
def export() -> Response:
    """Everything the site keeps about the person, as JSON."""
    user = current_user
    answer = jsonify(
        email=user.email,
        nickname=user.nickname,
        role=user.role,
        language=user.language,
        theme=user.theme,
        created=user.created.isoformat(),
        sessions=[
            {"created": one.created.isoformat(), "expires": one.expires.isoformat(), "agent": one.agent}
            for one in user.sessions
        ],
        tokens=[
            {
                "name": one.name,
                "scopes": one.scopes.split(),
                "created": one.created.isoformat(),
                "expires": one.expires and one.expires.isoformat(),
            }
            for one in user.tokens
        ],
        forecasts=[exported(one) for one in user.forecasts],
        trainings=[
            {
                "kind": one.kind,
                "name": one.name,
                "note": one.note,
                "conf": json.loads(one.conf),
                "folds": one.folds,
                "seeds": one.seeds,
                "state": one.state,
                "run": one.run,
                "created": one.created.isoformat(),
            }
            for one in user.jobs
        ],
        nodes=[
            {
                "name": one.name,
                "state": one.state,
                "about": one.about,
                "tells": json.loads(one.tells),
                "public_key": one.public_key,
                "consent": one.consent,
                "created": one.created.isoformat(),
            }
            for one in db.session.scalars(select(Node).where(Node.user_id == user.id).order_by(Node.name))
        ],
        labels=[{"run": one.run, "tags": one.tags.split(), "note": one.note} for one in user.labels],
    )
    answer.headers["Content-Disposition"] = 'attachment; filename="skyfed-account.json"'
    return answer


@blueprint.post("/delete")
def delete() -> Response | tuple[str, int]:
    """End the account, with everything the site keeps about the person; finished runs may stay without a name."""
    form = DeleteForm()
    if form.validate_on_submit():
        if not _confirmed(form.password.data):
            form.password.errors = [_("This is not your password.")]
        elif service.is_last_admin(current_user):
            form.password.errors = [_("You are the only admin; make somebody else one first.")]
        else:
            service.audit("account deleted", current_user.email)
            leave(current_user.jobs, anonymously=form.runs.data == "anonymise")
            calls.forget_person(current_user)
            nodes.forget_person(current_user)
            db.session.delete(db.session.merge(current_user))
            db.session.commit()
            nodes.follow()
            service.forget()
            flash(_("Your account is deleted."), "success")
            return redirect(url_for("home.home"))
    return _page(delete_form=form), 422


def _confirmed(password: str, also: Callable[[], bool] = lambda: True) -> bool:
    """Whether the password is that of whoever is logged in, and `also` holds; answers 429 after many that were not."""
    counted = tries.to_confirm()
    tries.begin(counted)
    right = service.check_password(current_user, password) and also()
    if right:
        tries.right(counted)
    return right


def _page(**forms: object) -> str:
    known = {
        "form": ProfileForm(formdata=None, obj=current_user),
        "password_form": PasswordForm(formdata=None),
        "token_form": TokenForm(formdata=None),
        "delete_form": DeleteForm(formdata=None),
        "button": EmptyForm(formdata=None),
        "secret": "",
        "titles": {one.run: library().title(one.run) for one in current_user.labels},
        "this_session": hash_secret(current_user.signed_in_with),
    }
    return render_template("profile/profile.html", **{**known, **forms})
