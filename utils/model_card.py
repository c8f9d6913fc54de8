"""The card that lies beside a model: what it was trained on, how it did, what it must not be used for."""

from __future__ import annotations

from typing import Any

from utils.comparison import accuracy, answers

_SOURCES = {
    "mwd": (
        "Two classes of the Multi-class Weather Dataset for Image Classification, Gbeminiyi Ajayi (2018), "
        "Mendeley Data, V1, doi 10.17632/4drtyfjtfy.1, CC BY 4.0, cleaned and without near-duplicates."
    ),
    "simulated": "Skies drawn by SkyFed's simulator; no photographs. Useless for real skies.",
}


def model_card(result: dict[str, Any]) -> str:
    """The model card (Mitchell et al. 2019) of a checked result, as Markdown."""
    conf, data, model, degree = (result[key] for key in ("conf", "data", "model", "degree"))
    given = answers(result)
    how = (
        f"{conf['no_models']} clients, {conf['k']} in each of {conf['global_epochs']} rounds (FedAvg)"
        if conf["no_models"] > 1
        else f"one client, {conf['global_epochs']} rounds of {conf['local_epochs']} passes (not federated)"
    )
    repeats = len(result["repeats"])
    measured = "\n".join(
        f"| {'test' if part == 'test' else 'validation'} photos of fold {model['fold']} | {model[part]['photos']} "
        f"| {model[part]['acc']:.3f} | {model[part]['balanced_acc']:.3f} | {model[part]['loss']:.3f} |"
        for part in ("test", "val")
        if part in model
    )
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"""# {result["name"]}

Tells a sunny sky from a cloudy one. `{model["file"]}`: {conf["model_name"]} of width {conf["width"]}
({conf["norm"]} norm, {result["parameters"]:,} parameters), half precision, {model["bytes"]:,} bytes.
Input: RGB, {conf["image_size"]} x {conf["image_size"]} pixels, the photo's centre square.
Output: two logits, cloudy then sunny.

## Data

{_SOURCES.get(data["set"], "Photos of the set `" + data["set"] + "`, gathered on the machine that trained this.")}
{data["photos"]} photos, {data["sunny"]} of them sunny; fingerprint `{data["fingerprint"]}`.
Photos of one group of near-duplicates stay on one side of every split.

## Training

{how}; SGD, learning rate {conf["lr"]:g} ({conf["schedule"]}), momentum {conf["momentum"]:g},
batches of {conf["batch_size"]}, from {"ImageNet weights" if conf["pretrained"] else "scratch"}.
Degree of non-IID: {degree["jensen_shannon"]:.3f} bits (Jensen-Shannon), Gini of sizes {degree["gini"]:.3f}.

## Figures

Of this file, trained with fold {model["fold"]} held out (seed {model["seed"]}), measured on the file itself:

| | photos | accuracy | balanced accuracy | cross-entropy |
|---|---|---|---|---|
{measured}

Of the conf, over {repeats} repeats ({data["folds"]} folds, {data["seeds"]} seeds), after the last round,
with 95 % bootstrap intervals over photos, seeds and rotations of owners:
accuracy {accuracy(given)}, balanced accuracy {accuracy(given, balanced=True)}.

## Limits

Two classes, so a night sky, snow or a wall is called sunny or cloudy too. Few photos, mostly of daylight
landscapes by strangers: other cameras and climates will do worse. About one cloudy photo in six is blue sky with
fair-weather cumulus, where people disagree as well. Not for any decision about safety.

## Licence and citation

Model: Apache-2.0, like SkyFed. Data: see above; cite its author when you use the model.
Versions: {versions}; finished {result["finished"]}.
"""
