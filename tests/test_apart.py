"""What strangers' bytes may make a function do happens to a child process: it is stopped, and another one goes on."""

import sys
import threading
import time
from contextlib import closing

import pytest

from utils.apart import Apart, Full, Overrun

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits are those of Unix")


def behave(raw: bytes, **options: object) -> dict[str, object]:
    """Does what its bytes say."""
    if raw == b"spin":
        while True:
            pass
    if raw == b"sleep":
        time.sleep(3600)
    if raw == b"fill":
        bytes(10**10)
    if raw == b"die":
        raise SystemExit(3)
    if raw == b"print":
        print("this is no answer")
    return {"said": raw[::-1], **options}


def apart(**limits: float) -> Apart:
    return Apart("tests.test_apart:behave", 1, **{"cpu_seconds": 1, "seconds": 3, **limits})


@pytest.mark.parametrize("kind", ["spin", "sleep", "fill", "die"])
def test_whatever_it_does_it_ends_and_the_next_is_answered(kind: str) -> None:
    with closing(apart(seconds=30 if kind == "spin" else 3)) as ask:
        for _ in range(2):
            with pytest.raises(Overrun):
                ask(kind.encode())
            assert ask(b"abc", place=True) == {"said": b"cba", "place": True}


def test_processor_time_is_counted_anew_for_every_call() -> None:
    with closing(apart(cpu_seconds=1)) as ask:
        (child,) = {ask(b"x") and ask._places.queue[0].pid for _ in range(30)}
        assert child


def test_bytes_and_what_is_printed_do_not_mix() -> None:
    with closing(apart()) as ask:
        assert ask(b"print") == {"said": b"tnirp"}
        raw = bytes(range(256)) * 4000
        assert ask(raw)["said"] == raw[::-1] and ask(b"")["said"] == b""


def test_who_finds_no_free_child_is_told_soon() -> None:
    with closing(apart()) as ask:
        busy = threading.Thread(target=pytest.raises, args=(Overrun, ask, b"sleep"))
        busy.start()
        time.sleep(0.2)
        with pytest.raises(Full):
            ask(b"abc", patience=0.1)
        busy.join()
        assert ask(b"abc", patience=0.1)["said"] == b"cba"
