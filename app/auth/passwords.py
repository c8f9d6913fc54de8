"""What a new password has to be, and how passwords are written down before they are hashed."""

from __future__ import annotations

import re
import unicodedata

from flask_babel import gettext as _

SHORTEST, LONGEST = 10, 128
_SITE = "skyfed"
_JUDGED = 40  # letters; what judging takes grows with their square, and nobody guesses so many
_SAFE = 3  # of zxcvbn's scores from 0 to 4: more than 10^8 guesses (Wheeler, USENIX Security 2016)


def prepared(password: str) -> str:
    """The password in one spelling, however it was typed: the profile OpaqueString of RFC 8265, section 4.2."""
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in password)
    return unicodedata.normalize("NFC", spaced)


def spellings(password: str) -> list[str]:
    """What a stored hash may be of: today's spelling first, then those that were once hashed as they were typed."""
    return list(dict.fromkeys((prepared(password), password, unicodedata.normalize("NFD", password))))


def fault(password: str, *known: str) -> str:
    """What is wrong with a new password of somebody of whom `known` is known, as a sentence; empty where nothing is."""
    if not SHORTEST <= len(password) <= LONGEST:
        return str(_("10 to 128 characters."))
    from zxcvbn import zxcvbn  # reads its lists of words

    words = {word for text in (*known, _SITE) for word in (text, *re.split(r"\W+", text)) if word}
    if zxcvbn(password[:_JUDGED], user_inputs=sorted(words))["score"] < _SAFE:
        return str(
            _(
                "This is easily guessed; take several words that have nothing to do with each other or with you."
            )
        )
    return ""
