"""Hostile clients train on another client's examples, exactly as that one does: the server gets one update twice, as
from the sybils of Fung et al. 2020, https://arxiv.org/abs/1808.04866.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.federated import attacks
from utils.parts import ConfError, key
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = (
    "trains on another client's examples, so that its update counts twice",
    "用另一客户端的样本训练，使其更新被计两次",
)
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """Whose examples."""

    of: int = key(
        "number of the client whose examples are trained on; -1 is the last one",
        zh="所用样本属于第几号客户端；-1 即最后一个",
        default=-1,
        low=-1,
        high=100_000,
    )


class Attack(attacks.Hostile):
    """What is sent is what the other client sends, batches and all."""

    def copies(self, conf: Conf) -> int:
        """Number of the client whose update this is."""
        return int(self.keys.of) % conf.no_models


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where there is no such client, or it is hostile itself."""
    keys, most = conf.attack.keys, conf.no_models - 1  # type: ignore[union-attr]
    of = most if keys.of < 0 else keys.of
    if not keys.hostile <= of <= most:
        what = said("range", range=f"[{keys.hostile}, {most}]")
        raise ConfError(where, "expected_found", key="attack.of", what=what, found=keys.of)
