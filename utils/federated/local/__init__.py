"""How a client trains, one way a file: a class `Local(keys, start)`, made anew for each job, with

- `gradients(net)`: change the gradients of `net` before a step is taken,

and, where it has them,

- `begin(sent) -> Vector`: the weights it begins from, if those are not the ones that were sent,
- `prepare(net)` before it trains and `release(net)` afterwards: the network is used for other clients, who must find
  nothing in it that was not there before,
- `taught(asked) -> (places, targets)`, before it trains: which of its examples it learns from, and the class it takes
  each for. `asked` is a `utils.federated.client.Asked`, whose targets are -1 where the client does not know the label;
  with no place it skips the round. With it `shown(inputs, own, rng) -> inputs`: a batch as it is learnt from, in which
  `own` (n,) says whose class it gave itself. For a part whose file says `UNLABELLED = True`; any other is given
  labelled examples only,
- `batches(count, conf, rng) -> Iterator`: which of its `count` examples each step learns from, where it is not all of
  them once a pass. A batch may be empty: that is a step whose gradients are what `gradients` makes of none. Such a part
  always trains in training mode, however few examples a batch has,
- `finish(weights, steps, again) -> Vector`: what it gives out of the weights after so many steps. `again(weights,
  gradients)` trains once more, from other weights and with another change of gradients; what that gives counts nowhere.

A part, or a link, whose file says `PROTECTS = True` draws what nobody may foresee: at an owner's node that comes from
the operating system, and not from the run's seed, which the server knows.

A part whose file says `KEEPS = True` remembers something of each client: `start.memory` has what it kept last time, and
after `finish` what stands in `self.memory` is kept. It stays with the client, and none of it counts as sent.

`personal(sent, memory, layout) -> Vector`, a function of the file: the weights that a client itself works with. Where
there are classes and several clients it is those that say how clients fare; all else is told of the common model.

A class `Server(conf, layout)` is the half of the part at the server, with

- `fold(update, sent)`: take in one update that is finite, in the order of clients, whatever the strategy makes of it,
- `finish(new, old) -> Vector`: the new weights, from those that the strategy made,

and, where it has them,

- `tells() -> Vector` (`TELLS = True` in the file): what clients are told beside the weights, as `start.told`; what a
  client then leaves in `self.told` comes back as `update.told`. Either has as many values as there are parameters; it
  travels beside the weights, and counts.
- `state()`, `restore(state)`: what it remembers between rounds, as a strategy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.parts import extended

if TYPE_CHECKING:
    from utils.federated.kept import Memory
    from utils.nets.layout import Layout, Vector

__path__ = extended("local", __path__)


@dataclass(frozen=True)
class Start:
    """What a client begins its training from: the weights it was `sent` (layout.size,), the learning rate, its `weight`
    among clients (1: as many examples as the average one has), what it remembers, and what it was told beside.
    """

    sent: Vector
    layout: Layout
    lr: float
    weight: float
    memory: Memory
    told: Vector | None
