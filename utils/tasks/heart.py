"""Healthy or sick? Four hospitals' patients with chest pain: the owners are those that nature gave."""

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
    "healthy against sick hearts, from the records of four hospitals",
    "从四家医院的病历判断心脏健康与患病",
)
LEARNS = "Tells patients with a narrowed coronary artery from those without."
CLASSES = ("healthy", "sick")
TEXTS = {"healthy": "健康", "sick": "患病"}
NETWORK = {"network": "logistic"}
SCALED = True
INPUT, INPUT_SAYS = (
    "records",
    "age, sex, chest pain (4), pressure, cholesterol, sugar, ECG (3), rate, angina, ST",
)
COLUMNS = {"departments": ((0, 1, 2, 3, 4, 5, 6), (7, 8), (9, 10, 11, 12, 13, 14))}
"""`departments`: a practice with the diagnosis (age, sex, chest pain, pressure), a laboratory (cholesterol, sugar) and
who takes the ECG, at rest and under stress (ECG, rate, angina, ST).
"""
LICENCE = "CC BY 4.0"


def _parts(conf: Conf, data: Path) -> list[Rows]:
    from utils.data.examples import read_of_set
    from utils.data.hospitals import HOSPITALS, table

    # Whoever is one of the hospitals has its own file alone.
    files = {hospital: data / conf.data / f"{hospital}.csv" for hospital in HOSPITALS}
    there = {hospital: file for hospital, file in files.items() if file.exists()} or files
    return [Rows(name, LICENCE, *table(read_of_set(file), str(file))) for name, file in there.items()]


def open_examples(conf: Conf, data: Path) -> Examples:
    """See `utils.tasks`."""
    return open_rows(conf.data, _parts(conf, data), data / ".store")


def outline(conf: Conf, data: Path) -> Outline:
    """See `utils.tasks`."""
    return outline_of(_parts(conf, data))


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return (15,)


judged_shape = input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"fifteen numbers: {INPUT_SAYS}.", CLASSES,
        "Cholesterol is 0 where it was not measured (all of Switzerland). Mostly men. Not a medical device.",
    )  # fmt: skip
