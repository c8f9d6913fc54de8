"""A network as a conf describes it, and what can be known of it without building it: shapes, weights, memory.

A description is `{"layers": [...]}` (`utils.nets.kinds` has the layers), with `input`, the shape of an example, where
it should hold for that shape only. A dense layer called `output`, which gives what the task asks for, comes after them
by itself, so that one description serves several tasks. Files in `utils/networks/` are descriptions a conf may name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from utils.nets import JUDGE_BATCH
from utils.nets.kinds import MAX_LAYERS, Dense, Layer, Residual, Shapes, Signal, UnfitError, checked_layers
from utils.parts import ConfError, kind_of, plain, shown
from utils.refusal import said

TEMPLATES = Path(__file__).resolve().parent.parent / "networks"
MAX_PARAMETERS = 20_000_000
MAX_BYTES = 1_000_000_000
_SIDES, _LONGEST = 3, 1_000_000


@dataclass(frozen=True)
class Description:
    """What a conf says of its network; `input` is None where it does not care."""

    layers: tuple[Layer, ...]
    input: tuple[int, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """As it may stand in a conf, with every option."""
        told = {"input": plain(self.input)} if self.input else {}
        return {**told, "layers": plain(self.layers)}


@dataclass(frozen=True)
class Row:
    """A layer of an outline: where it stands, its kind, what comes and what goes, its weights and buffers by name, and
    at most how many numbers of an example training keeps for it.
    """

    place: str
    kind: str
    before: Signal
    after: Signal
    weights: Shapes
    buffers: Shapes
    kept: int

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(map(prod, self.weights.values()))

    @property
    def sent(self) -> int:
        """How many numbers an update has of it: parameters, and the buffers that are averaged with them."""
        return self.parameters + sum(map(prod, self.buffers.values()))


@cache
def templates() -> tuple[str, ...]:
    """The names of the descriptions in `utils/networks/`, sorted."""
    return tuple(sorted(path.stem for path in TEMPLATES.glob("*.json")))


def checked_description(value: Any, where: str, name: str) -> Description:
    """The description that `value` is or names. Raises ConfError, under the key `name`.

    `about`, a text or two, English and Chinese, may stand in it for those who read it; nothing is made of it.
    """
    if isinstance(value, str):
        if value not in templates():
            what = said("one_of", all=", ".join(templates()))
            raise ConfError(where, "expected_found", key=name, what=what, found=shown(value))
        from utils.conf import read_json

        value = read_json((TEMPLATES / f"{value}.json").read_bytes(), f"{value}.json")
    if not isinstance(value, dict):
        raise ConfError(where, "expected_found", key=name, what=said("description"), found=kind_of(value))
    for one in value:
        if one not in ("about", "input", "layers"):
            raise ConfError(where, "unknown_key", name=shown(f"{name}.{one}"))
    if "layers" not in value:
        raise ConfError(where, "expected_found", key=name, what=said("description"), found=shown(value))
    about = value.get("about", "")
    if not all(isinstance(text, str) for text in (about if isinstance(about, list) else [about])):
        raise ConfError(where, "expected_found", key=f"{name}.about", what=said("text"), found=shown(about))
    layers = checked_layers(value["layers"], where, f"{name}.layers")
    return Description(layers, _checked_shape(value.get("input"), where, f"{name}.input"))


def _checked_shape(value: Any, where: str, name: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not (
        isinstance(value, list)
        and 1 <= len(value) <= _SIDES
        and all(isinstance(side, int) and not isinstance(side, bool) for side in value)
        and all(1 <= side <= _LONGEST for side in value)
    ):
        what = said("shape", most=_SIDES)
        raise ConfError(where, "expected_found", key=name, what=what, found=shown(value))
    return tuple(value)


def outline(
    described: Description, inputs: Signal, outputs: int, where: str = "", name: str = "network"
) -> list[Row]:
    """Every layer, those of a residual before it, the output last, for examples like `inputs`.

    Raises ConfError naming the layer that does not fit, with the shapes.
    """
    if described.input not in (None, inputs.shape):
        what, found = shown(list(inputs.shape)), shown(list(described.input or ()))
        raise ConfError(where, "expected_found", key=f"{name}.input", what=what, found=found)
    rows = list(_rows(described.layers, inputs, where, f"{name}.layers"))
    before = rows[-1].after if rows else inputs
    return [*rows, _row(Dense(outputs), before, where, f"{name}.output")]


def _rows(layers: tuple[Layer, ...], before: Signal, where: str, name: str) -> Iterator[Row]:
    for number, layer in enumerate(layers):
        place = f"{name}[{number}]"
        if isinstance(layer, Residual):
            inner = list(_rows(layer.residual, before, where, f"{place}.residual"))
            around = list(_rows(layer.shortcut, before, where, f"{place}.shortcut"))
            yield from (*inner, *around)
            ends = [rows[-1].after if rows else before for rows in (inner, around)]
            if ends[0] != ends[1]:
                raise ConfError(where, "two_shapes", key=place, inner=ends[0], outer=ends[1])
            yield Row(place, layer.kind(), before, ends[0], {}, {}, 2 * ends[0].size)
            before = ends[0]
        else:
            row = _row(layer, before, where, place)
            yield row
            before = row.after


def _row(layer: Layer, before: Signal, where: str, place: str) -> Row:
    try:
        after = layer.after(before)
    except UnfitError as error:
        raise ConfError(where, error.code, key=place, **error.values) from None
    told = layer.weights(before), layer.buffers(before), layer.kept(before)
    return Row(place, layer.kind(), before, after, *told)


def parameters_of(rows: list[Row]) -> int:
    """How many numbers the network learns."""
    return sum(row.parameters for row in rows)


def bytes_of_update(rows: list[Row]) -> int:
    """How many bytes of weights go down to a client, and up again, in a round without links."""
    return 4 * sum(row.sent for row in rows)


def bytes_of_training(rows: list[Row], batch: int) -> int:
    """At most about how much memory a client needs for the network: weights, their gradients, momentum and copy, and
    what a batch leaves behind for the way back; or for judging.
    """
    learnt = batch * (rows[0].before.size + sum(row.kept for row in rows))
    judged = JUDGE_BATCH * max(row.before.size + row.after.size for row in rows)
    return 4 * (4 * sum(row.sent for row in rows) + max(learnt, judged))


def check(described: Description, inputs: Signal, outputs: int, batch: int, where: str) -> None:
    """Raises ConfError, one line, where the network does not fit its examples, or is too large to be built."""
    rows = outline(described, inputs, outputs, where)
    if len(rows) > MAX_LAYERS + 1:
        what = said("at_most", most=MAX_LAYERS)
        raise ConfError(where, "expected_found", key="network.layers", what=what, found=len(rows) - 1)
    for found, most, unit in (
        (parameters_of(rows), MAX_PARAMETERS, "parameters"),
        (bytes_of_training(rows, batch), MAX_BYTES, "megabytes"),
    ):
        if found > most:
            scale = 1_000_000 if unit == "megabytes" else 1
            what = said(unit, most=f"{most // scale:,}", batch=batch)
            counted = f"{-(-found // scale):,}"
            raise ConfError(where, "expected_found", key="network", what=what, found=counted)
