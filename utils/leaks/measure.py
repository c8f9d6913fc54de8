"""What updates and model of a run give away, in figures: the attacks of `utils.leaks`, with and without protections."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf, ConfError, make_conf
from utils.data.examples import Examples
from utils.engines.here import Here
from utils.federated import RunError
from utils.federated.bench import Bench, Repeat
from utils.federated.schedule import round_lr
from utils.leaks import CAVEAT, LeaksError
from utils.leaks.inversion import Attacker, Terms, matched
from utils.leaks.membership import Membership, membership
from utils.leaks.sent import FirstRound, attacked
from utils.nets.build import own_generator
from utils.nets.layout import Vector
from utils.packing import packed
from utils.parts import names, values_of
from utils.tasks import inputs_of

LEAST, MOST, MOST_UPDATES = 50, 1000, 5
SECONDS = 80.0
WIDE = 128  # pixels of a side that a report keeps
OWN, SMALL = "own", "small"
_RELU = {"kernel": 3, "padding": 1, "activation": "relu"}
SMALL_NETWORK = {
    "layers": [
        {"conv2d": 16, **_RELU},
        {"conv2d": 16, "stride": 2, **_RELU},
        {"conv2d": 32, "stride": 2, **_RELU},
        {"flatten": True},
    ]
}
"""Beside a run's own network: three convolutions without pooling, which give a picture away."""
SERIES = {
    "inversion_psnr": ("dB", "lower"),
    "inversion_error": ("sd", "higher"),
    "membership_auc": ("", "lower"),
    "membership_tpr": ("fraction", "lower"),
}
"""The figures of a repeat that a study may ask for: of the inputs that were found (pictures; else numbers), and of who
was told to be trained on. Unit and better direction, for whom the examples belong to.
"""


@dataclass(frozen=True)
class Protection:
    """What stands between an update and the server: changes of a conf, and what people call that."""

    name: str
    label: tuple[str, str]
    changes: Mapping[str, Any]


_ONE = {"batch_size": 1, "local_epochs": 1, "link": []}


def protections(conf: Conf) -> list[Protection]:
    """Those that are tried of a run, each alone: an update of one example and one step is changed so. Clipped is to the
    length of a step by a gradient of norm 1. A link that is not there is left out; the run's own ones come last.
    """
    clip = round_lr(conf, 0)
    own = [part.as_json() for part in conf.link]
    found = [
        Protection("none", ("none", "无"), {}),
        Protection("clip", ("clipping", "裁剪"), _link("local_dp", clip=clip, noise=0.0)),
        Protection(
            "noise", ("clipping, noise 0.01", "裁剪，噪声 0.01"), _link("local_dp", clip=clip, noise=0.01)
        ),
        Protection("topk_10", ("top 10 %", "最大的 10 %"), _link("topk", share=0.1)),
        Protection("topk_1", ("top 1 %", "最大的 1 %"), _link("topk", share=0.01)),
        Protection("batch_4", ("batch of 4", "每批 4 个样本"), {"batch_size": 4}),
        Protection("passes_4", ("4 passes", "4 遍"), {"local_epochs": 4}),
        *([Protection("own", ("the run's own links", "该实验自己的传输环节"), {"link": own})] if own else []),
    ]
    known = names("link")
    return [
        one
        for one in found
        if one.name == "own" or all(link["name"] in known for link in one.changes.get("link", []))
    ]


def _link(name: str, **keys: Any) -> dict[str, Any]:
    return {"link": [{"name": name, **keys}]}


@dataclass(frozen=True)
class Inversion:
    """What came of attacks on some updates of one conf.

    `psnr` (dB, of pictures) or `error` (root mean square in standard deviations of a column) by update, each the mean
    over its examples; `guess` is the same of one who always says the mean of the held-out examples; `label_told` the
    share of updates whose label was told, `distance` the mean of what `Found` has, `exact` how many inputs were worked
    out.
    `original` and `found` are (b, c, h, w) of the first update, uint8, where examples may be shown.
    """

    updates: int
    examples: int
    passes: int
    iterations: int
    parameters: int
    psnr: list[float]
    error: list[float]
    guess: float
    label_told: float | None
    distance: float
    exact: int
    seconds: float
    original: NDArray[np.uint8] | None
    found: NDArray[np.uint8] | None


def invert(
    conf: Conf, repeat: Repeat, examples: Examples, seconds: float, seed: int = 0, most: int = MOST_UPDATES
) -> Inversion:
    """Attack updates of `conf`, each of one whole batch, for about so many seconds on one core: as many iterations as
    that allows, within LEAST and MOST, then as many updates, at most `most`.

    Raises LeaksError where there is nothing to attack.
    """
    started = time.perf_counter()
    if inputs_of(conf).tokens:
        raise LeaksError("inputs are tokens: no gradient reaches them")
    first = FirstRound(conf, repeat, examples)
    count, mine = conf.batch_size, np.random.default_rng([seed, 2]).permutation(first.mine)
    if len(mine) < count:
        raise LeaksError(f"no client has {count} examples")
    attackers = [Attacker(first.sent(mine[:count]))]
    each = attackers[0].seconds()
    iterations = int(np.clip(seconds / each, LEAST, MOST))
    updates = int(np.clip(seconds / (each * iterations), 1, min(most, len(mine) // count)))
    attackers += [Attacker(first.sent(mine[count * one : count * (one + 1)])) for one in range(1, updates)]
    found = [one.invert(iterations, np.random.default_rng([seed, 3, at])) for at, one in enumerate(attackers)]
    terms = attackers[0].terms
    assert terms is not None
    truths = [one.truth.numpy() for one in attackers]
    inputs = [matched(one.inputs.numpy(), truth) for one, truth in zip(found, truths, strict=True)]
    off = [_off(one, truth) for one, truth in zip(inputs, truths, strict=True)]
    mean = _mean_of_held_out(first, terms)
    score = _psnr if terms.pictures else _root
    scores = [float(np.mean(score(one))) for one in off]
    labels = [told for one in attackers if (told := one.label_told()) is not None]
    may_show = terms.pictures and all(
        examples.licences.get(examples.sources[index]) for index in mine[:count]
    )
    return Inversion(
        updates=updates, examples=count, passes=conf.local_epochs, iterations=iterations,
        parameters=attackers[0].layout.trained,
        psnr=scores if terms.pictures else [], error=[] if terms.pictures else scores,
        guess=float(np.mean([score(_off(mean, truth)).mean() for truth in truths])),
        label_told=float(np.mean(labels)) if labels else None, distance=float(np.mean([one.distance for one in found])),
        exact=sum(one.exact for one in found), seconds=time.perf_counter() - started,
        original=_shown(truths[0]) if may_show else None, found=_shown(inputs[0]) if may_show else None,
    )  # fmt: skip


def _off(found: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean squared error of each of b examples (b,)."""
    return np.asarray(((found.astype(np.float64) - truth) ** 2).reshape(len(truth), -1).mean(axis=1))


def _psnr(off: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, of values in 0..1; what is exact in float32 counts as 120."""
    return np.asarray(-10 * np.log10(np.maximum(off, 1e-12)))


def _root(off: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(off))


def _mean_of_held_out(first: FirstRound, terms: Terms) -> NDArray[np.float32]:
    """The mean of the test examples, or of the first thousand (1, ...), in the attacker's terms."""
    inputs = first.examples.inputs[first.bench.shares.test[:1000]]
    seen = first.conf.task.module.for_training(inputs, first.conf, np.random.default_rng(0))
    return np.asarray(terms.back(seen).mean(dim=0, keepdim=True).numpy())


def _shown(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """As bytes, every other pixel left out of large ones until they are small."""
    while max(pictures.shape[-2:]) > WIDE:
        pictures = pictures[..., ::2, ::2]
    return np.asarray(np.clip(np.round(255 * pictures), 0, 255), np.uint8)


def asked_of_model(
    conf: Conf, repeat: Repeat, examples: Examples, weights: Vector, seed: int = 0
) -> Membership:
    """Who can be told to have been trained on, by the model `weights` of a repeat."""
    with own_generator(seed):
        return membership(Bench(conf, repeat, examples, Here()), weights, seed)


def figures_of(
    conf: Conf, repeat: Repeat, examples: Examples, weights: Vector, seconds: float
) -> dict[str, float]:
    """Those of SERIES that a repeat with the final model `weights` has; its updates are of a batch of the conf's size.

    Where only a sum is opened, or inputs are tokens, there are no figures of single updates.
    """
    found: dict[str, float] = {}
    try:
        inverted = invert(attacked(conf, {}), repeat, examples, seconds, seed=repeat.seed)
    except LeaksError:
        pass
    else:
        if inverted.psnr:
            found["inversion_psnr"] = float(np.mean(inverted.psnr))
        else:
            found["inversion_error"] = float(np.mean(inverted.error))
    told = asked_of_model(conf, repeat, examples, weights, seed=repeat.seed)
    return found | {"membership_auc": told.auc.value, "membership_tpr": told.tpr.value}


def report_of(
    name: str,
    conf: Conf,
    examples: Examples,
    model: Vector | None,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    trained: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The report on a run that was `trained` then, as `utils.leaks.report` keeps it. `model` (layout.size,) is the one
    that was kept, of the first repeat; without it nothing is said of membership. `tell` hears what has been done so
    far.
    """
    started, repeat = time.perf_counter(), Repeat(0, 0, 0)
    networks = {OWN: conf}
    if conf.task.module.INPUT == "pixels":
        networks[SMALL] = _with_small_network(conf)
    asked = [(network, of, one) for network, of in networks.items() for one in protections(conf)]
    rows = []
    for network, of, one in asked:
        row = {
            "network": network,
            "protection": one.name,
            "label": list(one.label),
            "changes": dict(one.changes),
        }
        try:
            tried = invert(
                attacked(of, {**_ONE, **one.changes}), repeat, examples, seconds / len(asked), seed
            )
            rows.append({**row, "failed": "", **_plain(tried)})
        except (LeaksError, ConfError, RunError, FloatingPointError) as error:
            rows.append({**row, "failed": " ".join(str(error).split())[:300]})
        tell(f"{network} network, {one.label[0]}: {_in_words(rows[-1])}")
    told = None
    if model is not None:
        found = asked_of_model(conf, repeat, examples, model, seed)
        told = asdict(found)
    return {
        "format": 1, "kind": "leaks", "run": name, "trained": trained, "caveat": CAVEAT[0], "seed": seed,
        "seconds": time.perf_counter() - started,
        "fingerprint": examples.fingerprint, "rows": rows, "membership": told,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _with_small_network(conf: Conf) -> Conf:
    values = {key: value for key, value in conf.as_json().items() if key not in values_of(conf.network.keys)}
    return make_conf({**values, "network": SMALL_NETWORK}, "leaks")


def _plain(one: Inversion) -> dict[str, Any]:
    told = {key: value for key, value in asdict(one).items() if key not in ("original", "found")}
    if one.original is None or one.found is None:
        return {**told, "pictures": None}
    return {
        **told,
        "pictures": {
            "shape": list(one.original.shape),
            "original": packed(one.original),
            "found": packed(one.found),
        },
    }


def _in_words(row: Mapping[str, Any]) -> str:
    if row["failed"]:
        return f"not attacked, {row['failed']}"
    if row["psnr"]:
        return f"PSNR {np.mean(row['psnr']):.1f} dB (who knows nothing: {row['guess']:.1f})"
    return f"error {np.mean(row['error']):.3g} standard deviations (who knows nothing: {row['guess']:.2f})"


def in_words(report: Mapping[str, Any]) -> list[str]:
    """The report in lines for a terminal, with the caveat."""
    lines = [
        f"{row['network']:5}  {row['label'][0]:24}  {_in_words(row)}"
        + ("" if row["failed"] else f", {row['iterations']} iterations, {row['updates']} updates")
        for row in report["rows"]
    ]
    if (told := report["membership"]) is None:
        lines.append("membership: no model was kept")
    else:
        auc, tpr = (
            f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in (told["auc"], told["tpr"])
        )
        lines.append(f"membership: AUC {auc}, true positives at 1 % false ones {tpr}")
    return [*lines, report["caveat"]]
