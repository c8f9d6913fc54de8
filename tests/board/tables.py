"""Examples of the small task; not a test."""

import numpy as np


def small(path, seed, count=30):
    """Write a table of the task `small`; returns its path."""
    values = np.random.default_rng(seed).uniform(-1, 1, (count, 3)).round(4)
    lines = [f"{a},{b},{c},{'yes' if a + b > 0 else 'no'}" for a, b, c in values]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    return path
