"""Clients on machines of their own: jobs go to nodes through Flower (https://flower.ai), whose commands are run and
whose code is not imported. `flower_app` is what runs inside Flower.

An engine starts a run of Flower, whose ServerApp connects to a socket here; jobs go through it all at once, and what
comes back is given in the order of the jobs. Flower delivers a message at most once, so what is lost is a Failure, and
how long is waited is settled here, whatever happens there. Where Flower's run ends, one new run is begun for what is
still open. What is judged lies here, and is judged by an engine on this machine.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from utils.conf import Conf
from utils.engines import Engine, EngineError, wire
from utils.engines.flower_app.skyfed_flower import frames
from utils.engines.flower_commands import asked
from utils.engines.flower_home import FlowerError, Home, JoinedNode, Outcome
from utils.federated.clock import LATE
from utils.federated.links import Way
from utils.federated.update import (
    Answer,
    Buffers,
    Failure,
    JudgeJob,
    Question,
    Reply,
    TrainJob,
    Work,
    share_of,
)
from utils.nets.build import layout_of

APP = Path(__file__).resolve().parent / "flower_app"
LONGEST_TRAINING, LONGEST_ANSWER = 3600.0, 300.0
"""Seconds after which a training, or an answer, is not waited for any more where a conf says nothing else."""
GRACE = 5.0
"""Seconds that an answer may be on its way beyond that."""
_TO_BEGIN = 90.0


@dataclass
class _Open:
    """A message that is not answered yet."""

    node: int
    head: wire.Head
    buffers: Buffers
    job: wire.Job | None
    name: str
    within: float
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None  # until the outcome was there
    outcome: Any = None
    up: int = 0
    counts: bool = False  # towards those that are wanted


class Flower:
    """See `utils.engines.Engine`. Client number i of every run is the i-th of `nodes`; `here` judges."""

    def __init__(self, home: Home, nodes: Sequence[JoinedNode], here: Engine) -> None:
        self._home, self._nodes, self._here = home, list(nodes), here
        self._turn = threading.Lock()  # a node does one thing after the other, so a round goes after a round
        self._changed = threading.Condition()
        self._open: dict[int, _Open] = {}
        self._numbers = 0
        self._names: dict[str, str] = {}
        self._refused: dict[int, str] = {}
        self._ended = False  # Flower's run
        self._begun_again = False  # another one, for the messages that are open
        self._closed = threading.Event()
        self._peer: socket.socket | None = None
        self._run = ""
        self._lock: FileLock | None = None
        home.read()
        self._folder = Path(tempfile.mkdtemp(prefix="skyfed-"))
        self._key = self._folder / "key"
        self._key.touch(mode=0o600)
        self._key.write_bytes(secrets.token_bytes(32))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._folder / "run.sock"))
        self._listener.listen(1)
        try:
            self._stop_left_over()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Flower:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, work: Work, name: str) -> None:
        """Let owners and the site know this work by the name of its run."""
        self._names[wire.run_of(work)] = name

    def describe(self, conf: Conf) -> list[wire.Described | Failure]:
        """What every node has for a task, or why it does not say so."""
        messages = [
            _Open(number, wire.described(conf, _fresh(), LONGEST_ANSWER), {}, None, "", LONGEST_ANSWER)
            for number in range(len(self._nodes))
        ]
        return list(self._in_turn(messages, len(messages)))

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        """See `Engine.train`. A round's `deadline` is in real seconds here; with `over_select` the first `k` count."""
        deadline = getattr(work.conf.rounds.keys, "deadline", 0.0) or LONGEST_TRAINING
        return self._in_turn([self._message(work, job, buffers, deadline) for job in jobs], work.conf.k, work)

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        """See `Engine.ask`."""
        asked = [self._message(work, one, buffers, LONGEST_ANSWER) for one in questions]
        return self._in_turn(asked, len(asked), work)

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        """See `Engine.judge`: what is judged lies here."""
        return self._here.judge(work, jobs, buffers)

    def close(self) -> None:
        """See `Engine.close`. Nodes finish what they are at; what they then send is dropped."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        self._end_run()
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._here.close()

    def _message(self, work: Work, job: wire.Job, buffers: Buffers, within: float) -> _Open:
        name = self._names.get(wire.run_of(work), "")
        head = wire.asked(work, job, _fresh(), within, name, self._refused.get(job.client, ""))
        return _Open(job.client, head, {one: buffers[one] for one in job.reads}, job, name, within)

    def _in_turn(self, messages: list[_Open], wanted: int, work: Work | None = None) -> Iterator[Any]:
        if not messages:
            return
        with self._turn, self._turn_of_this_process():
            self._send(messages)
            try:
                for message in messages:
                    self._wait(message, messages, wanted)
                    if isinstance(message.outcome, Reply) and work:
                        self._check(message, work)
                    self._note(message)
                    yield message.outcome
                    message.outcome = Failure(message.node, "taken")  # whoever took it is the last who has it
            finally:
                with self._changed:
                    self._open.clear()

    @contextmanager
    def _turn_of_this_process(self) -> Iterator[None]:
        """Wait until no other run sends anything. Raises EngineError when closed meanwhile."""
        while not self._closed.is_set():
            with (
                suppress(Timeout),
                FileLock(self._home.folder / "turn.lock", timeout=0.5, thread_local=False),
            ):
                yield
                return
        raise EngineError("the engine was closed")

    def _send(self, messages: list[_Open]) -> None:
        with self._changed:
            self._begun_again = False
            if self._ended:
                self._end_run()
            for message in messages:
                message.began = time.monotonic()
                self._open[self._numbers] = message
                self._numbers += 1
        self._resend()

    def _resend(self) -> None:
        """Hand all that is open to Flower, beginning a run where there is none. Raises EngineError."""
        while True:
            try:
                peer = self._peer or self._begin_run()
                with self._changed:
                    waiting = {number: one for number, one in self._open.items() if one.outcome is None}
                for number, one in waiting.items():
                    left = max(1.0, one.began + one.within - time.monotonic())
                    kind = "train" if isinstance(one.job, TrainJob) else "query"
                    node = int(self._nodes[one.node].node_id)
                    about = {"number": number, "node": node, "kind": kind, "within": left, "head": one.head}
                    frames.send(peer, about, one.buffers)
                return
            except FlowerError as error:
                self._end_run()
                raise EngineError(f"Flower cannot be used: {error}") from None
            except OSError:
                self._once_more()

    def _once_more(self) -> None:
        """Let go of a run of Flower that has ended. Raises EngineError where that was the second for these messages."""
        self._end_run()
        if self._begun_again:
            raise EngineError("Flower's run ended twice; python3 -m app.flower doctor may know why")
        self._begun_again = True

    def _wait(self, message: _Open, messages: list[_Open], wanted: int) -> None:
        """Wait for the outcome of a message, as long as its time lasts. Raises EngineError."""
        while True:
            with self._changed:
                while message.outcome is None and not (self._ended or self._closed.is_set()):
                    left = message.began + message.within + GRACE - time.monotonic()
                    if left <= 0:
                        message.outcome = Failure(message.node, f"no answer within {message.within:g} s")
                        break
                    if sum(one.counts for one in messages) >= wanted:
                        message.outcome = Failure(message.node, LATE)
                        break
                    self._changed.wait(min(left, 1.0))
                if message.outcome is not None:
                    return
                if self._closed.is_set():
                    raise EngineError("the engine was closed")
            self._once_more()
            self._resend()

    def _check(self, message: _Open, work: Work) -> None:
        """Have an update that cannot be taken fail."""
        if why := self._fault(message.outcome, work):
            message.outcome, message.counts = Failure(message.node, why), False
            self._refuse(message, why)
        else:
            self._refused.pop(message.node, None)

    def _fault(self, reply: Reply, work: Work) -> str:
        """Why an update cannot be taken; empty where it can. What only their sum reveals is not looked into."""
        if reply.samples > len(work.shares[share_of(reply.client)]):
            return "an update from more examples than the node said it has"
        layout = layout_of(work.conf)
        way = Way(work.conf, layout)
        if way.ring:
            return ""
        try:
            update = way.receive(reply, np.zeros(layout.size, np.float32))
        except (ValueError, IndexError) as error:
            return " ".join(str(error).split())[:200]
        told = update.told if update is not None and update.told is not None else np.zeros(0, np.float32)
        if update is None or not (np.isfinite(update.weights).all() and np.isfinite(told).all()):
            return "an update with values that are not finite"
        return ""

    def _note(self, message: _Open) -> None:
        failure = message.outcome.reason if isinstance(message.outcome, Failure) else ""
        job = message.job
        down = sum(memoryview(one).nbytes for one in message.buffers.values())
        seconds = time.monotonic() - message.began if message.seconds is None else message.seconds
        with suppress(OSError, FlowerError):
            self._home.note(
                Outcome(
                    round(time.time(), 3), self._nodes[message.node].name, message.name, job.round + 1 if job else 0,
                    str(message.head["verb"]), round(seconds, 3), down, message.up, failure,
                )
            )  # fmt: skip

    def _read(self, peer: socket.socket) -> None:
        """Thread of a connection: take what comes, until its end."""
        try:
            while True:
                head, buffers = frames.receive(peer)
                with self._changed:
                    number = head.get("number")
                    message = self._open.get(number) if isinstance(number, int) else None
                    if message is None or message.outcome is not None:
                        continue  # too late, or of a round that is over
                    message.up = sum(map(len, buffers.values()))
                    message.seconds = time.monotonic() - message.began
                    if isinstance(head.get("failure"), str):
                        message.outcome = Failure(message.node, _worded(head["failure"]))
                    else:
                        message.outcome = self._told(message, head.get("head"), buffers)
                        message.counts = not isinstance(message.outcome, Failure)
                    self._changed.notify_all()
                del buffers
        except (OSError, EOFError):
            with self._changed:
                self._ended = self._ended or peer is self._peer
                self._changed.notify_all()

    def _told(self, message: _Open, head: Any, buffers: Buffers) -> Any:
        try:
            return wire.outcome_of(head, buffers, message.head["message"], message.head["run"], message.job)
        except wire.WireError as error:
            self._refuse(message, str(error))
            return Failure(message.node, str(error))

    def _refuse(self, message: _Open, why: str) -> None:
        """Remember why an answer was not taken, so that its owner hears of it with the next message."""
        if message.job:
            self._refused[message.node] = f"round {message.job.round + 1}: {why}"

    def _begin_run(self) -> socket.socket:
        """Begin a run of Flower, and wait for its ServerApp. Raises FlowerError."""
        where = f'socket="{self._folder / "run.sock"}" key="{self._key}"'
        told = self._flwr("run", "--run-config", where, str(APP))
        self._run = str(told.get("run-id", ""))
        if not self._run:
            raise FlowerError("flwr run: no run was begun")
        runs = self._home.folder / "runs"
        runs.mkdir(exist_ok=True)
        self._lock = FileLock(runs / self._run, thread_local=False)
        self._lock.acquire()
        self._listener.settimeout(1.0)
        ends = time.monotonic() + _TO_BEGIN
        while not self._closed.is_set():
            if time.monotonic() > ends:
                raise FlowerError(f"its ServerApp did not come within {_TO_BEGIN:.0f} s")
            with suppress(TimeoutError):
                peer, _ = self._listener.accept()
                try:
                    frames.greet(peer, self._key.read_bytes(), called=True)
                    peer.settimeout(None)
                except OSError:
                    peer.close()
                    continue
                with self._changed:
                    self._peer = peer
                threading.Thread(target=self._read, args=(peer,), daemon=True).start()
                return peer
        raise EngineError("the engine was closed")

    def _end_run(self) -> None:
        with self._changed:
            peer, self._peer, run, self._run, self._ended = self._peer, None, self._run, "", False
        if peer:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()
        if run:
            with suppress(FlowerError):
                self._flwr("stop", run)
        if self._lock:
            self._lock.release()
            if run:
                (self._home.folder / "runs" / run).unlink(missing_ok=True)
            self._lock = None

    def _stop_left_over(self) -> None:
        """Stop runs whose processes have ended without doing so."""
        for path in (self._home.folder / "runs").glob("*"):
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                self._flwr("stop", path.name)
            except FlowerError as error:
                if "finished" not in str(error) and "not found" not in str(error).casefold():
                    continue
            finally:
                lock.release()
            path.unlink(missing_ok=True)

    def _flwr(self, *words: str) -> dict[str, Any]:
        """What a command of Flower says. Raises FlowerError."""
        return asked(self._home, words, f"flwr {words[0]}")


def nodes_of(home: Home, names: Sequence[str]) -> list[JoinedNode]:
    """The nodes with these names, or all that are joined and there. Raises FlowerError where one is not."""
    known, there = {one.name: one for one in home.joined()}, home.online()
    if missing := [name for name in names if name not in known]:
        raise FlowerError(
            f"no node called {', '.join(missing)} has joined; joined: {', '.join(known) or 'none'}"
        )
    if names and (gone := [name for name in names if not there.get(known[name].node_id)]):
        raise FlowerError(f"not there at the moment: {', '.join(gone)}")
    found = [known[name] for name in sorted(set(names) or known) if names or there.get(known[name].node_id)]
    if not found:
        raise FlowerError("no node that has joined is there at the moment")
    return found


def _worded(failure: str) -> str:
    """Flower's own failures in words that say what happened."""
    text = " ".join(failure.split())[: wire.MAX_REASON]
    for code, words in _CODES.items():
        if text.endswith(f"(code {code})"):
            return f"{words} ({text})"
    return text


_CODES = {
    3: "the node did not answer in time",
    5: "the node was not there",
    8: "the node's client process ended",
}


def _fresh() -> str:
    return secrets.token_hex(16)
