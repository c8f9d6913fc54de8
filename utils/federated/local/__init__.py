"""How a client trains, one way a file: a class `Local(keys, sent)`, made anew for each job, with `sent` (layout.size,)
the weights it begins from (`utils.nets.layout.pieces` has them by tensor), and

- `gradients(net)`: change the gradients of `net` before a step is taken.
"""

from utils.parts import extended

__path__ = extended("local", __path__)
