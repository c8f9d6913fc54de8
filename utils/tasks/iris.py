"""Which iris is it? Fisher's 150 flowers, four lengths each."""

from __future__ import annotations

from typing import Any

from utils.data.rows import ANSWERS, Brought, Rows, as_judged, card_of, for_judging, for_training, told

__all__ = ["ANSWERS", "as_judged", "for_judging", "for_training", "told"]

ABOUT = ("three kinds of iris, from four lengths of a flower", "从花的四个长度判断三种鸢尾")
LEARNS = "Tells three kinds of iris apart."
CLASSES = ("setosa", "versicolor", "virginica")
TEXTS = {"setosa": "山鸢尾", "versicolor": "变色鸢尾", "virginica": "维吉尼亚鸢尾"}
DATA = "iris"
NETWORK = {"network": "iris"}
SCALED = True
INPUT, INPUT_SAYS = "lengths", "length and width of sepal, then of petal, in cm"
LICENCE = "CC BY 4.0"


def _rows() -> Rows:
    """The flowers as scikit-learn has them (Fisher 1936, two rows mended after his paper), doi 10.24432/C56C76."""
    import numpy as np

    from utils.data.scikit import table

    found = table("iris.csv", header=1)
    return Rows("scikit-learn", LICENCE, found[:, :-1].astype(np.float32), found[:, -1].astype(np.int64))


_SET = Brought(DATA, _rows, (4,))
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"four numbers: {INPUT_SAYS}.", CLASSES, "Any other flower is called one of the three as well."
    )
