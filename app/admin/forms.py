"""Forms of those who look after the site."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import IntegerField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from app.auth.forms import Visible
from app.auth.service import MOST_DAYS, MOST_USES


class InviteForm(FlaskForm):  # type: ignore[misc]
    """A new code to register with."""

    name = StringField(
        _l("Whom it is for"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=60, message=_l("At most 60 characters.")),
            Visible(),
        ],
        description=_l("A class, say. Only admins see it."),
    )
    uses = IntegerField(
        _l("How many can register with it"),
        [
            InputRequired(_l("Please fill this in.")),
            NumberRange(1, MOST_USES, _l("A number from 1 to 1000.")),
        ],
        default=30,
        render_kw={"inputmode": "numeric"},
    )
    days = IntegerField(
        _l("For how many days"),
        [InputRequired(_l("Please fill this in.")), NumberRange(1, MOST_DAYS, _l("A number from 1 to 365."))],
        default=14,
        render_kw={"inputmode": "numeric"},
    )


class CategoryForm(FlaskForm):  # type: ignore[misc]
    """A category of tasks."""

    name = StringField(
        _l("Name"),
        [
            DataRequired(_l("Please fill this in.")),
            Length(max=60, message=_l("At most 60 characters.")),
            Visible(),
        ],
    )
    name_zh = StringField(
        _l("Name in Chinese"),
        [Optional(), Length(max=60, message=_l("At most 60 characters.")), Visible()],
    )
    place = IntegerField(
        _l("Place in the order"),
        [Optional(), NumberRange(-1000, 1000, _l("A number from -1000 to 1000."))],
        default=0,
        render_kw={"inputmode": "numeric"},
    )
