"""Which language an answer is in, and the texts the front end shows: one catalogue serves both.

python3 -m app.language     put new texts into the catalogue, drop those nobody shows any more
python3 -m app.language compile
"""

from __future__ import annotations

import datetime
import math
import re
import sys
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from flask import Flask, after_this_request, current_app, has_request_context, request
from flask_babel import format_date, format_datetime, get_locale
from flask_login import current_user
from markupsafe import Markup
from werkzeug.wrappers import Response

from app.extensions import babel
from utils.calls.states import REASONS
from utils.conf import chinese as _of_parts
from utils.refusal import SENTENCES

HERE = Path(__file__).parent
CATALOGUE = HERE / "translations" / "zh" / "LC_MESSAGES" / "messages.po"
COOKIE = "language"
WORD = re.compile(r"\[([a-z0-9-]+):([^\]]+)\]")
_SHOWN = re.compile(r"""\bt\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


def choose() -> str:
    """The language chosen on this device, else the account's, else the best of the browser's."""
    if not has_request_context():
        return "en"
    known = current_app.config["LANGUAGES"]
    for wish in (
        request.cookies.get(COOKIE, ""),
        current_user.language if current_user and current_user.is_authenticated else "",
    ):
        if wish in known:
            return wish
    return request.accept_languages.best_match(known) or "en"


def keep(language: str) -> None:
    """Remember the language on this device, whoever is or will be logged in here; an empty one is forgotten."""

    @after_this_request
    def set_cookie(response: Response) -> Response:
        how = {"secure": current_app.config["SESSION_COOKIE_SECURE"], "httponly": True, "samesite": "Lax"}
        if language:
            response.set_cookie(COOKIE, language, max_age=365 * 86400, **how)
        else:
            response.delete_cookie(COOKIE, **how)
        return response


def arrive(language: str) -> None:
    """Somebody whose account has this language has logged in: it stays here, unless another was chosen here."""
    if language and COOKIE not in request.cookies:
        keep(language)


@cache
def messages(language: str) -> dict[str, str]:
    """English text to text in `language`, for the front end; empty for English itself."""
    if language != "zh":
        return {}
    own = {english: chinese for english, chinese in _of_parts().items() if chinese}
    return own | {str(m.id): str(m.string) for m in _catalogue() if m.id and m.string}


def moment(at: datetime.datetime | str | None, clock: bool = True) -> Markup:
    """A point in time (UTC) in one's language, without `clock` its day; site.ts tells it by one's own clock."""
    if not at:
        return Markup("")
    at = datetime.datetime.fromisoformat(at) if isinstance(at, str) else at
    told = f"{format_datetime(at, 'medium')} UTC" if clock else format_date(at, "medium")
    return Markup('<time datetime="{}" data-told="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), "moment" if clock else "day", told
    )


def unit(text: str) -> str:
    """A unit in one's language, as a task has it."""
    return messages(str(get_locale() or "en")).get(text, text)


def brief(value: float) -> str:
    """A figure with three digits that count, of small ones fewer, at most six after the point."""
    digits = 0 if not value else 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(6, max(0, digits))}f}"


def words(text: str) -> Markup:
    """A text in which `[key:word]` is a word that explains itself; see words.ts, which knows how."""
    parts = WORD.split(text)  # text, key, word, text, …
    button = Markup('<button type="button" class="word" data-word="{}">{}</button>')
    told = [
        part if at % 3 == 0 else button.format(parts[at - 1], part)
        for at, part in enumerate(parts)
        if at % 3 != 1
    ]
    return Markup("").join(told)


def texts() -> set[str]:
    """Every text the site can show and that has no translation of its own: in Python, in templates, in the front end,
    of a conf's keys, of refusals, of why an update is refused.
    """
    methods = [("templates/**.html", "jinja2"), ("**.py", "python")]
    keywords = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None}
    found = {str(text) for _, _, text, _, _ in extract_from_dir(str(HERE), methods, keywords=keywords)}
    own = {english for english, chinese in _of_parts().items() if chinese}
    said = {*SENTENCES.values(), *REASONS.values()}
    return (found | _front_end() | set(_of_parts()) | said) - own


@cache
def _front_end() -> frozenset[str]:
    files = [path for path in (HERE / "static" / "vue" / "src").rglob("*") if path.suffix in (".vue", ".ts")]
    shown = [pair for path in files for pair in _SHOWN.findall(path.read_text(encoding="utf-8"))]
    return frozenset((double or single).replace('\\"', '"').replace("\\'", "'") for double, single in shown)


def _catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh")


def main(arguments: list[str]) -> int:
    """Update or compile the catalogue; returns the exit status."""
    known = _catalogue() if CATALOGUE.exists() else Catalog(locale="zh")
    if arguments == ["compile"]:
        with CATALOGUE.with_suffix(".mo").open("wb") as file:
            write_mo(file, known)
        return 0
    fresh = Catalog(locale="zh", fuzzy=False)
    for text in sorted(texts()):
        old = known.get(text)
        fresh.add(text, old.string if old else "")
    CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
    with CATALOGUE.open("wb") as file:
        write_po(file, fresh, width=0, no_location=True, omit_header=True)
    return 0


def init_app(app: Flask) -> None:
    """Bind Babel, and give templates the language and the catalogue."""
    babel.init_app(app, locale_selector=choose)
    app.jinja_env.filters["words"] = words
    app.jinja_env.filters["moment"] = moment
    app.jinja_env.filters["brief"] = brief
    app.jinja_env.filters["unit"] = unit

    @app.context_processor
    def languages() -> dict[str, object]:
        return {"language": str(get_locale() or "en"), "languages": app.config["LANGUAGES"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
