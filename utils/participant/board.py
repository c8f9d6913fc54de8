"""The board's HTTP: a task of a site, asked with patience, and never trusted. Answers are bounded, other hosts are not
followed to, the token goes to the site it belongs to and nowhere else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from utils.participant import waiting
from utils.participant.link import (
    Me,
    Task,
    Training,
    line,
    me_of,
    parents_of,
    task_of,
    training_of,
    trainings_of,
)
from utils.participant.refusals import DeniedError, LinkError, RefusedError, WrongError

if TYPE_CHECKING:
    import requests

API = "/api/v1"
MAX_ANSWER = 10_000_000
"""Bytes of an answer in JSON."""
MAX_BACKBONE = 250_000_000
ATTEMPTS = 4
PATIENT = 60.0
"""Seconds; a site that asks to wait for longer is asked again later, by whoever has the time."""
_TIMEOUT = (10.0, 60.0)
_SLOWEST = 900.0
"""Seconds in which an answer has to be complete."""
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_ADDRESS = re.compile(r"(?P<before>(?:/[^/]+)*?)/(?:tasks|api/v1/calls)/(?P<number>[0-9]{1,15})(?:/.*)?")
_TOKEN = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True)
class Address:
    """Where a task is: the site (scheme, host, port and what stands before its pages), and the task's number."""

    site: str
    number: int

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether whoever is on the way could read along."""
        host = urlsplit(self.site).hostname or ""
        return self.site.startswith("http://") and host not in ("localhost", "127.0.0.1", "::1")


def address_of(url: str) -> Address:
    """The address in a task's page or its place in the API. Raises WrongError."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise WrongError(f"{url[:200]!r}: expected a task's address, as https://SITE/tasks/3")
    if not (found := _ADDRESS.fullmatch(parts.path)):
        raise WrongError(f"{url[:200]!r}: no address of a task, which ends as in /tasks/3")
    at = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    after = f":{port}" if port and port != usual else ""
    return Address(f"{parts.scheme}://{at}{after}{found['before']}", int(found["number"]))


def checked_token(token: str) -> str:
    """A token as it may stand in a header. Raises WrongError, which does not show it."""
    if not _TOKEN.fullmatch(token.strip()):
        raise WrongError("the token is no row of at most 500 letters, digits and signs")
    return token.strip()


class Board:
    """A task on a site."""

    def __init__(self, address: Address, token: str) -> None:
        import requests

        self.address, self._token = address, token
        self._session = requests.Session()
        self._session.auth = self._signed  # or requests would look for a password of its own
        self._session.headers.update(
            {"User-Agent": "SkyFed-participant", "Accept-Encoding": "identity", "Accept-Language": "en"}
        )
        self._call = f"{API}/calls/{address.number}"

    def task(self) -> Task:
        """See `Link`."""
        return task_of(self._json("GET", self._call))

    def join(self, consent: int) -> Me:
        """See `Link`."""
        return me_of(self._json("POST", f"{self._call}/join", {"consent": consent}).get("me"))

    def leave(self) -> None:
        """See `Link`."""
        self._json("POST", f"{self._call}/leave", {})

    def begin(self, id: str) -> Training:
        """See `Link`."""
        return self._same(id, self._json("POST", f"{self._call}/trainings", {"id": id}))

    def weights(self, version: int, most: int) -> bytes:
        """See `Link`."""
        return self._asked("GET", f"{self._call}/versions/{version}/model.safetensors", most=most)

    def backbone(self, run: str) -> tuple[dict[str, Any], bytes]:
        """See `Link`."""
        place = f"{API}/runs/{quote(run, safe='')}"
        conf = self._json("GET", place).get("conf")
        if not isinstance(conf, dict):
            raise LinkError("the site's answer cannot be used: conf: expected an object")
        return conf, self._asked("GET", f"{place}/model.safetensors", most=MAX_BACKBONE)

    def send(self, id: str, body: bytes, about: Mapping[str, float]) -> Training:
        """See `Link`."""
        asked = "&".join(f"{name}={value!r}" for name, value in about.items())
        told = self._asked("PUT", f"{self._call}/trainings/{id}?{asked}", body, most=MAX_ANSWER)
        return self._same(id, _parsed(told))

    def trainings(self) -> list[Training]:
        """See `Link`."""
        return trainings_of(self._json("GET", f"{self._call}/trainings").get("trainings"))

    def parents(self) -> dict[int, int | None]:
        """See `Link`."""
        return parents_of(self._json("GET", f"{self._call}/versions").get("versions"))

    def withdraw(self, id: str) -> Training:
        """See `Link`."""
        return self._same(id, self._json("DELETE", f"{self._call}/trainings/{id}"))

    def _same(self, id: str, told: dict[str, Any]) -> Training:
        training = training_of(told.get("training"))
        if training.id != id:
            raise LinkError("the site's answer cannot be used: it speaks of another training")
        return training

    def _signed(self, asked: requests.PreparedRequest) -> requests.PreparedRequest:
        asked.headers["Authorization"] = f"Bearer {self._token}"
        return asked

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _parsed(self._asked(method, path, body, most=MAX_ANSWER))

    def _asked(
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
                f"{self.address.site}{path}",
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
                **given,
            ) as answer:
                if answer.ok and answer.status_code < 300:
                    return _bounded(answer, most)
                raise self._refused(answer)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise LinkError(f"{self.address.site}: cannot be reached ({_why(error)})") from None

    def _refused(self, answer: requests.Response) -> Exception:
        site, code = self.address.site, answer.status_code
        if 300 <= code < 400:
            where = line(answer.headers.get("Location", ""), 200)
            return DeniedError(
                f"{site}: sends elsewhere ({where}), which is not followed; join by that address"
            )
        told = _error(answer)
        error = told.get("error")
        says = line(error.get("message")) or line(error.get("detail")) if isinstance(error, dict) else ""
        if code == 401:
            return DeniedError(
                f"{site}: does not take the token; make one in your account there that may read and participate, and "
                "join again with --token, or with SKYFED_TOKEN"
            )
        if code == 403:
            return DeniedError(f"{site}: does not allow this: {says or 'the token may not participate'}")
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


def _parsed(raw: bytes) -> dict[str, Any]:
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
        return _parsed(_bounded(answer, 100_000))
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
