"""Fetching over HTTP with manners: who we are, one request at a time, patience with a busy server, and resuming."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import requests
import urllib3
from tqdm import tqdm

AGENT = "SkyFed/0.1"

_CHUNK = 1 << 16
_BUSY = (408, 425, 429, 500, 502, 503, 504)

_T = TypeVar("_T")


class FetchError(Exception):
    """What could not be fetched and why, in one line."""


class UnavailableError(FetchError):
    """The server answered that it has no such thing, or not for us; asking again is no use."""


class _Busy(Exception):  # noqa: N818 - caught here, never seen outside
    """Worth another try, not before `after` seconds."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


@dataclass
class Web:
    """A polite client.

    Attributes
    ----------
    contact : how to reach who runs this; some servers ask for it in the user agent.
    pause : least seconds from one request to the next.
    attempts : how often one thing is tried.
    timeout : seconds a server may be silent.
    longest_wait : seconds; a server that asks for more ends the run.
    patience : seconds after which a body that comes below `slowest` bytes a second is given up.
    """

    contact: str = ""
    pause: float = 0.5
    attempts: int = 6
    timeout: float = 30.0
    longest_wait: float = 300.0
    patience: float = 60.0
    slowest: float = 1000.0
    first_wait: float = 1.0
    _session: requests.Session = field(default_factory=requests.Session, repr=False)
    _free_at: float = 0.0

    def __post_init__(self) -> None:
        about = f" ({self.contact})" if self.contact else ""
        self._session.headers["User-Agent"] = f"{AGENT}{about} {requests.utils.default_user_agent()}"
        self._session.headers["Accept-Encoding"] = "identity"

    def json(
        self,
        url: str,
        params: Mapping[str, str],
        busy: Callable[[Mapping[str, Any]], str] = lambda answer: "",
        limit: int = 20_000_000,
    ) -> Mapping[str, Any]:
        """The JSON object at an address. `busy` may find in it that the server wants us to come again later.

        Raises
        ------
        FetchError
            Where it cannot be had or is no JSON object.
        """

        def once() -> Mapping[str, Any]:
            with self._answer(url, params=params) as response:
                text = self._body(response, limit)
                try:
                    answer = json.loads(text)
                except ValueError:
                    raise _Busy("the answer is no JSON") from None
                if not isinstance(answer, dict):
                    raise FetchError(f"{url}: the answer is no JSON object")
                if why := busy(answer):
                    raise _Busy(why, self._retry_after(response))
                return answer

        return self._patiently(url, once)

    def content(self, url: str, limit: int) -> bytes:
        """The whole body at an address, at most `limit` bytes."""

        def once() -> bytes:
            with self._answer(url) as response:
                return self._body(response, limit)

        return self._patiently(url, once)

    def download(self, url: str, target: Path, limit: int) -> None:
        """Fetch a large file to `target`, going on where an earlier run stopped if the server can.

        What is half fetched lies beside it as `<name>.part`, with the server's version tag in `<name>.part.tag`.
        """
        part = target.with_name(f"{target.name}.part")
        tag = part.with_name(f"{part.name}.tag")
        target.parent.mkdir(parents=True, exist_ok=True)

        def once() -> None:
            have = part.stat().st_size if part.exists() and tag.exists() else 0
            resume = {"Range": f"bytes={have}-", "If-Range": tag.read_text()} if have else {}
            with self._answer(url, headers=resume) as response:
                going_on = response.status_code == 206
                if going_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    part.unlink()
                    raise _Busy("the server resumed at another place")
                if not going_on:
                    have = 0
                    part.unlink(missing_ok=True)
                    tag.unlink(missing_ok=True)
                    if version := _version(response):
                        tag.write_text(version)
                with part.open("ab") as file:
                    self._receive(response, file, limit - have, progress=True)
            part.replace(target)
            tag.unlink(missing_ok=True)

        def once_or_anew() -> None:
            try:
                once()
            except UnavailableError as error:
                if "416" not in str(error) or not part.exists():
                    raise
                part.unlink()
                raise _Busy("the server has another version now") from None

        self._patiently(url, once_or_anew)

    def _patiently(self, url: str, once: Callable[[], _T]) -> _T:
        wait = self.first_wait
        problem = _Busy("not tried")
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(max(wait, problem.after))
                wait *= 2
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + self.pause
            try:
                return once()
            except _Busy as busy:
                problem = busy
                if busy.after > self.longest_wait:
                    raise FetchError(f"{url}: the server asks to wait {busy.after:.0f} seconds") from None
            except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
                raise FetchError(f"{url}: no http address") from error
            except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
                raise FetchError(f"{url}: {_one_line(error)}") from error
            except (requests.Timeout, urllib3.exceptions.TimeoutError):
                problem = _Busy(f"no answer within {self.timeout:g} seconds")
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                problem = _Busy(f"no connection ({_root(error)})")
        raise FetchError(f"{url}: {problem} ({self.attempts} tries); run the same command again to go on")

    def _answer(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        response = self._session.get(url, params=params, headers=headers, timeout=self.timeout, stream=True)
        status = f"{response.status_code} {response.reason}"
        if response.status_code in _BUSY:
            response.close()
            raise _Busy(f"the server answered {status}", self._retry_after(response))
        if response.status_code not in (200, 206):
            response.close()
            raise UnavailableError(f"{url}: the server answered {status}")
        return response

    def _retry_after(self, response: requests.Response) -> float:
        asked = response.headers.get("Retry-After", "")
        with suppress(ValueError):
            return max(0.0, float(asked))
        with suppress(ValueError, TypeError):
            return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
        return 0.0

    def _body(self, response: requests.Response, limit: int) -> bytes:
        buffer = BytesIO()
        self._receive(response, buffer, limit)
        return buffer.getvalue()

    def _receive(
        self, response: requests.Response, into: BinaryIO, limit: int, progress: bool = False
    ) -> None:
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else None
        too_much = FetchError(f"{response.url}: more than {limit} bytes")
        if expected is not None and expected > limit:
            raise too_much
        started, got = time.monotonic(), 0
        with tqdm(total=expected, unit="B", unit_scale=True, disable=None if progress else True) as bar:
            # read1 gives what has come so far; waiting for whole chunks would never notice a server that drips.
            while chunk := self._read(response, got, expected):
                into.write(chunk)
                got += len(chunk)
                bar.update(len(chunk))
                if got > limit:
                    raise too_much
                elapsed = time.monotonic() - started
                if elapsed > self.patience and got < self.slowest * elapsed:
                    raise _Busy("the server is too slow")

    def _read(self, response: requests.Response, got: int, expected: int | None) -> bytes:
        try:
            chunk: bytes = response.raw.read1(_CHUNK, decode_content=True)
        except urllib3.exceptions.ProtocolError:
            raise _Busy(f"the answer broke off after {got} of {expected or 'unknown'} bytes") from None
        return chunk


def _version(response: requests.Response) -> str:
    tag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag


def _root(error: BaseException) -> str:
    """What lies at the bottom of the libraries' nested errors: "Connection refused", not a page of wrappers."""
    inner: object = error
    while isinstance(inner, BaseException):
        error = inner
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    for cause in (error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
