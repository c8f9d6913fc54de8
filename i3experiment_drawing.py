#!/usr/bin/env python3
"""Draw the results in cache/ as interactive figures (Plotly pages) and CSV tables.

Exit status: 0 done, 1 failed while running, 2 bad arguments or results, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from utils.files import place
from utils.interrupt import until_interrupted

HERE = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    return until_interrupted(lambda: _draw(given), "interrupted; the same command draws all again")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw all runs in cache/, or a chosen few.")
    parser.add_argument("names", nargs="*", metavar="RUN", help="runs to draw, like conf_f10 (default: all)")
    parser.add_argument(
        "--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie (default cache/)"
    )
    parser.add_argument("--out", type=Path, default=HERE / "figures", metavar="DIR", help="default figures/")
    parser.add_argument(
        "--images", action="append", choices=("png", "svg"), default=[], help="pictures too; needs a Chromium"
    )
    return parser


def _draw(given: argparse.Namespace) -> int:
    from utils.results import ResultError, read_result, result_names, result_path

    results: dict[str, dict[str, Any]] = {}
    for name in given.names or result_names(given.cache):
        try:
            results[name] = read_result(result_path(given.cache, name))
        except ResultError as error:
            print(error, file=sys.stderr)
            if given.names:
                return 2
    if not results:
        print(f"{given.cache}: no results to draw; train some with i2main.py", file=sys.stderr)
        return 2

    # Only now: these take seconds to import.
    from utils.figures import draw
    from utils.studies import doubtful_ids

    try:
        written = draw(results, doubtful_ids(), given.out, given.images)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or given.out}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"{len(written)} files in {given.out}, open {given.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
