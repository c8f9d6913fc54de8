"""DP-SGD (Abadi et al. 2016, algorithm 1), https://arxiv.org/abs/1607.00133: weights that hardly tell whether a client
has an example. Gradients of single examples are opacus's.

Each step draws every example with the same chance, independently (Poisson): one over the steps of a pass, of which
there are as many as plain SGD makes. Neighbours differ by one example, added or removed. Epsilon is told of the client
that loses most, as if it took part in every round: who takes part is no secret, so nothing is gained by that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from utils.federated import privacy
from utils.federated.privacy import Keys
from utils.parts import ConfError
from utils.refusal import said

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.federated.local import Start

ABOUT = (
    "differential privacy of examples: each one's gradient clipped, noise added to their sum",
    "样本级差分隐私：裁剪每个样本的梯度，并在其和上加噪声",
)
PACKAGES = ("dp_accounting", "opacus")
PROTECTS = True
NEEDS = {"rounds": ("synchronous",)}  # in which nobody trains twice
REFUSES = {"strategy": ("dp_fedavg",), "link": ("local_dp",)}  # one epsilon a run
RELATION = "add or remove one example"
TEXTS = privacy.texts(RELATION, "增加或去掉一个样本")


class Local:
    """Steps along (sum of g * min(1, C / |g|) + N(0, (z C)²)) / the examples expected in a batch."""

    def __init__(self, keys: Keys, start: Start) -> None:
        self._keys = keys
        self._each: dict[nn.Parameter, torch.Tensor] = {}  # gradients of single examples (n, *shape)
        self._hooks: list[Any] = []

    def prepare(self, net: nn.Module) -> None:
        """Have the layers give gradients of single examples, by what opacus knows of each kind. Its own hooks bear no
        output that is changed in place, as those of ResNets are, and pictures whose channels come last it takes for
        others.
        """
        from opacus.grad_sample import GradSampleModule

        for layer in net.modules():
            if any(True for _ in layer.parameters(recurse=False)):
                hook = partial(self._passed, GradSampleModule.GRAD_SAMPLERS[type(layer)])
                self._hooks.append(layer.register_forward_hook(hook))

    def _passed(
        self, sampler: Any, layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        import torch

        # Of a picture of one pixel `contiguous` would leave the order as it is.
        given = [one.detach().clone(memory_format=torch.contiguous_format) for one in inputs]

        def back(gradient: torch.Tensor) -> None:
            found = sampler(layer, given, gradient * len(gradient))  # the loss is a mean
            for parameter, each in found.items():
                before = self._each.get(parameter)
                self._each[parameter] = each.float() if before is None else before + each.float()

        output.register_hook(back)  # type: ignore[no-untyped-call]

    def release(self, net: nn.Module) -> None:
        """Leave it as it was."""
        for hook in self._hooks:
            hook.remove()

    def batches(self, count: int, conf: Conf, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Each example with its chance, independently."""
        import numpy as np

        steps = math.ceil(count / conf.batch_size)
        self._rng, self._expected = rng, count / steps
        for _ in range(conf.local_epochs * steps):
            yield np.flatnonzero(rng.random(count) < 1 / steps)

    def gradients(self, net: nn.Module) -> None:
        """Clip, add up, cover with noise; of an empty batch noise is all there is."""
        import torch

        clip, shares = self._keys.clip, None
        if self._each:
            norms = torch.stack([one.flatten(1).norm(dim=1) for one in self._each.values()]).norm(dim=0)
            shares = (clip / norms).clamp(max=1.0)  # of a gradient of no length it is 1
        for parameter in net.parameters():
            found = torch.zeros_like(parameter)
            if shares is not None and parameter in self._each:
                found += torch.tensordot(shares, self._each[parameter], 1)
            if self._keys.noise:
                drawn = self._rng.normal(0.0, self._keys.noise * clip, tuple(parameter.shape))
                found += torch.from_numpy(drawn).to(found)
            parameter.grad = found / self._expected
        self._each.clear()


def epsilon(conf: Conf, sizes: Sequence[int], rounds: int) -> float:
    """Of so many rounds, the largest over clients."""
    keys: Keys = conf.local.keys
    passes = {math.ceil(size / conf.batch_size) for size in sizes if size}
    return max(
        (
            privacy.epsilon(
                keys.accountant, keys.noise, 1 / steps, rounds * conf.local_epochs * steps, keys.delta
            )
            for steps in passes
        ),
        default=0.0,
    )


spent, allowed = privacy.accounted("local", lambda conf: conf.local.keys, RELATION, epsilon)


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where examples have no gradients of their own."""
    import torch

    from utils.nets.build import shape_of

    privacy.check("local", "dp_sgd", conf.local.keys, conf, where)
    with torch.device("meta"):
        if any(isinstance(layer, torch.nn.RNNBase) for layer in shape_of(conf).modules()):
            found: Any = said("recurrent")
            raise ConfError(
                where,
                "needs",
                key="local",
                part="dp_sgd",
                other="network",
                what=said("not_recurrent"),
                found=found,
            )
