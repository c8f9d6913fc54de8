#!/usr/bin/env python3
"""Train the experiments described by conf files; curves and models land in cache/.

Exit status: 0 done, 1 failed while running, 2 bad arguments, conf or data, 130 interrupted (resumable).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.files import place
from utils.interrupt import end_with_standard_input, until_interrupted

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.data.examples import Examples
    from utils.engines import Engine
    from utils.engines.nodes import Nodes
    from utils.runs import Run

HERE = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return until_interrupted(
        lambda: _begin(given), "interrupted; the same command with --resume goes on from the last whole round"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train centralized and federated experiments.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "-c", "--conf", action="append", type=Path, metavar="FILE", help="a conf; may be repeated"
    )
    which.add_argument("--all", action="store_true", help="every shipped conf, utils/conf_*.json")
    which.add_argument(
        "--study",
        metavar="NAME",
        help="a question of utils/studies: every cell of it, collated into one file",
    )
    which.add_argument("--all-studies", action="store_true", help="every question, one after the other")
    which.add_argument(
        "--keys", action="store_true", help="print every key of a conf and every part it may name"
    )
    parser.add_argument(
        "--seeds", type=_count, metavar="N", help="repeats with N seeds (default 1; of a study, what it says)"
    )
    parser.add_argument(
        "--folds",
        type=_folds,
        metavar="N",
        help="hold out N of the 5 folds in turn (default 1; of a study 1)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run or study")
    parser.add_argument(
        "--engine",
        choices=("here", "flower"),
        default="here",
        help="where clients train: here (default), or flower: at nodes, which keep their own examples",
    )
    parser.add_argument(
        "--nodes",
        type=lambda text: [name for name in text.split(",") if name],
        default=[],
        metavar="A,B",
        help="which nodes (default: all that are there); client number i is the i-th by name",
    )
    parser.add_argument(
        "--flower",
        type=Path,
        metavar="DIR",
        help="where Flower is set up (default SKYFED_FLOWER, or flower in the site's instance)",
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="worker processes (default: one a core)")
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="auto", help="default auto")
    parser.add_argument(
        "--cache",
        "--out",
        type=Path,
        default=place("cache"),
        metavar="DIR",
        help="where results lie (default cache/)",
    )
    parser.add_argument(
        "--data", type=Path, default=place("data"), metavar="DIR", help="where sets lie (default data/)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the result of the same name")
    parser.add_argument("--quiet", action="store_true", help="errors only")
    for_programs = parser.add_argument_group("for programs that start this one")
    for_programs.add_argument(
        "--report", type=Path, metavar="DIR", help="write DIR/status.json and DIR/log.jsonl while it goes on"
    )
    for_programs.add_argument(
        "--tied", action="store_true", help="stop when standard input ends, as at Ctrl-C"
    )
    return parser


def _begin(given: argparse.Namespace) -> int:
    if given.tied:
        end_with_standard_input()
    return _train(given)


def _train(given: argparse.Namespace) -> int:
    from utils.conf import ConfError, load_conf
    from utils.parts import check_own
    from utils.results import ResultError

    try:
        check_own()
    except ConfError as error:
        return _refuse(error)
    if given.keys:
        from utils.readme import keys_table, layers_table, missing_list, parts_table

        print("\n\n".join(filter(None, (keys_table(), parts_table(), layers_table(), missing_list()))))
        return 0
    try:
        if given.study or given.all_studies:
            return _answer(given)
        paths = sorted((HERE / "utils").glob("conf_*.json")) if given.all else given.conf
        confs = [(_conf_name(path), load_conf(path)) for path in paths]
        names = [name for name, _ in confs]
        for name in names:
            if names.count(name) > 1:
                raise ConfError("", "same_name", name=f"{name}.json")
    except ConfError as error:
        return _refuse(error)

    if (place := _machine(given)) is None:
        return 2
    workers, device = place

    from utils.comparison import CALLED, absent, answers, estimated, figures_of
    from utils.data.examples import DataError
    from utils.engines import EngineError
    from utils.engines.flower_home import FlowerError
    from utils.federated.clock import MISSED
    from utils.partition.schemes import PartitionError
    from utils.runs import prepare

    runs = []
    nodes = None
    try:
        nodes = _nodes(given, workers, device)
        for name, conf in confs:
            examples = _opened(given, conf)
            if nodes:
                examples = nodes.examples(conf, f"{name}.json", examples)
            run = prepare(
                name, conf, examples, folds=given.folds or 1, seeds=given.seeds or 1, cache=given.cache,
                resume=given.resume, overwrite=given.overwrite, workers=workers, device=device,
            )  # fmt: skip
            if run and nodes:
                run.place = nodes.place()
            if run is None:
                _say(given, f"{name}: finished already")
            else:
                runs.append(run)
                if run.name != name:
                    _say(
                        given, f"{name}: a result or an unfinished run has this name, this one is {run.name}"
                    )
    except (ConfError, DataError, PartitionError, ResultError) as error:
        _let_go(runs, nodes)
        return _refuse(error)
    except (FlowerError, EngineError) as error:
        _let_go(runs, nodes)
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        _let_go(runs, nodes)
        return _fail(error)

    try:
        outcome = _carried_out(given, runs, workers, device, nodes=nodes)
    except OSError as error:
        return _fail(error)
    failed = False
    for name, result in outcome.items():
        if isinstance(result, str):
            failed = True
            print(f"{name}: {result}", file=sys.stderr)
        else:
            for line in _absent(absent(result)):
                print(f"{name}: {line}", file=sys.stderr)
            known = answers(result)
            reasons = [why for repeat in result["repeats"] for *_, why in repeat["failures"]]
            missed = sum(why in MISSED for why in reasons)
            failures = len(reasons) - missed
            figures = ", ".join(f"{CALLED[one]} {estimated(known, one)}" for one in figures_of(result))
            _say(
                given,
                f"{name}: {figures} "
                f"({len(result['repeats'])} repeats, {len(known.ids)} test examples"
                f"{f', {failures} updates failed' if failures else ''}"
                f"{f', {missed} clients not waited for' if missed else ''}) -> "
                f"{given.cache / (name + '.json.pkl')}",
            )
    return 1 if failed else 0


def _answer(given: argparse.Namespace) -> int:
    """Train the cells of a question, or of all, and collate what came out."""
    from utils.studies.questions import QuestionError, read_question, read_questions, studies_folder

    folder, confs = studies_folder(), []
    try:
        if given.folds not in (None, 1):
            raise QuestionError(f"--folds: a study holds out one fold, found {given.folds}")
        name = given.study or ""
        questions = [read_question(folder, name.partition("@")[0])] if name else read_questions(folder)
        for question in questions:
            confs += list(question.confs())
    except QuestionError as error:
        return _refuse(error)
    if (place := _machine(given)) is None:
        return 2
    workers, device = place

    from utils.data.examples import DataError
    from utils.partition.schemes import PartitionError
    from utils.results import ResultError
    from utils.studies.training import prepare_study

    status = 0
    for question in questions:
        called = name or question.name
        try:
            work = prepare_study(
                question, called, lambda conf: _opened(given, conf), seeds=given.seeds or question.seeds,
                cache=given.cache, resume=given.resume, overwrite=given.overwrite, workers=workers, device=device,
            )  # fmt: skip
            if work is None:
                _say(given, f"{called}: finished already")
                continue
            if work.name != called:
                _say(
                    given, f"{called}: a result or an unfinished study has this name, this one is {work.name}"
                )
            try:
                outcome = _carried_out(given, work.runs, workers, device, [work.name])
            except BaseException:
                work.release()
                raise
            if work.has_any(outcome):
                result = work.finish(outcome)
            else:
                status = 1
                work.release()
                for key, reason in outcome.items():
                    print(f"{work.name}: {key}: {reason}", file=sys.stderr)
                continue
        except (DataError, PartitionError, ResultError) as error:
            return _refuse(error)
        except OSError as error:
            return _fail(error)
        for cell in result.cells.values():
            if cell.failed:
                status = 1
                print(f"{work.name}: {cell.key}: {cell.failed}", file=sys.stderr)
        _say(
            given,
            f"{work.name}: {len(result.cells)} cells, {result.seeds} seeds -> "
            f"{given.cache / 'studies' / (work.name + '.json.pkl')}",
        )
    return status


def _machine(given: argparse.Namespace) -> tuple[int, str] | None:
    """How many workers on which device; None, and a line, where that cannot be had."""
    # Only now: torch takes seconds to import, here and where workers come from at the same time.
    from utils.engines.workers import prepare_workers, usable_workers

    prepare_workers()
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        _refuse("--device cuda: this torch finds no CUDA device")
        return None
    device = "cuda" if given.device != "cpu" and torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    return given.workers or (1 if device == "cuda" else usable_workers()), device


def _opened(given: argparse.Namespace, conf: Conf) -> Examples:
    """The examples of a conf; what cannot be built, or not be fetched, says so before any training."""
    from utils.nets.build import build

    examples: Examples = conf.task.module.open_examples(conf, given.data)
    for file in examples.unreadable:
        print(f"{given.data / conf.data / file}: cannot be decoded, left out", file=sys.stderr)
    build(conf, conf.seed)
    return examples


def _nodes(given: argparse.Namespace, workers: int, device: str) -> Nodes | None:
    """The nodes of runs whose clients are elsewhere. Raises FlowerError, EngineError."""
    if given.engine == "here":
        return None
    from utils.engines.nodes import Nodes
    from utils.engines.workers import Workers

    return Nodes(given.flower, given.nodes, Workers(workers, device))


def _let_go(runs: Sequence[Run], nodes: Nodes | None) -> None:
    """Of what was begun and is not carried out."""
    for run in runs:
        run.checkpoints.release()
    if nodes:
        nodes.engine.close()


def _carried_out(
    given: argparse.Namespace,
    runs: list[Run],
    workers: int,
    device: str,
    called: Sequence[str] = (),
    nodes: Nodes | None = None,
) -> dict[str, dict[str, Any] | str]:
    """Carry out runs, telling whoever watches; `called` is what they make together, else each makes its own."""
    from utils.engines.workers import Workers
    from utils.federated.bench import Repeat, State
    from utils.progress import Progress
    from utils.report import Report
    from utils.runs import carry_out

    report = None
    try:
        report = Report(given.report, runs, called) if given.report else None
        place = nodes.engine if nodes else Workers(workers, device)
        with place as engine, Progress(runs, given.quiet) as progress:

            def after_round(run: Run, repeat: Repeat, state: State) -> None:
                progress(run, repeat, state)
                if report:
                    report(run, repeat, state)

            def watched(run: Run, repeat: Repeat, engine: Engine) -> Engine:
                own = nodes.of(run.name) if nodes else engine
                return report.watched(run, repeat, own) if report else own

            at_once = 1 if nodes else workers
            return carry_out(runs, engine, side_by_side=at_once, hook=after_round, watch=watched)
    finally:
        if report:  # halted ones too say where they stand
            report.close()


def _absent(found: list[dict[str, Any]]) -> list[str]:
    """What was not there to learn from or to judge, a line each; of many classes a line for all."""
    if len(found) < 5:
        return [
            f"no {one['where']} example is {one['what']} (fold {', '.join(map(str, one['folds']))}): "
            "its figures say nothing of that"
            for one in found
        ]
    classes: dict[str, list[str]] = {}
    for one in found:
        classes.setdefault(one["where"], []).append(one["what"])
    return [
        f"in some folds no {where} example is one of {' '.join(those)}: their figures say nothing of these"
        for where, those in classes.items()
    ]


def _conf_name(path: Path) -> str:
    from utils.conf import ConfError
    from utils.results import ResultError, result_path

    try:
        result_path(path, path.stem)
        if "@" in path.stem:  # NAME@N are the later results of conf NAME
            raise ResultError
    except ResultError:
        raise ConfError(str(path), "no_name") from None
    return path.stem


def _say(given: argparse.Namespace, text: str) -> None:
    if not given.quiet:
        print(text)


def _refuse(error: object) -> int:
    print(error, file=sys.stderr)
    return 2


def _fail(error: OSError) -> int:
    print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
    return 1


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"expected 1 to 1000, found {text}")
    return value


def _folds(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 5:
        raise argparse.ArgumentTypeError(f"expected 1 to 5, found {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
