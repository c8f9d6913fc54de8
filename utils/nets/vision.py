"""The one place that imports torchvision.

A torchvision wheel built for CUDA cannot load its compiled operators beside a CPU-only torch, and its import
then fails on two operators SkyFed never calls. Declaring their schemas lets the import pass; where the
operators are there (a matching build), nothing is touched.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_UNUSED_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []


def torchvision_models() -> ModuleType:
    """`torchvision.models`, on any pairing of torch and torchvision builds."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _UNUSED_OPERATORS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("torchvision.models")
