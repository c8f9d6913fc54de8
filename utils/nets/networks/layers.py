"""A network described layer by layer, or by the name of such a description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.nets.kinds import KINDS, Signal
from utils.nets.outline import Description, check, checked_description, outline
from utils.nets.outline import told as told_of
from utils.nets.steps import Steps, dense, of_layers
from utils.parts import fields_of, key

if TYPE_CHECKING:
    from torch import nn

ABOUT = ("a network described layer by layer", "逐层描述的网络")
TEXTS = dict(kind.ABOUT for kind in KINDS.values()) | {
    field.metadata["doc"]: field.metadata["zh"] for kind in KINDS.values() for field in fields_of(kind)
}


@dataclass(frozen=True)
class Keys:
    """Which layers."""

    network: Description = key(
        'network, layer by layer (`{"layers": [...]}`, see below), or the name of a description in `utils/networks/`; '
        "instead of `model_name`",
        zh='逐层描述的网络（`{"layers": [...]}`，见下文），或 `utils/networks/` 中一份描述的名称；代替 `model_name`',
        check=checked_description,
        cost=True,
    )


def build(keys: Keys, inputs: Signal, outputs: int) -> nn.Module:
    """See `utils.nets.networks`."""
    from utils.nets.modules import network

    return network(keys.network, inputs, outputs)


def fits(keys: Keys, inputs: Signal, outputs: int, batch: int, where: str) -> None:
    """See `utils.nets.networks`."""
    check(keys.network, inputs, outputs, batch, where)


def known(keys: Keys, inputs: Signal, outputs: int, batch: int) -> dict[str, Any]:
    """See `utils.nets.networks`."""
    return told_of(inputs, outline(keys.network, inputs, outputs), batch)


def told(keys: Keys) -> tuple[str, str]:
    """See `utils.nets.networks`."""
    named = [layer.kind() for layer in keys.network.layers]
    return "a network described layer by layer", f"{', '.join([*named, 'output'])}; "


def steps(keys: Keys, inputs: Signal) -> Steps | None:
    """See `utils.nets.networks`."""
    made = of_layers(keys.network.layers)
    return None if made is None else [*made, dense("output.")]
