"""Networks, one family a file. With the keys that it declares, a family's file offers

- `build(keys, inputs, outputs) -> Module`: a fresh network, examples like `inputs` (a `utils.nets.kinds.Signal`) to
  `outputs` numbers each, its weights from torch's global generator,
- `told(keys)`: for model cards, what it is, and what else stands before the number of its parameters,
- `fits(keys, inputs, outputs, batch, where)`, if it cannot take everything: raises ConfError, one line, before anything
  is built,
- `known(keys, inputs, outputs, batch)`, if anything is known without torch: a part of what
  `utils.nets.outline.known_of` tells,
- `steps(keys, inputs)`, if others than torch can reckon it: its `utils.nets.steps`.

A conf uses the family of which it names a key without default, else what its task brings (`NETWORK`).
"""

from utils.parts import extended

__path__ = extended("network", __path__)
