"""Studies: questions, and the runs that answer them, one folder each with a `study.json`.

A study is the one place that knows runs by name: what people call each (English, Chinese), its colour, its part in the
story, which pairs are asked about, where the examples are from and what to cite. Nothing
is trained here.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from utils.results import ResultError, read_result, result_path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OTHER_COLOURS = (
    ("#d6336c", "#f06595"), ("#0a8f6b", "#20c997"), ("#b86a00", "#f5a623"), ("#7048e8", "#9775fa"),
    ("#0e87a0", "#3bc9db"), ("#e03131", "#ff6b6b"), ("#5a8a10", "#94d82d"), ("#ae3ec9", "#da77f2"),
)  # fmt: skip
"""Of runs of no study: each on a light ground and on a dark one, at least 3 : 1 against it as all colours of curves."""
Texts = Mapping[str, str]
"""A text by language: `en`, `zh`."""


@dataclass(frozen=True)
class StudyRun:
    """A run of a study: its name in plain words, short enough for a legend, its colour on a light ground and on a
    `dark` one, and where it has them its role and what one `does` who trains so, for a sentence of the story.

    `left_out` is the run of the same recipe that was trained without one source and judged on it; that run, and others
    judged elsewhere, say in `of` whose recipe theirs is.
    """

    run: str
    colour: str
    dark: str
    name: Texts
    role: str = ""
    does: Texts | None = None
    left_out: str = ""
    of: str = ""


@dataclass(frozen=True)
class SetAbout:
    """A set of examples: where they are from, what limits models made of them, and what to cite or be allowed."""

    about: str
    limits: str
    rights: str


@dataclass(frozen=True)
class Study:
    """A study as its file says it: what its task is `called` among others, what it `asks`, and what it `tells` first.

    `elsewhere` are runs that are judged on sources they were not trained on: they stand beside the others, and are part
    of no comparison. `headlines` and `models` list roles: whose figures stand first, and who is asked for forecasts.
    `questions` are pairs of runs; those of `story` are answered before the others, and in plain words.
    `doubtful` is a CSV file with a column `sha256`, of examples whose truth was judged doubtful before any training;
    `without_doubtful` heads the column of figures without them.
    """

    name: str
    task: str
    called: Texts
    asks: Texts
    tells: Texts
    runs: tuple[StudyRun, ...]
    elsewhere: tuple[StudyRun, ...]
    headlines: tuple[str, ...]
    models: tuple[str, ...]
    story: tuple[tuple[str, str], ...]
    questions: tuple[tuple[str, str], ...]
    doubtful: str
    without_doubtful: str
    sets: Mapping[str, SetAbout]

    def by_role(self, role: str) -> StudyRun:
        """The run that plays a role. Raises KeyError."""
        return {run.role: run for run in self.runs if run.role}[role]

    def doubtful_ids(self) -> frozenset[str]:
        """Ids of the examples whose truth is doubtful."""
        return _ids(self.doubtful)


@cache
def studies() -> dict[str, Study]:
    """All of them, by name."""
    return {path.parent.name: _read(path) for path in sorted(HERE.glob("*/study.json"))}


def _read(path: Path) -> Study:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Study(
        path.parent.name,
        said["task"],
        said["called"],
        said["asks"],
        said["tells"],
        tuple(StudyRun(**run) for run in said["runs"]),
        tuple(StudyRun(**run) for run in said.get("elsewhere", [])),
        tuple(said["headlines"]),
        tuple(said["models"]),
        tuple((a, b) for a, b in said["story"]),
        tuple((a, b) for a, b in said["questions"]),
        said.get("doubtful", ""),
        said.get("without_doubtful", "without doubtful ones"),
        {name: SetAbout(**about) for name, about in said["sets"].items()},
    )


def first() -> Study:
    """The study that the first page tells."""
    return studies()["weather"]


@cache
def study_runs() -> dict[str, StudyRun]:
    """The runs of all studies, by name."""
    return {run.run: run for study in studies().values() for run in (*study.runs, *study.elsewhere)}


def left_out_of(name: str) -> str:
    """The run that judged the recipe of the run `name` (or one of its repetitions) on a source left out; empty where
    there is none.
    """
    known = study_runs().get(name.partition("@")[0])
    return known.left_out if known else ""


def left_out(cache: Path, name: str) -> dict[str, Any] | None:
    """The result of that run, where the folder has it."""
    beside = left_out_of(name)
    try:
        return read_result(result_path(cache, beside)) if beside else None
    except ResultError:
        return None


def colour(name: str, dark: bool = False) -> str:
    """The colour of a run on a light ground, or on a dark one: always the same for the same name."""
    if known := study_runs().get(name):
        return known.dark if dark else known.colour
    return OTHER_COLOURS[zlib.crc32(name.encode()) % len(OTHER_COLOURS)][dark]


def short(name: str) -> str:
    """The name of a run's conf."""
    return name.removeprefix("conf_")


def conf_name(name: str) -> str:
    """The name of a run's conf where people call the run otherwise, to stand beside that."""
    return short(name) if name.partition("@")[0] in study_runs() else ""


def both(name: str) -> str:
    """The run's title with its conf's name small beside it, as Plotly sets text."""
    beside = conf_name(name)
    return f'{title(name)} <span style="font-size: 0.8em">{beside}</span>' if beside else title(name)


def title(name: str, language: str = "en") -> str:
    """How people call a run: in plain words where a study knows it, else by its conf's name."""
    run, _, repetition = name.partition("@")
    if (known := study_runs().get(run)) is None:
        return short(name)
    return f"{known.name[language]} @{repetition}" if repetition else known.name[language]


def about_set(name: str) -> SetAbout:
    """What is known of a set of examples."""
    for study in studies().values():
        if name in study.sets:
            return study.sets[name]
    return SetAbout(
        f"Examples of the set `{name}`, gathered on the machine that trained this.",
        "How far it carries beyond those examples was not measured.",
        "What may be done with the examples, and with models made from them, is for whoever gathered them to say.",
    )


@cache
def doubtful_ids() -> frozenset[str]:
    """Ids of all examples that some study calls doubtful."""
    return frozenset[str]().union(*(study.doubtful_ids() for study in studies().values()))


@cache
def _ids(file: str) -> frozenset[str]:
    if not file:
        return frozenset()
    with (ROOT / file).open(newline="", encoding="utf-8") as table:
        return frozenset(row["sha256"] for row in csv.DictReader(table))
