"""Judge a folder of photos.

python3 -m utils.forecast FOLDER -o FILE.csv
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from pathlib import Path

from utils.files import place
from utils.interrupt import until_interrupted

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    import torch
    from tqdm import tqdm

    from utils.files import atomic_write
    from utils.forecast.predictor import Predictor, read_photo
    from utils.nets.stored import ModelError
    from utils.photos.cleaning import MAX_BYTES, Refused
    from utils.results import ResultError

    torch.set_num_threads(1)
    if not given.folder.is_dir():
        print(f"{given.folder}: not a folder", file=sys.stderr)
        return 2
    try:
        predictor = Predictor.load(given.cache, given.model)
    except (ResultError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("file", "answer", "probability_sunny", "strangeness", "refused"))
    files = sorted(path for path in given.folder.rglob("*") if path.is_file() and not path.is_symlink())
    refused = 0
    for path in tqdm(files, unit="photo", disable=None):
        name = str(path.relative_to(given.folder))
        try:
            if path.stat().st_size > MAX_BYTES:
                raise Refused("too large")
            said = predictor.judge(read_photo(path.read_bytes()))
        except (Refused, OSError) as error:
            reason = error.reason if isinstance(error, Refused) else f"cannot be read ({error.strerror})"
            rows.writerow((name, "", "", "", reason))
            refused += 1
        else:
            rows.writerow((name, said.answer, f"{said.probability:.4f}", f"{said.strangeness:.3f}", ""))
    try:
        with atomic_write(given.out) as file:
            file.write(table.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        print(f"{error.filename}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    print(f"{given.model}: {len(files) - refused} judged, {refused} refused -> {given.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m utils.forecast", description="Judge a folder of photos."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--model", default="conf_f10", metavar="RUN", help="default conf_f10")
    parser.add_argument(
        "--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie (default cache/)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(until_interrupted(main, "interrupted, nothing written"))
