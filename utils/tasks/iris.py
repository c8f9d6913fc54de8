"""Which iris is it? Fisher's 150 flowers, four lengths each.

Fisher (1936), two rows mended after his paper, doi 10.24432/C56C76.
"""

from __future__ import annotations

from typing import Any

from utils.data.rows import ANSWERS, as_judged, card_of, for_judging, for_training, scikit, told

__all__ = ["ANSWERS", "as_judged", "for_judging", "for_training", "told"]

ABOUT = ("three kinds of iris, from four lengths of a flower", "从花的四个长度判断三种鸢尾")
LEARNS = "Tells three kinds of iris apart."
CLASSES = ("setosa", "versicolor", "virginica")
TEXTS = {"setosa": "山鸢尾", "versicolor": "变色鸢尾", "virginica": "维吉尼亚鸢尾"}
DATA = "iris"
NETWORK = {"network": "iris"}
SCALED = True
INPUT, INPUT_SAYS = "lengths", "length and width of sepal, then of petal, in cm"
_SET = scikit(DATA, "iris.csv", 1, (4,))
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"four numbers: {INPUT_SAYS}.", CLASSES, "Any other flower is called one of the three as well."
    )
