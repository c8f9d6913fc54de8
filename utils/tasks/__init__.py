"""Tasks: what is learnt, one file each.

A task's file says in `CLASSES` what is told apart, or in `UNIT` what the number is counted in that is foretold, in
`Keys` which flat keys a conf of it may have, in `NETWORK` what is trained where a conf names no network: a mapping of
keys that name one (`{"network": "mlp"}`), or a family of networks (`"resnet"`) of which a conf then has to name one. It
offers

- `open_examples(conf, data) -> Examples`: the set `conf.data` in the folder `data`; DataError where there is none,
- `outline(conf, data) -> Outline`: the same set in the same order, without its inputs,
- `for_training(inputs, conf, rng) -> Tensor`: what a network sees of stored inputs (n, ...) to learn from them,
- `for_judging(inputs, conf) -> [Tensor]`: what it sees to judge them; the mean of its answers counts,
- `input_shape(conf) -> (int, ...)`: the shape in which a network gets one example, without the n of a batch: numbers,
  (n,); a picture, (channels, height, width); a sequence, (steps,) or (steps, numbers),
- `input_tokens(conf) -> int`, where inputs are ids (int64) and no numbers (float32): how many different ones there are,
- `SCALED = True`, where inputs are features of different units: owners then agree on means and spreads before round 1
  (`utils.data.scaling`), of what is foretold as well where that is a number,
- `classes(conf) -> (str, ...)` and `unit(conf) -> str`, where these follow from the conf,
- `DATA`, where a package brings the examples: what this set is called, which is then the default of the key `data`,
- `COLUMNS`, where owners may have columns of the same examples (`utils.federated.rounds.columns`): ways to share them
  out by name, each the positions of every owner's columns in an input laid out flat, first those of the owner who has
  the labels,
- `AS_JUDGED`, where training shows its examples otherwise each time: keys of a conf with which it does not,
- `pictures(inputs, conf) -> Tensor` and `given(pictures, conf) -> Tensor`, where inputs are pictures (`INPUT` is
  "pixels") and a network is given something else: stored inputs as pictures (n, channels, height, width) in 0..1, and
  what is then given, differentiable,
- `as_judged(net, conf) -> Module`, from stored-like inputs of `judged_shape(conf)` called `INPUT` (`INPUT_SAYS` what
  they are) to logits, or to numbers (n, 1): the same judging in one piece, for ONNX; where the module names `further`
  outputs, to a tuple of these and them,
- `LEARNS`: a sentence for model cards, and `card(result, left_out)`: their input, output, limits and further sections,
- `told(result, left_out)`: what else the page of a run shows, as plain JSON by topic. `left_out` is the result of the
  run that judged the same recipe on a source left out of its training, None where there is none.
"""

from __future__ import annotations

from typing import Any, Protocol

from utils.nets.kinds import Signal
from utils.parts import Part, extended

__path__ = extended("task", __path__)


class OfTask(Protocol):
    """A conf, as far as what follows looks at it."""

    @property
    def task(self) -> Part:
        """The task and its keys."""


def classes_of(conf: OfTask) -> tuple[str, ...]:
    """The names of what the task of `conf` tells apart, in the order of their numbers; none where it foretells one."""
    task: Any = conf.task.module
    return tuple(task.classes(conf) if hasattr(task, "classes") else getattr(task, "CLASSES", ()))


def unit_of(conf: OfTask) -> str | None:
    """What the number is counted in that the task of `conf` foretells; None where it tells classes apart."""
    task: Any = conf.task.module
    return None if classes_of(conf) else str(task.unit(conf) if hasattr(task, "unit") else task.UNIT)


def inputs_of(conf: OfTask) -> Signal:
    """In what shape a network of the task gets an example, and how many tokens there are where it gets such."""
    task = conf.task.module
    tokens = task.input_tokens(conf) if hasattr(task, "input_tokens") else 0
    return Signal(tuple(task.input_shape(conf)), tokens)


def is_scaled(conf: OfTask) -> bool:
    """Whether owners agree on a scaling of the inputs before round 1."""
    return bool(getattr(conf.task.module, "SCALED", False))


def outputs_of(conf: OfTask) -> int:
    """How many numbers a network of the task gives an example: one logit a class, or what is foretold."""
    return len(classes_of(conf)) or 1
