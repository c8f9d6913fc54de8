"""Other programs kept running: started again when they end, later from time to time, and all ended together.

What they print goes to a log of their own; of it is said what their `tells` makes of a line.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

STEADY = 60.0
"""Seconds that a program must have run for what failed before to be forgotten."""
GRACE = 8.0
"""Seconds that a program has to end when it is asked to."""
SAME = 600.0
"""Seconds in which the same is not said again."""
MOST_A_MINUTE = 20
"""Lines that are said of a program; whoever makes it talk more than that does not fill the log of this one."""
LONGEST_LOG = 2_000_000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LOOK = 0.2


@dataclass(frozen=True)
class Meaning:
    """What a line that a program printed means to people; `is_fault`: it is why the program is about to end;
    `is_stuck`: and as it does not end by itself, it has to be ended.
    """

    text: str
    is_fault: bool = True
    is_stuck: bool = False


def nothing(line: str) -> Meaning | None:
    """Nothing that people need to know."""


@dataclass(frozen=True)
class Program:
    """A program to keep: its environment is exactly that; it is started again after `least` seconds, and after
    `patience` times twice as many each time, up to `most`.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    tells: Callable[[str], Meaning | None] = nothing
    least: float = 1.0
    most: float = 60.0
    patience: int = 1


class Kept:
    """Programs that run from `start` until `end`."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None]) -> None:
        self._say, self._ending, self._lock = say, threading.Event(), threading.Lock()
        self._said: dict[str, tuple[str, float]] = {}
        self._minutes: dict[str, tuple[int, int]] = {}
        # Daemons: where this process ends without a word, the kernel ends the programs with their threads.
        self._threads = [threading.Thread(target=self._keep, args=(one,), daemon=True) for one in programs]

    def start(self) -> None:
        """Start them all."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End them all, and everything that they started; returns when they are gone."""
        self._ending.set()
        for thread in self._threads:
            if thread.ident is not None:  # else it was never started
                thread.join()

    def _keep(self, program: Program) -> None:
        failures, before = 0, ""
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                process = _started(program)
            except OSError as error:
                fault, how = "", f"cannot be started ({error.strerror})"
            else:
                if not before:
                    self._say(f"{program.name}: started, process {process.pid}")
                fault, how = self._watched(program, process)
            if self._ending.is_set():
                self._say(f"{program.name}: ended")
                return
            failures = 1 if time.monotonic() - started >= STEADY else failures + 1
            doublings = min(max(failures - program.patience, 0), 10)
            seconds = min(program.most, program.least * 2.0**doublings)
            if not fault or fault != before:
                self._say(f"{program.name}: {how}; again in {seconds:g} s")
            before = fault
            self._ending.wait(seconds)

    def _watched(self, program: Program, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Why it ended, as far as it said so, and how."""
        faults: list[str] = []
        stuck = threading.Event()
        reader = threading.Thread(target=self._read, args=(program, process, faults, stuck), daemon=True)
        reader.start()
        asked: float | None = None
        while not _is_over(process.pid):
            if asked is None and (self._ending.is_set() or stuck.is_set()):
                asked = time.monotonic()
                os.kill(
                    process.pid, signal.SIGTERM
                )  # Popen's own would wait for it, and its group have no number
            if asked is not None and time.monotonic() - asked > GRACE:
                _to_all(process.pid, signal.SIGKILL)
            time.sleep(_LOOK)
        # It is not waited for yet, so its number is still that of its group: of what it started nothing stays.
        _to_all(process.pid, signal.SIGTERM)
        reader.join(1.0)
        _to_all(process.pid, signal.SIGKILL)
        reader.join()
        status = process.wait()
        how = f"ended with status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"
        return faults[-1] if faults else "", how

    def _read(
        self, program: Program, process: subprocess.Popen[bytes], faults: list[str], stuck: threading.Event
    ) -> None:
        """Read what it prints until it and all that it started are gone."""
        pipe: IO[bytes] | None = process.stdout
        assert pipe is not None
        with pipe:
            for raw in pipe:
                line = _COLOURS.sub("", raw.decode(errors="replace")).rstrip()
                _write(program.log, line)
                if self._ending.is_set() or stuck.is_set():
                    continue  # it does as it is told
                if meaning := program.tells(line):
                    if meaning.is_fault:
                        faults.append(meaning.text)
                    if meaning.is_stuck:
                        stuck.set()
                    self._tell(program.name, meaning)

    def _tell(self, name: str, meaning: Meaning) -> None:
        """Say it, unless it is the fault that was just said."""
        with self._lock:
            now = time.monotonic()
            text, at = self._said.get(name, ("", 0.0))
            if meaning.is_fault and text == meaning.text and now - at < SAME:
                return
            self._said[name] = meaning.text, now
            minute, count = self._minutes.get(name, (0, 0))
            count = count + 1 if minute == now // 60 else 1
            self._minutes[name] = int(now // 60), count
        if count <= MOST_A_MINUTE:
            self._say(f"{name}: {meaning.text}")
        elif count == MOST_A_MINUTE + 1:
            self._say(f"{name}: more of that; its log has it all")


def said(line: str) -> None:
    """Print a line with the time, at once."""
    print(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n", end="", flush=True)  # in one piece


def _started(program: Program) -> subprocess.Popen[bytes]:
    """The program in a group of its own, which the kernel ends with the thread that started it."""
    last_will = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    if not shutil.which(program.command[0]):
        raise FileNotFoundError(2, f"no {Path(program.command[0]).name} there")
    program.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return subprocess.Popen(
        [*last_will, *program.command], env=dict(program.environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def _is_over(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _to_all(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _write(log: Path, line: str) -> None:
    """Add a line to a log, which is begun anew, with the one before kept, when it is too long."""
    with suppress(OSError):  # a full disk: the program has to go on
        if log.exists() and log.stat().st_size > LONGEST_LOG:
            log.replace(log.with_name(f"{log.name}.1"))
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")
