"""Membership inference: which examples a model was trained on, told by their loss.

Yeom et al. 2018, https://arxiv.org/abs/1709.01604: an example whose loss is below a threshold is said to be one of
them. Stronger attacks are known (LiRA, Carlini et al. 2022, https://arxiv.org/abs/2112.03570). The unit of evidence is
the scene, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from utils.comparison import MAX_BLOCKS, Estimate
from utils.federated.bench import Bench
from utils.federated.update import JudgeJob
from utils.nets.layout import Vector

FALSE_POSITIVES = 0.01
RESAMPLES = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Membership:
    """How well losses tell `members` (examples that were trained on) from `others`, how many there are and of how many
    scenes: the area under the curve (0.5: not at all, 1: all), and the share of members found where at most
    FALSE_POSITIVES of the others are said to be some.
    """

    auc: Estimate
    tpr: Estimate
    members: int
    others: int
    member_scenes: int
    other_scenes: int


def membership(bench: Bench, weights: Vector, seed: int) -> Membership:
    """Of a model with these `weights` (layout.size,): the examples of all clients against those held out.

    Those of the test, or with `train_on`, where that is another source, those of the validation. Raises RunError where
    outputs are not finite.
    """
    others = "val" if bench.conf.train_on and len(bench.shares.val) else "test"
    losses, scenes = [], []
    for share in ("held", others):
        losses.append(_losses(bench, share, weights))
        scenes.append([bench.examples.scenes[index] for index in bench.work.shares[share]])
    return told_apart(losses[0], losses[1], scenes[0], scenes[1], np.random.default_rng([seed, 1]))


def _losses(bench: Bench, share: str, weights: Vector) -> Floats:
    """Cross-entropy in nats (n,) of the examples of a share, or squared errors."""
    [outputs] = bench.engine.judge(
        bench.work, [JudgeJob(share, 0, 1, ("weights",))], {"weights": weights.data.cast("B")}
    )
    targets = torch.from_numpy(bench.targets(share))
    found = torch.from_numpy(outputs).double()
    if targets.is_floating_point():
        return np.asarray(((found[:, 0] - targets) ** 2).numpy())
    return np.asarray(F.cross_entropy(found, targets, reduction="none").numpy())


def told_apart(
    members: Floats,
    others: Floats,
    member_scenes: Sequence[str],
    other_scenes: Sequence[str],
    rng: np.random.Generator,
) -> Membership:
    """The losses of members (n,) against those of others (m,), with 95 % intervals over their scenes."""
    _, place = np.unique(np.concatenate([members, others]), return_inverse=True)
    places = np.split(place, [len(members)])
    blocks = [_blocks(scenes, rng) for scenes in (member_scenes, other_scenes)]
    value = _figures(places, [np.ones(len(members)), np.ones(len(others))])
    drawn = np.array([_figures(places, [_drawn(one, rng) for one in blocks]) for _ in range(RESAMPLES)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    auc, tpr = (Estimate(*map(float, one)) for one in zip(value, low, high, strict=True))
    return Membership(auc, tpr, len(members), len(others), len(set(member_scenes)), len(set(other_scenes)))


def _figures(places: Sequence[NDArray[np.int64]], weights: Sequence[Floats]) -> tuple[float, float]:
    """Area and share found, of losses by rank that count as often as `weights` say."""
    ranks = max(int(one.max()) for one in places) + 1
    found, wrong = (np.bincount(one, weight, ranks) for one, weight in zip(places, weights, strict=True))
    up_to, wrong_up_to = np.cumsum(found), np.cumsum(wrong)  # of whole numbers, so that nothing is rounded
    area = (wrong * (up_to - found / 2)).sum() / (up_to[-1] * wrong_up_to[-1])
    allowed = up_to[wrong_up_to <= FALSE_POSITIVES * wrong_up_to[-1]]
    return float(area), float(allowed[-1] / up_to[-1]) if len(allowed) else 0.0


def _blocks(scenes: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """The number of each example's scene (n,), or of the block that scenes are dealt to where they are very many."""
    names, numbers = np.unique(np.array(scenes), return_inverse=True)
    if len(names) > MAX_BLOCKS:
        numbers = (rng.permutation(len(names)) % MAX_BLOCKS)[numbers]
    return np.asarray(numbers)


def _drawn(blocks: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """How often each example counts when as many blocks are drawn as there are, with replacement."""
    count = int(blocks.max()) + 1
    return np.bincount(rng.integers(0, count, count), minlength=count)[blocks].astype(np.float64)
