"""What was found for a question, in sentences of either language; made from the numbers alone.

What helps nothing is said as plainly as what helps, and nothing is said that no test allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from utils.comparison import Comparison
from utils.studies.evidence import Evidence, Tested
from utils.studies.questions import BYTES, Cell

_TEXTS = {
    "better": (
        "{a} is better than {b}, by {by}.",
        "{a}优于{b}，相差 {by}。",
    ),
    "worse": (
        "{a} is worse than {b}, by {by}.",
        "{a}不如{b}，相差 {by}。",
    ),
    "none": (
        "No difference found between {a} and {b}: {by}.",
        "未发现{a}与{b}有差异：{by}。",
    ),
    "untested": (
        "{a} and {b} have too few seeds or scenes in common: nothing is claimed.",
        "{a}与{b}的共同种子或场景太少：不作任何结论。",
    ),
    "one_seed": (
        "One seed was trained: nothing is claimed.",
        "只训练了一个种子：不作任何结论。",
    ),
    "no_test": (
        "{figure} is measured without a test: nothing is claimed, the mean over seeds is shown.",
        "{figure}没有检验：不作任何结论，只给出各种子的均值。",
    ),
    "nothing": ("What was measured leaves nothing to compare.", "已有的测量没有可比较的内容。"),
    "is_better": ("better than {b}: {which}", "优于{b}：{which}"),
    "is_worse": ("worse than {b}: {which}", "不如{b}：{which}"),
    "is_none": ("no difference from {b} was found for {which}", "{which}与{b}相比未发现差异"),
    "none_differs": (
        "None of {all} others was found to differ from {b}.",
        "{all} 个其他选项均未发现与{b}有差异。",
    ),
    "none_of": (
        "In none of {all} comparisons with {b} was a difference found.",
        "与{b}的 {all} 次比较均未发现差异。",
    ),
    "of_all": (
        "Of {all} comparisons with {b}, {better} came out better and {worse} worse; in {none} no difference was found.",
        "与{b}的 {all} 次比较中，{better} 次更好，{worse} 次更差，{none} 次未发现差异。",
    ),
    "in_accuracy": ("{figure}: {said}", "{figure}：{said}"),
    "cheapest": (
        "Fewest bytes without a difference found: {a}, {times} times fewer.",
        "未发现差异者中字节最少的：{a}，减少到 {times} 分之一。",
    ),
    "most_gained": (
        "The largest gain: {a}, {context}, {by}.",
        "最大的提升：{a}，{context}，{by}。",
    ),
    "most_lost": (
        "The largest loss: {a}, {context}, {by}.",
        "最大的下降：{a}，{context}，{by}。",
    ),
    "method_none": (
        "{a} against {b}: no difference found in any of {all} comparisons.",
        "{a}与{b}相比：{all} 次比较均未发现差异。",
    ),
    "method": ("{a} against {b}: {told}.", "{a}与{b}相比：{told}。"),
    "better_at": ("better in {count} of {all} ({where})", "{all} 次中 {count} 次更好（{where}）"),
    "worse_at": ("worse in {count} of {all} ({where})", "{all} 次中 {count} 次更差（{where}）"),
    "none_at": ("no difference found in {count} of {all}", "{all} 次中 {count} 次未发现差异"),
    "more": ("and {count} more", "等另外 {count} 项"),
    "over_seeds": (
        "{figure}, the mean over {seeds} seeds and not tested, goes from {low} ({where_low}) to {high} ({where_high}).",
        "{figure}（{seeds} 个种子的均值，未作检验）从 {low}（{where_low}）到 {high}（{where_high}）。",
    ),
    "over_one": (
        "{figure}, of one seed and not tested, goes from {low} ({where_low}) to {high} ({where_high}).",
        "{figure}（一个种子，未作检验）从 {low}（{where_low}）到 {high}（{where_high}）。",
    ),
    "left_out": (
        "Where the server left updates out or shortened them, it took {hostile} of those of hostile clients as "
        "they came, and {honest} of the others'.",
        "在服务器剔除或缩短更新的情况下，恶意客户端的更新有 {hostile} 被原样采用，其余客户端的有 {honest}。",
    ),
    "failed": ("{cell} failed: {why}.", "{cell} 失败：{why}。"),
    "missing": (
        "{count} of {all} cells are not measured.",
        "{all} 种组合中有 {count} 个没有测量。",
    ),
    "points": ("{value} points [{low}, {high}], {p}", "{value} 个百分点 [{low}, {high}]，{p}"),
    "number": ("{value} [{low}, {high}], {p}", "{value} [{low}, {high}]，{p}"),
}
_COMMA, _SEMICOLON, _COLON = {"en": ", ", "zh": "、"}, {"en": "; ", "zh": "；"}, {"en": ": ", "zh": "："}
_LISTED, _LISTED_SHORTLY = 4, 10


@dataclass(frozen=True)
class _Pair:
    """A tested pair with the words of a language for it."""

    tested: Tested
    a: str
    b: str
    context: str

    @property
    def verdict(self) -> str:
        return verdict(self.tested.comparison)


def verdict(one: Comparison) -> str:
    """What a comparison says of its first side: better, worse, none or untested."""
    if not one.is_tested:
        return "untested"
    if one.p_holm >= 0.05:
        return "none"
    return "better" if one.is_better else "worse"


def answer(told: Evidence, language: str) -> str:
    """The measured answer in a sentence or two, of the first thing the question compares with; and, where updates were
    attacked, what that found.
    """
    found = _answer(told, language)
    attacked = _over_seeds(told, language)[:1] if told.question.leaks else []
    if attacked:
        found = _say("in_accuracy", language, figure=told.question.figures[0].label[language], said=found)
    return (" " if language == "en" else "").join([found, *attacked])


def _answer(told: Evidence, language: str) -> str:
    figure = told.question.figures[0]
    pairs = [one for group in _groups(told, language)[:1] for one in group]
    if not pairs:
        if not told.tested and told.found and figure.name not in ("accuracy", "rmse"):
            return _say("no_test", language, figure=figure.label[language])
        return _say("nothing", language)
    tested = [one for one in pairs if one.verdict != "untested"]
    if not tested:
        return _say("one_seed" if told.result.seeds < 2 else "nothing", language)
    by_verdict = {
        name: [one for one in tested if one.verdict == name] for name in ("better", "worse", "none")
    }
    b = pairs[0].b
    if len({one.context for one in pairs}) == 1:
        if len(by_verdict["none"]) == len(tested) > 2:
            return _say("none_differs", language, all=len(tested), b=b)
        if len(tested) > _LISTED_SHORTLY:
            counts = {name: len(found) for name, found in by_verdict.items()}
            said = [_say("of_all", language, all=len(tested), b=b, **counts)]
            if told.question.picture == "costs" and told.question.across == BYTES and by_verdict["none"]:
                said.append(_cheapest(told, by_verdict["none"], language))
            return (" " if language == "en" else "").join(said)
        parts = [
            _say(
                f"is_{name}",
                language,
                b=b,
                which=_COMMA[language].join(_short(one, language) for one in found),
            )
            for name, found in by_verdict.items()
            if found
        ]
        return _sentence(_SEMICOLON[language].join(parts), language)
    counts = {name: len(found) for name, found in by_verdict.items()}
    if not counts["better"] and not counts["worse"]:
        return _say("none_of", language, all=len(tested), b=b)
    said = [_say("of_all", language, all=len(tested), b=b, **counts)]
    for name, key in (("better", "most_gained"), ("worse", "most_lost")):
        if by_verdict[name]:
            most = max(by_verdict[name], key=lambda one: abs(one.tested.comparison.difference.value))
            said.append(
                _say(
                    key,
                    language,
                    a=most.a,
                    context=most.context,
                    by=difference(most.tested.comparison, language),
                )
            )
            break
    return (" " if language == "en" else "").join(said)


def _cheapest(told: Evidence, pairs: Sequence[_Pair], language: str) -> str:
    """The one of some cells that sent least, against what it is compared with."""

    def bytes_of(cell: Cell) -> float:
        return told.found[cell.key].bytes

    least = min(pairs, key=lambda one: bytes_of(one.tested.cell))
    times = bytes_of(least.tested.other) / max(1.0, bytes_of(least.tested.cell))
    return _say("cheapest", language, a=least.a, times=f"{times:.0f}")


def sentences(told: Evidence, language: str) -> list[str]:
    """Everything that may be said, a sentence each."""
    found = []
    for group in _groups(told, language):
        contexts = {one.context for one in group}
        if len(contexts) == 1:
            found += [
                _say(
                    one.verdict,
                    language,
                    a=one.a,
                    b=one.b,
                    by=difference(one.tested.comparison, language, signed=one.verdict == "none"),
                )
                for one in group
            ]
        else:
            for method in dict.fromkeys(one.a for one in group):
                found.append(_of_method([one for one in group if one.a == method], language))
    if told.found and not told.tested and told.question.figures[0].name not in ("accuracy", "rmse"):
        found.append(_say("no_test", language, figure=told.question.figures[0].label[language]))
    found += _over_seeds(told, language)
    found += _left_out(told, language)
    for key, one in told.found.items():
        if one.failed and told.question.trained_as[key] == key:
            found.append(
                _say("failed", language, cell=told.question.label(one.cell, language), why=one.failed)
            )
    missing = len(told.question.cells) - len(told.found)
    if missing:
        found.append(_say("missing", language, count=missing, all=len(told.question.cells)))
    return [text[0].upper() + text[1:] for text in found]


def difference(one: Comparison, language: str, signed: bool = False) -> str:
    """The size of a difference with its interval, in points of accuracy or in the unit of the RMSE: that of the first
    side less the second's where `signed`, else above 0.
    """
    way = one.difference.turned if one.difference.value < 0 and not signed else one.difference
    percent = one.figure == "accuracy"
    digits = 1 if percent or abs(way.value) >= 10 else 3
    sign, scale = "+" if signed else "", 100 if percent else 1
    shown = {
        end: f"{scale * getattr(way, end):{sign}.{digits}f}".replace("-", "−")
        for end in ("value", "low", "high")
    }
    p = "–" if not one.is_tested else "p < 0.001" if one.p_holm < 0.0005 else one.p_text
    return _say("points" if percent else "number", language, **shown, p=p)


def _groups(told: Evidence, language: str) -> list[list[_Pair]]:
    """Tested pairs by what they are compared with."""
    question, found = told.question, []
    for against in question.against:
        group = []
        for one in told.tested:
            if one.against is not against:
                continue
            names = dict(zip((axis.name for axis in question.axes), one.cell.values, strict=True))
            labels = {axis.name: axis.value(names[axis.name]).label[language] for axis in question.axes}
            base = {axis.name: axis.value(against[axis.name]).label[language]
                    for axis in question.axes if axis.name in against}  # fmt: skip
            context = _COMMA[language].join(
                f"{axis.label[language]}{_COLON[language]}{labels[axis.name]}"
                for axis in question.axes
                if axis.name not in against and len(axis.values) > 1
            )
            group.append(
                _Pair(
                    one,
                    f"“{_COMMA[language].join(labels[name] for name in base)}”",
                    f"“{_COMMA[language].join(base.values())}”",
                    context,
                )
            )
        if group:
            found.append(group)
    return found


def _of_method(group: Sequence[_Pair], language: str) -> str:
    a, b = group[0].a, group[0].b
    tested = [one for one in group if one.verdict != "untested"]
    if not tested:
        return _say("untested", language, a=a, b=b)
    if all(one.verdict == "none" for one in tested):
        return _say("method_none", language, a=a, b=b, all=len(tested))
    parts = []
    for name in ("better", "worse", "none"):
        found = [one for one in tested if one.verdict == name]
        if not found:
            continue
        most = sorted(found, key=lambda one: -abs(one.tested.comparison.difference.value))
        where = [f"{one.context}: {_size(one.tested.comparison)}" for one in most[:_LISTED]]
        if len(found) > _LISTED:
            where.append(_say("more", language, count=len(found) - _LISTED))
        parts.append(
            _say(
                f"{name}_at",
                language,
                count=len(found),
                all=len(tested),
                where=_SEMICOLON[language].join(where),
            )
        )
    return _say("method", language, a=a, b=b, told=_SEMICOLON[language].join(parts))


def _over_seeds(told: Evidence, language: str) -> list[str]:
    found = []
    for figure in told.question.figures[1 if told.tested else 0 :]:
        known = [(one.figures[figure.name], one) for one in told.found.values() if figure.name in one.figures]
        if not known:
            continue
        low, high = (pick(known, key=lambda one: one[0].mean) for pick in (min, max))
        seeds, unit = min(one.seeds for one, _ in known), told.result.series[figure.name][0]
        shown = {
            "low": _with_unit(low[0].mean, unit), "where_low": told.question.label(low[1].cell, language),
            "high": _with_unit(high[0].mean, unit), "where_high": told.question.label(high[1].cell, language),
        }  # fmt: skip
        found.append(
            _say(
                "over_seeds" if seeds > 1 else "over_one",
                language,
                figure=figure.label[language],
                seeds=seeds,
                **shown,
            )
        )
    return found


def _left_out(told: Evidence, language: str) -> list[str]:
    both = [
        one.left_out
        for key, one in told.found.items()
        if one.left_out and one.left_out.hostile is not None and told.question.trained_as[key] == key
    ]
    if not both:
        return []
    hostile = sum(one.hostile or 0.0 for one in both) / len(both)
    honest = sum(one.honest or 0.0 for one in both) / len(both)
    return [_say("left_out", language, hostile=f"{100 * hostile:.0f} %", honest=f"{100 * honest:.0f} %")]


def _short(one: _Pair, language: str) -> str:
    """A method with the size of its difference, where one was found."""
    return one.a if one.verdict == "none" else f"{one.a} ({_size(one.tested.comparison)})"


def _size(one: Comparison) -> str:
    value = one.difference.value
    told = f"{100 * value:+.1f}" if one.figure == "accuracy" else f"{value:+.3g}"
    return told.replace("-", "−")


def _with_unit(value: float, unit: str) -> str:
    if unit == "fraction":
        return f"{100 * value:.1f} %"
    return f"{value:.3f} {unit}".rstrip() if abs(value) < 10 else f"{value:.4g} {unit}".rstrip()


def _sentence(text: str, language: str) -> str:
    return text[0].upper() + text[1:] + {"en": ".", "zh": "。"}[language]


def _say(key: str, language: str, **values: object) -> str:
    return _TEXTS[key][language == "zh"].format(**values)
