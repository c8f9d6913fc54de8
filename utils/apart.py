"""Runs a function on bytes of strangers apart: in child processes with limits, which are killed and replaced.

What a decoder may be made to do, loop, fill the memory, crash, happens to a child. The function takes the bytes and
keyword arguments of JSON's types and returns a dict of such values and of bytes; neither side unpickles anything.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

NICE = 5
_PIPE = 1 << 20  # bytes, where the system lets one choose: a file in few turns instead of many
_ROOT = Path(__file__).resolve().parent.parent
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Overrun(Exception):  # noqa: N818 - an outcome that is told, not a fault of this program
    """The function took more time or memory than it may have, or broke its process."""


class Full(Exception):  # noqa: N818 - as above
    """All children are at work, and none became free in time."""


class Apart:
    """`places` children that call `function` ("module:name"), started when needed. Safe to use from several threads.

    A call may take `cpu_seconds` of the processor and `seconds` by the clock; a child may hold `memory` bytes of
    address space (where the system has such a limit).
    """

    def __init__(
        self, function: str, places: int, *, cpu_seconds: int = 5, seconds: float = 10, memory: int = 10**9
    ) -> None:
        self._arguments = [function, str(cpu_seconds), str(memory)]
        self._seconds = seconds
        self._places: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(places):
            self._places.put(None)

    def __call__(self, raw: bytes, patience: float | None = None, **options: Any) -> dict[str, Any]:
        """What the function says of `raw`. Raises Full after `patience` seconds without a free child, and Overrun."""
        try:
            child = self._places.get(timeout=patience)
        except queue.Empty:
            raise Full from None
        try:
            if child is None or child.poll() is not None:
                child = self._start()
            return self._ask(child, raw, options)
        except (OSError, ValueError, EOFError):
            if child is not None:
                _end(child)
            child = None
            raise Overrun from None
        except BaseException:
            if child is not None:
                _end(child)  # whoever is interrupted leaves half an answer in the pipe
            child = None
            raise
        finally:
            self._places.put(child)

    def close(self) -> None:
        """End the children that wait."""
        with suppress(queue.Empty):
            while True:
                if child := self._places.get_nowait():
                    _end(child)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "utils.apart", *self._arguments], cwd=_ROOT, env={**os.environ, **_ONE_THREAD},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=_PIPE,
        )  # fmt: skip

    def _ask(self, child: subprocess.Popen[bytes], raw: bytes, options: dict[str, Any]) -> dict[str, Any]:
        assert child.stdin and child.stdout
        guard = threading.Timer(self._seconds, child.kill)
        guard.start()
        try:
            _write(child.stdin, {**options, "raw": raw})
            return _read(child.stdout)
        finally:
            guard.cancel()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):
            if pipe:
                pipe.close()
    child.wait()


def _write(pipe: IO[bytes], values: dict[str, Any]) -> None:
    """One line of JSON, in which the length stands for what is bytes, and then those bytes."""
    parts = {name: value for name, value in values.items() if isinstance(value, bytes)}
    lengths = {name: len(value) for name, value in parts.items()}
    plain = {name: value for name, value in values.items() if name not in parts}
    pipe.write(json.dumps([plain, lengths]).encode() + b"\n")
    for part in parts.values():
        pipe.write(part)
    pipe.flush()


def _read(pipe: IO[bytes]) -> dict[str, Any]:
    """Raises EOFError or ValueError where the other side has gone or speaks nonsense."""
    line = pipe.readline(1_000_000)
    if not line.endswith(b"\n"):
        raise EOFError
    plain, lengths = json.loads(line)
    found = dict(plain)
    for name, length in lengths.items():
        found[name] = pipe.read(length)
        if len(found[name]) != length:
            raise EOFError
    return found


def limit(cpu_seconds: int, memory: int) -> None:
    """Set this process's limits, of processor time from now, and of address space; and its place behind others."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError):  # should memory run out, Linux ends this process, not its parent
        Path("/proc/self/oom_score_adj").write_text("800")
    try:
        import resource
    except ImportError:  # Windows: the clock alone guards
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    for what, most in (
        (resource.RLIMIT_CPU, until),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def _serve(function: str, cpu_seconds: int, memory: int) -> None:
    """Be a child: answer until the parent has gone."""
    module, _, name = function.partition(":")
    ask = getattr(import_module(module), name)
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            asked = _read(sys.stdin.buffer)
            limit(cpu_seconds, memory)
            _write(answers, ask(**asked))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
