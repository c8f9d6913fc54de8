"""Forms to register, log in and set a password."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, PasswordField, StringField
from wtforms.form import BaseForm
from wtforms.validators import DataRequired, Email, EqualTo, Length, ValidationError

from app import names
from app.auth import passwords, service, tries
from app.models import User

NO_CODE = _l("This code is none, or cannot be used any more.")


class Visible:
    """Refuses what is no name (see `app.names`)."""

    def __init__(self, unseen: bool = True) -> None:
        self.unseen = unseen

    def __call__(self, form: BaseForm, field: StringField) -> None:
        """See `wtforms.validators`."""
        if fault := names.fault(field.data, unseen=self.unseen):
            raise ValidationError(fault)


def is_not_reserved(form: BaseForm, field: StringField) -> None:
    """Refuses a nickname that could be taken for that of an admin, but for admins."""
    if not (current_user.is_authenticated and current_user.is_admin) and names.is_reserved(field.data):
        raise ValidationError(_("This name is kept for those who look after the site."))


def is_not_guessable(form: BaseForm, field: PasswordField) -> None:
    """Refuses a password that is too short, too long or easily guessed by whoever knows what the form knows.

    To judge it takes a moment, which is spent only where nothing else is wrong.
    """
    if not any(one.errors for one in form) and (fault := passwords.fault(field.data, *form.known())):
        raise ValidationError(fault)


def nickname_field() -> StringField:
    """A nickname: 1 to 40 visible characters, and not that of an admin."""
    return StringField(
        _l("Nickname"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=40, message=_l("At most 40 characters.")),
            Visible(unseen=False),
            is_not_reserved,
        ],
        filters=[lambda text: text.strip() if text else text],
        render_kw={"autocomplete": "nickname"},
    )


def new_password_field() -> PasswordField:
    """A password that is being chosen: 10 to 128 characters."""
    return PasswordField(
        _l("New password"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(passwords.SHORTEST, passwords.LONGEST, message=_l("10 to 128 characters.")),
            is_not_guessable,
        ],
        filters=[_prepared],
        description=_l("At least 10 characters; several words are easy to remember."),
        render_kw={"autocomplete": "new-password"},
    )


def again_field() -> PasswordField:
    """The new password once more."""
    return PasswordField(
        _l("The same again"),
        [EqualTo("password", _l("The two passwords differ."))],
        filters=[_prepared],
        render_kw={"autocomplete": "new-password"},
    )


def _prepared(password: str | None) -> str | None:
    return passwords.prepared(password) if password else password


def password_field(label: str) -> PasswordField:
    """A password that is already there."""
    return PasswordField(
        label,
        [DataRequired(_l("Please fill this in.")), Length(max=128, message=_l("10 to 128 characters."))],
        render_kw={"autocomplete": "current-password"},
    )


def email_field() -> EmailField:
    """An e-mail address."""
    return EmailField(
        _l("E-mail"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=254, message=_l("At most 254 characters.")),
            Email(_l("This is not an e-mail address.")),
        ],
        filters=[lambda text: text.strip() if text else text],
        render_kw={"autocomplete": "username"},
    )


class RegisterForm(FlaskForm):  # type: ignore[misc]
    """A new account."""

    email = email_field()
    nickname = nickname_field()
    invite = StringField(
        _l("Code of your invitation"),
        [DataRequired(_l("Please fill this in.")), Length(max=60, message=_l("At most 60 characters."))],
        render_kw={"autocomplete": "off"},
    )
    password = new_password_field()
    again = again_field()

    def validate_invite(self, field: StringField) -> None:
        """A code that may be used. Wrong ones count as guesses."""
        counted = tries.to_guess()
        tries.begin(counted)
        if not service.is_invited(field.data):
            raise ValidationError(NO_CODE)
        tries.right(counted)

    def known(self) -> tuple[str, ...]:
        """What others know of the person."""
        return self.email.data or "", self.nickname.data or ""


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Logging in; `code` is for those who have switched on one-time passwords."""

    email = email_field()
    password = password_field(_l("Password"))
    code = StringField(
        _l("One-time code"),
        [Length(max=10, message=_l("At most 10 characters."))],
        description=_l("Only if you have switched it on."),
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    remember = BooleanField(_l("Stay logged in on this device for a week"))


class ResetForm(FlaskForm):  # type: ignore[misc]
    """A new password through a one-time link, of the account `user`."""

    password = new_password_field()
    again = again_field()

    def __init__(self, user: User) -> None:
        super().__init__()
        self.known = lambda: (user.email, user.nickname)
