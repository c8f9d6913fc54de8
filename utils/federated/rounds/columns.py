"""Columns instead of rows: owners have different columns of the same people, and one of them the labels.

A round is `local_epochs` passes of all owners in step (`utils.vertical`), without a server: owner 0 is the guest, who
has the labels, all others are hosts. The network is the conf's own, which has to begin with a dense layer; with
`logistic` that is logistic or linear regression, exactly as if all columns were in one place. Only those whom all have
are trained on. Each owner scales its own columns, of which nothing travels. Bytes up are what hosts send, bytes down
what the guest sends; in the first round that of the matching is with them. The owners' parts become one model to be
judged and kept, which is the laboratory's doing and not counted. With one client the guest is alone with its columns.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import RunError
from utils.federated.rounds import Played
from utils.parts import ConfError, key, shown
from utils.refusal import said
from utils.vertical import Wire
from utils.vertical.matching import common

if TYPE_CHECKING:
    from torch import nn

    from utils.conf import Conf
    from utils.federated.bench import Bench, State
    from utils.vertical.joint import Joint
    from utils.vertical.owners import Guest, Host

ABOUT = (
    "columns instead of rows (vertical): owners have different columns of the same people",
    "按列划分（纵向联邦）：所有者持有同一批人的不同列",
)
NEEDS = {
    "partition": ("columns",),
    "strategy": ("fedavg",),
    "local": ("sgd",),
    "selection": ("uniform",),
    "attack": (None,),
    "lambda": (1.0,),
    "rotations": (1,),
}
SIMULATED = True
COLUMNS_STREAM = 21  # of the order of people, and of layers that draw


@dataclass(frozen=True)
class Keys:
    """Who has which columns, and how they become one network."""

    split: str = key(
        "which of the task's ways to share out its columns (its `COLUMNS`), or the `first` of them",
        zh="采用任务声明的哪一种按列划分方式（任务的 `COLUMNS`），或其中第一种 `first`",
        default="first",
    )
    merge: str = key(
        "`sum`: the first layer's units see all columns, as owners' scores are added; `concat`: each owner has units "
        "of its own, which see its columns only (a split network)",
        zh="`sum`：第一层的单元看到所有列（各所有者的部分得分相加）；`concat`：每位所有者有自己的单元，只看到自己的列（拆分网络）",
        default="sum",
        choices=("sum", "concat"),
    )
    overlap: float = key(
        "share of the people whom each host has too; training uses those whom all have",
        zh="每位参与方也拥有的人的比例；训练只用所有人都拥有的人",
        default=1.0,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    match: str = key(
        "how owners find whom all have: `hashes` with a shared salt, which is weak, or `psi`, private set intersection "
        "(`make psi` installs it)",
        zh="如何找出所有人都拥有的人：`hashes` 带共享盐的哈希（较弱），或 `psi` 隐私集合求交（由 `make psi` 安装）",
        default="hashes",
        choices=("hashes", "psi"),
    )


def ways(conf: Conf) -> Mapping[str, tuple[tuple[int, ...], ...]]:
    """How the task shares out its columns, by name."""
    found: Mapping[str, tuple[tuple[int, ...], ...]] = getattr(conf.task.module, "COLUMNS", {})
    return found


def _split(conf: Conf) -> str:
    """Which of them the conf names."""
    named: str = conf.rounds.keys.split
    return next(iter(ways(conf))) if named == "first" else named


def fits(conf: Conf, where: str) -> None:
    """Owners, their columns and the network go together. Raises ConfError."""
    known, keys = ways(conf), conf.rounds.keys

    def refuse(other: str, found: Any) -> ConfError:
        return ConfError(where, "refuses", key="rounds", part="columns", other=other, found=found)

    def needs(part: str, other: str, what: Any, found: Any) -> ConfError:
        return ConfError(where, "needs", key="rounds", part=part, other=other, what=what, found=found)

    if not known:
        raise refuse("type", conf.type)
    if (split := _split(conf)) not in known:
        what = said("one_of", all=", ".join(known))
        raise ConfError(where, "expected_found", key="rounds.split", what=what, found=shown(split))
    owners = len(known[split])
    if conf.no_models > owners:
        raise needs(split, "no_models", said("at_most", most=owners), conf.no_models)
    if conf.holds:
        raise refuse("holds", shown([list(one) for one in conf.holds]))
    if conf.link:
        raise refuse("link", conf.link[0].name)
    for name, value in (("k", conf.k), ("owners", conf.pool)):
        if value != conf.no_models:
            raise needs("columns", name, conf.no_models, value)
    from utils.nets.build import has_batch_norm, shape_of
    from utils.vertical.joint import first_of

    net = shape_of(conf)
    first = first_of(net)
    if first is None:
        layers = [type(one).__name__ for one in net.modules() if not any(one.children())]
        found = next(one for one in layers if one != "Flatten")
        raise ConfError(where, "takes", key="network", layer="columns", takes=said("flat"), found=found)
    if has_batch_norm(conf):
        raise refuse("network", said("batch_norm"))
    hidden = first.out_features if sum(1 for _ in net.parameters()) > 1 + (first.bias is not None) else 0
    if keys.merge == "concat" and hidden < conf.no_models:
        raise needs("concat", "dense", said("at_least", least=conf.no_models), hidden)


class Rounds:
    """All owners in step, round after round."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._columns = [list(of) for of in ways(conf)[_split(conf)][: conf.no_models]]
        self._exact: NDArray[np.float64] | None = None  # (layout.trained,)
        self._people: NDArray[np.int64] | None = None  # whom all have, as indices
        self._matched = Wire()  # what it took to know that, until a round counts it
        self._owners: tuple[Joint, Guest, list[Host]] | None = None

    def start(self, bench: Bench, net: nn.Module) -> None:
        """Scale each owner's columns, and let the first layer have no weights but those that are somebody's."""
        import torch

        from utils.data.scaling import Scaled, agree
        from utils.vertical.joint import Joint, first_of

        if isinstance(net, Scaled):
            agree(net, lambda name, vectors: iter([self._told(bench, name, vectors)]))
        first = first_of(net)
        assert first is not None
        with torch.no_grad():
            first.weight.mul_(torch.from_numpy(Joint(net, self._columns, self._apart).mask()))

    def of_owner(self, owner: int) -> dict[str, list[int]]:
        """Its columns."""
        return {"columns": self._columns[owner]}

    def play(self, bench: Bench, state: State) -> Played:
        """Raises RunError where there is nobody whom all have, or the loss is not finite."""
        import torch

        from utils.federated.client import passes as in_batches
        from utils.nets.build import own_generator
        from utils.vertical.owners import passes

        conf, round_, started = bench.conf, state.round, time.perf_counter()
        joint, guest, hosts = self._opened(bench, state)
        people, wire = self._common(bench), self._matched
        for owner in (guest, *hosts):
            owner.begin(bench.lr(round_), conf.momentum, conf.weight_decay)
        torch.set_num_threads(1)  # as for clients: sums then come in one order on every machine
        draws = np.random.default_rng([COLUMNS_STREAM, bench.seed, round_])
        try:
            with own_generator(int(draws.integers(2**63))):  # of layers that draw, as dropout does
                steps, loss = passes(guest, hosts, in_batches(len(people), conf, draws), wire)
        except FloatingPointError as error:
            raise RunError(f"{bench.repeat}: round {round_ + 1}: {error}, a smaller lr may help") from None
        self._exact, self._matched = joint.read(guest, hosts), Wire()
        weights = np.concatenate([self._exact, state.weights[len(self._exact) :]]).astype(np.float32)
        measured = {"steps": float(steps), "seconds": time.perf_counter() - started}
        updates = [(0, len(people), measured | {"loss": loss})]  # what hosts pass over are the same people
        updates += [(host, 0, measured) for host in range(1, conf.no_models)]
        series = {"messages": (float(wire.messages), "", "lower")}
        return Played({"weights": weights}, updates, [], wire.down, wire.up, series)

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights as they are, and whom all have."""
        if self._exact is None or self._people is None:
            return {}
        return {"exact": self._exact.copy(), "people": self._people.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Let owners go on from their weights."""
        if state:
            self._exact, self._people = state["exact"].copy(), state["people"].copy()

    @property
    def _apart(self) -> bool:
        return self._keys.merge == "concat"

    def _common(self, bench: Bench) -> NDArray[np.int64]:
        """Whom all have, found once. Raises RunError where that is nobody."""
        if self._people is None:
            guest, *hosts = ([bench.examples.ids[one] for one in mine] for mine in bench.shares.clients)
            salt = hashlib.sha256(f"{COLUMNS_STREAM} {bench.seed}".encode()).digest()
            found = set(common(guest, hosts, self._keys.match, salt, self._matched))
            mine = bench.shares.clients[0]
            self._people = np.array([one for one in mine if bench.examples.ids[one] in found], np.int64)
            if not len(self._people):
                raise RunError(
                    f"{bench.repeat}: there is nobody whom all owners have; a larger overlap may help"
                )
        return self._people

    def _opened(self, bench: Bench, state: State) -> tuple[Joint, Guest, list[Host]]:
        """The owners, each with its scaled columns of whom all have; the guest with what it foretells, scaled too."""
        if self._owners is None:
            from utils.nets.build import layout_of, shape_of
            from utils.vertical.joint import Joint

            layout = layout_of(bench.conf)
            scaling = {name: value.astype(np.float64) for name, value in layout.named(state.weights).items()}
            rows, targets = self._rows(bench)
            if "mean" in scaling:
                rows = (rows - scaling["mean"].ravel()) / scaling["spread"].ravel()
            if "target_mean" in scaling:
                targets = (targets - scaling["target_mean"]) / scaling["target_spread"]
            joint = Joint(shape_of(bench.conf), self._columns, self._apart)
            exact = state.weights[: layout.trained].astype(np.float64) if self._exact is None else self._exact
            joint.write(exact)
            self._owners = (joint, *joint.owners([rows[:, of] for of in self._columns], targets))
        return self._owners

    def _rows(self, bench: Bench) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """What a network sees of whom all have (n, columns), and what is foretold of them (n,)."""
        people, conf = self._common(bench), bench.conf
        [seen] = conf.task.module.for_judging(bench.examples.inputs[people], conf)
        return seen.numpy().reshape(len(people), -1).astype(np.float64), bench.examples.targets[people]

    def _told(self, bench: Bench, name: str, vectors: Mapping[str, NDArray[np.float64]]) -> bytes:
        """What owners make of their own columns, and the guest of numbers it foretells, side by side as one owner's
        answer to the questions of `utils.data.scaling`. What is nobody's is taken to differ nowhere.
        """
        rows, targets = self._rows(bench)
        rows[:, np.setdiff1d(np.arange(rows.shape[1]), np.concatenate(self._columns))] = 0.0
        rows = np.column_stack([rows, targets]) if targets.dtype.kind == "f" else rows
        if name == "sums":
            return np.concatenate([[len(rows)], rows.sum(axis=0)]).tobytes()
        return np.asarray(((rows - vectors["mean"]) ** 2).sum(axis=0)).tobytes()
