"""The card that lies beside a model: what it was trained on, how it did, what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.comparison import CALLED, answers, estimated, figures_of, is_number
from utils.conf import make_conf
from utils.studies import about_set

_FEW = 12  # names that can be read one after the other


def _counted(result: Mapping[str, Any]) -> list[str]:
    """How many examples there are of each class; of many classes from how many to how many."""
    classes, counts = result["classes"] or [], result["data"].get("counts") or []
    if len(classes) > _FEW and counts:
        return [f"{len(classes)} classes of {min(counts):,} to {max(counts):,}"]
    return [f"{n} {name}" for name, n in zip(classes, counts, strict=False)]


def _from(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many examples are from which source, and their licence; of many sources how many there are."""
    if len(sources) > _FEW:
        counts, licences = (
            [one["examples"] for one in sources],
            sorted({one["licence"] for one in sources} - {""}),
        )
        told = f"{len(sources)} sources of {min(counts):,} to {max(counts):,}"
        return [f"{told}, {', '.join(licences)}" if licences else told]
    each = [(f"{one['examples']} from {one['name']}", one["licence"]) for one in sources]
    return [f"{text} ({licence})" if licence else text for text, licence in each]


def model_card(result: dict[str, Any], left_out: Mapping[str, Any] | None = None) -> str:
    """The model card (Mitchell et al. 2019) of a checked result, as Markdown; `left_out` as `utils.tasks` has it."""
    conf, data, model, degree = (result[key] for key in ("conf", "data", "model", "degree"))
    given = answers(result)
    known = make_conf(conf, result["name"])
    how = (
        f"{conf['no_models']} clients, {conf['k']} in each of {conf['global_epochs']} rounds ({known.strategy.name})"
        if conf["no_models"] > 1
        else f"one client, {conf['global_epochs']} rounds of {conf['local_epochs']} passes (not federated)"
    )
    about, task = about_set(data["set"]), known.task.module
    told = task.card(result, left_out)
    network, layers = known.network.module.told(known.network.keys)
    of_them = (
        f" ({', '.join(parts)})" if (parts := [*_counted(result), *_from(data.get("sources", []))]) else ""
    )
    sections = "\n\n".join(f"## {title}\n\n{text}" for title, text in told["sections"].items())
    repeats = len(result["repeats"])
    rotations = len({repeat["rotation"] for repeat in result["repeats"]})
    varied = ["scenes"] + ["seeds"] * (data["seeds"] > 1) + ["rotations of the owners"] * (rotations > 1)
    over = " and ".join([", ".join(varied[:-1]), varied[-1]] if len(varied) > 1 else varied)
    figures = [*figures_of(result), *([] if is_number(result) else ["loss"])]
    heads = [
        {"loss": "cross-entropy", "balanced_accuracy": "balanced accuracy"}.get(one, CALLED.get(one, one))
        for one in figures
    ]
    measured = "\n".join(
        f"| {'test' if part == 'test' else 'validation'} examples of fold {model['fold']} "
        f"| {model[part]['examples']} | {' | '.join(f'{model[part][one]:.3f}' for one in figures)} |"
        for part in ("test", "val")
        if part in model
    )
    estimates = ", ".join(
        f"{head} {estimated(given, one)}" for head, one in zip(heads, figures_of(result), strict=False)
    )
    if (distance := degree["wasserstein" if is_number(result) else "jensen_shannon"]) is None:
        unequal = "not known, as an owner withholds it"
    elif is_number(result):
        unequal = f"{distance:.3g} {result['unit']} (Wasserstein-1)"
    else:
        unequal = f"{distance:.3f} bits (Jensen-Shannon)"
    in_unit = f" RMSE and mean absolute error are in {result['unit']}." if is_number(result) else ""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"""# {result["name"]}

{task.LEARNS} `{model["file"]}`: {network}
({layers}{result["parameters"]:,} parameters), half precision, {model["bytes"]:,} bytes.
Input: {told["input"]}
Output: {told["output"]}

## Data

{about.about}
{data["examples"]} examples{of_them}; fingerprint `{data["fingerprint"]}`.
What belongs together (a scene) stays on one side of every split.

## Training

{how}; SGD, learning rate {conf["lr"]:g} ({conf["schedule"]}), momentum {conf["momentum"]:g},
batches of {conf["batch_size"]}, from {"ImageNet weights" if conf.get("pretrained") else "scratch"}.
Degree of non-IID: {unequal}, Gini of sizes {degree["gini"]:.3f}.

## Figures

Of this file, trained with fold {model["fold"]} held out (seed {model["seed"]}), measured on the file itself:

| | examples | {" | ".join(heads)} |
|{"---|" * (2 + len(heads))}
{measured}

Of the conf, after the last round, with 95 % bootstrap intervals over {over}; repeats: {repeats}
(folds: {data["folds"]}, seeds: {data["seeds"]}, rotations: {rotations}):
{estimates}.{in_unit}

{sections}

## Limits

{told["limits"]} {about.limits}
Not for any decision about safety.

## Licence and citation

Model: Apache-2.0, like SkyFed. {about.rights}
Versions: {versions}; finished {result["finished"]}.
"""
