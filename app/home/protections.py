"""What each protection keeps from whom and what it does not, with what it cost in the shipped studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from flask import current_app
from flask_babel import gettext

from utils.results import ResultError
from utils.studies.measured import Measured, Told, read_study, study_path
from utils.studies.questions import BYTES


def protections() -> list[dict[str, str]]:
    """One each, in the reader's language: `name`, what it `keeps`, what it does `not`, what was measured `here` (empty
    where nothing was), and the `study`.
    """
    return [
        {
            "name": gettext("Fewer bytes"),
            "keeps": gettext("Nothing. It saves traffic."),
            "not": gettext("What is left of an update still shows what it was learnt from."),
            "here": _fewer_bytes(),
            "study": "fewer_bytes",
        },
        {
            "name": gettext("Noise by the server"),
            "keeps": gettext("That somebody took part at all, from whoever sees the model."),
            "not": gettext("Anything from the server itself, which sees every update."),
            "here": _private("c12-clients"),
            "study": "price_of_privacy",
        },
        {
            "name": gettext("Noise by each owner"),
            "keeps": gettext("What an owner sends, from everybody, the server too."),
            "not": gettext(
                "What all owners have in common, which is to be learnt; nor accuracy: all noise adds up."
            ),
            "here": _private("l10-updates"),
            "study": "price_of_privacy",
        },
        {
            "name": gettext("Noise in every step"),
            "keeps": gettext("Whether one example was learnt from, from everybody."),
            "not": gettext("What many examples of an owner have in common."),
            "here": _private("e10-examples"),
            "study": "price_of_privacy",
        },
        {
            "name": gettext("Masks (secure aggregation)"),
            "keeps": gettext("Every single update, from the server: it learns their sum."),
            "not": gettext("What the sum and the model tell; and a server that lies about who vanished."),
            "here": _sealed("masks-digits"),
            "study": "sealed_sums",
        },
        {
            "name": gettext("Encryption"),
            "keeps": gettext("Every single update, from the server that adds: it reads none."),
            "not": gettext("Anything from who holds the key, should both work together."),
            "here": _sealed("ckks-digits"),
            "study": "sealed_sums",
        },
    ]


def leaks() -> dict[str, str]:
    """What an attacker found of single digits, in decibels; nothing where that is not measured."""
    found = _values("what_leaks", {
        "none": ("none", "inversion_psnr"), "top": ("topk_10", "inversion_psnr"),
        "noise": ("noise_01", "inversion_psnr"), "auc": ("none", "membership_auc"),
    })  # fmt: skip
    return {name: f"{value:.2f}" if name == "auc" else f"{value:.0f}" for name, value in found.items()}


def _fewer_bytes() -> str:
    places = {
        "plain": ("plain", "accuracy"), "coded": ("ternary_5_both", "accuracy"),
        "before": ("plain", BYTES), "after": ("ternary_5_both", BYTES),
    }  # fmt: skip
    found = _values("fewer_bytes", places)
    if not found:
        return ""
    told = {
        "times": f"{found['before'] / found['after']:.0f}",
        "coded": _percent(found["coded"]),
        "plain": _percent(found["plain"]),
    }
    text: str = gettext(
        "%(times)s times fewer bytes (STC): accuracy %(coded)s %% instead of %(plain)s %%.", **told
    )
    return text


def _private(key: str) -> str:
    without = f"{key[0]}0-{key.partition('-')[2]}"
    places = {"noisy": (key, "accuracy"), "plain": (without, "accuracy"), "epsilon": (key, "epsilon")}
    found = _values("price_of_privacy", places)
    if not found:
        return ""
    told = {
        "epsilon": f"{found['epsilon']:.1f}",
        "noisy": _percent(found["noisy"]),
        "plain": _percent(found["plain"]),
    }
    text: str = gettext("Epsilon %(epsilon)s: accuracy %(noisy)s %% instead of %(plain)s %%.", **told)
    return text


def _sealed(key: str) -> str:
    plain = f"plain-{key.partition('-')[2]}"
    figures = ("training_seconds", "bytes_up")
    places = {f"{one}_{figure}": (one, figure) for one in (key, plain) for figure in figures}
    found = _values("sealed_sums", places)
    if not found:
        return ""
    seconds, sent = (found[f"{key}_{figure}"] / found[f"{plain}_{figure}"] for figure in figures)
    told = {"bytes": f"{sent:.1f}", "seconds": f"{seconds:.1f}"}
    text: str = gettext("%(bytes)s times the bytes up, %(seconds)s times the seconds of a round.", **told)
    return text


def _values(study: str, places: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Figures by name, of a cell and a series each after the last round, or bytes in all, the mean over seeds; nothing
    where one of them is not measured.
    """
    path = study_path(current_app.config["CACHE"], study)
    try:
        cells = _cells(path, path.stat().st_mtime_ns)
        return {name: _mean(cells[key].repeats, figure) for name, (key, figure) in places.items()}
    except (OSError, ResultError, KeyError, ZeroDivisionError):
        return {}


@lru_cache(maxsize=8)
def _cells(path: Path, stamp: int) -> Mapping[str, Measured]:
    return read_study(path).cells


def _mean(repeats: Sequence[Told], figure: str) -> float:
    values = [
        one.bytes_up + one.bytes_down if figure == BYTES else float(one.series[figure][-1]) for one in repeats
    ]
    return sum(values) / len(values)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
