"""One rule for every name that a person gives: nickname, training, note, tag, token. What cannot be seen is none."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from flask_babel import gettext as _
from idna.core import IDNAError, valid_contextj
from marshmallow import ValidationError, fields, validate

_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Property Bidi_Control (Unicode, PropList.txt): they show other text than there is."""

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Property Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and what is drawn as a blank."""

_PICTURE = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23fa\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
)  # the blocks that have the property Extended_Pictographic (emoji-data.txt)
_STYLE = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"  # as text, as emoji, tone of the skin
_EMOJI = re.compile(
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f|[0-9#*]\ufe0f?\u20e3"
    f"|{_PICTURE}{_STYLE}{{0,2}}(?:\u200d{_PICTURE}{_STYLE}{{0,2}})*"
)  # sequences of UTS #51: flags of regions, keycaps, joined pictures
_UNSEEN_KINDS = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me")


def fault(text: str, *, unseen: bool = True, lines: bool = False) -> str:
    """What is wrong with a name, as a sentence in the reader's language; empty where nothing is.

    Something has to be seen. Never allowed are controls, controls of the direction of writing, half characters, and
    joiners where Unicode has none: they stand in emoji (UTS #51), and between letters as RFC 5892, appendix A.1
    and A.2, says. With `unseen` other characters that nobody sees are tolerated beside those that are seen, with
    `lines` ends of lines.
    """
    ends = "\n\r\t\u2028\u2029" if lines else ""
    rest = "".join(letter for letter in _EMOJI.sub("\u2600", text) if letter not in ends)
    joiners = [place for place, letter in enumerate(rest) if letter in "\u200c\u200d"]
    if (
        _DIRECTION.search(rest)
        or any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in rest)
        or not all(_joins(rest, place) for place in joiners)
        or (not unseen and _UNSEEN.search(re.sub("[\u200c\u200d]", "", rest)))
    ):
        return str(_("Only visible characters."))
    if not any(_is_seen(letter) for letter in rest):
        return str(_("Nothing of this can be seen."))
    return ""


class Name(fields.String):
    """A name in the API."""

    def __init__(self, most: int, **more: Any) -> None:
        super().__init__(validate=[validate.Length(1, most), is_name], metadata={"format": "name"}, **more)


class Tag(fields.String):
    """A name without spaces."""

    def __init__(self, most: int) -> None:
        super().__init__(validate=[validate.Length(1, most), is_tag], metadata={"format": "tag"})


class Note(fields.String):
    """A text with lines that may be blank; else held to the rule of names."""

    def __init__(self, most: int, **more: Any) -> None:
        super().__init__(validate=[validate.Length(max=most), is_note], metadata={"format": "note"}, **more)


def is_name(text: str) -> None:
    """Raises ValidationError where the rule of names is broken."""
    if wrong := fault(text):
        raise ValidationError(wrong)


def is_tag(text: str) -> None:
    """Raises ValidationError where `text` is no tag."""
    if text.split() != [text]:
        raise ValidationError(str(_("A tag has no spaces.")))
    is_name(text)


def is_note(text: str) -> None:
    """Raises ValidationError where `text` is no note."""
    if text.strip() and (wrong := fault(text, lines=True)):
        raise ValidationError(wrong)


def _is_seen(letter: str) -> bool:
    return not _UNSEEN.match(letter) and unicodedata.category(letter) not in _UNSEEN_KINDS


def _joins(text: str, place: int) -> bool:
    start = max(0, place - 50)  # more marks on a letter has no writing
    try:
        return valid_contextj(text[start : place + 50], place - start)
    except (IDNAError, ValueError):  # beside a character that this version of Unicode does not know
        return False


_RESERVED = (
    "admin", "administrator", "root", "skyfed", "system", "moderator", "webmaster", "staff", "support",
    "管理员", "系统", "官方", "客服",
)  # fmt: skip
_ALIKE = str.maketrans("013457|!@$i", "oleastllasl")  # what is alike inside ASCII, or written for it


def is_reserved(name: str) -> bool:
    """Whether a nickname, or words of it in a row, could be taken for those who look after the site."""
    plain = unicodedata.normalize("NFKC", name)
    wanted = {_skeleton(one) for one in _RESERVED}
    for text in (plain, plain.rstrip("0123456789")):
        words = re.findall(r"[^\W_]+", _skeleton(text))
        if any(
            "".join(words[a:b]) in wanted for a in range(len(words)) for b in range(a + 1, len(words) + 1)
        ):
            return True
    return any(one in plain for one in _RESERVED if not one.isascii())


def _skeleton(text: str) -> str:
    """What `text` looks like (UTS #39, section 4), in ASCII where that looks the same, without case and accents."""
    seen = (
        _alike(letter) for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)
    )
    return "".join(seen).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _alike(letter: str) -> str:
    from confusable_homoglyphs.confusables import confusables_data  # reads Unicode's table

    for form in (letter, letter.casefold()):
        for one in () if form.isascii() else confusables_data.get(form, ()):
            if one["c"].isascii():
                return str(one["c"]).casefold()
    return letter.casefold()
