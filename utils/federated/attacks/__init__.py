"""What hostile clients do, one attack a file: a class `Attack(keys)`, `Hostile` or with the same
`is_hostile(client, conf) -> bool`, and any of

- `targets(targets, classes)`: the targets (n,) it trains on instead of its own, of so many classes,
- `examples(inputs, targets, rng)`: the batch it trains on instead, a tensor (n, ...) as the network gets it and targets
  (n,); what is given is not changed,
- `weights(weights, sent, rng)`: what it gives out as its weights, trained from `sent`; where the attack says
  `TRAINS = False` nothing is trained, and they are `sent` itself,
- `together(trained, sent, rng)`: the same for all who are hostile, who know of each other, whoever of them takes part:
  from what each of them trained honestly (m, size) to what all of them give out (size,); it replaces `weights`,

- `copies(conf)`: the number of the client on whose examples it trains, exactly as that one does.

Weights are those of parameters alone, a float32 vector each, and float32 is returned: normalisation buffers go out as
they were trained, since a variance below 0 would end a training and not mislead it. Whether an attack succeeds is
measured where it has

- `success(judged, targets) -> float`: the share, 0 to 1, of test examples (n,) that came out as it wants them, from
  their probabilities (n, classes), and
- `shown(inputs)`: what is shown for that instead of the inputs (n, ...); without it, they themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.parts import AtLeast, ConfError, extended, key
from utils.refusal import said
from utils.tasks import classes_of

if TYPE_CHECKING:
    from utils.conf import Conf

__path__ = extended("attack", __path__)

HOSTILE = "how many clients are hostile: the first ones, the same in every round"
HOSTILE_ZH = "有多少个恶意客户端：即最前面的若干个，每轮都相同"


@dataclass(frozen=True)
class Keys:
    """Who is hostile."""

    hostile: int = key(HOSTILE, zh=HOSTILE_ZH, default=1, low=0, high=100_000)


def _all(keys: Any) -> int:
    return int(keys.hostile)


NEEDS = {"no_models": AtLeast(_all)}


def check_idle(conf: Conf, where: str) -> None:
    """Raises ConfError where a round may have none but hostile clients, of whom no model can be made if none trains."""
    if conf.attack and conf.attack.keys.hostile >= conf.k:
        what = said("less_than_key", key="k", most=conf.k)
        found = conf.attack.keys.hostile
        raise ConfError(where, "expected_found", key="attack.hostile", what=what, found=found)


def check_classes(conf: Conf, where: str, part: str) -> int:
    """How many classes there are. Raises ConfError where there are none, since this attack means one."""
    if not (count := len(classes_of(conf))):
        raise ConfError(where, "refuses", key="attack", part=part, other="type", found=conf.type)
    return count


class Hostile:
    """Clients 0 to `hostile` - 1 are hostile, for the whole run, in every round in which they take part."""

    TRAINS = True

    def __init__(self, keys: Any) -> None:
        self.keys = keys

    def is_hostile(self, client: int, conf: Conf) -> bool:
        """Whether this client is."""
        return client < int(self.keys.hostile)
