"""What lies in cache/, read once per change: summaries, curves and details of runs, and what may be said of them.

Nothing is kept that the files do not say; a file that appears, changes or goes is noticed at the next request.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.api.busy import Lock, place, wait_for
from app.api.documents import as_json
from app.runs.names import Titles, called, language
from utils.comparison import (
    RESAMPLES,
    Answers,
    Comparison,
    Estimate,
    absent,
    answers,
    compare,
    estimated,
    figures_of,
    is_number,
    sources,
)
from utils.conf import ConfError, all_keys, make_conf, owner_name
from utils.federated.clock import MISSED
from utils.federated.spread import MOST_ROWS
from utils.figures import COSTS, costs, rounds_of, series
from utils.nets.outline import known_of
from utils.packing import table_of
from utils.results import ResultError, is_result_name, read_result, result_path, total
from utils.studies import Study, StudyRun, colour, conf_name, first, short, study_runs, title

FEW = 10
_OPEN_RESULTS, _BODIES, _BODY_BYTES = 32, 200, 100_000_000
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """One file of cache/: what the list shows of it, or why it could not be read."""

    stamp: Stamp
    summary: dict[str, Any]


class Library:
    """The results in one cache folder. Safe to use from several threads."""

    def __init__(self, folder: Path, titles: Titles = dict, places: Lock | None = None) -> None:
        self.folder, self._titles = folder, titles
        self.places = places or threading.BoundedSemaphore(2)  # who computes something of a run at a time
        self._lock = threading.Lock()  # for a moment
        self._listing, self._telling = threading.Lock(), threading.Lock()  # one reads what is new
        self._entries: dict[str, Entry] = {}
        self._summaries: tuple[dict[str, Stamp], list[dict[str, Any]]] | None = None
        self._lists: dict[str, tuple[tuple[dict[str, Stamp], Mapping[str, str]], bytes]] = {}
        self._open: OrderedDict[tuple[str, Stamp], dict[str, Any]] = OrderedDict()
        self._bodies: OrderedDict[tuple[str, str, str, Stamp | None, tuple[Stamp | None, ...]], bytes] = (
            OrderedDict()
        )
        self._pairs: dict[tuple[str, str, Any, Any], Comparison | None] = {}
        self._stories: dict[str, tuple[Any, dict[str, Any]]] = {}

    def summaries(self) -> list[dict[str, Any]]:
        """One entry per result, by name; an unreadable one has `error` and no figures."""
        return self._called(self._summarised()[1], self._titles())

    def title(self, name: str) -> str:
        """How people call the run `name`, in the reader's language."""
        return called(name, self._titles())

    def listing(self) -> bytes:
        """The summaries as JSON, made anew only when a file or the name of a training has changed."""
        titles, (stamps, summaries), reader = self._titles(), self._summarised(), language()
        made = self._lists.get(reader)
        if made is None or made[0] != (stamps, titles):
            told = {"runs": self._called(summaries, titles)}
            made = self._lists[reader] = ((stamps, titles), as_json(told).encode())
        return made[1]

    @staticmethod
    def _called(
        entries: list[dict[str, Any]], titles: Mapping[str, str], key: str = "name"
    ) -> list[dict[str, Any]]:
        return [{**one, "title": called(one[key], titles)} for one in entries]

    def _summarised(self) -> tuple[dict[str, Stamp], list[dict[str, Any]]]:
        """What is listed and of which files; of the former ones while somebody reads what is new."""
        stamps, known = self._stamps(), self._summaries
        if known is not None and known[0] == stamps:
            return known
        if known is not None and not self._listing.acquire(blocking=False):
            return known
        if known is None:
            wait_for(self._listing)
        try:
            for gone in set(self._entries) - set(stamps):
                del self._entries[gone]
            entries = [self._entry(name, stamp).summary for name, stamp in stamps.items()]
            self._summaries = (stamps, entries)
            return self._summaries
        finally:
            self._listing.release()

    def result(self, name: str) -> dict[str, Any] | None:
        """The checked result called `name`, None when there is none. Raises ResultError when it is unreadable."""
        try:
            stamp = self._stamp(name)
        except ResultError:
            return None
        if stamp is None:
            return None
        with self._lock:
            if (name, stamp) in self._open:
                self._open.move_to_end((name, stamp))
                return self._open[name, stamp]
        result = read_result(result_path(self.folder, name))
        with self._lock:
            self._open[name, stamp] = result
            while len(self._open) > _OPEN_RESULTS:
                self._open.popitem(last=False)
        return result

    def told(self, name: str, how: Callable[..., dict[str, Any]], **beside: str) -> bytes:
        """What `how` says of the run `name`, which is there, as JSON; kept until the file changes.

        `beside` names further runs by the arguments in which `how` takes their results; None where there is none.
        """
        named = sorted((argument, run) for argument, run in beside.items() if run)
        titled = self.title(name)
        key = (how.__name__, name, titled, self._stamp(name), tuple(self._stamp(run) for _, run in named))
        with self._lock:
            if key in self._bodies:
                self._bodies.move_to_end(key)
                return self._bodies[key]
        others = {}
        with place(self.places):
            for argument, run in named:
                with suppress(ResultError):
                    others[argument] = self.result(run)
            said = how(name, self.result(name) or {}, **others)
            body = as_json({**said, "title": titled} if "title" in said else said).encode()
        with self._lock:
            self._bodies[key] = body
            while len(self._bodies) > _BODIES or (
                len(self._bodies) > 1 and sum(map(len, self._bodies.values())) > _BODY_BYTES
            ):
                self._bodies.popitem(last=False)
        return body

    def pair(self, a: str, b: str) -> Comparison | None:
        """The paired comparison of two runs, by itself; None when they have no example in common."""
        first, second = sorted((a, b))
        key = (first, second, self._stamp(first), self._stamp(second))
        if key not in self._pairs:
            results = {name: self.result(name) for name in (first, second)}
            known = {name: result for name, result in results.items() if result is not None}
            with place(self.places):
                found = compare(known, pairs=[(first, second)]) if len(known) == 2 else []
            self._pairs[key] = found[0] if found else None
        return self._pairs[key]

    def warm(self) -> None:
        """Read everything once, so that the first visitor need not wait for it."""
        self.listing()
        for mark in self.story()["marks"]:  # whose curves the first page shows
            self.told(mark["run"], curves)

    def story(self, study: Study | None = None) -> dict[str, Any]:
        """The shipped runs of a study at a glance: figures with intervals, and what the paired tests say of them."""
        told, titles = self._known_story(study or first()), self._titles()
        return {**told, **{part: self._called(told[part], titles, "run") for part in ("marks", "elsewhere")}}

    def has_any(self, study: Study) -> bool:
        """Whether a run of the study lies here."""
        return any(self._stamp(run.run) for run in study.runs)

    def _known_story(self, study: Study) -> dict[str, Any]:
        """The former one while somebody reads what is new."""
        names = [run.run for run in (*study.runs, *study.elsewhere) if self._stamp(run.run)]
        key = (tuple(names), tuple(self._stamp(name) for name in names))
        known = self._stories.get(study.name)
        if known is not None and (known[0] == key or not self._telling.acquire(blocking=False)):
            return known[1]
        if known is None:
            wait_for(self._telling)
        try:
            known = self._stories.get(study.name)
            if known is None or known[0] != key:
                known = self._stories[study.name] = (key, self._told(study, names))
            return known[1]
        finally:
            self._telling.release()

    def _told(self, study: Study, names: list[str]) -> dict[str, Any]:
        results = {}
        for name in names:
            try:
                results[name] = self.result(name)
            except ResultError:
                continue
        whole: Mapping[str, dict[str, Any]] = {name: r for name, r in results.items() if r is not None}
        held_out = {run.run for run in study.runs}
        found = {(one.a, one.b): one for one in compare({n: r for n, r in whole.items() if n in held_out})}

        def facts(questions: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
            pairs = [(found.get((a, b)) or found.get((b, a)), a, b) for a, b in questions]
            return [fact(one, a, b) for one, a, b in pairs if one is not None]

        heads = [study.by_role(role) for role in study.headlines]
        return {
            "marks": [
                mark(one, whole[one.run]) for one in heads if one.run in whole
            ],
            "first": facts(study.story),
            "facts": facts(study.questions),
            "elsewhere": [
                new_camera(run, whole[run.run], whole[run.of])
                for run in study.elsewhere for head in heads
                if run.of == head.run and {run.run, run.of} <= whole.keys()
                and len(judged := sources(whole[run.run])) == 1 and judged[0] in sources(whole[run.of])
            ],
        }  # fmt: skip

    def _stamp(self, name: str) -> Stamp | None:
        try:
            return _stamp_of(result_path(self.folder, name).stat())
        except OSError:
            return None

    def _stamps(self) -> dict[str, Stamp]:
        """Every result in the folder, by name, and what changes when its file does."""
        stamps = {}
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                name = file.name.removesuffix(".json.pkl")
                if name != file.name and is_result_name(name):
                    with suppress(OSError):  # gone in this moment
                        stamps[name] = _stamp_of(file.stat())
        return dict(sorted(stamps.items()))

    def _entry(self, name: str, stamp: Stamp) -> Entry:
        entry = self._entries.get(name)
        if entry is None or entry.stamp != stamp:
            try:
                summary = summarised(name, read_result(result_path(self.folder, name)))
                json.dumps(summary, allow_nan=False)  # ValueError where a figure is none
            except Exception as error:  # one odd file must not take the list down
                reason = str(error).replace(str(self.folder), "cache")
                if not isinstance(error, ResultError):
                    logging.getLogger(__name__).exception("%s cannot be summarised", name)
                    reason = f"cannot be summarised ({type(error).__name__})"
                summary = {**_looks(name), "error": reason}
            entry = self._entries[name] = Entry(stamp, summary)
        return entry


def citation(name: str, result: Mapping[str, Any]) -> str:
    """A BibTeX entry that names the run, its examples and, if it kept one, its model, down to the bit."""
    finished, model = str(result.get("finished", "")), result.get("model")
    notes = [f"examples {result['data'].get('fingerprint', '')}"]
    if model:
        notes.append(f"model SHA-256 {model['sha256']}")
    notes += [f"{package} {version}" for package, version in result["versions"].items() if package == "torch"]
    key = "".join(letter if letter.isalnum() else "-" for letter in name)
    what = f"a number in {result['unit']}" if is_number(result) else " or ".join(result["classes"])
    told = f"SkyFed run {short(name)}: {what}, {_how(result['conf'])}"
    return (
        f"@misc{{skyfed-{key},\n  title = {{{told}}},\n"
        f"  year = {{{finished[:4]}}},\n  note = {{finished {finished[:10]}; {'; '.join(notes)}}}\n}}"
    )


def _how(conf: Mapping[str, Any]) -> str:
    if conf["no_models"] > 1:
        return f"federated averaging over {conf['no_models']} clients"
    return "one client, not federated"


def _stamp_of(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def estimate(name: str, value: Estimate) -> dict[str, float]:
    """An estimate as three plain numbers."""
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}


def figures(result: Mapping[str, Any], given: Answers, resamples: int = RESAMPLES) -> dict[str, float]:
    """The figures of a result with their intervals, by the names that the API has for them."""
    found: dict[str, float] = {}
    for one in figures_of(result):
        called_ = "balanced" if one == "balanced_accuracy" else one
        found |= estimate(called_, estimated(given, one, resamples))
    return found


def mark(run: StudyRun, result: Mapping[str, Any]) -> dict[str, Any]:
    """A run that stands at the head of a story, with its first figure, and R² where that is RMSE."""
    given = answers(result)
    shown = {
        key: value for key, value in figures(result, given).items() if not key.startswith(("balanced", "mae"))
    }
    return {
        "role": run.role, "run": run.run, "colour": run.colour, "colour_dark": run.dark, "examples": len(given.ids),
        **shown, **({"unit": result["unit"]} if is_number(result) else {}),
    }  # fmt: skip


def fact(one: Comparison, a: str, b: str) -> dict[str, Any]:
    """A paired comparison, turned so that it says the figure of `a` minus that of `b`."""
    turned = (one.a, one.b) != (a, b)
    difference = one.difference.turned if turned else one.difference
    verdict = "none" if one.is_tested else "untested"
    if one.is_tested and one.p_holm < 0.05:
        verdict = "better" if one.is_better != turned else "worse"
    return {
        "a": a, "b": b, "seeds": one.seeds, "scenes": one.scenes,
        "p": one.p, "p_holm": one.p_holm, "p_floor": one.floor,
        "verdict": verdict, "figure": one.figure, **estimate("difference", difference),
    }  # fmt: skip


def _looks(name: str) -> dict[str, str]:
    return {
        "name": name, "title": title(name), "conf_name": conf_name(name),
        "colour": colour(name), "colour_dark": colour(name, dark=True),
    }  # fmt: skip


def summarised(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the list of runs shows of a result."""
    repeats, given = result["repeats"], answers(result)
    resamples = (
        RESAMPLES if name in study_runs() else 1000
    )  # what figures and README quote; of 500 runs a hasty reading
    return {
        **_looks(name),
        **figures(result, given, resamples),
        **({} if is_number(result) else {"loss": result["loss"][-1]}),
        **({"unit": result["unit"]} if is_number(result) else {}),
        "classes": result["classes"] or [],
        "rounds": rounds_of(result),
        "repeats": len(repeats),
        "examples": len(given.ids),
        "bytes": sum(total(r, "bytes_up", "bytes_down") for r in repeats) / len(repeats),
        "seconds": sum(total(r, "seconds") for r in repeats) / len(repeats),
        **{
            key: value
            for key, value in result["degree"].items()
            if key == "jensen_shannon" and value is not None
        },
        "finished": str(result.get("finished", "")),
        "fingerprint": str(result["data"].get("fingerprint", "")),
        "conf": result["conf"],
    }


def curves(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Every series of a run after each round, mean and band over repeats, and where the round lies on every axis."""
    return {"costs": costs(result), "series": series(result)}


def details(
    name: str, result: Mapping[str, Any], left_out: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the page of a run shows beyond its summary and curves; `left_out` as `utils.tasks` has it."""
    repeats, head, classes = result["repeats"], result["repeats"][0], range(len(result["classes"] or ()))
    return {
        **summarised(name, result),
        "owners": [{"name": owner_name(i), **owner} for i, owner in enumerate(head["owners"])],
        "clients": [
            {**client, "fold": r["fold"], "seed": r["seed"], "rotation": r["rotation"], "client": number}
            for r in repeats for number, client in enumerate(r["clients"])
        ],
        "by_source": [by_source(result, source) for source in sources(result)],
        "confusion": [[sum(r["confusion"][t][s] for r in repeats) for s in classes] for t in classes],
        "misjudged": [] if is_number(result) else misjudged(result),
        "misjudged_ever": 0 if is_number(result) else len(_ever_misjudged(result)),
        "foretold": foretold(result) if is_number(result) else [],
        "absent": absent(result),
        "citation": citation(name, result),
        "task": _told_by_the_task(name, result, left_out),
        "conf_own": own_keys(result["conf"]),
        "conf_says": {one.name: one.field.metadata["doc"] for one in all_keys()},
        **_told_of_failures(repeats),
        **_told_of_updates(head),
        **({"graph": head["graph"]} if "graph" in head else {}),
        "degree": result["degree"],
        "layers": result["layers"],
        "network": network(name, result["conf"]),
        "parameters": result.get("parameters"),
        "versions": result["versions"],
        "data": result["data"],
        "model": result.get("model"),
        "machine": result.get("machine"),
        "axes": COSTS,
    }  # fmt: skip


def _told_of_failures(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """How many updates failed and how many clients a round of virtual time went on without, with the reasons."""
    why = Counter(reason for repeat in repeats for _, _, reason in repeat["failures"])
    failed = Counter({reason: count for reason, count in why.items() if reason not in MISSED})
    return {
        "failures": failed.total(),
        "failed_for": [{"reason": reason, "count": count} for reason, count in failed.most_common(FEW)],
        "missed_for": [{"reason": reason, "count": why[reason]} for reason in MISSED if why[reason]],
    }


def _told_of_updates(repeat: Mapping[str, Any]) -> dict[str, Any]:
    """The table of the updates of one repeat and who was hostile, where its record has one: `UpdatesSchema`."""
    if "updates" not in repeat:
        return {}
    clients, told = len(repeat["clients"]), repeat.get("hostile")
    hostile = {one for one in told if isinstance(one, int)} if isinstance(told, list) else set()
    table = {name: column[:MOST_ROWS] for name, column in table_of(repeat["updates"]).items()}
    whole = (table["client"] >= 0) & (table["client"] < clients) & (table["round"] >= 0)
    columns: dict[str, list[Any]] = {
        name: column[whole].tolist() if column.dtype.kind != "f" else _short(column[whole])
        for name, column in table.items()
    }
    if not whole.any():
        return {}
    return {
        "updates": {
            **{key: repeat[key] for key in ("fold", "seed", "rotation")},
            **columns,
            "round": [round_ + 1 for round_ in columns["round"]],
            "hostile": sorted(hostile & set(range(clients))),
            "attacked": told is not None,
        }
    }


def _short(column: NDArray[np.float32]) -> list[float | None]:
    """Numbers with four digits that count; None where one is not finite."""
    return [float(f"{number:.4g}") if math.isfinite(number) else None for number in column.tolist()]


def network(name: str, conf: Mapping[str, Any]) -> dict[str, Any] | None:
    """The layers of a described network and what each makes of an example; None where the conf describes none."""
    try:
        known = known_of(make_conf(conf, name))
    except ConfError:  # of a time when confs were otherwise
        return None
    return known if known["layers"] else None


def own_keys(conf: Mapping[str, Any]) -> list[str]:
    """Keys of a conf whose values are not those they have by default."""
    required = {one.name for one in all_keys() if one.field.default is MISSING}
    try:
        plain = make_conf({key: value for key, value in conf.items() if key in required}, "conf").as_json()
    except ConfError:
        plain = {}  # of a time when other keys were required
    return [key for key, value in conf.items() if key in required or key not in plain or plain[key] != value]


def by_source(result: Mapping[str, Any], source: str) -> dict[str, Any]:
    """How a run did on the test examples of one source, pooled over folds and seeds.

    Balanced accuracy only where each class has FEW scenes or more: else one or two of them would be half of it.
    """
    given = answers(result, source=source)
    found = figures(result, given, resamples=1000)
    if not is_number(result):
        found["log_loss"] = _log_loss(result, source)
        scenes = [len(np.unique(given.scenes[given.truth == one])) for one in range(len(result["classes"]))]
        if min(scenes) < FEW:
            found = {key: value for key, value in found.items() if not key.startswith("balanced")}
    return {
        "source": source, "examples": len(given.ids), **found, "scenes": int(given.scenes.max()) + 1,
    }  # fmt: skip


def _log_loss(result: Mapping[str, Any], source: str) -> float:
    """Mean cross-entropy in nats of all answers to a source's test examples."""
    tests = [repeat["test"] for repeat in result["repeats"]]
    given = [
        p
        for test in tests
        for p, of in zip(test["probability_of_truth"], test["source"], strict=True)
        if of == source
    ]
    return float(-np.log(np.maximum(given, 1e-12)).mean())


def foretold(result: Mapping[str, Any], most: int = 2000) -> list[dict[str, Any]]:
    """The truth of every test example and the mean of what was said of it, those farthest off first."""
    given = answers(result)
    said = given.truth + np.nanmean(given.outcome, axis=(0, 1))
    order = np.argsort(-np.abs(said - given.truth), kind="stable")[:most]
    return [{"id": given.ids[i], "truth": float(given.truth[i]), "said": float(said[i])} for i in order]


def new_camera(run: StudyRun, alone: Mapping[str, Any], both: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe does on a source left out of its training (`alone`), and on the same examples when that source is
    trained on as well (`both`, held out in folds): balanced accuracy.
    """
    (judged,), trained = sources(alone), alone["conf"].get("train_on", [])
    given, same = answers(alone), answers(both, source=judged)
    return {
        "run": run.run, "of": run.of,
        "trained_on": trained, "judged_on": judged, "scenes": int(given.scenes.max()) + 1,
        **estimate("alone", estimated(given, "balanced_accuracy")),
        **estimate("both", estimated(same, "balanced_accuracy")),
    }  # fmt: skip


def misjudged(result: Mapping[str, Any], most: int = 60) -> list[dict[str, Any]]:
    """The examples that were told wrongly most often: how often judged and wrong, and the mean probability of truth."""
    wrong = sorted(_ever_misjudged(result), key=lambda one: -one["wrong"] / one["judged"])
    return [
        {
            **{key: one[key] for key in ("id", "truth", "judged", "wrong")},
            "probability": one["sum"] / one["judged"],
        }
        for one in wrong[:most]
    ]


def _ever_misjudged(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for repeat in result["repeats"]:
        test = repeat["test"]
        for name, truth, said, given in zip(
            test["id"], test["truth"], test["said"], test["probability_of_truth"], strict=True
        ):
            one = found.setdefault(name, {"id": name, "truth": truth, "judged": 0, "wrong": 0, "sum": 0.0})
            one["judged"] += 1
            one["wrong"] += said != truth
            one["sum"] += given
    return [one for one in found.values() if one["wrong"]]


def _told_by_the_task(
    name: str, result: Mapping[str, Any], left_out: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the task itself has to say of a result: nothing where its conf is none of today's."""
    try:
        found: dict[str, Any] = make_conf(result["conf"], name).task.module.told(result, left_out)
    except ConfError:
        return {}
    return found
