"""What utils refuses, in the reader's language; programs and log files keep the English."""

from __future__ import annotations

from flask_babel import get_locale

from app.language import messages
from utils.refusal import SENTENCES, Said


def in_ones_language(error: Exception) -> str:
    """The sentence of a refusal of utils, without where it was; of another error, its text."""
    said = getattr(error, "said", None)
    return _told(said) if isinstance(said, Said) else str(error)


def _told(said: Said) -> str:
    values = {name: _value(name, value) for name, value in said.values.items()}
    return _known(SENTENCES[said.code]) % values


def _value(name: str, value: object) -> str:
    if isinstance(value, Said):
        return _told(value)
    return _known(str(value)) if name == "doc" else str(value)


def _known(text: str) -> str:
    return messages(str(get_locale() or "en")).get(text, text)
