"""Who is beside whom where there is no server, and how they mix what they have."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

GRAPHS = ("ring", "torus", "full", "random")
Edges = list[tuple[int, int]]


def edges_of(graph: str, nodes: int, rings: int = 2, rng: np.random.Generator | None = None) -> Edges:
    """The edges of a graph of so many nodes, each once, the smaller number first, in ascending order.

    `torus`: the most nearly square grid, closed in both directions (see `sides`); `random`: so many `rings`, each
    through all nodes in an order drawn, so it is connected and nodes have about twice as many neighbours.
    """
    if graph == "full":
        return [(a, b) for a in range(nodes) for b in range(a + 1, nodes)]
    pairs = list[tuple[int, int]]()
    if graph == "torus":
        height, width = sides(nodes)
        for node in range(nodes):
            row, column = divmod(node, width)
            pairs += [
                (node, row * width + (column + 1) % width),
                (node, (row + 1) % height * width + column),
            ]
    else:
        orders = [np.arange(nodes)]
        if graph == "random":
            rng = rng or np.random.default_rng(0)
            orders = [rng.permutation(nodes) for _ in range(rings)]
        for order in orders:
            pairs += [(int(a), int(b)) for a, b in zip(order, np.roll(order, -1), strict=True)]
    return sorted({(min(a, b), max(a, b)) for a, b in pairs if a != b})


def sides(nodes: int) -> tuple[int, int]:
    """Height and width of the most nearly square grid of so many nodes, the height no larger."""
    height = next(side for side in range(math.isqrt(nodes), 0, -1) if nodes % side == 0)
    return height, nodes // height


def mixing(edges: Edges, nodes: int, away: Collection[int] = ()) -> NDArray[np.float64]:
    """The mixing matrix W (nodes, nodes), symmetric, rows and columns summing to 1: Metropolis-Hastings weights (Xiao
    and Boyd 2004), 1 / (1 + the larger number of neighbours of the two); on a ring 1/3, a torus 1/5, a full graph 1/n.
    Who is `away` keeps what it has, and is nobody's neighbour.
    """
    mixed = np.zeros((nodes, nodes))
    here = [(a, b) for a, b in edges if a not in away and b not in away]
    degree = np.zeros(nodes, np.int64)
    for a, b in here:
        degree[a] += 1
        degree[b] += 1
    for a, b in here:
        mixed[a, b] = mixed[b, a] = 1 / (1 + max(degree[a], degree[b]))
    mixed[np.arange(nodes), np.arange(nodes)] = 1 - mixed.sum(axis=1)
    return mixed


def second(mixed: NDArray[np.float64]) -> float:
    """The second largest absolute eigenvalue of a mixing matrix: by so much distances from the mean shrink, at least,
    each time it is applied.
    """
    return float(np.sort(np.abs(np.linalg.eigvalsh(mixed)))[-2]) if len(mixed) > 1 else 0.0
