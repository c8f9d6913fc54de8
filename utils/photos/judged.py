"""A network of photos as the laboratory judges with it, in one piece: for the forecast, and for other programs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from utils.conf import Conf
from utils.photos.transforms import MEAN, OPPONENT, STD, views
from utils.tasks import outputs_of


class AsJudged(nn.Module):
    """Pixels (n, 3, s, s), RGB in 0..1, to logits (n, outputs); s is the `judged_side` of the conf's task.

    In the colours that the network is given, and the mean over `transforms.views`.
    """

    def __init__(self, net: nn.Module, conf: Conf) -> None:
        super().__init__()
        self.net, self.keys, self.outputs = net, conf.task.keys, outputs_of(conf)
        mean, std, matrix = torch.zeros(3), torch.ones(3), torch.tensor(OPPONENT)
        if self.keys.colours == "rgb":
            mean, std, matrix = torch.tensor(MEAN), torch.tensor(STD), torch.eye(3)
        self.register_buffer("matrix", (matrix / std[:, None]).view(3, 3, 1, 1))
        self.register_buffer("offset", -mean / std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        inputs = F.conv2d(pixels, self.get_buffer("matrix"), self.get_buffer("offset"))
        seen = views(inputs, self.keys.image_size, self.keys.judging)
        logits: torch.Tensor = self.net(torch.cat(seen))  # at once, so that ONNX holds the network once
        return logits.view(len(seen), -1, self.outputs).mean(0)
