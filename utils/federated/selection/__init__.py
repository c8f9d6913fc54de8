"""Which clients take part in a round, one rule a file: a class `Selection(conf, sizes)` with

- `select(rng, count, ask) -> list[int]`: clients in ascending order, `count` of them or fewer. `rng` is this round's,
  `sizes` says how many examples each client has. `ask(name, clients, reads)` puts a question of the rule's `ANSWERS` to
  clients and gives their answers in order; what that sends is counted.

and, where a client's examples are not what its update should weigh,

- `weigh(update) -> int`.
"""

from utils.parts import extended

__path__ = extended("selection", __path__)
COHORT_STREAM = 2  # keeps the server's random numbers apart from the clients'
