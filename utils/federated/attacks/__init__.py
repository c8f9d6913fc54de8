"""What hostile clients do, one attack a file: a class `Attack(keys)` with

- `is_hostile(client, conf) -> bool`,
- `targets(targets, classes)`: the targets (n,) a hostile client trains on,
- `weights(weights, sent, rng)`: what it gives out as its weights (layout.size,), trained from `sent`.
"""

from utils.parts import extended

__path__ = extended("attack", __path__)
