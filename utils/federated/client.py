"""What a client does with a job, wherever it runs. It sees its own examples only, and keeps nothing but what its local
part remembers (`utils.federated.kept`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from utils.conf import Conf
from utils.data.scaling import Scaled
from utils.federated.clock import NO_LABEL, UNSURE
from utils.federated.held import HELD, OWN, answered
from utils.federated.kept import Memory
from utils.federated.kept import read as recall
from utils.federated.kept import write as keep
from utils.federated.labels import HIDDEN, known, labelled_of
from utils.federated.links import Way
from utils.federated.local import Start
from utils.federated.update import (
    Answer,
    Buffers,
    Bytes,
    JudgeJob,
    Question,
    Reply,
    Skipped,
    TrainJob,
    Work,
    share_of,
)
from utils.nets import JUDGE_BATCH
from utils.nets.build import layout_of, shape_of
from utils.nets.layout import Layout, Vector, as_tensor, gather
from utils.parts import load
from utils.tasks import classes_of

CLIENT_STREAM = 1  # keeps the clients' random numbers apart from the server's
DRAWING_STREAM = 4  # of layers that draw, as dropout does


def train(job: TrainJob, work: Work, buffers: Buffers, device: torch.device) -> Reply:
    """Local training: `conf.local_epochs` passes of SGD with a fresh optimizer (McMahan et al. 2017, alg. 1).

    The examples of a pass are cut into batches as equal as possible and none larger than `conf.batch_size`, so
    no batch is a lone remainder. Where a batch is of one example after all, batch norm uses its running
    statistics, and dropout drops nothing. The result depends on job, work, buffers and what the client remembers alone;
    torch's global generator is left at what followed from them. Raises FloatingPointError when the loss is not finite,
    ValueError when there is no example, Skipped when there is no label.
    """
    conf, started = work.conf, time.perf_counter()
    sent, attack = vector(buffers[job.reads[0]]), _attack(conf, job.client)
    kept = _kept(conf, str(device))
    way, into = Way(conf, kept.layout), buffers.get(job.writes)
    own = conf.local.module
    if (
        into is None
        or way.links
        or attack
        or hasattr(own.Local, "finish")
        or memoryview(into).nbytes != sent.nbytes
    ):
        into = None
    if attack and hasattr(attack, "together"):
        friends = [client for client in range(conf.no_models) if attack.is_hostile(client, conf)]
        each = {  # of the others it knows the examples, and not what they remember
            client: _trained(
                job if client == job.client else replace(job, client=client, remembers=-1),
                work, buffers, device, attack,
            )
            for client in friends
        }  # fmt: skip
        trained = each[job.client]
    elif attack and hasattr(attack, "copies"):
        other = replace(job, client=attack.copies(conf), remembers=-1)
        trained = _trained(other, work, buffers, device, None)
    elif attack and not getattr(attack, "TRAINS", True):
        trained = _idle(job, work, sent, kept.layout)
    else:
        trained = _trained(job, work, buffers, device, attack, into)
    weights, samples, cut = trained.weights, trained.samples, kept.layout.trained
    if attack and (hasattr(attack, "together") or hasattr(attack, "weights")):
        if hasattr(attack, "together"):
            of_all = np.stack([one.weights[:cut] for one in each.values()])
            given = attack.together(of_all, sent[:cut], trained.rng)
        else:
            given = attack.weights(weights[:cut], sent[:cut], trained.rng)
        weights = np.concatenate([np.asarray(given, np.float32), weights[cut:]])
    payload: Bytes
    memory = trained.memory
    if into is not None:
        payload = into
    else:
        way.join(job.client, work.home, buffers)
        payload, left = way.pack(weights, sent, samples, trained.rng, trained.before)
        memory = memory | left
        if trained.told is not None:
            payload = bytes(payload) + trained.told.tobytes()
    if work.home:
        keep(work.home, job.client, job.round, memory, job.remembers)
    metrics = {**trained.metrics, "seconds": time.perf_counter() - started}
    return Reply(job.client, payload, samples, metrics)


@dataclass(frozen=True)
class _Trained:
    """What came of a client's training: weights (layout.size,), what it tells the server's half of its local part, what
    it measured, its generator as training left it, what it remembered `before` and what its local part remembers now,
    and from how many examples it learnt.
    """

    weights: Vector
    told: Vector | None
    metrics: dict[str, float]
    rng: np.random.Generator
    before: Memory
    memory: Memory
    samples: int


def _trained(
    job: TrainJob, work: Work, buffers: Buffers, device: torch.device, attack: Any, into: Bytes | None = None
) -> _Trained:
    """Train a client; `attack` may show it other examples. The weights lie in `into` where that is given."""
    conf, mine = work.conf, work.shares[share_of(job.client)]
    if not len(mine):
        raise Skipped(NO_LABEL) if conf.labels < 1 else ValueError("it has no example to train on")
    rng, kept, own = np.random.default_rng(_stream(job, work)), _kept(conf, str(device)), conf.local.module
    if work.owned and any(getattr(part.module, "PROTECTS", False) for part in (conf.local, *conf.link)):
        rng = np.random.default_rng()
    drawing = np.random.SeedSequence([DRAWING_STREAM, work.seed, job.round, job.client])
    _seed(int(drawing.generate_state(1, np.uint64)[0]), device)
    sent, layout = vector(buffers[job.reads[0]]), kept.layout
    memory = recall(work.home, job.client, job.remembers) if work.home else {}
    told = vector(buffers["told"]) if "told" in job.reads else None
    local = own.Local(conf.local.keys, Start(sent, layout, job.lr, job.weight, memory, told))
    learnt, found = _learnt(local, job, work, buffers, device, attack)
    begun = local.begin(sent) if hasattr(local, "begin") else sent
    if hasattr(local, "prepare"):
        local.prepare(kept.net)
    try:
        steps, loss = learnt.learn(kept, begun, local.gradients, rng, getattr(local, "batches", None))
    finally:
        if hasattr(local, "release"):
            local.release(kept.net)
    weights = np.empty_like(sent) if into is None else np.frombuffer(into, np.float32)
    as_tensor(weights).copy_(kept.weights)
    if hasattr(local, "finish"):

        def again(weights: Vector, gradients: Any) -> Vector:
            learnt.learn(kept, weights, gradients, np.random.default_rng([*_stream(job, work), 1]))
            return kept.weights.cpu().numpy().copy()

        weights = local.finish(weights, steps, again)
    remembered = local.memory if getattr(own, "KEEPS", False) else {}
    metrics = {"steps": float(steps)} | ({} if loss is None else {"loss": loss}) | found
    told = getattr(local, "told", None)
    return _Trained(weights, told, metrics, rng, memory, remembered, len(learnt.mine))


def _learnt(
    local: Any, job: TrainJob, work: Work, buffers: Buffers, device: torch.device, attack: Any
) -> tuple[_Learnt, dict[str, float]]:
    """What a client learns from. Of those whose label it does not know: how many it was asked about, how many it gave
    a label, and how many of these are right, which is measured behind its back. Raises Skipped where nothing is left.
    """
    mine, targets = work.shares[share_of(job.client)], known(work, job.client)
    if not hasattr(local, "taught"):
        return _Learnt(work, mine, targets, job.lr, attack, device), {}
    places, taken = local.taught(Asked(job, work, _inputs(work.store)[mine], targets, buffers, device))
    if not len(places):
        raise Skipped(UNSURE)
    own = targets[places] == HIDDEN
    learnt = _Learnt(work, mine[places], taken, job.lr, attack, device, own, local.shown)
    if labelled_of(job.client) not in work.shares:
        return learnt, {}
    right = (taken == work.targets[mine[places]])[own].sum()
    unknown = (targets == HIDDEN).sum()
    return learnt, {"asked": float(unknown), "labelled": float(own.sum()), "right": float(right)}


def _idle(job: TrainJob, work: Work, sent: Vector, layout: Layout) -> _Trained:
    """What a client has that trains nothing and says it did: what it was sent, and what it remembered before."""
    conf, samples = work.conf, len(work.shares[share_of(job.client)])
    if not samples:
        raise Skipped(NO_LABEL) if conf.labels < 1 else ValueError("it has no example to train on")
    memory = recall(work.home, job.client, job.remembers) if work.home else {}
    told = np.zeros(layout.trained, np.float32) if getattr(conf.local.module, "TELLS", False) else None
    steps = conf.local_epochs * math.ceil(samples / conf.batch_size)
    rng = np.random.default_rng(_stream(job, work))
    return _Trained(sent, told, {"steps": float(steps)}, rng, memory, memory, samples)


def _stream(job: TrainJob, work: Work) -> list[int]:
    return [CLIENT_STREAM, work.seed, job.round, job.client]


def _attack(conf: Conf, client: int) -> Any:
    """The attack of a client that is hostile; None of others."""
    if conf.attack is None:
        return None
    attack = conf.attack.module.Attack(conf.attack.keys)
    return attack if attack.is_hostile(client, conf) else None


@dataclass(frozen=True)
class _Learnt:
    """What a client learns from: its examples (indices) and what it takes them for, as an attack has them, and the
    learning rate; of which it gave the class itself (n,), and how a batch with such ones is shown.
    """

    work: Work
    mine: NDArray[np.int64]
    targets: NDArray[Any]
    lr: float
    attack: Any
    device: torch.device
    own: NDArray[np.bool_] | None = None
    shown: Any = None

    def learn(
        self, kept: _Kept, start: Vector, gradients: Any, rng: np.random.Generator, own: Any = None
    ) -> tuple[int, float | None]:
        """Train the network in `kept` from `start`, in batches of a part's `own` where it has some; returns the number
        of steps and the mean loss, None where no example came into a batch.
        """
        conf, net, attack, mine = self.work.conf, kept.net, self.attack, self.mine
        targets, inputs_of = self.targets, _inputs(self.work.store)
        if attack and hasattr(attack, "targets"):
            targets = attack.targets(targets, len(classes_of(conf)))
        poisons = attack and hasattr(attack, "examples")
        kept.weights.copy_(as_tensor(start))
        kept.forget()
        kept.optimizer.param_groups[0]["lr"] = self.lr
        steps, seen, loss_sum = 0, 0, 0.0
        for batch in (own or passes)(len(mine), conf, rng):
            if net.training != (several := own is not None or len(batch) > 1):
                net.train(several)
            kept.let_go_of_gradients()
            if len(batch):
                inputs = conf.task.module.for_training(inputs_of[mine[batch]], conf, rng)
                if self.own is not None and self.own[batch].any():
                    inputs = self.shown(inputs, self.own[batch], rng)
                wanted = targets[batch]
                if poisons:
                    inputs, wanted = attack.examples(inputs, wanted, rng)
                outputs = _forward(net, inputs, self.device)
                loss = _loss(net, outputs, torch.from_numpy(wanted).to(self.device))
                loss.backward()  # type: ignore[no-untyped-call]
                loss_sum += loss.item() * len(batch)
                if not math.isfinite(loss_sum):
                    raise FloatingPointError(f"training loss is not finite at learning rate {self.lr:g}")
            gradients(net)
            kept.optimizer.step()
            steps += 1
            seen += len(batch)
        return steps, loss_sum / seen if seen else None


def passes(count: int, conf: Conf, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Which of so many examples each step learns from: all of them once a pass, in another order every time."""
    for _ in range(conf.local_epochs):
        yield from np.array_split(rng.permutation(count), math.ceil(count / conf.batch_size))


def keeps(conf: Conf) -> bool:
    """Whether a client has to remember something from round to round."""
    return bool(getattr(conf.local.module, "KEEPS", False)) or Way(conf, layout_of(conf)).keeps


def judge(job: JudgeJob, work: Work, buffers: Buffers, device: torch.device) -> NDArray[np.float32]:
    """Logits (n, classes) or numbers (n, 1) of a piece of a share, deterministic: the mean over what the task shows of
    each example.
    """
    conf = work.conf
    inputs_of, kept = _inputs(work.store), _kept(conf, str(device))
    kept.forget()
    weights = vector(buffers[job.reads[0]])
    if job.client >= 0:
        memory = recall(work.home, job.client, job.remembers)
        weights = conf.local.module.personal(weights, memory, kept.layout)
    attack = conf.attack.module.Attack(conf.attack.keys) if job.attacked and conf.attack else None
    kept.weights.copy_(as_tensor(weights))
    net = kept.net.eval()
    judged = np.array_split(work.shares[job.share], job.pieces)[job.piece]
    parts = []
    with torch.inference_mode():
        for start in range(0, len(judged), JUDGE_BATCH):
            seen = conf.task.module.for_judging(inputs_of[judged[start : start + JUDGE_BATCH]], conf)
            if attack and hasattr(attack, "shown"):
                seen = [attack.shown(view) for view in seen]
            parts.append(torch.stack([_forward(net, view, device) for view in seen]).mean(0))
    return torch.cat(parts).float().cpu().numpy()


def answer(question: Question, work: Work, buffers: Buffers, device: torch.device) -> Answer:
    """What the part that asks makes of the client's examples: `ANSWERS[name](Asked) -> bytes` of its file."""
    if question.family == OWN:
        how = {HELD: answered}[question.name]
    else:
        how = load(question.family, question.part).ANSWERS[question.name]
    mine = work.shares[share_of(question.client)]
    targets = work.targets[mine] if question.family == OWN else known(work, question.client)
    read = {name: buffers[name] for name in question.reads}
    asked = Asked(question, work, _inputs(work.store)[mine], targets, read, device)
    return Answer(question.client, how(asked))


class Asked:
    """A question, or a job, where it is answered: the client's inputs (n, ...) and targets (n,), -1 where it does not
    know them, and the buffers it reads.
    """

    def __init__(
        self,
        question: Question | TrainJob,
        work: Work,
        inputs: Any,
        targets: Any,
        buffers: Buffers,
        device: torch.device,
    ) -> None:
        self.question, self.work, self.buffers = question, work, buffers
        self.inputs, self.targets, self.device = inputs, targets, device

    def logits(self, weights: Bytes) -> NDArray[np.float32]:
        """Outputs (n, outputs) of the client's examples by the network with these weights."""
        job = JudgeJob(share_of(self.question.client), 0, 1, ("weights",))
        return judge(job, self.work, {"weights": weights}, self.device)


def vector(buffer: Bytes) -> Vector:
    """A buffer of weights as a vector, not copied, and not to be changed: others read it too."""
    found = np.frombuffer(buffer, np.float32)
    found.flags.writeable = False
    return found


def _loss(net: nn.Module, outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of logits (n, classes); of numbers (n, 1) the mean squared error, in shares of their
    variance where the owners agreed on that.
    """
    if not wanted.is_floating_point():
        return F.cross_entropy(outputs, wanted)
    spread = net.target_spread if isinstance(net, Scaled) else 1.0
    return F.mse_loss(outputs[:, 0] / spread, wanted.float() / spread)


def _forward(net: nn.Module, inputs: torch.Tensor, device: torch.device) -> torch.Tensor:
    on_gpu = device.type == "cuda"
    inputs = inputs.to(device, memory_format=torch.channels_last) if inputs.dim() == 4 else inputs.to(device)
    # Even what autocast does where it is off takes as long as a small layer.
    with torch.autocast(device.type, dtype=torch.bfloat16) if on_gpu else nullcontext():
        outputs: torch.Tensor = net(inputs)
    return outputs.float()


def _seed(seed: int, device: torch.device) -> None:
    """Seed torch's generator of this device: all others too, as `torch.manual_seed` does, takes longer than a step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@dataclass(frozen=True)
class _Kept:
    """A network of some shape and its optimizer, used from job to job: every job first writes all that they hold.

    The weights of the network lie in the one vector `weights`.
    """

    net: nn.Module
    parameters: list[nn.Parameter]
    weights: torch.Tensor
    layout: Layout
    optimizer: torch.optim.SGD

    def forget(self) -> None:
        """Let go of what training kept beside the weights."""
        self.optimizer.state.clear()
        self.let_go_of_gradients()

    def let_go_of_gradients(self) -> None:
        """As the optimizer's `zero_grad` does, in a tenth of its time."""
        for parameter in self.parameters:
            parameter.grad = None


@lru_cache(maxsize=4)
def _kept(conf: Conf, device: str) -> _Kept:
    net = shape_of(conf).to(device)
    parameters, weights = list(net.parameters()), gather(net)
    sgd = torch.optim.SGD(parameters, conf.lr, conf.momentum, weight_decay=conf.weight_decay)
    return _Kept(net, parameters, weights, Layout.of(net), sgd)


@lru_cache(maxsize=4)
def _inputs(store: str) -> NDArray[np.uint8]:
    return np.load(store, mmap_mode="r")  # type: ignore[no-any-return]
