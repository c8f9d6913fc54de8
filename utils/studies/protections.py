"""What each protection keeps from whom and what it does not, with what it cost in the shipped studies; in either
language, for the page on why and the README.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from utils.results import ResultError
from utils.studies.measured import Measured, Told, read_study, study_path
from utils.studies.questions import BYTES


@dataclass(frozen=True)
class Protection:
    """One of them: what it keeps from whom, what not, what was `measured` of it (empty where nothing was), and by which
    `study`.
    """

    name: str
    keeps: str
    does_not: str
    measured: str
    study: str


def protections(cache: Path, language: str) -> list[Protection]:
    """All of them, with what the results in `cache` say."""
    zh = language == "zh"
    return [
        Protection(name[zh], keeps[zh], does_not[zh], _say(cache, study, key, zh), study)
        for name, keeps, does_not, study, key in _ALL
    ]


def leaks(cache: Path, language: str) -> str:
    """What an attacker found of single digits; empty where that is not measured."""
    found = _values(cache, "what_leaks", {
        "none": ("none", "inversion_psnr"), "top": ("topk_10", "inversion_psnr"),
        "noise": ("noise_01", "inversion_psnr"), "auc": ("none", "membership_auc"),
    })  # fmt: skip
    return _LEAKS[language == "zh"].format(**found) if found else ""


_LEAKS = (
    "From the update of a single digit an attacker of a few seconds found it again to {none:.0f} dB here; where the "
    "largest tenth of the values was sent, to {top:.0f} dB, and with noise to {noise:.0f} dB. To guess the mean digit "
    "is worth 12. By the loss, who was among the training digits is told with an AUC of {auc:.2f}, where 0.5 is a "
    "coin's. A weak attack proves no safety: another one may see more.",
    "在这里，一个只运行几秒钟的攻击者从单个数字的更新把它还原到 {none:.0f} dB；只发送最大的十分之一数值时为 "
    "{top:.0f} dB，加噪声时为 {noise:.0f} dB。只猜平均数字约为 12 dB。凭损失判断谁在训练数字之中，AUC 为 {auc:.2f}，"
    "而抛硬币为 0.5。攻击不成功并不证明安全：换一个攻击者可能看到更多。",
)
_ALL = (
    (
        ("Fewer bytes", "更少的字节"),
        ("Nothing. It saves traffic.", "什么也不保护，只省流量。"),
        (
            "What is left of an update still shows what it was learnt from.",
            "更新剩下的部分仍会显示它是从什么学来的。",
        ),
        "fewer_bytes",
        "ternary_5_both",
    ),
    (
        ("Noise by the server", "服务器加噪声"),
        (
            "That somebody took part at all, from whoever sees the model.",
            "对任何看到模型的人隐藏某人是否参加过。",
        ),
        (
            "Anything from the server itself, which sees every update.",
            "对服务器本身毫无防护：它看到每个更新。",
        ),
        "price_of_privacy",
        "c12-clients",
    ),
    (
        ("Noise by each owner", "所有者各自加噪声"),
        (
            "What an owner sends, from everybody, the server too.",
            "对所有人（包括服务器）隐藏所有者发送的内容。",
        ),
        (
            "What all owners have in common, which is to be learnt; nor accuracy: all noise adds up.",
            "所有者共有的内容，那正是要学习的；准确率也会受损，因为噪声会累加。",
        ),
        "price_of_privacy",
        "l10-updates",
    ),
    (
        ("Noise in every step", "每一步加噪声"),
        ("Whether one example was learnt from, from everybody.", "对所有人隐藏某个样本是否被学习过。"),
        ("What many examples of an owner have in common.", "一位所有者的许多样本所共有的内容。"),
        "price_of_privacy",
        "e10-examples",
    ),
    (
        ("Masks (secure aggregation)", "掩码（安全聚合）"),
        (
            "Every single update, from the server: it learns their sum.",
            "每个单独的更新：服务器只得知它们的总和。",
        ),
        (
            "What the sum and the model tell; nor from a server that lies about who vanished.",
            "总和与模型所透露的内容；也不防谎报谁已失联的服务器。",
        ),
        "sealed_sums",
        "masks-digits",
    ),
    (
        ("Encryption (CKKS)", "加密（CKKS）"),
        (
            "Every single update, from the server that adds: it reads none.",
            "每个单独的更新：求和的服务器一个也读不懂。",
        ),
        (
            "Anything, should the server and who holds the key work together.",
            "若服务器与持有密钥者串通，则毫无防护。",
        ),
        "sealed_sums",
        "ckks-digits",
    ),
)
Values = Mapping[str, float]


def _bytes(found: Values) -> tuple[str, str]:
    times, plain, now = found["plain_bytes"] / found["bytes"], found["plain_accuracy"], found["accuracy"]
    return (
        f"{times:.0f} times fewer bytes (STC): accuracy {now:.0%} instead of {plain:.0%}.",
        f"字节减少到 {times:.0f} 分之一（STC）：准确率 {now:.0%}，原为 {plain:.0%}。",
    )


def _noise(found: Values) -> tuple[str, str]:
    epsilon, plain, now = found["epsilon"], found["plain_accuracy"], found["accuracy"]
    return (
        f"Epsilon {epsilon:.1f}: accuracy {now:.0%} instead of {plain:.0%}.",
        f"Epsilon 为 {epsilon:.1f}：准确率 {now:.0%}，原为 {plain:.0%}。",
    )


def _sum(found: Values) -> tuple[str, str]:
    sent, seconds = (found[name] / found[f"plain_{name}"] for name in ("bytes_up", "training_seconds"))
    return (
        f"{sent:.1f} times the bytes up, {seconds:.1f} times the seconds of a round.",
        f"上行字节为 {sent:.1f} 倍，每轮秒数为 {seconds:.1f} 倍。",
    )


_SAY: Mapping[str, tuple[tuple[str, ...], Callable[[Values], tuple[str, str]]]] = {
    "fewer_bytes": (("accuracy", BYTES), _bytes),
    "price_of_privacy": (("accuracy", "epsilon"), _noise),
    "sealed_sums": (("bytes_up", "training_seconds"), _sum),
}


def _say(cache: Path, study: str, key: str, zh: bool) -> str:
    """What was measured of a cell beside the one without protection."""
    figures, say = _SAY[study]
    cell, dash, rest = key.partition("-")
    plain = f"{cell[0]}0{dash}{rest}" if study == "price_of_privacy" else f"plain{dash}{rest}"
    places = {figure: (key, figure) for figure in figures}
    places |= {f"plain_{figure}": (plain, figure) for figure in figures if figure != "epsilon"}
    found = _values(cache, study, places)
    return say(found)[zh] if found else ""


def _values(cache: Path, study: str, places: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Figures by name, of a cell and a series each after the last round, or bytes in all, the mean over seeds; nothing
    where one of them is not measured.
    """
    path = study_path(cache, study)
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
