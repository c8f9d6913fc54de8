"""Register, log in, log out, and set a password through a one-time link."""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_login import current_user, login_required
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from app import language as languages
from app.auth import devices, service, tries
from app.auth.forms import NO_CODE, LoginForm, RegisterForm, ResetForm
from app.auth.pages import inside
from app.config import DEMO_ACCOUNTS
from app.extensions import db

blueprint = Blueprint("auth", __name__)


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> str | Response | tuple[str, int]:
    """Make an account, where the site lets whoever asks. An address that has one already gets the same answer."""
    mode = current_app.config["REGISTER"]
    if mode == "closed":
        g.message = _("Nobody can register here at present.")
        abort(403)
    form = RegisterForm(invite=request.args.get("invite", ""))
    if mode == "open":
        del form.invite
    if form.validate_on_submit():
        code = form.invite.data if mode == "invite" else None
        if code is None:  # codes are numbered already
            tries.begin(tries.to_register(), tries.HOUR)
        try:
            service.register(form.email.data, form.nickname.data, form.password.data, invite=code)
            flash(_("If the address had no account yet, it has one now. Please log in."), "success")
            return redirect(url_for("auth.log_in"))
        except service.InviteError:  # its last use went in this moment
            form.invite.errors = [NO_CODE]
    return render_template("auth/register.html", form=form), 422 if form.errors else 200


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> str | Response | tuple[str, int]:
    """Log in. Who has done so already goes on (`pages.init_app`)."""
    form = LoginForm()
    status = 200
    if form.validate_on_submit():
        counted = tries.to_log_in(form.email.data, service.find_user(form.email.data))
        if seconds := tries.seconds_to_wait(counted):
            form.form_errors.append(tries.sentence(seconds))
            status = 429
        elif user := service.sign_in(
            form.email.data, form.password.data, form.code.data or "", form.remember.data
        ):
            tries.right(counted)
            languages.arrive(user.language)
            answer = redirect(inside(request.args.get("next", "")))
            devices.remember(user, answer)
            return answer
        else:
            form.form_errors.append(_("E-mail, password or code is wrong."))
            status = 401
    elif form.errors:
        status = 422
    accounts = DEMO_ACCOUNTS if current_app.config["DEMO"] else ()
    return render_template("auth/login.html", form=form, accounts=accounts), status


@blueprint.post("/logout")
@login_required
def log_out() -> Response:
    """Log out here."""
    service.sign_out()
    flash(_("You are logged out."), "success")
    return redirect(url_for("auth.log_in"))


@blueprint.route("/reset/<secret>", methods=["GET", "POST"])
def reset(secret: str) -> str | Response | tuple[str, int]:
    """Set a password through a one-time link."""
    counted = tries.to_guess()
    tries.begin(counted)
    found = service.find_reset(secret)
    if found is None:
        abort(404)
    tries.right(counted)
    form = ResetForm(found.user)
    if form.validate_on_submit():
        user = found.user
        service.hold(user)
        if service.find_reset(secret) is None:  # somebody else used it in this moment
            abort(404)
        service.set_password(user, form.password.data)
        service.audit("password reset", user.email)
        db.session.commit()
        flash(_("The new password is set. Please log in."), "success")
        return redirect(url_for("auth.log_in"))
    return render_template("auth/reset.html", form=form), 422 if form.errors else 200


@blueprint.post("/language/<code>")
def language(code: str) -> Response:
    """Choose a language, for this session and, if logged in, for the account."""
    if code not in current_app.config["LANGUAGES"]:
        abort(404)
    languages.keep(code)
    if current_user.is_authenticated:
        current_user.language = code
        db.session.commit()
    return redirect(inside(request.form.get("next", "")))


@blueprint.get("/session")
def present() -> dict[str, Any]:
    """Who is logged in, and the token that changes need now: what a page left open renews itself with."""
    return {"who": page_of_whom(), "token": generate_csrf()}


@blueprint.app_context_processor
def whom() -> dict[str, str]:
    """Whose page this is, so that it notices when somebody else has logged in meanwhile."""
    return {"whose": page_of_whom()}


def page_of_whom() -> str:
    """The number of the account that is logged in; empty for nobody."""
    return str(current_user.id) if current_user.is_authenticated else ""
