"""Which clients take part in a round, one rule a file: a class `Selection(conf)` with

- `select(seed, round_, ask) -> list[int]`: clients in ascending order. `ask(name, clients, reads)` puts a question of
  the rule's `ANSWERS` to clients and gives their answers in order; what that sends is counted.
"""

from utils.parts import extended

__path__ = extended("selection", __path__)
COHORT_STREAM = 2  # keeps the server's random numbers apart from the clients'
