"""A small question and results of it made of thin air, for tests of what is said of them; not a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from utils.packing import packed
from utils.studies.measured import StudyResult, collated, study_path, write_study
from utils.studies.questions import Question, read_question


def both(text: str) -> dict[str, str]:
    """A text in both languages."""
    return {"en": text, "zh": f"{text}（中）"}


def value(name: str, label: str = "", **sets: Any) -> dict[str, Any]:
    """A value of an axis."""
    return {"name": name, "label": both(label or name), "set": sets}


IRIS = {
    "type": "iris", "no_models": 4, "k": 4, "global_epochs": 3, "local_epochs": 1, "batch_size": 8, "lr": 0.05,
    "momentum": 0.0,
}  # fmt: skip
TINY_QUESTION: dict[str, Any] = {
    "number": 1,
    "title": both("Momentum at the server"),
    "question": both("Is momentum at the server worth it?"),
    "equal": both("Everything else."),
    "decided_by": both("A paired test."),
    "conf": IRIS,
    "axes": [
        {
            "name": "server",
            "label": both("Server"),
            "values": [
                value("plain", "Plain mean", strategy="fedavg"),
                value("momentum", "Momentum", strategy={"name": "fedavgm", "momentum": 0.5}),
            ],
        }
    ],
    "figures": [
        {"name": "accuracy", "label": both("Accuracy")},
        {"name": "loss", "label": both("Loss")},
    ],
    "against": [{"server": "plain"}],
    "picture": "bars",
    "seeds": 2,
}
SKEW = {
    "name": "alpha",
    "label": both("Skew"),
    "values": [
        value("even", "none", partition="equal"),
        value("skewed", "alpha 0.1", partition="dirichlet", alpha=0.1),
    ],
}


def write_question(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """Write it with some keys changed; returns the file."""
    path = folder / name / "question.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**TINY_QUESTION, **changes}))
    return path


def tiny_question(folder: Path, **changes: Any) -> Question:
    """The question itself."""
    write_question(folder, **changes)
    return read_question(folder, "tiny")


def made_up(
    question: Question,
    skill: Callable[[str], float],
    *,
    seeds: int = 3,
    examples: int = 120,
    rounds: int = 4,
    failed: dict[str, str] | None = None,
    left_out: Callable[[str], list[float]] | None = None,
) -> dict[str, dict[str, Any] | str]:
    """By key of each trained cell a result of three classes: as many told rightly as its `skill` says, of clients of
    which the server kept as many rounds in ten as `left_out` says; the first is hostile then.
    """
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, examples)
    ids = [f"e{number:04}" for number in range(examples)]
    hard = rng.random((seeds, examples))
    found: dict[str, dict[str, Any] | str] = {}
    for cell in question.trained():
        if failed and cell.key in failed:
            found[cell.key] = failed[cell.key]
            continue
        repeats = []
        for seed in range(seeds):
            right = (0.95 * hard[seed] + 0.05 * rng.random(examples)) < skill(cell.key)
            said = np.where(right, truth, (truth + 1) % 3)
            order = rng.permutation(examples)
            line = np.linspace(0.3, right.mean(), rounds).tolist()
            series = [
                {"name": "accuracy", "unit": "fraction", "better": "higher", "values": line},
                {"name": "loss", "unit": "nats", "better": "lower", "values": [1.0 - one for one in line]},
                *(
                    {
                        "name": name,
                        "unit": "B" if "bytes" in name else "s",
                        "better": "lower",
                        "values": [2.0] * rounds,
                    }
                    for name in ("bytes_up", "bytes_down", "seconds")
                ),
            ]
            kept = left_out(cell.key) if left_out else [1.0, 1.0]
            repeats.append({
                "fold": 0, "seed": seed, "rotation": 0, "series": series, "clients": [{}] * len(kept),
                "test": {
                    "id": [ids[one] for one in order], "scene": [ids[one] for one in order],
                    "truth": truth[order].tolist(), "said": said[order].tolist(), "own": truth[order].tolist(),
                },
                **(_updates(kept) if left_out else {}),
            })  # fmt: skip
        found[cell.key] = {
            "name": cell.key, "classes": ["a", "b", "c"], "repeats": repeats, "versions": {"python": "3"},
            "data": {"set": "made_up", "fingerprint": "f"},
        }  # fmt: skip
    return found


def _updates(kept: list[float]) -> dict[str, Any]:
    clients = np.repeat(np.arange(len(kept)), 10)
    used = np.concatenate([np.arange(10) < round(10 * share) for share in kept])
    return {
        "hostile": [0],
        "updates": {"client": packed(clients.astype(np.int32)), "kept": packed(used)},
    }


def write_made_up(
    cache: Path, question: Question, skill: Callable[[str], float], name: str = "", **more: Any
) -> StudyResult:
    """Such a result as a file of `cache/studies/`."""
    name = name or question.name
    return write_study(study_path(cache, name), collated(question, name, made_up(question, skill, **more)))
