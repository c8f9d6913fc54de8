"""Freely licensed photos through the API of Wikimedia Commons (https://www.mediawiki.org/wiki/API:Imageinfo).

The person who names a category or a search says which class it shows. Author, licence and page of every photo go
into the manifest.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from utils.files import atomic_write
from utils.photos.cleaning import MAX_BYTES, Refused
from utils.photos.sources import Candidate, printable
from utils.photos.sources.fetch import FetchError, UnavailableError, Web

API = "https://commons.wikimedia.org/w/api.php"
WIDTH = 960
"""Pixels; one of the widths at which Commons keeps scaled copies ready."""

_FREE = re.compile(r"cc0|pd|pd-.+|cc-pd-.+|cc-by(-sa)?(-\d.*)?")
_PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "image/tiff")
_COME_AGAIN = ("maxlag", "ratelimited", "readonly")
_QUERY = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "maxlag": "5",
    "prop": "imageinfo",
    "iiprop": "url|mime|sha1|extmetadata",
    "iiurlwidth": str(WIDTH),
    "iiextmetadatafilter": "Artist|License|LicenseShortName|LicenseUrl|NonFree",
}


def by_category(category: str) -> dict[str, str]:
    """The part of a query that lists the files of a category, named with or without `Category:`."""
    title = category if category.casefold().startswith("category:") else f"Category:{category}"
    return {"generator": "categorymembers", "gcmtitle": title, "gcmtype": "file", "gcmlimit": "50"}


def by_search(words: str) -> dict[str, str]:
    """The part of a query that lists the files a full-text search finds."""
    return {"generator": "search", "gsrsearch": words, "gsrnamespace": "6", "gsrlimit": "50"}


def from_commons(
    web: Web, api: str, chosen: Mapping[str, str], label: str, count: int, cache: Path
) -> list[Candidate]:
    """Up to `count` photos of a category or search, listed now and fetched when read.

    A fetched photo stays in the folder `cache` under Commons' own SHA-1, so it is never fetched twice. One that
    has no free licence is refused and does not count.

    Raises
    ------
    FetchError
        Where the list cannot be had.
    """
    found: list[Candidate] = []
    free = 0
    for page in _pages(web, api, chosen):
        one = _candidate(web, page, label, cache)
        found.append(one)
        free += one.refused is None
        if free == count:
            break
    return found


def _pages(web: Web, api: str, chosen: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Every page of the list once, whole.

    The API may spread the properties of one list over several answers; they are put together until it says
    that the batch is complete.
    """
    carry: Mapping[str, str] = {}
    batch: dict[int, dict[str, Any]] = {}
    while True:
        answer = web.json(api, {**_QUERY, **chosen, **carry}, busy=_busy)
        if "error" in answer:
            raise FetchError(f"{api}: {_text(answer['error'], 'info') or 'an error without words'}")
        query = answer.get("query", {})
        for page in query.get("pages", []) if isinstance(query, dict) else []:
            if isinstance(page, dict) and isinstance(page.get("pageid"), int):
                batch.setdefault(page["pageid"], {}).update(page)
        if answer.get("batchcomplete"):
            yield from batch.values()
            batch = {}
        carried = answer.get("continue")
        if not isinstance(carried, dict) or not carried or carried == carry:
            yield from batch.values()
            return
        carry = {str(name): str(value) for name, value in carried.items()}


def _busy(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    return f"busy ({_text(error, 'info')})" if _text(error, "code") in _COME_AGAIN else ""


def _candidate(web: Web, page: Mapping[str, Any], label: str, cache: Path) -> Candidate:
    name = printable(_text(page, "title"))
    infos = page.get("imageinfo")
    info = infos[0] if isinstance(infos, list) and infos else {}
    about = info.get("extmetadata") if isinstance(info, dict) else None
    licence = _value(about, "License").casefold()
    url = _text(info, "thumburl") or _text(info, "url")
    sha1 = _text(info, "sha1")
    refused = None
    if not url or not re.fullmatch(r"[0-9a-f]{40}", sha1):
        refused = Refused("no file on its page")
    elif _text(info, "mime") not in _PHOTO_TYPES:
        refused = Refused("not a photo", _text(info, "mime"))
    elif not _FREE.fullmatch(licence) or _value(about, "NonFree"):
        refused = Refused("no free licence", licence or "none given")
    provenance = {
        "author": _plain(_value(about, "Artist")),
        "licence": _plain(_value(about, "LicenseShortName")) or licence,
        "licence_url": _plain(_value(about, "LicenseUrl")),
        "page": _text(info, "descriptionurl"),
    }
    return Candidate(name, label, partial(_read, web, url, cache / sha1), provenance, refused)


def _read(web: Web, url: str, cached: Path) -> bytes:
    if cached.exists():
        return cached.read_bytes()
    try:
        data = web.content(url, MAX_BYTES)
    except UnavailableError as error:
        raise Refused("not to be had", str(error)) from error
    with atomic_write(cached) as file:
        file.write(data)
    return data


def _text(fields: Any, name: str) -> str:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def _value(about: Any, name: str) -> str:
    return _text(about.get(name), "value").strip() if isinstance(about, dict) else ""


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _plain(html: str) -> str:
    """The words of a snippet of HTML on one line, at most 300 characters."""
    words = _Words()
    words.feed(html)
    words.close()
    return printable(" ".join("".join(words.text).split()))[:300]
