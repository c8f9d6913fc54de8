"""What does a house cost? Boston's 506 districts of 1970, from a file that the user has; without the column on race."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.data.rows import (
    ANSWERS,
    Rows,
    as_judged,
    card_of,
    for_judging,
    for_training,
    open_rows,
    outline_of,
    told,
)

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.data.examples import Examples, Outline

__all__ = ["ANSWERS", "as_judged", "for_judging", "for_training", "told"]

ABOUT = (
    "the median price of houses, a number, from twelve measures of their district",
    "从地区的十二项测量预测房价中位数（数值）",
)
LEARNS = "Foretells what houses of a district of Boston cost in 1970."
UNIT = "1,000 $"
NETWORK = {"network": "mlp"}
SCALED = True
INPUT, INPUT_SAYS = (
    "measures",
    "crim, zn, indus, chas, nox, rm, age, dis, rad, tax, ptratio, lstat of Harrison and Rubinfeld (1978)",
)


def _parts(conf: Conf, data: Path) -> list[Rows]:
    import numpy as np

    from utils.data.examples import read_of_set
    from utils.data.houses import FILE, table

    file = data / conf.data / FILE
    rows = table(read_of_set(file), str(file))
    return [Rows("boston", "", rows[:, :-1].astype(np.float32), rows[:, -1])]


def open_examples(conf: Conf, data: Path) -> Examples:
    """See `utils.tasks`."""
    return open_rows(conf.data, _parts(conf, data), data / ".store")


def outline(conf: Conf, data: Path) -> Outline:
    """See `utils.tasks`."""
    return outline_of(_parts(conf, data))


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return (12,)


judged_shape = input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"twelve numbers: {INPUT_SAYS}.",
        "the median price of a district's houses in thousands of dollars of 1970",
        "Prices above 50 are given as 50. The data's column B, derived from race, is not used; others go with it.",
    )
