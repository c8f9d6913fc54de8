"""Forms to register, log in and set a password."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, PasswordField, StringField
from wtforms.form import BaseForm
from wtforms.validators import DataRequired, Email, EqualTo, Length, ValidationError

from app import names


class Visible:
    """Refuses what is no name (see `app.names`)."""

    def __init__(self, unseen: bool = True) -> None:
        self.unseen = unseen

    def __call__(self, form: BaseForm, field: StringField) -> None:
        """See `wtforms.validators`."""
        if fault := names.fault(field.data, unseen=self.unseen):
            raise ValidationError(fault)


def nickname_field() -> StringField:
    """A nickname: 1 to 40 visible characters."""
    return StringField(
        _l("Nickname"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=40, message=_l("At most 40 characters.")),
            Visible(unseen=False),
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
            Length(min=10, max=128, message=_l("10 to 128 characters.")),
        ],
        description=_l("At least 10 characters; several words are easy to remember."),
        render_kw={"autocomplete": "new-password"},
    )


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
    password = new_password_field()
    again = PasswordField(
        _l("The same again"),
        [EqualTo("password", _l("The two passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )


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
    """A new password through a one-time link."""

    password = new_password_field()
    again = PasswordField(
        _l("The same again"),
        [EqualTo("password", _l("The two passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )
