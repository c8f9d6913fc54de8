"""The process of an owner's node that has the data: it trains and answers as runs ask, and keeps networks warm.

What asks comes through a socket of this machine, from Flower's client process, and has to have the node's key. An
example never leaves; what does stands in the ledger before it goes.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import os
import shutil
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.data.examples import DataError
from utils.engines import wire
from utils.engines.flower_app.skyfed_flower import frames
from utils.federated.held import OWN, Held
from utils.federated.update import Answer, Failure, Question, Reply, TrainJob, Work, share_of
from utils.participant.link import line
from utils.participant.refusals import ParticipantError

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.data.examples import Examples
    from utils.participant.node_home import NodeAbout, NodeHome

_LEAST_ROOM = 2**26
"""Bytes that have to be free on the disk for anything to be begun."""
_FULL = "its disk is full"
_MEMORY_DAYS = 60
_LONGEST_FRAME = 120.0  # seconds in which a message has to have come, or an answer to be taken


def serve(home: NodeHome, say: Callable[[str], None]) -> None:
    """Answer until SIGTERM. Raises ParticipantError where the data cannot be read, or another process has the node."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = Node(home, say)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        where = home.open_place()
        before = os.umask(0o117 if os.environ.get("SKYFED_NODE_SOCKET") else 0o177)
        try:
            listener.bind(str(where))
        finally:
            os.umask(before)
        listener.listen(8)
        say(f"{home.about.name}: ready; {node.told()}")
        key = home.door.read_bytes()
        try:
            while True:
                peer, _ = listener.accept()
                with peer:
                    _answer(node, peer, key, say)
        finally:
            where.unlink(missing_ok=True)


def _answer(node: Node, peer: socket.socket, key: bytes, say: Callable[[str], None]) -> None:
    """One message. Who breaks off, or has not the key, disturbs nobody else."""
    try:
        peer.settimeout(_LONGEST_FRAME)
        frames.greet(peer, key, called=True)
        head, buffers = frames.receive(peer)
        frames.send(peer, *node.answer(head, buffers))
    except (OSError, EOFError, ValueError) as error:  # or the answer is too long
        say(f"a message was not answered: {' '.join(str(error).split()) or type(error).__name__}")


class Node:
    """What answers."""

    def __init__(self, home: NodeHome, say: Callable[[str], None]) -> None:
        self._home, self._say = home, say
        self._seen: deque[str] = deque(maxlen=1000)
        runs = home.folder / "runs"
        for path in runs.glob("*") if runs.exists() else ():
            if time.time() - path.stat().st_mtime > _MEMORY_DAYS * 86400:
                shutil.rmtree(path, ignore_errors=True)

    def told(self) -> str:
        """What the owner lets out, in one line."""
        about = self._home.about
        counts = "numbers of examples by class" if about.counts else "the number of examples"
        judged = " and how models do on them" if about.judges else ""
        return f"takes part in {about.type}; tells {counts}{judged}, and what training changed"

    def answer(self, head: wire.Head, buffers: Mapping[str, Any]) -> tuple[wire.Head, Any]:
        """What a message is answered with; nothing is raised but what ends the process."""
        started = time.monotonic()
        try:
            order = wire.order_of(head, buffers)
            outcome = self._carried_out(order)
        except Exception as error:
            outcome = Failure(-1, self._why(error))
        what = line(f"{head.get('verb')} {head.get('name')}", 80)
        became = outcome.reason if isinstance(outcome, Failure) else "done"
        self._say(f"{what}: {became} ({time.monotonic() - started:.1f} s)")
        return wire.said(head, outcome)

    def _why(self, error: Exception) -> str:
        """What a run is told of an error: one line, without where things lie here."""
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _FULL
        text = f"{error}"
        if not isinstance(error, wire.WireError | ParticipantError | DataError):
            text = f"{type(error).__name__}: {text}"
        for path, name in ((self._home.about.data, "data"), (str(self._home.folder), "home")):
            text = text.replace(path, name)
        return " ".join(text.split())[: wire.MAX_REASON]

    def _carried_out(self, order: wire.Order) -> Reply | Answer | Failure | wire.Described:
        home, about, conf = self._home, self._home.about, order.conf
        if home.is_left or home.is_paused:
            raise ParticipantError("its owner has " + ("left" if home.is_left else "paused it"))
        if order.message in self._seen:
            raise ParticipantError("this message was answered already")
        self._seen.append(order.message)
        if conf.type != about.type:
            raise ParticipantError(f"its owner takes part in {about.type}, not in {conf.type}")
        if conf.attack is not None or hasattr(conf.local.module, "personal"):
            raise ParticipantError("a run with attackers, or with models of clients' own, is for one machine")
        if shutil.disk_usage(home.folder).free < _LEAST_ROOM:
            raise ParticipantError(_FULL)
        if order.refused:
            home.ledger.add("refused", run=order.name, says=order.refused)
        examples, mine = examples_of(about, conf)
        if order.job is None:
            return described(about, conf, examples, mine)
        if isinstance(order.job, Question) and order.job.family == OWN and not about.judges:
            raise ParticipantError("its owner withholds how models do on its examples")
        return self._worked(order, examples, mine)

    def _worked(self, order: wire.Order, examples: Examples, mine: Any) -> Reply | Answer:
        import torch

        from utils.data.split import split_of
        from utils.federated import client

        job = order.job
        assert job is not None
        taught = np.array(
            [index for index in mine if split_of(int(examples.decks[index]), order.fold) != "val"], np.int64
        )
        memory = ""
        if client.keeps(order.conf):
            memory = str(self._home.folder / "runs" / hashlib.sha256(order.run.encode()).hexdigest()[:32])
        work = Work(
            order.run, order.conf, order.seed, str(examples.store), examples.targets, {share_of(job.client): taught},
            memory, order.fold, owned=True,
        )  # fmt: skip
        buffers: dict[str, Any] = {name: memoryview(one) for name, one in order.buffers.items()}
        device = torch.device("cpu")
        outcome: Reply | Answer
        if isinstance(job, TrainJob):
            buffers[job.writes] = bytearray(memoryview(buffers[job.reads[0]]).nbytes)
            outcome = client.train(job, work, buffers, device)
        else:
            outcome = client.answer(job, work, buffers, device)
            if job.family == OWN and not self._home.about.counts and (held := Held.read(outcome.payload)):
                outcome = replace(outcome, payload=held.summed())
        self._home.ledger.add(
            "sent", run=order.name, round=job.round + 1, what=_what(job), bytes=memoryview(outcome.payload).nbytes,
            samples=outcome.samples if isinstance(outcome, Reply) else None,
            sha256=hashlib.sha256(outcome.payload).hexdigest(),
        )  # fmt: skip
        return outcome


def examples_of(about: NodeAbout, conf: Conf) -> tuple[Examples, Any]:
    """The owner's examples as a conf sees them, and which of them may be learnt from, in the order of their ids.

    Raises DataError.
    """
    usual = conf.type if (Path(about.data) / conf.type).is_dir() else type(conf).data
    looked_at = replace(
        conf, data=about.set or getattr(conf.task.module, "DATA", usual)
    )  # never as the run says
    examples = _opened(looked_at, about.data)
    good = examples.usable & examples.taught
    if about.sources:
        good &= np.isin(examples.sources, about.sources)
    return examples, np.flatnonzero(good)


@lru_cache(maxsize=4)
def _opened(conf: Conf, data: str) -> Examples:
    found: Examples = conf.task.module.open_examples(conf, Path(data))
    return found


def described(about: NodeAbout, conf: Conf, examples: Examples, mine: Any) -> wire.Described:
    """What the owner tells of them."""
    from utils.data.split import DECKS
    from utils.tasks import classes_of

    told, classes = about.counts or not classes_of(conf), len(classes_of(conf))
    width = classes if about.counts and classes else 1
    decks = []
    for deck in range(DECKS):
        those = mine[examples.decks[mine] == deck]
        decks.append(
            tuple(np.bincount(examples.targets[those], minlength=width).tolist())
            if width > 1
            else (len(those),)
        )
    version = importlib.metadata.version("torch")
    if not len(mine):
        raise ParticipantError("it has no example for this")
    return wire.Described(tuple(decks), told, examples.fingerprint, version)


def _what(job: wire.Job) -> str:
    if isinstance(job, TrainJob):
        return "update"
    return "how a model does" if job.family == OWN else f"{job.name} ({job.part})"
