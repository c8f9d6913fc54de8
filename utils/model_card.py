"""The card that lies beside a model: what it was trained on, how it did, what it must not be used for."""

from __future__ import annotations

from typing import Any

from utils.comparison import accuracy, answers
from utils.conf import Conf, make_conf
from utils.forecast.calibration import TRUSTED, calibrate, cross_fitted, plain, quality, trust

# Per set of photos: where they are from, what limits the model, what to cite.
_SETS = {
    "mwd": (
        "Two classes of the Multi-class Weather Dataset for Image Classification, Gbeminiyi Ajayi (2018), "
        "Mendeley Data, V1, doi 10.17632/4drtyfjtfy.1, CC BY 4.0, cleaned and without near-duplicates.",
        "Few photos, mostly of daylight landscapes by strangers: other cameras and climates will do worse. About one "
        "cloudy photo in five is blue sky with fair-weather cumulus, where people disagree as well.",
        "The photos are CC BY 4.0: cite the data set above when you use the model.",
    ),
    "simulated": (
        "Skies drawn by SkyFed's simulator; no photographs.",
        "It has never seen a photograph: useless for real skies.",
        "The drawn skies are SkyFed's own.",
    ),
}


def _set(name: str) -> tuple[str, str, str]:
    return _SETS.get(name) or (
        f"Photos of the set `{name}`, gathered on the machine that trained this.",
        "How far it carries beyond those photos was not measured.",
        "What may be done with the photos, and with models made from them, is for whoever gathered them to say.",
    )


def _calibration(result: dict[str, Any]) -> str:
    given, scaled = cross_fitted(result)
    how, (answered, right) = calibrate(result), trust(result)
    told = (
        f"it answered {answered:.1%} of the test photos, {right:.1%} of them right"
        if answered
        else "it never did"
    )
    rows = "\n".join(
        f"| {name} | {found.brier} | {found.log_loss} | {found.calibration_error:.3f} |"
        for name, found in (
            ("as the network says it", quality(plain(given), given)), ("scaled", quality(scaled, given))
        )
    )  # fmt: skip
    reliability = "\n".join(
        f"| {said:.2f} | {found:.2f} | {count} |" for said, found, count in quality(scaled, given).bins
    )
    return f"""Probabilities of sunny for test photos of all repeats, as they are and divided by a temperature
(Guo et al. 2017) that follows from the other folds; 95 % bootstrap intervals over photos.

| | Brier score | log loss, nats | calibration error |
|---|---|---|---|
{rows}

The forecast divides logits by {how.temperature:.3f}. It says sunny from {how.sunny_from:.3f} on,
cloudy up to {how.cloudy_to:.3f}, else that it cannot tell: even of the least sure answers that are said, at least
{TRUSTED:.0%} were right (isotonic regression). With temperature and thresholds from the other folds {told}.

| said, scaled | were sunny | answers |
|---|---|---|
{reliability}"""


def _views(conf: Conf) -> str:
    side = f"the photo's centre square at {conf.judged_side} x {conf.judged_side} pixels"
    if conf.judging == "whole":
        return f"{side} and its mirror image"
    return f"the four corners and the centre of {side}, two of them mirrored"


def model_card(result: dict[str, Any]) -> str:
    """The model card (Mitchell et al. 2019) of a checked result, as Markdown."""
    conf, data, model, degree = (result[key] for key in ("conf", "data", "model", "degree"))
    given = answers(result)
    how = (
        f"{conf['no_models']} clients, {conf['k']} in each of {conf['global_epochs']} rounds (FedAvg)"
        if conf["no_models"] > 1
        else f"one client, {conf['global_epochs']} rounds of {conf['local_epochs']} passes (not federated)"
    )
    source, limits, rights = _set(data["set"])
    repeats = len(result["repeats"])
    rotations = len({repeat["rotation"] for repeat in result["repeats"]})
    varied = ["photos"] + ["seeds"] * (data["seeds"] > 1) + ["rotations of the owners"] * (rotations > 1)
    over = " and ".join([", ".join(varied[:-1]), varied[-1]] if len(varied) > 1 else varied)
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
Input: RGB, {conf["image_size"]} x {conf["image_size"]} pixels.
Output: two logits, cloudy then sunny; what counts is their mean over
{_views(make_conf(conf, result["name"]))}.

## Data

{source}
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

Of the conf, after the last round, with 95 % bootstrap intervals over {over}; repeats: {repeats}
(folds: {data["folds"]}, seeds: {data["seeds"]}, rotations: {rotations}):
accuracy {accuracy(given)}, balanced accuracy {accuracy(given, balanced=True)}.

## Calibration

{_calibration(result)}

## Limits

Two classes, so a night sky, snow or a wall is called sunny or cloudy too. {limits}
Not for any decision about safety.

## Licence and citation

Model: Apache-2.0, like SkyFed. {rights}
Versions: {versions}; finished {result["finished"]}.
"""
