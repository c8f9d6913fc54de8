"""Chooses batch size and learning rate of each conf on validation photos, from one small grid for all.

What a conf says of rounds, passes, `min_crop` and `judging` is tried as it stands: run again with other values to
compare them.

    python3 -m utils.studies.weather.tuning utils/conf_f10.json ...

For every conf and grid point, two folds (one for the full networks, which take ten times as long) are trained
with the first seed; the point with the lowest mean validation loss after the last round wins. Test photos are never
judged here. Every trial is written to the log as soon as it is measured, so a killed search goes on where it was, and
the log is the record of the choice.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from utils.conf import Conf, load_conf
from utils.data.examples import Examples
from utils.engines import Engine
from utils.engines.workers import Workers, usable_workers
from utils.experiment import train_only
from utils.federated.bench import Repeat, share_out
from utils.files import atomic_write

ROOT = Path(__file__).resolve().parents[3]
LOG = ROOT / "cache" / "tuning.csv"
GRID = [(10, 0.05), (10, 0.1)]  # batch size, learning rate
FOLDS = 2
TUNED = ("global_epochs", "local_epochs", "min_crop", "judging", "batch_size", "lr")
KEYS = ("conf", "photos", *TUNED, "fold")
COLUMNS = (*KEYS, "seed", "val_photos", "val_loss", "val_acc", "val_balanced_acc")


def trial(conf: Conf, fold: int, examples: Examples, engine: Engine) -> dict[str, float]:
    """Train one fold and judge its validation photos after the last round."""
    repeat = Repeat(fold, 0, 0)
    found = train_only(conf, repeat, examples, engine)
    return {
        "val_photos": len(share_out(conf, repeat, examples).val),
        "val_loss": found["loss"],
        "val_acc": found["accuracy"],
        "val_balanced_acc": found["balanced_accuracy"],
    }


def tune(paths: Iterable[Path], engine: Engine, side_by_side: int) -> None:
    """Run the trials that are not in the log yet."""
    rows = read_log()
    known = {tuple(row[key] for key in KEYS) for row in rows}
    with ThreadPoolExecutor(side_by_side) as pool:
        waiting = {}
        for path in paths:
            conf = load_conf(path)
            examples = conf.task.module.open_examples(conf, ROOT / "data")
            folds = 1 if conf.network.keys.width == 64 else FOLDS  # the full networks take ten times as long
            for batch_size, lr in GRID:
                for fold in range(folds):
                    own = conf.task.keys
                    passes = (str(conf.global_epochs), str(conf.local_epochs))
                    recipe = (*passes, str(own.min_crop), own.judging, str(batch_size), str(lr))
                    key = (path.stem, examples.fingerprint[:16], *recipe, str(fold))
                    if key not in known:
                        tried = dataclasses.replace(conf, batch_size=batch_size, lr=lr)
                        waiting[pool.submit(trial, tried, fold, examples, engine)] = key
        for future in as_completed(waiting):
            values = dict(zip(KEYS, waiting[future], strict=True))
            rows.append({**values, "seed": "0", **{k: f"{v:.6g}" for k, v in future.result().items()}})
            _write_log(rows)


def choices(rows: list[dict[str, str]]) -> dict[str, tuple[dict[str, str], float]]:
    """Per conf the point with the lowest validation loss, and that loss (mean over photos)."""
    best: dict[str, tuple[dict[str, str], float]] = {}
    for key in sorted({tuple(row[key] for key in ("conf", *TUNED)) for row in rows}):
        tried = [row for row in rows if tuple(row[name] for name in ("conf", *TUNED)) == key]
        photos = [float(row["val_photos"]) for row in tried]
        loss = float(np.average([float(row["val_loss"]) for row in tried], weights=photos))
        if key[0] not in best or loss < best[key[0]][1]:
            best[key[0]] = (dict(zip(TUNED, key[1:], strict=True)), loss)
    return best


def read_log() -> list[dict[str, str]]:
    """All trials so far."""
    if not LOG.exists():
        return []
    with LOG.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_log(rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(rows, key=lambda row: tuple(row[key] for key in KEYS)))
    with atomic_write(LOG) as file:
        file.write(text.getvalue().encode())


if __name__ == "__main__":
    workers = usable_workers()
    with Workers(workers) as pool_of_workers:
        tune([Path(argument) for argument in sys.argv[1:]], pool_of_workers, workers)
    for name, (point, loss) in choices(read_log()).items():
        print(f"{name}: {', '.join(f'{key} {v}' for key, v in point.items())}, validation loss {loss:.4f}")
