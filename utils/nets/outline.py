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
from typing import TYPE_CHECKING, Any

from utils.nets import JUDGE_BATCH
from utils.nets.kinds import MAX_LAYERS, Dense, Layer, Residual, Shapes, Signal, UnfitError, checked_layers
from utils.parts import ConfError, fields_of, json_name, kind_of, plain, shown
from utils.refusal import said
from utils.tasks import inputs_of, is_scaled, outputs_of, unit_of

if TYPE_CHECKING:
    from utils.conf import Conf

TEMPLATES = Path(__file__).resolve().parent.parent / "networks"
MAX_PARAMETERS = 20_000_000
MAX_BYTES = 1_000_000_000
_UNTOLD = dict.fromkeys(("layers", "parameters", "bytes_of_update", "bytes_of_training"))
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
    """A layer of an outline: where it stands, what comes and what goes, its weights and buffers by name, and at most
    how many numbers of an example training keeps for it.
    """

    place: str
    layer: Layer
    before: Signal
    after: Signal
    weights: Shapes
    buffers: Shapes
    kept: int

    @property
    def kind(self) -> str:
        """What it is called in JSON."""
        return self.layer.kind()

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(map(prod, self.weights.values()))

    @property
    def sent(self) -> int:
        """How many numbers an update has of it: parameters, and the buffers that are averaged with them."""
        return self.parameters + sum(map(prod, self.buffers.values()))

    def as_json(self) -> dict[str, Any]:
        """What people are told of it; of its options those that are not as they are by default."""
        options = {
            json_name(field): getattr(self.layer, field.name)
            for field in fields_of(self.layer)
            if field.name not in ("residual", "shortcut") and getattr(self.layer, field.name) != field.default
        }
        return {
            "place": self.place, "kind": self.kind, "about": self.layer.ABOUT[0], "options": options,
            "shape": list(self.after.shape), "parameters": self.parameters,
        }  # fmt: skip


class MisfitError(ConfError):
    """A network that does not fit; `known` is what `told` says of the layers before the first that does not."""

    known: dict[str, Any] | None = None


@cache
def templates() -> tuple[str, ...]:
    """The names of the descriptions in `utils/networks/`, sorted."""
    return tuple(sorted(path.stem for path in TEMPLATES.glob("*.json")))


def template(name: str) -> Any:
    """What the file of the description `name` says. Raises ConfError."""
    from utils.conf import read_json

    return read_json((TEMPLATES / f"{name}.json").read_bytes(), f"{name}.json")


def checked_description(value: Any, where: str, name: str) -> Description:
    """The description that `value` is or names. Raises ConfError, under the key `name`.

    `about`, a text or two, English and Chinese, may stand in it for those who read it; nothing is made of it.
    """
    if isinstance(value, str):
        if value not in templates():
            what = said("one_of", all=", ".join(templates()))
            raise ConfError(where, "expected_found", key=name, what=what, found=shown(value))
        value = template(value)
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

    Raises MisfitError naming the layer that does not fit, with the shapes.
    """
    if described.input not in (None, inputs.shape):
        what, found = shown(list(inputs.shape)), shown(list(described.input or ()))
        raise ConfError(where, "expected_found", key=f"{name}.input", what=what, found=found)
    rows: list[Row] = []
    try:
        for row in _rows(described.layers, inputs, where, f"{name}.layers"):
            rows.append(row)
        before = rows[-1].after if rows else inputs
        return [*rows, _row(Dense(outputs), before, where, f"{name}.output")]
    except MisfitError as error:
        error.known = told(inputs, rows)
        raise


def _rows(layers: tuple[Layer, ...], before: Signal, where: str, name: str) -> Iterator[Row]:
    for number, layer in enumerate(layers):
        place = f"{name}[{number}]"
        if isinstance(layer, Residual):
            ends = []
            for way in ("residual", "shortcut"):
                end = before
                for row in _rows(getattr(layer, way), before, where, f"{place}.{way}"):
                    yield row
                    end = row.after
                ends.append(end)
            if ends[0] != ends[1]:
                raise MisfitError(where, "two_shapes", key=place, inner=ends[0], outer=ends[1])
            yield Row(place, layer, before, ends[0], {}, {}, 2 * ends[0].size)
            before = ends[0]
        else:
            row = _row(layer, before, where, place)
            yield row
            before = row.after


def _row(layer: Layer, before: Signal, where: str, place: str) -> Row:
    try:
        after = layer.after(before)
    except UnfitError as error:
        raise MisfitError(where, error.code, key=place, **error.values) from None
    return Row(place, layer, before, after, layer.weights(before), layer.buffers(before), layer.kept(before))


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


def told(inputs: Signal, rows: list[Row], batch: int = 0) -> dict[str, Any]:
    """What people are told of a network that takes `inputs`, as plain JSON; without `batch` of its layers only."""
    return {
        **_UNTOLD, "input": list(inputs.shape), "tokens": inputs.tokens, "layers": [row.as_json() for row in rows],
        **({"parameters": parameters_of(rows), "bytes_of_update": bytes_of_update(rows),
            "bytes_of_training": bytes_of_training(rows, batch)} if batch else {}),
    }  # fmt: skip


def known_of(conf: Conf) -> dict[str, Any]:
    """What is known of the network of `conf` before it is built, as `told`: what its family does not say is None."""
    inputs = inputs_of(conf)
    known: dict[str, Any] = {
        **_UNTOLD,
        "input": list(inputs.shape),
        "tokens": inputs.tokens,
        "scaled": is_scaled(conf),
    }
    if say := getattr(conf.network.module, "known", None):
        known |= say(conf.network.keys, inputs, outputs_of(conf), conf.batch_size)
    if known["scaled"] and known["bytes_of_update"]:
        number = unit_of(conf) is not None
        known["bytes_of_update"] += (
            4 * 2 * (inputs.size + number)
        )  # means and spreads travel with the weights
    return known


def check(described: Description, inputs: Signal, outputs: int, batch: int, where: str) -> None:
    """Raises ConfError, one line, where the network does not fit its examples, or is too large to be built."""
    rows = outline(described, inputs, outputs, where)

    def refuse(name: str, what: Any, found: Any) -> ConfError:
        error = MisfitError(where, "expected_found", key=name, what=what, found=found)
        error.known = told(inputs, rows)
        return error

    if len(rows) > MAX_LAYERS + 1:
        raise refuse("network.layers", said("at_most", most=MAX_LAYERS), len(rows) - 1)
    for found, most, unit in (
        (parameters_of(rows), MAX_PARAMETERS, "parameters"),
        (bytes_of_training(rows, batch), MAX_BYTES, "megabytes"),
    ):
        if found > most:
            scale = 1_000_000 if unit == "megabytes" else 1
            what = said(unit, most=f"{most // scale:,}", batch=batch)
            raise refuse("network", what, f"{-(-found // scale):,}")
