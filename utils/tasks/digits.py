"""Which digit is it? scikit-learn's 1,797 handwritten digits, 8 x 8.

Test part of Alpaydin and Kaynak (1998), doi 10.24432/C50P49, without its writers.
"""

from __future__ import annotations

from typing import Any

from utils.data.rows import as_judged, card_of, for_judging, for_training, scikit, told

__all__ = ["as_judged", "for_judging", "for_training", "told"]

ABOUT = ("ten handwritten digits, 8 x 8 pixels", "十个手写数字，8 x 8 像素")
LEARNS = "Tells ten handwritten digits apart."
CLASSES = tuple("0123456789")
DATA = "digits"
NETWORK = {"network": "small_cnn"}
INPUT, INPUT_SAYS = "pixels", "grey in 0..1, ink is 1, 8 x 8"
_ROWS = [range(8 * row, 8 * row + 8) for row in range(8)]
COLUMNS = {
    "halves": tuple(tuple(one for row in _ROWS for one in row[half]) for half in (slice(4), slice(4, 8)))
}
"""`halves`: the left half of each picture with the labels, the right half elsewhere."""
_SET = scikit(DATA, "digits.csv.gz", 0, (1, 8, 8), scale=16)
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        "one grey picture, 8 x 8, ink 1 and paper 0.",
        CLASSES,
        "Ten classes, so a letter or a blot is called a digit too.",
    )
