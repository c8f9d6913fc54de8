"""The tables that lie in scikit-learn's package, read without importing it: that takes a second and 120 MB."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError


def table(file: str, header: int) -> NDArray[np.float64]:
    """Rows and columns of `sklearn/datasets/data/<file>` after `header` lines.

    Raises DataError, one line, where the package is not there or has it no more.
    """
    spec = importlib.util.find_spec("sklearn")
    places = spec.submodule_search_locations if spec else None
    path = Path(places[0] if places else "sklearn") / "datasets" / "data" / file
    try:
        raw = path.read_bytes()
        lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()[header:]
        return np.array([[float(cell) for cell in line.replace(",", " ").split()] for line in lines])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}); requirements.txt names scikit-learn"
        ) from None
