"""What travels between a run and a node, as plain JSON beside bytes: nothing of it is run, all of it is checked.

`asked` and `said` are made at one end, `order_of` and `outcome_of` read at the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from utils.conf import Conf, ConfError, make_conf
from utils.federated.update import Answer, Buffers, Bytes, Failure, Question, Reply, TrainJob, Work

FORMAT = 1
DESCRIBE = "describe"
MAX_REASON, MAX_METRICS, MAX_DECKS, MAX_CLASSES = 300, 64, 100, 10_000
Head = dict[str, Any]
Job = TrainJob | Question
_VERBS: dict[str, type[TrainJob] | type[Question]] = {"train": TrainJob, "ask": Question}


class WireError(ValueError):
    """What came cannot be used; the text is one line."""


@dataclass(frozen=True)
class Order:
    """What a node is asked: to carry out `job`, of the run `run`, within so many seconds; without a job, to describe
    what it has. People call the run `name`; `refused` says why the node's answer before this was not taken, where that
    is so.
    """

    message: str
    run: str
    conf: Conf
    seed: int
    fold: int
    within: float
    job: Job | None
    buffers: Mapping[str, Bytes]
    name: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Described:
    """What a node has for a task: how many examples in each deck, and of which class where the owner tells that.

    `decks` has a row a deck: numbers of examples by class, or one number. `fingerprint` is that of its set.
    """

    decks: tuple[tuple[int, ...], ...]
    told: bool
    fingerprint: str
    version: str


def run_of(work: Work) -> str:
    """What a run is called on the way: the same after it is resumed, where clients remember anything."""
    return hashlib.sha256((work.home or work.id).encode()).hexdigest()[:32]


def asked(work: Work, job: Job, message: str, within: float, name: str = "", refused: str = "") -> Head:
    """The head that asks a node to carry out a job of the run that people call so; the buffers it reads go with it."""
    verb = "train" if isinstance(job, TrainJob) else "ask"
    head = _head(verb, message, run_of(work), work.conf, within, name, refused)
    return head | {"seed": work.seed, "fold": work.fold, "job": asdict(job)}


def described(conf: Conf, message: str, within: float) -> Head:
    """The head that asks a node what it has."""
    return _head(DESCRIBE, message, "", conf, within, "", "") | {"seed": 0, "fold": 0, "job": {}}


def _head(verb: str, message: str, run: str, conf: Conf, within: float, name: str, refused: str) -> Head:
    return {
        "format": FORMAT, "verb": verb, "message": message, "run": run, "conf": conf.as_json(), "within": within,
        "name": name, "refused": refused,
    }  # fmt: skip


def order_of(head: Any, buffers: Buffers) -> Order:
    """What a run asks. Raises WireError."""
    _need(isinstance(head, dict) and head.get("format") == FORMAT, "a message of another version")
    verb, given = head.get("verb"), head.get("job")
    for name in ("message", "run", "name", "refused"):
        _need(isinstance(head.get(name), str) and len(head[name]) <= MAX_REASON, name)
    _need(_whole(head.get("seed")) and _whole(head.get("fold")) and head["fold"] < MAX_DECKS, "seed or fold")
    _need(_number(head.get("within")) and 0 < head["within"] <= 10**7, "within")
    try:
        conf = make_conf(head.get("conf"), "the run's conf")
    except (ConfError, RecursionError) as error:
        raise WireError(f"its conf is none that this version knows: {error}") from None
    job = None
    if verb != DESCRIBE:
        _need(isinstance(verb, str) and verb in _VERBS and isinstance(given, dict), "verb")
        job = _job(_VERBS[verb], given, conf)
        _need(set(job.reads) == set(buffers), "buffers")
    return Order(
        head["message"], head["run"], conf, head["seed"], head["fold"], float(head["within"]), job, buffers,
        _line(head["name"]), _line(head["refused"]),
    )  # fmt: skip


def _job(kind: type[TrainJob] | type[Question], given: Head, conf: Conf) -> Job:
    _need(set(given) == {field.name for field in fields(kind)}, "job")
    reads = given["reads"]
    _need(isinstance(reads, list) and all(isinstance(one, str) for one in reads), "job.reads")
    _need(_whole(given["client"]) and given["client"] < conf.no_models, "job.client")
    _need(_whole(given["round"]), "job.round")
    if kind is TrainJob:
        _need(bool(reads) and isinstance(given["writes"], str), "job.writes")
        _need(all(_number(given[name]) and given[name] >= 0 for name in ("lr", "weight")), "job.lr")
        _need(type(given["remembers"]) is int and -1 <= given["remembers"] < 2**31, "job.remembers")
    else:
        _need(all(isinstance(given[name], str) for name in ("family", "part", "name")), "job.name")
    return kind(**{**given, "reads": tuple(reads)})


def said(
    order_head: Mapping[str, Any], outcome: Reply | Answer | Failure | Described
) -> tuple[Head, Buffers]:
    """What a node says, with the names by which the one that asked knows it again."""
    head: Head = {
        "format": FORMAT, "message": str(order_head.get("message", "")), "run": str(order_head.get("run", "")),
    }  # fmt: skip
    if isinstance(outcome, Failure):
        return head | {"failure": " ".join(outcome.reason.split())[:MAX_REASON]}, {}
    if isinstance(outcome, Described):
        return head | {"described": asdict(outcome)}, {}
    told: Head = {"client": outcome.client}
    if isinstance(outcome, Reply):
        told |= {"samples": outcome.samples, "metrics": outcome.metrics}
    return head | {"reply" if isinstance(outcome, Reply) else "answer": told}, {"payload": outcome.payload}


def outcome_of(
    head: Any, buffers: Buffers, message: str, run: str, job: Job | None
) -> Reply | Answer | Failure | Described:
    """What a node says to a message of this run about this job. Raises WireError where it says something else."""
    _need(isinstance(head, dict), "an answer that cannot be read")
    client = job.client if job else -1
    if isinstance(head.get("failure"), str):
        return Failure(client, _line(head["failure"]) or "no reason")
    _need(head.get("format") == FORMAT, "an answer of another version")
    _need((head.get("message"), head.get("run")) == (message, run), "an answer to something else")
    kind = "described" if job is None else "reply" if isinstance(job, TrainJob) else "answer"
    given = head.get(kind)
    _need(isinstance(given, dict), "an answer of another kind")
    if job is None:
        return _described(given)
    _need(given.get("client") == client and set(buffers) == {"payload"}, "an answer for another client")
    if isinstance(job, Question):
        return Answer(client, buffers["payload"])
    samples, metrics = given.get("samples"), given.get("metrics")
    _need(_whole(samples) and samples > 0, "an answer without a number of examples")
    _need(
        isinstance(metrics, dict)
        and len(metrics) <= MAX_METRICS
        and all(isinstance(name, str) and len(name) < 60 and _number(one) for name, one in metrics.items())
        and {"steps", "seconds"} <= set(metrics),
        "an answer whose figures are none",
    )
    return Reply(client, buffers["payload"], samples, {name: float(one) for name, one in metrics.items()})


def _described(given: Any) -> Described:
    decks, told = given.get("decks"), given.get("told")
    _need(
        isinstance(decks, list)
        and 0 < len(decks) <= MAX_DECKS
        and all(
            isinstance(one, list) and 0 < len(one) <= MAX_CLASSES and all(map(_whole, one)) for one in decks
        )
        and len(set(map(len, decks))) == 1
        and sum(map(sum, decks)) < 10**8,
        "a description whose numbers are none",
    )
    _need(isinstance(told, bool) and (told or len(decks[0]) == 1), "a description that cannot be read")
    texts = [given.get("fingerprint"), given.get("version")]
    _need(all(isinstance(one, str) and len(one) <= 100 for one in texts), "a description that cannot be read")
    return Described(tuple(tuple(one) for one in decks), told, _line(texts[0]), _line(texts[1]))


def _need(good: bool, what: str) -> None:
    if not good:
        raise WireError(what if " " in what else f"a message whose {what} cannot be used")


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text[:MAX_REASON]).split())
