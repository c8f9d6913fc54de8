"""From confs to results in `cache/`: plans the repeats, carries them out side by side, writes what came out."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import logging
import platform
import shutil
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from utils import checkpoints
from utils.checkpoints import Checkpoints
from utils.conf import Conf, ConfError, make_conf
from utils.data.examples import Examples
from utils.data.scaling import EXACT
from utils.engines import Engine, EngineError
from utils.experiment import folds_of, plan_repeats, run_repeat
from utils.federated import RunError
from utils.federated.bench import Bench, Repeat, State, scores, share_out
from utils.files import atomic_write
from utils.model_card import model_card
from utils.nets.build import layout_of
from utils.nets.layout import Layout
from utils.parts import check_installed
from utils.results import FORMAT, ResultError, read_result, result_path, values, write_result
from utils.studies import left_out
from utils.tasks import classes_of, is_scaled, unit_of

Hook = Callable[["Run", Repeat, State], None]
Watch = Callable[["Run", Repeat, Engine], Engine]


@dataclass
class Run:
    """One conf on its way to a result: the repeats it needs and where its checkpoints lie.

    `at_end` measures more of a repeat's last state, once: `name`, `unit`, `better` and `value` of each figure. `place`
    says where clients trained, where that is not on this machine: plain values, by name.
    """

    conf: Conf
    examples: Examples
    repeats: list[Repeat]
    checkpoints: Checkpoints
    cache: Path
    workers: int
    device: str
    at_end: Callable[[Repeat, State], list[dict[str, Any]]] | None = None
    place: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the result."""
        return self.checkpoints.name


def prepare(
    conf_name: str,
    conf: Conf,
    examples: Examples,
    *,
    folds: int,
    seeds: int,
    cache: Path,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    device: str = "cpu",
) -> Run | None:
    """Plan a run, or find the unfinished one; None when `resume` finds that it is finished already.

    Raises ConfError when a package is missing, DataError or PartitionError when the examples do not suffice for every
    repeat, ResultError when the unfinished run cannot be resumed.
    """
    check_installed(conf.parts(), conf_name)
    folds = folds_of(conf, folds) if examples.owner is None else 1  # all that is here is judged
    repeats = plan_repeats(conf, folds, seeds)
    for repeat in repeats:
        share_out(conf, repeat, examples)
    plan = {"conf": conf.as_json(), "examples": examples.fingerprint, "folds": folds, "seeds": seeds}
    found = checkpoints.resume(cache, conf_name, plan) if resume else None
    if resume and found is None and _finished(cache, conf_name, plan):
        return None
    claimed = found or checkpoints.start(cache, conf_name, plan, overwrite)
    return Run(conf, examples, repeats, claimed, cache, workers, device)


def carry_out(
    runs: list[Run],
    engine: Engine,
    side_by_side: int,
    hook: Hook,
    watch: Watch = lambda run, repeat, engine: engine,
) -> dict[str, dict[str, Any] | str]:
    """Carry out all repeats of all runs, `side_by_side` at a time, and write each result when it is complete.

    `hook` sees every repeat after every round (and once when it is resumed); `watch` may put an engine of its own
    before the one a repeat trains on. Returns by name the result, or the
    reason, one line, for a run that failed; its checkpoints stay. When interrupted, everything stops at once.
    """
    outcome: dict[str, dict[str, Any] | str] = {}
    left = {run.name: len(run.repeats) for run in runs}
    states: dict[tuple[str, Repeat], State] = {}
    try:
        with ThreadPoolExecutor(side_by_side) as pool:
            futures: dict[Future[State], tuple[Run, Repeat]] = {}
            try:
                for run in runs:
                    for repeat in run.repeats:
                        futures[pool.submit(_one, run, repeat, watch(run, repeat, engine), hook)] = (
                            run,
                            repeat,
                        )
                waiting = set(futures)
                while waiting:
                    # A time-out lets the main thread notice signals.
                    done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        run, repeat = futures[future]
                        if future.cancelled():
                            continue
                        try:
                            states[run.name, repeat] = future.result()
                            left[run.name] -= 1
                            if left[run.name] == 0:
                                of_run = {r: states.pop((run.name, r)) for r in run.repeats}
                                outcome[run.name] = _finish(run, of_run, engine)
                        except (RunError, EngineError, ResultError) as error:
                            outcome.setdefault(run.name, str(error))
                            waiting -= {f for f in waiting if futures[f][0] is run and f.cancel()}
            except BaseException:
                for future in futures:
                    future.cancel()
                engine.close()  # else leaving the pool would wait for whole repeats
                raise
    finally:
        for run in runs:
            if isinstance(outcome.get(run.name, ""), str):
                run.checkpoints.release()
    return outcome


def _one(run: Run, repeat: Repeat, engine: Engine, hook: Hook) -> State:
    state = run.checkpoints.load(repeat, lambda: layout_of(run.conf))
    if state is not None:
        state.resumed = True
        hook(run, repeat, state)
        state.resumed = False
        if "test" in state.record:
            return state

    def after_round(repeat: Repeat, state: State) -> None:
        if run.at_end and "test" in state.record:
            state.record["figures"] = run.at_end(repeat, state)
        run.checkpoints.save(
            repeat, state, keep_weights="test" not in state.record or repeat == run.repeats[0]
        )
        hook(run, repeat, state)

    try:
        home = run.checkpoints.home(repeat)
        state = run_repeat(run.conf, repeat, run.examples, engine, state, after_round, home)
        shutil.rmtree(home, ignore_errors=True)
    except (OSError, RunError, EngineError, ResultError):
        raise
    except Exception as error:
        raise _broken(f"{repeat}", error) from error
    if repeat != run.repeats[0]:
        state.vectors = {}
    return state


def _broken(where: str, error: Exception) -> RunError:
    """What a part of somebody's own may raise anywhere, as the reason for which its run fails; others go on."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:200]
    return RunError(
        f"{where}: {type(error).__name__}: {text} ({Path(frame.filename).name}, line {frame.lineno})"
    )


def _finished(cache: Path, conf_name: str, plan: dict[str, Any]) -> bool:
    number = 1
    while (path := result_path(cache, conf_name if number == 1 else f"{conf_name}@{number}")).exists():
        number += 1
        try:
            result = read_result(path)
        except ResultError:
            continue
        data = result["data"]
        if plan == {
            "conf": _as_now(result["conf"]),
            "examples": data.get("fingerprint"),
            "folds": data.get("folds"),
            "seeds": data.get("seeds"),
        }:
            return True
    return False


def _as_now(conf: dict[str, Any]) -> dict[str, Any]:
    """A result's conf with the keys that came into being since at their defaults."""
    with suppress(ConfError):
        return make_conf(conf, "result").as_json()
    return conf


def _finish(run: Run, states: dict[Repeat, State], engine: Engine) -> dict[str, Any]:
    """Write model, result and model card; the result last but one, so that a listed result has its model."""
    layout = layout_of(run.conf)
    records = [states[repeat].record for repeat in run.repeats]
    path = result_path(run.cache, run.name)
    model_path = path.with_suffix(".safetensors")
    first = states[run.repeats[0]].weights
    exact = EXACT if is_scaled(run.conf) else ()
    with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
        tensors = {
            name: array.astype(np.float32 if name in exact else np.float16, order="C")
            for name, array in layout.named(first).items()
        }
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise RunError("the weights are beyond half precision: training diverged, a smaller lr may help")
    # One key only: safetensors writes several in an order that changes from run to run.
    classes, unit = classes_of(run.conf), unit_of(run.conf)
    kind = {"classes": classes} if unit is None else {"unit": unit}
    told = {"conf": run.name, **kind, "examples": run.examples.fingerprint}
    metadata = {"skyfed": json.dumps(told)}
    with atomic_write(model_path) as file:
        file.write(safetensors.numpy.save(tensors, metadata=metadata))
    result = {
        "format": FORMAT,
        "name": run.name,
        "classes": list(classes) or None,
        **{
            key: _mean_curve(records, series, run.conf.global_epochs)
            for key, series in {"acc": "accuracy", "loss": "loss"}.items()
            if classes
        },
        **({} if unit is None else {"unit": unit}),
        "repeats": records,
        "conf": run.conf.as_json(),
        "layers": [[name, list(shape)] for name, shape in zip(layout.names, layout.shapes, strict=True)],
        "parameters": layout.trained,
        "versions": _versions(),
        "data": _data(run),
        "degree": {
            key: _mean([record["degree"][key] for record in records])
            for key in records[0]["degree"]
            if all(key in record["degree"] for record in records)  # an earlier version may have begun the run
        },
        "model": _model_figures(run, layout, model_path, engine),
        "machine": {"workers": run.workers, "device": run.device, **run.place},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_result(path, result)
    try:
        card = model_card(result, left_out(run.cache, run.name))
    except Exception as error:  # a task of somebody's own may have no words for it
        logging.getLogger(__name__).warning("%s: no model card: %s", run.name, _broken("card", error))
    else:
        with atomic_write(path.with_suffix(".md")) as file:
            file.write(card.encode())
    for left_by_a_kill in run.cache.glob(f".{run.name}.json.*.draft"):
        left_by_a_kill.unlink(missing_ok=True)
    run.checkpoints.remove()
    return result


def _mean(values: list[float | None]) -> float | None:
    """Their mean; None where one of them is withheld."""
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if len(told) == len(values) else None


def _mean_curve(records: list[dict[str, Any]], key: str, rounds: int) -> list[float]:
    """Mean over the repeats after each round; one that stopped early keeps its last model, hence its value."""
    lines = [values(record, key) for record in records]
    curves = [line + line[-1:] * (rounds - len(line)) for line in lines]
    return [float(value) for value in np.mean(curves, axis=0)]


def _data(run: Run) -> dict[str, Any]:
    """What the run was measured on: the set, how much of it of which class and source, and how it was held out."""
    examples, usable, classes = run.examples, run.examples.usable, len(classes_of(run.conf))
    told = examples.told is None or bool(examples.told.all())
    counts = np.bincount(examples.targets[usable], minlength=classes).tolist() if classes else []
    sources = np.array(examples.sources)[usable]
    return {
        "set": examples.name,
        "fingerprint": examples.fingerprint,
        "examples": int(usable.sum()),
        "counts": counts if told else None,
        "sources": [
            {"name": name, "examples": int((sources == name).sum()), "licence": licence}
            for name, licence in examples.licences.items()
        ],
        "folds": 1 + max(repeat.fold for repeat in run.repeats),
        "seeds": 1 + max(repeat.seed for repeat in run.repeats),
        "unreadable": list(examples.unreadable),
    }


def _model_figures(run: Run, layout: Layout, path: Path, engine: Engine) -> dict[str, Any]:
    """Figures of the model that is kept, measured on the half-precision file itself."""
    raw = path.read_bytes()
    weights = layout.flat(safetensors.numpy.load(raw))
    repeat = run.repeats[0]
    bench = Bench(run.conf, repeat, run.examples, engine)
    figures: dict[str, Any] = {
        "file": path.name,
        "bytes": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "precision": "float16",
        "fold": repeat.fold,
        "seed": repeat.seed,
        "rotation": repeat.rotation,
    }
    for part in ("test", "val"):
        if len(targets := bench.targets(part)):
            figures[part] = {"examples": len(targets), **scores(bench.judge(part, weights), targets)}
    return figures


def _versions() -> dict[str, str]:
    packages = {
        name: importlib.metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")
    }
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
