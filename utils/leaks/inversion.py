"""Gradient inversion: the inputs that would make a client send what it sent.

After Geiping et al. 2020, https://arxiv.org/abs/2003.14053: the attacker trains from inputs of its own as the client
would, and changes them until the update that comes of it has the direction of the one that came (cosine distance, plus
total variation of pictures), by Adam with the signs of the gradients, its step smaller after 3/8, 5/8 and 7/8 of the
iterations, and no value beyond what inputs can be. Of an update that a link coded only the values that are not 0 count:
a server sees what was left out. Where the network begins with a dense layer that has a bias, one
example's input is also worked out: dW_k / db_k of any unit k (Phong et al. 2018); what fits the update better counts.
Labels are taken as known; whether they could be read off the last layer's bias is told beside (iDLG, Zhao et al. 2020,
https://arxiv.org/abs/2001.02610).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from utils.conf import Conf
from utils.data.scaling import Scaled
from utils.leaks.sent import Sent
from utils.nets.build import shape_of
from utils.nets.layout import Layout, pieces, write_weights
from utils.tasks import classes_of, inputs_of

STEP = 0.1
VARIATION = 0.05 / 64**2
"""The weight of total variation a pixel: neighbours are the more alike the more pixels a picture has (chosen on drawn
pictures of 64 x 64, where 0.02 to 0.1 in all did as well, and digits of 8 x 8)."""
DROPS = (3 / 8, 5 / 8, 7 / 8)
FITS = 1e-6
"""A distance that rounding to float32 leaves: there is nothing more to look for."""
WIDEST = 10.0
"""How many standard deviations from the mean of its column the attacker takes a number to be at most."""
Given = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Found:
    """What the attacker makes of an update: `inputs` (b, ...) in its own terms (`Terms`), how far the update that they
    would make is from the one that came (cosine distance, 0..2), and whether they were worked out.
    """

    inputs: torch.Tensor
    distance: float
    exact: bool


@dataclass(frozen=True)
class Terms:
    """In what the attacker looks for inputs: pictures in 0..1, or numbers in standard deviations of their column; what
    the network is `given` of those, and the way `back`.
    """

    pictures: bool
    low: float
    high: float
    given: Given
    back: Given

    @classmethod
    def of(cls, conf: Conf, net: nn.Module) -> Terms | None:
        """Those of a task; None where its inputs are tokens, which no gradient reaches."""
        if inputs_of(conf).tokens:
            return None
        task = conf.task.module
        if task.INPUT == "pixels":
            if not hasattr(task, "given"):
                return cls(True, 0.0, 1.0, _same, _same)
            return cls(True, 0.0, 1.0, lambda seen: task.given(seen, conf), _inverse(conf))
        if isinstance(net, Scaled):
            mean, spread = net.mean.clone(), net.spread.clone()
            given = lambda seen: seen * spread + mean  # noqa: E731
            return cls(False, -WIDEST, WIDEST, given, lambda inputs: (inputs - mean) / spread)
        return cls(False, -WIDEST, WIDEST, _same, _same)


def _same(inputs: torch.Tensor) -> torch.Tensor:
    return inputs


def _inverse(conf: Conf) -> Given:
    """From what the network is given back to pictures: `given` is affine in the channels of a pixel."""
    channels = inputs_of(conf).shape[0]
    probes = torch.cat([torch.zeros(1, channels), torch.eye(channels)])[:, :, None, None]
    seen = conf.task.module.given(probes, conf)[:, :, 0, 0].double()
    back = torch.linalg.inv((seen[1:] - seen[0]).T)

    def pictures(inputs: torch.Tensor) -> torch.Tensor:
        found = torch.einsum("oc,nchw->nohw", back, inputs.double() - seen[0][:, None, None])
        return found.float().clamp(0, 1)

    return pictures


class Attacker:
    """Who knows conf, weights and update. Safe in one thread; the same seed finds the same."""

    def __init__(self, sent: Sent) -> None:
        self.sent, self.conf = sent, sent.conf
        self.net = shape_of(sent.conf)
        write_weights(self.net, sent.weights)
        self.layout = Layout.of(self.net)
        several = len(sent.inputs) > 1
        self.net.train(several)
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):  # what was dropped the attacker cannot know
                module.eval()
        self.terms = Terms.of(sent.conf, self.net)
        self.parameters = dict(self.net.named_parameters())
        self._came = [piece.clone() for piece in pieces(self.net, sent.difference)]
        self._norm = _length(self._came)
        self._is_coded = bool(sent.conf.link) and hasattr(sent.conf.link[-1].module.Link, "encode")

    @property
    def truth(self) -> torch.Tensor:
        """The inputs that it looks for (b, ...), in its own terms."""
        assert self.terms is not None
        return self.terms.back(self.sent.inputs)

    def invert(self, iterations: int, rng: np.random.Generator) -> Found:
        """The inputs that fit best, after so many iterations from one random start."""
        assert self.terms is not None
        found = []
        if (worked_out := self.worked_out()) is not None:
            boxed = worked_out.clamp(self.terms.low, self.terms.high)
            found.append(Found(boxed, self._off(boxed), True))
            if found[0].distance < FITS:
                return found[0]
        shape = tuple(self.sent.inputs.shape)
        first = rng.random(shape) if self.terms.pictures else 0.1 * rng.standard_normal(shape)
        guess = torch.from_numpy(first.astype(np.float32)).requires_grad_()
        adam = torch.optim.Adam([guess], STEP)
        drops = [int(share * iterations) for share in DROPS]
        falling = torch.optim.lr_scheduler.MultiStepLR(adam, drops, 0.1)
        for _ in range(iterations):
            loss = self.distance(guess)
            if self.terms.pictures:
                loss = loss + VARIATION * guess[0, 0].numel() * _variation(guess)
            (guess.grad,) = torch.autograd.grad(loss, guess)
            guess.grad.sign_()
            adam.step()
            falling.step()
            with torch.no_grad():
                guess.clamp_(self.terms.low, self.terms.high)
        found.append(Found(guess.detach(), self._off(guess.detach()), False))
        return min(found, key=lambda one: one.distance)

    def _off(self, guess: torch.Tensor) -> float:
        return float(self.distance(guess).detach())

    def distance(self, guess: torch.Tensor) -> torch.Tensor:
        """One less the cosine of the update that `guess` would make with the one that came."""
        assert self.terms is not None
        made = self._trained(self.terms.given(guess))
        if self._is_coded:
            made = [one * (came != 0) for one, came in zip(made, self._came, strict=True)]
        inner = sum((a * b).sum() for a, b in zip(made, self._came, strict=True))
        return 1 - inner / (_length(made) * self._norm + 1e-20)

    def _trained(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """By how much SGD would change each parameter, as `utils.federated.client` has it: all examples in a batch."""
        conf, lr = self.conf, self.sent.lr
        start: list[torch.Tensor] = list(self.parameters.values())
        now, velocity = start, [torch.zeros(())] * len(start)
        for _ in range(conf.local_epochs):
            outputs = functional_call(self.net, dict(zip(self.parameters, now, strict=True)), (inputs,))
            loss = _loss(self.net, outputs, self.sent.targets)
            gradients = torch.autograd.grad(loss, now, create_graph=True)
            gradients = tuple(g + conf.weight_decay * w for g, w in zip(gradients, now, strict=True))
            velocity = [conf.momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
            now = [w - lr * v for w, v in zip(now, velocity, strict=True)]
        return [b - a for a, b in zip(start, now, strict=True)]

    def worked_out(self) -> torch.Tensor | None:
        """The input (1, ...) in the attacker's terms where the network begins with a dense layer that has a bias, and
        one example was trained on; None elsewhere, or where that layer did not change.
        """
        if len(self.sent.inputs) != 1 or (place := self._first_dense()) is None:
            return None
        return exact_input(self._came[place], self._came[place + 1], self._dense_input)

    def _dense_input(self, features: torch.Tensor) -> torch.Tensor:
        """A dense layer's inputs (1, n) in the attacker's terms: what `Scaled` makes of them are those already."""
        assert self.terms is not None
        inputs = features.view(self.sent.inputs.shape)
        return inputs if isinstance(self.net, Scaled) else self.terms.back(inputs)

    def _first_dense(self) -> int | None:
        """Which parameter is the weight of a dense layer that gets the inputs as they are, its bias being the next."""
        name, _ = next(iter(self.parameters.items()))
        layer = self.net.get_submodule(name.rpartition(".")[0])
        whole = int(np.prod(inputs_of(self.conf).shape))
        if not isinstance(layer, nn.Linear) or layer.bias is None or layer.in_features != whole:
            return None
        return 0

    def label_told(self) -> float | None:
        """Of one example, whether the class whose bias in the last layer grew most is its own (1 or 0); None where that
        says nothing: several examples, no such bias, or a number that is foretold.
        """
        classes = len(classes_of(self.conf))
        if len(self.sent.targets) != 1 or not classes or self._came[-1].shape != (classes,):
            return None
        return float(int(self._came[-1].argmax()) == int(self.sent.targets[0]))

    def seconds(self) -> float:
        """About how long an iteration takes on one core: from its arithmetic alone, so that it is the same anywhere."""
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            self.net(self.sent.inputs)
        once = 6 * counted.get_total_flops() / 1e10  # a gradient of a gradient is about six times forward
        return float(self.conf.local_epochs * (once + 3e-4 * len(self.parameters)))


def exact_input(weight: torch.Tensor, bias: torch.Tensor, shaped: Given = _same) -> torch.Tensor | None:
    """The input (1, n) of a dense layer whose weight (units, n) and bias (units,) one example changed by so much: of
    any unit that changed dW_k / db_k, here of the one that changed most. None where none did.
    """
    unit = int(bias.abs().argmax())
    return shaped((weight[unit] / bias[unit])[None]) if bias[unit] != 0 else None


def _loss(net: nn.Module, outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """As `utils.federated.client` has it."""
    if not wanted.is_floating_point():
        return F.cross_entropy(outputs, wanted)
    spread = net.target_spread if isinstance(net, Scaled) else 1.0
    return F.mse_loss(outputs[:, 0] / spread, wanted.float() / spread)


def _length(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.sqrt(sum((one**2).sum() for one in tensors) + torch.zeros(()))


def _variation(pictures: torch.Tensor) -> torch.Tensor:
    """Total variation of pictures (n, c, h, w): the mean difference of neighbours, across and down."""
    across, down = pictures.diff(dim=-1), pictures.diff(dim=-2)
    return across.abs().mean() + down.abs().mean()


def matched(found: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The pictures or rows found (b, ...) in the order in which they are nearest to the `truth` (b, ...): which example
    came first in a batch, nobody can know.
    """
    from scipy.optimize import linear_sum_assignment

    flat, of = (one.reshape(len(one), -1) for one in (found, truth))
    costs = ((of[:, None] - flat[None]) ** 2).sum(axis=2)
    return np.asarray(found[linear_sum_assignment(costs)[1]])
