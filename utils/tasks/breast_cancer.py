"""Benign or malignant? Thirty measures of cell nuclei in 569 needle biopsies (Wisconsin, diagnostic).

Street, Wolberg and Mangasarian (1993), doi 10.24432/C5DW2B.
"""

from __future__ import annotations

from typing import Any

from utils.data.rows import ANSWERS, as_judged, card_of, for_judging, for_training, scikit, told

__all__ = ["ANSWERS", "as_judged", "for_judging", "for_training", "told"]

ABOUT = (
    "benign against malignant, from thirty measures of cell nuclei",
    "从细胞核的三十项测量判断良性与恶性",
)
LEARNS = "Tells benign from malignant breast biopsies by measures of their cell nuclei."
CLASSES = ("malignant", "benign")
TEXTS = {"malignant": "恶性", "benign": "良性"}
DATA = "breast_cancer"
NETWORK = {"network": "logistic"}
SCALED = True
INPUT, INPUT_SAYS = (
    "measures",
    "mean, standard error and worst of ten measures of the nuclei, in scikit-learn's order",
)
_WEAK = (9, 11, 14, 18, 19)
COLUMNS = {
    "weak": (_WEAK, tuple(one for one in range(30) if one not in _WEAK)),
    "fate": (tuple(range(20, 30)), tuple(range(20))),
}
"""`weak`: whoever has the labels has the five columns that tell least by themselves (AUC .51 to .62), and were chosen
for that; all others are elsewhere. `fate`: the split of FATE's examples, the ten worst values with the labels and the
twenty means and errors elsewhere; the ten alone tell as much as all thirty.
"""
_SET = scikit(DATA, "breast_cancer.csv", 1, (30,))
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"thirty numbers: {INPUT_SAYS}.",
        CLASSES,
        "One hospital's biopsies of the 1990s. Not a medical device.",
    )
