"""Writes what code and results already know: conf keys, parts and findings of the README in English and in Chinese, and
the model cards in cache/.

    python3 -m utils.readme

A test fails when README or cards say anything else. `make pictures` does this, and
draws the figures.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from utils import parts
from utils.comparison import (
    CALLED,
    OF_CLASSES,
    OF_NUMBERS,
    Comparison,
    answers,
    compare,
    estimated,
    figures_of,
    is_number,
)
from utils.conf import all_keys, chinese
from utils.files import atomic_write
from utils.forecast.card import expected
from utils.malware.card import as_markdown
from utils.model_card import model_card
from utils.nets.kinds import KINDS
from utils.nets.outline import templates
from utils.parts import json_name
from utils.results import read_result, result_names, result_path, total
from utils.studies import first, left_out, short, studies, study_runs, title
from utils.studies.evidence import Evidence, evidence
from utils.studies.measured import read_study, study_path
from utils.studies.protections import leaks, protections
from utils.studies.questions import HERE, read_question, read_questions
from utils.studies.sentences import answer

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = (ROOT / "docs" / "tasks.md", ROOT / "docs" / "tasks.zh-CN.md")
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
_CELLS = {
    "key": "键", "of": "属于", "default": "默认值", "range": "范围", "says": "含义", "family": "类别", "part": "部件",
    "keys": "键", "required": "必填", "none": "无", "a name": "一个名称", "names of sources": "来源名称",
    "unit": "单位", "mean absolute error": "平均绝对误差",
    "lists of owners": "所有者的列表", "run": "运行", "what": "说明", "accuracy": "准确率", "balanced": "平衡准确率",
"passes": "遍数", "steps": "步数", "MB sent": "发送的 MB",
    "non-IID, bits": "non-IID，比特", "layer": "层", "options": "选项", "built by": "可构建于",
    "Python and browser": "Python 与浏览器", "Python only": "仅 Python",
    "trained on": "训练于", "judged on": "评判于", "scenes": "场景",
    "balanced when trained on both": "两者都训练时的平衡准确率",
}  # fmt: skip
_SENTENCES = {
    r"On the same examples and seeds, Holm-corrected over all pairs with more than one common seed:":
        "在相同的样本和种子上，对共同种子多于一个的所有配对做 Holm 校正：",
    r"- (.+?) against (.+?): (.*\]), (p .*?): \*\*(.*)\*\*\.": r"- \1 与 \2 相比：\3，\4：**\5**。",
    r"- (.+?) against (.+?): (.*\]): \*\*(.*)\*\*\.": r"- \1 与 \2 相比：\3：**\4**。",
    r"\*\*(.+) is better than (.+)\*\*": r"**\1 优于 \2**",
    r"\*\*(.+) is worse than (.+)\*\*": r"**\1 不如 \2**",
    r"\*\*no difference found between (.+) and (.+)\*\*": r"**未发现 \1 与 \2 的差别**",
    r"\*\*one common seed, too few to tell (.+) from (.+)\*\*": r"**只有一个共同的种子，不足以区分 \1 与 \2**",
    r"\*\*one common scene, too few to tell (.+) from (.+)\*\*": r"**只有一个共同的场景，不足以区分 \1 与 \2**",
    r"so it answers (\d+%) of the \w+ of its own sources, (\d+%) of them rightly":
        r"所以，对自己来源的照片，它回答其中的 \1，答对其中的 \2",
    r"; trained without (`.*?`), it answers (\d+%) of the \w+ there, (\d+%) of them rightly":
        r"；训练时没有用 \1，则回答那里照片的 \2，答对其中的 \3",
    r" \(each fold and each scene judged by what the others taught\)\.":
        "（每一折、每个场景都由其余部分所教的来评判）。",
    r"an object, or one of: ": "一个对象，或以下之一：", r"\ba list of layers": "层的列表",
    r" \(needs (.+?) of `requirements-bench.txt`\)": r"（需要 `requirements-bench.txt` 中的 \1）",
    r"part: ": "部件：", r"list of parts: ": "部件的列表：", r"none yet": "暂无",
}  # fmt: skip


def keys_table() -> str:
    """The flat keys of a conf as a Markdown table."""
    lines = ["| key | of | default | range | says |", "|---|---|---|---|---|"]
    for one in all_keys():
        says = one.field.metadata["doc"]
        lines.append(f"| `{one.name}` | {one.part} | {_default(one.field)} | {_range(one.field)} | {says} |")
    return "\n".join(lines)


def parts_table() -> str:
    """Every part that a conf may name, with its keys, as a Markdown table."""
    lines = ["| family | part | keys | says |", "|---|---|---|---|"]
    for one in all_keys():
        family: str = one.field.metadata.get("part", "")
        for name in parts.usable(family) if family else ():
            keys = [
                f"`{json_name(field)}` ({_default(field)}; {_range(field)}): {field.metadata['doc']}"
                for field in parts.declared(family, name)
            ]
            module = parts.load(family, name)
            says, packages = module.ABOUT[0], ", ".join(f"`{one}`" for one in getattr(module, "PACKAGES", ()))
            says += f" (needs {packages} of `requirements-bench.txt`)" if packages else ""
            lines.append(f"| `{family}` | `{name}` | {'; '.join(keys)} | {says} |")
    return "\n".join(lines)


def missing_list() -> str:
    """Which parts cannot be used on this machine, with the command that changes it; empty where all can."""
    absent = [
        f"{family} {name} needs {', '.join(packages)}"
        for family in parts.FAMILIES
        for name in parts.usable(family)
        if (packages := parts.missing(family, name))
    ]
    return "\n".join(["Not installed here:", *absent, f"Install with: {parts.INSTALL}"]) if absent else ""


def layers_table() -> str:
    """Every kind of layer of a described network, with its options, as a Markdown table."""
    lines = ["| layer | options | built by | says |", "|---|---|---|---|"]
    for kind in KINDS.values():
        first, *others = parts.fields_of(kind)
        options = [f"{first.metadata['doc']} ({_range(first)})"]
        options += [
            f"`{field.name}` ({_default(field)}; {_range(field)}): {field.metadata['doc']}"
            for field in others
        ]
        where = "Python and browser" if kind.BROWSER else "Python only"
        lines.append(f"| `{kind.kind()}` | {'; '.join(options)} | {where} | {kind.ABOUT[0]} |")
    return "\n".join(lines)


def findings(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures after the last round and the answers to the experiments' questions, as Markdown."""
    study = first()
    lines = [
        f"| run | conf | accuracy | balanced | {study.without_doubtful} | passes | steps | MB sent | non-IID, bits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    shown = [run.run for run in study.runs if run.run in results]
    for name in shown:
        result = results[name]
        estimates = (
            estimated(answers(result), "accuracy"),
            estimated(answers(result), "balanced_accuracy"),
            estimated(answers(result, without=study.doubtful_ids()), "accuracy"),
        )
        repeats = result["repeats"]
        sent = sum(total(repeat, "bytes_up", "bytes_down") for repeat in repeats) / len(repeats)
        steps = sum(total(repeat, "steps") for repeat in repeats) / len(repeats)
        passes = result["conf"]["global_epochs"] * result["conf"]["local_epochs"]
        lines.append(
            f"| {title(name)} | `{short(name)}` | {' | '.join(map(str, estimates))} "
            f"| {passes} | {steps:.0f} | {sent / 1e6:.1f} | {result['degree']['jensen_shannon']:.2f} |"
        )
    found = {(one.a, one.b): one for one in compare({name: results[name] for name in shown})}
    lines += [
        "",
        "On the same examples and seeds, Holm-corrected over all pairs with more than one common seed:",
        "",
    ]
    lines += [_answer(found, a, b) for a, b in study.questions if a in results and b in results]
    return "\n".join(lines)


def others(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures and answers of the studies of other tasks, as Markdown."""
    tables: dict[tuple[str, ...], list[str]] = {OF_CLASSES: [], OF_NUMBERS: []}
    said = []
    for study in studies().values():
        shown = {run.run: results[run.run] for run in study.runs if run.run in results}
        if study == first():
            continue
        for name, result in shown.items():
            given, repeats = answers(result), result["repeats"]
            sent = sum(total(repeat, "bytes_up", "bytes_down") for repeat in repeats) / len(repeats)
            estimates = [str(estimated(given, figure)) for figure in figures_of(result)]
            unit = [result["unit"]] if is_number(result) else []
            cells = " | ".join([title(name), f"`{short(name)}`", *estimates, *unit, f"{sent / 1e6:.2f}"])
            tables[figures_of(result)].append(f"| {cells} |")
        found = {(one.a, one.b): one for one in compare(shown)}
        said += [_answer(found, a, b) for a, b in study.questions if a in shown and b in shown]
    lines = []
    for figures, rows in tables.items():
        if rows:
            heads = [
                "run",
                "conf",
                *map(CALLED.get, figures),
                *(["unit"] if figures == OF_NUMBERS else []),
                "MB sent",
            ]
            lines += [f"| {' | '.join(map(str, heads))} |", f"|{'---|' * len(heads)}", *rows, ""]
    return "\n".join([*lines, *said])


def elsewhere(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What runs do on a source that they were not trained on, as Markdown; beside it what the same recipe does on the
    same examples when their source is trained on as well.
    """
    study = first()
    lines = [
        f"| run | conf | trained on | judged on | scenes | accuracy | balanced | {study.without_doubtful} "
        "| balanced when trained on both |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in study.elsewhere:
        if run.run not in results or run.of not in results:
            continue
        result = results[run.run]
        trained, judged = (" and ".join(result["conf"][key]) for key in ("train_on", "judge_on"))
        given = answers(result)
        estimates = (
            estimated(given, "accuracy"),
            estimated(given, "balanced_accuracy"),
            estimated(answers(result, without=study.doubtful_ids()), "accuracy"),
        )
        both = estimated(answers(results[run.of], source=judged), "balanced_accuracy")
        lines.append(
            f"| {title(run.run)} | `{short(run.run)}` | {trained} | {judged} | {int(given.scenes.max()) + 1} "
            f"| {' | '.join(map(str, estimates))} | {both} |"
        )
    return "\n".join(lines)


def programs(results: Mapping[str, Mapping[str, Any]], language: str = "en") -> str:
    """What runs of the task malware do on GUI programs, and on those built later, as Markdown."""
    shown = [run for run in studies()["malware"].runs if run.run in results]
    return as_markdown(
        ((run.name[language], results[run.run], results.get(run.left_out)) for run in shown), language
    )


def sure(results: Mapping[str, Mapping[str, Any]]) -> str:
    """How far the answers of the model that is asked first can be trusted, as a sentence."""
    run = first().by_role(first().models[0])
    return expected(results[run.run], results.get(run.left_out)) if run.run in results else ""


def _answer(found: Mapping[tuple[str, str], Comparison], a: str, b: str) -> str:
    one = found.get((a, b)) or found[b, a]
    difference = one.difference if (one.a, one.b) == (a, b) else one.difference.turned
    says = dataclasses.replace(one, a=f"“{title(one.a)}”", b=f"“{title(one.b)}”").sentence
    p = f", {one.p_text}" if one.is_tested else ""
    digits = ".3f" if abs(difference.value) < 1 else ".1f"
    low, middle, high = (f"{end:+{digits}}" for end in (difference.low, difference.value, difference.high))
    what = "" if one.figure == "accuracy" else f"{CALLED[one.figure]} "
    return f"- `{short(a)}` against `{short(b)}`: {what}{middle} [{low}, {high}]{p}: **{says}**."


def in_chinese(block: str) -> str:
    """What the functions above have made, in Chinese: figures and names of code stay as they are."""
    named = {run.name["en"]: run.name["zh"] for run in study_runs().values()}
    sentences = {english: said for english, said in chinese().items() if len(english) > 15}
    for english, said in sorted((sentences | named).items(), key=lambda pair: -len(pair[0])):
        block = block.replace(english, said)
    for english, said in _SENTENCES.items():
        block = re.sub(english, said, block)
    cells = {**_CELLS, first().without_doubtful: "不含模棱两可的照片"}
    return re.sub(r"(?<=\| )([^|\n]+)(?= \|)", lambda cell: cells.get(cell[1], cell[1]), block)


def protocol(text: str) -> str:
    """The page on published tasks with its tables of states made anew."""
    from utils.calls import states

    for name in ("training", "participation", "call"):
        table = states.as_markdown(getattr(states, name.upper()))
        text = _filled(text, name, table)
    return text


def _filled(text: str, name: str, content: str) -> str:
    before, _, rest = text.partition(f"<!-- {name} -->")
    _, _, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}<!-- {name} -->\n{content}\n<!-- /{name} -->{after}"


def render(text: str, results: Mapping[str, Mapping[str, Any]], language: str = "en") -> str:
    """The README `text` of `language` with what is made by code made anew."""
    blocks = {
        "keys": keys_table(),
        "parts": parts_table(),
        "layers": layers_table(),
        "found": findings(results),
        "elsewhere": elsewhere(results),
        "others": others(results),
        "sure": sure(results),
    }
    blocks = {name: in_chinese(said) if language == "zh" else said for name, said in blocks.items()}
    blocks["questions"] = questions_list(language)
    blocks["programs"] = programs(results, language)
    blocks["protections"] = protections_table(language)
    for name, content in blocks.items():
        text = _filled(text, name, content)
    return text


@cache
def _evidence(question: str) -> Evidence | None:
    path = study_path(ROOT / "cache", question)
    return evidence(read_question(HERE, question), read_study(path)) if path.exists() else None


def questions_list(language: str) -> str:
    """Every question with its answer, made from the numbers of the shipped file, as a Markdown list."""
    lines = []
    for one in read_questions(HERE):
        found = _evidence(one.name)
        said = answer(found, language) if found else ""
        lines.append(f"- **{one.title[language]}** (`{one.name}`). {one.question[language]} {said}".rstrip())
    return "\n".join(lines)


def protections_table(language: str) -> str:
    """What protections protect, with what they cost in the shipped studies, as Markdown."""
    cache, zh = ROOT / "cache", language == "zh"
    heads = (("", "Keeps", "Does not keep", "Measured here"), ("", "保护", "不保护", "在此测得"))[zh]
    rows = [
        (f"**{one.name}**", one.keeps, one.does_not, f"{one.measured} (`{one.study}`)".strip())
        for one in protections(cache, language)
    ]
    lines = [f"| {' | '.join(row)} |" for row in (heads, ("---",) * 4, *rows)]
    said = leaks(cache, language)
    return "\n".join([*lines, *(["", f"{said} (`what_leaks`)"] if said else [])])


def shipped_results() -> dict[str, dict[str, Any]]:
    """The results of the shipped confs."""
    return {
        name: read_result(result_path(ROOT / "cache", name))
        for name in result_names(ROOT / "cache")
        if "@" not in name and name in study_runs()
    }


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, parts.Part):
        return value.name
    if isinstance(value, tuple):
        return "[]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _range(field: dataclasses.Field[Any]) -> str:
    limits = field.metadata
    if family := limits.get("part"):
        known = ", ".join(parts.usable(family)) or "none yet"
        return f"list of parts: {known}" if field.default == () else f"part: {known}"
    if choices := parts.choices_of(field):
        return ", ".join(choices)
    if "low" not in limits:
        if field.type == "bool":
            return "true, false"
        kinds = {
            "Holds": "lists of owners",
            "tuple[str, ...]": "names of sources",
            "tuple[Layer, ...]": "a list of layers",
            "Description": f"an object, or one of: {', '.join(templates())}",
        }
        return kinds.get(str(field.type), "a name")
    left, right = parts.interval(field)[0], parts.interval(field)[-1]
    return f"{left}{parts.lowest(field):g}, {parts.highest(field):g}{right}"


def main() -> None:
    """Write the README, the page on published tasks and the cards of the shipped results."""
    results = shipped_results()
    for path, language in ((README, "en"), (CHINESE, "zh")):
        text = render(path.read_text(encoding="utf-8"), results, language)
        with atomic_write(path) as file:
            file.write(text.encode())
    for path in PROTOCOL:
        text = protocol(path.read_text(encoding="utf-8"))
        with atomic_write(path) as file:
            file.write(text.encode())
    for name, result in results.items():
        with atomic_write(result_path(ROOT / "cache", name).with_suffix(".md")) as file:
            file.write(model_card(result, left_out(ROOT / "cache", name)).encode())


if __name__ == "__main__":
    main()
