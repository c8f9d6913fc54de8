"""The three tasks with which the demo's board begins: what they ask, test examples, and a pack to try each with."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from utils.calls.packs import Demo, as_png, zipped
from utils.data.scikit import table

CATEGORIES = (("Weather", "天气"), ("Health", "健康"), ("Handwriting", "手写"))
_PACK = 60
_CONSENT = """**What is computed.** Your machine trains the task's network on your examples and sends the *change* of
its weights, with how many examples it was made of, the number of steps and the mean loss. Nothing else is computed.

**What leaves your machine.** That change alone; no example, no file name. A change can still tell something of the
examples it was made of: whoever holds it can try whether a known example was among them. Clip and noise
(`--clip`, `--noise`) bound what it can tell.

**How long it is kept.** The site keeps your update for 30 days, so that what it was worth can be worked out, and then
deletes it. It is in every version made since, and cannot be taken out of these.

**How to leave.** At any time, on this page or with the program. Updates that wait are deleted at once.

**计算什么。** 您的机器用您的样本训练本任务的网络，并发送权重的*变化*，以及样本数、步数和平均损失。

**什么会离开您的机器。** 只有这个变化；没有样本，也没有文件名。

变化仍可能透露样本的一些信息；裁剪与噪声（`--clip`、`--noise`）限制它能透露多少。

**保存多久。** 本站保存您的更新 30 天，然后删除。它已在此后的各个版本中，无法从中取出。

**如何退出。** 随时可在本页或用程序退出，等待中的更新立即删除。
"""


def demos() -> list[Demo]:
    """All three; drawing the skies takes a few seconds."""
    from utils.photos.call import skies

    return [skies(_CONSENT), diabetes(), digits()]


def rows(order: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """scikit-learn's diabetes data in an order of its own: measures (442, 10) and progress (442,). The first 100 are
    the test examples, the next _PACK the pack.
    """
    measures = table("diabetes_data_raw.csv.gz", 0)
    progress = table("diabetes_target.csv.gz", 0)[:, 0]
    chosen = np.random.default_rng(order).permutation(len(measures))
    return measures[chosen], progress[chosen]


MEASURES = (
    ("age", "Age", "years", 15, 100, ""),
    ("sex", "Sex", "", 1, 2, "1 or 2"),
    ("bmi", "Body mass index", "kg/m²", 10, 60, "weight by the square of height"),
    ("bp", "Blood pressure", "mmHg", 40, 160, "mean over a heartbeat"),
    ("s1", "Total cholesterol", "mg/dl", 50, 400, ""),
    ("s2", "LDL", "mg/dl", 20, 300, "low-density lipoproteins"),
    ("s3", "HDL", "mg/dl", 10, 150, "high-density lipoproteins"),
    ("s4", "Cholesterol by HDL", "", 1, 12, ""),
    ("s5", "Triglycerides", "ln(mg/dl)", 2, 8, "the logarithm"),
    ("s6", "Blood sugar", "mg/dl", 40, 200, ""),
)


def diabetes() -> Demo:
    """Several values and a number."""
    measures, progress = rows()
    keys = [one[0] for one in MEASURES]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, "progress"])
    for row, answer in zip(measures[100 : 100 + _PACK], progress[100 : 100 + _PACK], strict=True):
        writer.writerow([f"{value:g}" for value in (*row, answer)])
    fields = [dict(zip(("key", "name", "unit", "low", "high", "hint"), one, strict=True)) for one in MEASURES]
    asked = {
        "kind": "number", "key": "progress", "name": "Progress in a year", "unit": "points", "low": 0, "high": 400,
        "hint": "a score of the disease; how it is reckoned was never published",
    }  # fmt: skip
    return Demo(
        "How far will diabetes have gone in a year?",
        1,
        "Ten measures of a patient, and a number that says how far the disease has gone a year later. The data of this "
        "task are those of Efron, Hastie, Johnstone and Tibshirani (2004), which come with scikit-learn; its starter "
        "pack holds 60 of the 442 patients. *Not a medical device.*\n\n"
        "病人的十项测量，以及一年后疾病进展的数值。数据随 scikit-learn 提供。*不是医疗器械。*",
        {
            "format": {"input": {"kind": "values", "fields": fields}, "answer": asked},
            "network": "mlp",
            "training": {"lr": 0.1, "momentum": 0.5, "batch_size": 16, "local_epochs": 20},
            "aggregation": {"goal": 4, "least": 2, "minutes": 10},
            "consent": _CONSENT,
        },
        measures[:100],
        progress[:100],
        zipped({"examples.csv": text.getvalue().encode()}),
    )


def pictures(order: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """scikit-learn's digits in an order of their own: (1797, 1, 8, 8) and their numbers. The first 300 are the test
    examples, the next _PACK the pack.
    """
    raw = table("digits.csv.gz", 0)
    chosen = raw[np.random.default_rng(order).permutation(len(raw))]
    return (chosen[:, :-1].reshape(-1, 1, 8, 8) * 255 / 16).round().astype(np.uint8), chosen[:, -1].astype(
        int
    )


def digits() -> Demo:
    """A grey picture and a label."""
    inks, answers = pictures()
    files = {f"{answers[at]}/{at}.png": as_png(inks[at]) for at in range(300, 300 + _PACK)}
    return Demo(
        "Which digit is it?",
        2,
        "A handwritten digit, 8 x 8 points, light ink on black. The data of this task are the test part of Alpaydin "
        "and Kaynak (1998), which comes with scikit-learn; its starter pack holds 60 of the 1,797 pictures.\n\n"
        "手写数字，8 x 8 点，黑底浅色笔迹。数据随 scikit-learn 提供。",
        {
            "format": {
                "input": {"kind": "picture", "side": 8, "channels": 1},
                "answer": {"kind": "label", "labels": list("0123456789")},
            },
            "network": "small_cnn",
            "training": {"lr": 0.1, "momentum": 0.5, "batch_size": 16, "local_epochs": 10},
            "aggregation": {"goal": 4, "least": 2, "minutes": 10},
            "consent": _CONSENT,
        },
        inks[:300],
        answers[:300],
        zipped(files),
    )
