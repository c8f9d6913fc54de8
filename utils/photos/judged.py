"""A network of photos as the laboratory judges with it, in one piece: for the forecast, and for other programs."""

from __future__ import annotations

import torch
from torch import nn

from utils.conf import Conf
from utils.photos.transforms import MEAN, STD, views
from utils.tasks import outputs_of


class AsJudged(nn.Module):
    """Pixels (n, 3, s, s), RGB in 0..1, to logits (n, outputs); s is the `judged_side` of the conf's task.

    Normalised by the fixed constants, and the mean over `transforms.views`.
    """

    def __init__(self, net: nn.Module, conf: Conf) -> None:
        super().__init__()
        self.net, self.keys, self.outputs = net, conf.task.keys, outputs_of(conf)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        inputs = (pixels - self.get_buffer("mean")) / self.get_buffer("std")
        seen = views(inputs, self.keys.image_size, self.keys.judging)
        logits: torch.Tensor = self.net(torch.cat(seen))  # at once, so that ONNX holds the network once
        return logits.view(len(seen), -1, self.outputs).mean(0)
