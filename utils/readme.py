"""Writes the two parts of the README that code and results already know: the conf keys and what was found.

    python3 -m utils.readme

A test fails when the README says anything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.comparison import Comparison, Estimate, accuracy, answers, compare, grey_shift
from utils.conf import Conf, json_name
from utils.files import atomic_write
from utils.results import read_result, result_names, result_path
from utils.shipped import ambiguous_hashes

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
WHAT = {
    "conf_alone": "one owner alone, each of ten in turn",
    "conf_centralized1_1": "three owners' photos collected, 20 passes",
    "conf_centralized1_2": "three owners' photos collected, 40 passes",
    "conf_centralized1_3": "three owners' photos collected, 80 passes",
    "conf_f5": "five owners federated",
    "conf_f10": "ten owners federated",
    "conf_f10_noniid": "ten owners federated, labels skewed",
    "conf_centralized_all": "all photos in one place",
    "conf_f10_full": "ten owners federated, torchvision's resnet18",
    "conf_centralized_all_full": "all photos in one place, torchvision's resnet18",
}
QUESTIONS = [
    ("conf_f10", "conf_alone"),
    ("conf_f10", "conf_centralized1_3"),
    ("conf_f5", "conf_centralized1_3"),
    ("conf_f10", "conf_f5"),
    ("conf_centralized_all", "conf_f10"),
    ("conf_f10", "conf_f10_noniid"),
    ("conf_centralized1_3", "conf_alone"),
    ("conf_centralized1_3", "conf_centralized1_1"),
    ("conf_centralized_all_full", "conf_f10_full"),
    ("conf_f10_full", "conf_f10"),
    ("conf_centralized_all_full", "conf_centralized_all"),
]


def keys_table() -> str:
    """The conf keys as a Markdown table."""
    lines = ["| key | default | range | says |", "|---|---|---|---|"]
    for field in dataclasses.fields(Conf):
        default = "required" if field.default is dataclasses.MISSING else _json(field.default)
        lines.append(f"| `{json_name(field)}` | {default} | {_range(field)} | {field.metadata['doc']} |")
    return "\n".join(lines)


def findings(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures after the last round and the answers to the experiments' questions, as Markdown."""
    lines = [
        "| conf | what | accuracy | balanced | without ambiguous photos | passes | steps | MB sent | non-IID, bits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    shown = [name for name in WHAT if name in results]
    for name in shown:
        result = results[name]
        estimates = (
            accuracy(answers(result)),
            accuracy(answers(result), balanced=True),
            accuracy(answers(result, without=ambiguous_hashes())),
        )
        repeats = result["repeats"]
        sent = sum(sum(repeat["bytes_up"]) + sum(repeat["bytes_down"]) for repeat in repeats) / len(repeats)
        steps = sum(sum(repeat["steps"]) for repeat in repeats) / len(repeats)
        passes = result["conf"]["global_epochs"] * result["conf"]["local_epochs"]
        lines.append(
            f"| `{name.removeprefix('conf_')}` | {WHAT[name]} | {' | '.join(map(str, estimates))} "
            f"| {passes} | {steps:.0f} | {sent / 1e6:.1f} | {result['degree']['jensen_shannon']:.2f} |"
        )
    found = {(one.a, one.b): one for one in compare({name: results[name] for name in shown})}
    lines += [
        "",
        "On the same photos and seeds, Holm-corrected over all pairs with more than one common seed:",
        "",
    ]
    lines += [_answer(found, a, b) for a, b in QUESTIONS if a in results and b in results]
    shift = grey_shift(results["conf_centralized_all"])
    federated_shift = grey_shift(results["conf_f10"])
    lines += [
        "",
        f"Colour: when the sunny test photos are turned grey, P(cloudy) rises by {shift} (`centralized_all`) and "
        f"{federated_shift} (`f10`).",
    ]
    return "\n".join(lines)


def _answer(found: Mapping[tuple[str, str], Comparison], a: str, b: str) -> str:
    one = found.get((a, b)) or found[b, a]
    difference = one.difference
    if (one.a, one.b) != (a, b):
        difference = Estimate(-difference.value, -difference.high, -difference.low)
    says = one.sentence.replace("conf_", "")
    p = f", {one.p_text}" if one.seeds > 1 else ""
    return (
        f"- {a.removeprefix('conf_')} against {b.removeprefix('conf_')}: {difference.value:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}]{p}: **{says}**."
    )


def render(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The README `text` with both parts made anew."""
    for name, content in (("keys", keys_table()), ("found", findings(results))):
        before, _, rest = text.partition(f"<!-- {name} -->")
        _, _, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}<!-- {name} -->\n{content}\n<!-- /{name} -->{after}"
    return text


def shipped_results() -> dict[str, dict[str, Any]]:
    """The results of the shipped confs."""
    return {
        name: read_result(result_path(ROOT / "cache", name))
        for name in result_names(ROOT / "cache")
        if "@" not in name and name in WHAT
    }


def _json(value: Any) -> str:
    if value == ():
        return "[]"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, int | float)
        else value
    )


def _range(field: dataclasses.Field[Any]) -> str:
    limits = field.metadata
    if "choices" in limits:
        return ", ".join(limits["choices"])
    if "low" not in limits:
        return (
            "true, false"
            if field.type == "bool"
            else "lists of owners"
            if "tuple" in str(field.type)
            else "a name"
        )
    left, right = "(" if limits.get("above_low") else "[", ")" if limits.get("below_high") else "]"
    return f"{left}{limits['low']:g}, {limits['high']:g}{right}"


if __name__ == "__main__":
    with atomic_write(README) as file:
        file.write(render(README.read_text(), shipped_results()).encode())
