"""Attack the updates and the model of a run, and keep what was found.

python3 -m utils.leaks conf_digits_f10
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.files import place
from utils.interrupt import end_with_standard_input, until_interrupted

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    return until_interrupted(lambda: _measure(given), "interrupted, nothing written")


def _measure(given: argparse.Namespace) -> int:
    if given.tied:
        end_with_standard_input()
    import torch

    from utils.conf import ConfError
    from utils.data.examples import DataError
    from utils.federated import RunError
    from utils.leaks import LeaksError
    from utils.leaks.measure import in_words, report_of
    from utils.leaks.report import leaks_path, write_leaks
    from utils.nets.stored import ModelError
    from utils.partition.schemes import PartitionError
    from utils.report import write_log
    from utils.results import ResultError

    torch.set_num_threads(1)

    def tell(text: str) -> None:
        if given.report:
            given.report.mkdir(parents=True, exist_ok=True)
            write_log(given.report, "info", text)

    try:
        name, conf, model, fingerprint, trained = _asked(given)
        examples = conf.task.module.open_examples(conf, given.data)
        if fingerprint not in ("", examples.fingerprint):
            raise LeaksError(f"{given.data / conf.data}: not the examples that {name} was trained on")
        report = report_of(
            name, conf, examples, model, seconds=given.seconds, seed=given.seed, trained=trained, tell=tell
        )
        path = leaks_path(given.cache, name)
        write_leaks(path, report)
    except (ConfError, DataError, PartitionError, ResultError, ModelError, LeaksError) as error:
        print(error, file=sys.stderr)
        return 2
    except RunError as error:
        print(f"{given.run}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    if not given.quiet:
        print("\n".join([*in_words(report), f"{name}: {report['seconds']:.0f} s -> {path}"]))
    return 0


def _asked(given: argparse.Namespace) -> tuple[str, Conf, Vector | None, str, str]:
    """Name, conf, final model, fingerprint of the examples and when it was trained of what was named: a run, or a conf
    of which there is none.
    """
    from utils.conf import load_conf
    from utils.leaks import LeaksError
    from utils.leaks.report import leaks_path
    from utils.nets.layout import read_weights
    from utils.nets.stored import load_model
    from utils.results import result_path

    if given.run.endswith(".json"):
        path = Path(given.run)
        leaks_path(given.cache, path.stem)
        if result_path(given.cache, path.stem).exists():
            raise LeaksError(f"{path}: there is a run {path.stem}, which is asked for by that name")
        return path.stem, load_conf(path), None, "", ""
    result, conf, net = load_model(given.cache, given.run)
    return given.run, conf, read_weights(net), result["data"]["fingerprint"], str(result.get("finished", ""))


def _seed(text: str) -> int:
    """A whole number that generators take."""
    seed = int(text)
    if not 0 <= seed < 2**31:
        raise argparse.ArgumentTypeError(f"expected 0 to 2147483647, found {text[:40]}")
    return seed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m utils.leaks", description="What do updates and model of a run give away?"
    )
    parser.add_argument(
        "run", metavar="NAME", help="a run in cache/, or a conf, FILE.json: of that updates alone"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=80.0,
        metavar="S",
        help="about how long the inversion may take on one core (default 80)",
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="chooses examples and starts (default 0)"
    )
    parser.add_argument(
        "--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie (default cache/)"
    )
    parser.add_argument(
        "--data", type=Path, default=place("data"), metavar="DIR", help="where sets lie (default data/)"
    )
    parser.add_argument("--quiet", action="store_true", help="errors only")
    for_programs = parser.add_argument_group("for programs that start this one")
    for_programs.add_argument(
        "--report", type=Path, metavar="DIR", help="write DIR/log.jsonl while it goes on"
    )
    for_programs.add_argument(
        "--tied", action="store_true", help="stop when standard input ends, as at Ctrl-C"
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"expected 0.1 to 100000, found {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
