"""Networks, one family a file: what `build(keys, outputs, seed)` makes of the keys it declares."""

from utils.parts import extended

__path__ = extended("network", __path__)
