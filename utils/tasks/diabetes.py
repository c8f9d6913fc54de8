"""How far will diabetes have gone in a year? scikit-learn's 442 patients, ten measures each.

Efron, Hastie, Johnstone and Tibshirani (2004), doi 10.1214/009053604000000067.
"""

from __future__ import annotations

from typing import Any

from utils.data.rows import ANSWERS, as_judged, card_of, for_judging, for_training, scikit, told

__all__ = ["ANSWERS", "as_judged", "for_judging", "for_training", "told"]

ABOUT = (
    "how far diabetes goes in a year, a number, from ten measures of a patient",
    "从病人的十项测量预测一年后糖尿病的进展（数值）",
)
LEARNS = "Foretells how far a patient's diabetes has gone a year after the measures were taken."
UNIT = "points"
TEXTS = {"points": "分"}
DATA = "diabetes"
NETWORK = {"network": "logistic"}
SCALED = True
INPUT, INPUT_SAYS = "measures", "age, sex, body mass index, blood pressure, six of blood serum"
COLUMNS = {"laboratory": (tuple(range(4)), tuple(range(4, 10)))}
"""`laboratory`: what a practice measures (age, sex, body mass index, blood pressure) and the course of the disease,
and a laboratory's six values of blood serum.
"""
_SET = scikit(DATA, "diabetes_data_raw.csv.gz", 0, (10,), licence="", targets="diabetes_target.csv.gz")
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"ten numbers: {INPUT_SAYS}, in the units of the data set.",
        "a score of the disease's progress, from 25 to 346 in the data",
        "What the score is made of was never published. Not a medical device.",
    )
