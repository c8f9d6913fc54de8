"""A site's HTTP: asked with patience, and never trusted. Answers are bounded, other hosts are not followed to, the
token goes to the site it belongs to and nowhere else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from utils.participant import waiting
from utils.participant.link import line
from utils.participant.refusals import DeniedError, LinkError, RefusedError, WrongError

if TYPE_CHECKING:
    import requests

API = "/api/v1"
MAX_ANSWER = 10_000_000
"""Bytes of an answer in JSON."""
ATTEMPTS = 4
PATIENT = 60.0
"""Seconds; a site that asks to wait for longer is asked again later, by whoever has the time."""
_TIMEOUT = (10.0, 60.0)
_SLOWEST = 900.0
"""Seconds in which an answer has to be complete."""
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_TOKEN = re.compile(r"[!-~]{1,500}")


def root_of(url: str, wanted: str) -> tuple[str, str]:
    """Scheme, host and port of an address, as they are usually written, and its path; `wanted` says what was expected.

    Raises WrongError.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise WrongError(f"{url[:200]!r}: expected {wanted}")
    at = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{at}{f':{port}' if port and port != usual else ''}", parts.path


def is_readable_on_the_way(site: str) -> bool:
    """Whether whoever is on the way could read along."""
    host = urlsplit(site).hostname or ""
    return site.startswith("http://") and host not in ("localhost", "127.0.0.1", "::1")


def checked_token(token: str) -> str:
    """A token as it may stand in a header. Raises WrongError, which does not show it."""
    if not _TOKEN.fullmatch(token.strip()):
        raise WrongError("the token is no row of at most 500 letters, digits and signs")
    return token.strip()


class Site:
    """A site, asked with a token, or without one."""

    remedy = ""
    """What somebody has to do whose token is not taken."""
    lacking = "the token may not do that"
    """What is said where the site forbids something and does not say why."""

    def __init__(self, site: str, token: str = "") -> None:
        import requests

        self.site, self._token = site, token
        self.ahead: float | None = None
        """Seconds that this machine's clock is ahead of the site's, as far as its last answer told."""
        self._session = requests.Session()
        self._session.auth = self._signed  # or requests would look for a password of its own
        self._session.headers.update(
            {"User-Agent": "SkyFed-participant", "Accept-Encoding": "identity", "Accept-Language": "en"}
        )

    def _signed(self, asked: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            asked.headers["Authorization"] = f"Bearer {self._token}"
        return asked

    def json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The object that the site answers with. LinkError, DeniedError or RefusedError where it does not."""
        return parsed(self.raw(method, path, body, most=MAX_ANSWER))

    def raw(
        self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None, *, most: int
    ) -> bytes:
        """The body of the answer, after some tries where the site is busy or the network fails."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, path, body, most)
            except LinkError as error:
                if attempt == ATTEMPTS or error.after > PATIENT:
                    raise
                waiting.wait(max(waiting.spread(error.after), waiting.back_off(attempt)))
        raise AssertionError

    def _once(self, method: str, path: str, body: bytes | Mapping[str, Any] | None, most: int) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        given: dict[str, Any] = (
            {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        )
        if isinstance(body, bytes):
            given["headers"] = {"Content-Type": "application/octet-stream"}
        try:
            with self._session.request(
                method,
                f"{self.site}{path}",
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
                **given,
            ) as answer:
                if date := _date(answer.headers.get("Date", "")):
                    self.ahead = time.time() - date.timestamp() - 0.5  # it is told in whole seconds
                if answer.ok and answer.status_code < 300:
                    return _bounded(answer, most)
                raise self._refused(answer)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise LinkError(f"{self.site}: cannot be reached ({_why(error)})") from None

    def _refused(self, answer: requests.Response) -> Exception:
        site, code = self.site, answer.status_code
        if 300 <= code < 400:
            where = line(answer.headers.get("Location", ""), 200)
            return DeniedError(
                f"{site}: sends elsewhere ({where}), which is not followed; join by that address"
            )
        told = _error(answer)
        error = told.get("error")
        says = line(error.get("message")) or line(error.get("detail")) if isinstance(error, dict) else ""
        if code == 401:
            return DeniedError(f"{site}: does not take the token{self.remedy}")
        if code == 403:
            return DeniedError(f"{site}: does not allow this: {says or self.lacking}")
        after = _after(answer, told)
        if code in _BUSY or code >= 500:
            return LinkError(f"{site}: is busy or out of order ({code}{says and ', '}{says})", after)
        return RefusedError(code, f"{site}: {says or f'answers {code}'}", line(told.get("why"), 60), after)


def _bounded(answer: requests.Response, most: int) -> bytes:
    """An answer's body, if it is no longer than that. Raises RefusedError, and LinkError where it does not end."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise RefusedError(0, "the site's answer cannot be used: it is compressed, unasked")
    found, started = bytearray(), time.monotonic()
    while piece := answer.raw.read1(1 << 16):
        found += piece
        if len(found) > most:
            raise RefusedError(0, f"the site's answer cannot be used: longer than {most:,} bytes")
        if time.monotonic() - started > _SLOWEST:
            raise LinkError("the site's answer cannot be used: it does not end")
    return bytes(found)


def parsed(raw: bytes) -> dict[str, Any]:
    """The object in an answer. Raises LinkError."""
    try:
        told = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise LinkError("the site's answer cannot be used: no JSON") from None
    if not isinstance(told, dict):
        raise LinkError("the site's answer cannot be used: expected an object")
    return told


def _no_number(name: str) -> None:
    raise ValueError(name)


def _error(answer: requests.Response) -> dict[str, Any]:
    """What an error says of itself; nothing where that cannot be read."""
    try:
        return parsed(_bounded(answer, 100_000))
    except (LinkError, RefusedError):
        return {}


def _after(answer: requests.Response, told: Mapping[str, Any]) -> float:
    """How many seconds the site asks to wait. A date is one by the site's own clock."""
    asked = told.get("retry_after")
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return waiting.bounded(asked)
    header = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", header):
        return waiting.bounded(float(header))
    then, now = _date(header), _date(answer.headers.get("Date", ""))
    return waiting.bounded((then - now).total_seconds()) if then and now else 0.0


def _date(header: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else None


def _why(error: Exception) -> str:
    """The cause at the bottom, in a few words."""
    found: BaseException = error
    for _ in range(8):
        below = (
            getattr(found, "reason", None)
            or found.__cause__
            or found.__context__
            or (found.args or (None,))[0]
        )
        if not isinstance(below, BaseException):
            break
        found = below
    text = getattr(found, "strerror", None) or str(found).rpartition(": ")[2]
    return line(text, 120) or type(found).__name__
