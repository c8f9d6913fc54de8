"""Forms of one's own profile."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from app.auth.forms import Visible, again_field, new_password_field, nickname_field, password_field
from app.models import SCOPES


def _choices(*choices: tuple[str, object]) -> list[SelectChoice]:
    return [SelectChoice(value, label) for value, label in choices]


class ProfileForm(FlaskForm):  # type: ignore[misc]
    """Nickname and looks."""

    nickname = nickname_field()
    language = SelectField(
        _l("Language"), choices=_choices(("", _l("The browser's")), ("en", "English"), ("zh", "中文"))
    )
    theme = SelectField(
        _l("Theme"),
        choices=_choices(("auto", _l("The system's")), ("light", _l("Light")), ("dark", _l("Dark"))),
    )


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """A new password, with the old one."""

    old = password_field(_l("Present password"))
    password = new_password_field()
    again = again_field()
    tokens = SelectField(
        _l("My tokens for programs"),
        choices=_choices(("revoke", _l("are revoked too")), ("keep", _l("stay valid"))),
        default="revoke",
    )

    def known(self) -> tuple[str, ...]:
        """What others know of the person."""
        return current_user.email, current_user.nickname


_SCOPES = {
    "read": _l("read: see what is yours and your trainings"),
    "label": _l("label: tag runs"),
    "keep": _l("keep: keep and correct forecasts"),
    "train": _l("train: start and stop trainings (researchers)"),
    "participate": _l("participate: take part in published tasks"),
}


class TokenForm(FlaskForm):  # type: ignore[misc]
    """A new token for programs."""

    name = StringField(
        _l("What it is for"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=60, message=_l("At most 60 characters.")),
            Visible(),
        ],
    )
    scopes = SelectMultipleField(
        _l("What it may do"),
        [DataRequired(_l("Please choose at least one."))],
        choices=_choices(*((scope, _SCOPES[scope]) for scope in SCOPES)),
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    days = SelectField(
        _l("How long it is valid"),
        choices=_choices(
            ("", _l("Until it is revoked")), ("7", _l("A week")), ("30", _l("A month")), ("365", _l("A year"))
        ),
        default="",
    )


class CodeForm(FlaskForm):  # type: ignore[misc]
    """A one-time code, to switch one-time passwords on or off."""

    password = password_field(_l("Present password"))
    code = StringField(
        _l("One-time code"),
        [DataRequired(_l("Please fill this in.")), Length(max=10, message=_l("At most 10 characters."))],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )


class DeleteForm(FlaskForm):  # type: ignore[misc]
    """The end of an account, with the password."""

    runs = SelectField(
        _l("Finished runs of my trainings"),
        choices=_choices(
            ("anonymise", _l("stay, without the names I gave them")), ("delete", _l("are deleted"))
        ),
        default="anonymise",
        description=_l("Everybody sees them. What is unfinished is deleted."),
    )
    password = password_field(_l("Present password"))


class EmptyForm(FlaskForm):  # type: ignore[misc]
    """A button: nothing but the CSRF token."""
