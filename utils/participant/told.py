"""What the program tells: a task before one joins it, what was sent, and where things stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.participant.ledger import clips, spent
from utils.participant.link import Task, line, plain

if TYPE_CHECKING:
    from utils.calls.described import Call
    from utils.calls.format import Field
    from utils.participant.kept import Kept

_ABOUT = 1500


def task(told: Task, call: Call) -> str:
    """What a task is: what for, by whom, what it wants, what is trained, and what that costs."""
    from utils.nets.outline import known_of

    of, how, limits = call.format, call.training, call.limits
    known = known_of(call.conf)
    if of.is_picture:
        wants = f"pictures, made {of.side} x {of.side} pixels, {'grey' if of.channels == 1 else 'in colour'}"
    else:
        wants = "values of " + "; ".join(map(_field, of.fields))
    if of.number:
        asked = f"a number, {_field(of.number)}"
    else:
        asked = "one of " + ", ".join(
            f"{line(one.name)}{one.hint and f' ({line(one.hint)})'}" for one in of.labels
        )
    network = f"{known['parameters']:,} numbers are learnt"
    if call.backbone:
        network += f", on what the frozen network of run {line(call.backbone, 80)} makes of a picture"
    bounds = [
        f"at least {limits.examples} examples an update",
        f"at most {limits.trainings} trainings a person" if limits.trainings else "any number of trainings",
        f"{limits.per_version} a version" if limits.per_version else "any number a version",
        f"from a version at most {limits.staleness} older than the latest",
    ]
    if limits.norm:
        bounds.append(f"a norm of at most {limits.norm:g}")
    when = "when its publisher says so"
    if call.aggregation.mode == "automatic":
        when = f"when {call.aggregation.goal} updates wait, or {call.aggregation.minutes:g} minutes after the first"
    about = told.about.strip()
    rows = [
        ("task", f"{told.name} (version {told.version}, {told.state})"),
        ("by", told.by),
        ("what for", f"{about[:_ABOUT]}{'...' if len(about) > _ABOUT else ''}"),
        ("wants", wants),
        ("asks", asked),
        ("network", network),
        ("training", f"{how.local_epochs} passes, batches of {how.batch_size}, learning rate {how.lr:g}, momentum "
                     f"{how.momentum:g}"),
        ("limits", "; ".join(bounds)),
        ("folded", f"by {call.strategy.name}, {when}; at least {call.aggregation.least} together"),
        ("travels", f"{call.update_bytes:,} bytes each way in every training; updates are kept {call.keep_days} days"),
    ]  # fmt: skip
    # A description of several lines is set in, so that none of them looks like a row of this program.
    return "\n".join(f"{name + ':':<10}" + text.replace("\n", "\n" + " " * 10) for name, text in rows)


def _field(one: Field) -> str:
    unit = f" {line(one.unit, 30)}" if one.unit else ""
    name = f" ({line(one.name, 60)})" if one.name != one.key else ""
    return f"{one.key}{name} {one.low:g} to {one.high:g}{unit}"


def ledger(kept: Kept) -> str:
    """The ledger of a task, a line for each thing that happened."""
    about = kept.about
    rows = [f"{kept.folder.name}: {about.name}, {about.site}/tasks/{about.number}"]
    rows += [f"  {_entry(one)}" for one in kept.ledger.told() if one["event"] != "training" or one["sent"]]
    if len(rows) == 1:
        rows.append("  nothing was sent")
    return "\n".join(rows)


def _entry(one: dict[str, Any]) -> str:
    at = line(one.get("sent") or one["at"])
    if one["event"] != "training":
        consent = f" consent text {one['consent']}" if "consent" in one else ""
        return f"{at} {line(one['event'])}{consent}"
    clip, noise = one.get("clip", 0), one.get("noise", 0)
    covered = f", clip {clip:g}, noise {noise:g}; {line(one.get('epsilon_says'))}" if clip else ""
    why = line(one.get("reason") or one.get("says"))
    after = f" version {one['version_after']}" if one.get("version_after") else ""
    became = f"{line(one['state']) or 'not confirmed'}{after}{why and f' ({why})'}"
    what = f"{one['bytes']:,} bytes, sha256 {one['sha256'][:12]}, {one['samples']} examples"
    return f"{at} version {one['version']}: {what}, norm {one['norm']:.4g}{covered} -> {became}"


def records(kept: Kept) -> list[dict[str, Any]]:
    """The ledger of a task for programs."""
    about = kept.about
    return [{"site": about.site, "task": about.number, **one} for one in kept.ledger.told()]


def at_home(kept: Kept) -> str:
    """Where things stand here."""
    about, sent, pending = kept.about, kept.ledger.sent(), kept.pending
    state = "left" if kept.is_left else "paused" if kept.is_paused else "joined"
    by_state: dict[str, int] = {}
    for one in sent:
        by_state[one["state"] or "not confirmed"] = by_state.get(one["state"] or "not confirmed", 0) + 1
    told = ", ".join(f"{count} {line(name, 20)}" for name, count in by_state.items())
    lines = [
        f"{kept.folder.name}: {about.name}, {about.site}/tasks/{about.number}",
        f"  here: {state}, consent text {about.consent} accepted {about.accepted}, {about.examples} examples prepared",
        f"  sent: {len(sent)} updates, {sum(one['bytes'] for one in sent):,} bytes{told and f' ({told})'}",
    ]
    if any(noise for _, noise in clips(sent)):
        lines.append(f"  {spent(clips(sent))[1]}")
    if pending:
        what = f"an update from version {pending.version}" if pending.trained else "a training that was begun"
        lines.append(f"  not done with: {what}; train goes on with it")
    return "\n".join(lines)


def at_site(told: Task) -> str:
    """Where things stand at the site."""
    waiting = told.progress.get("waiting")
    goal = told.progress.get("goal")
    waits = (
        f", {waiting} of {goal} updates wait" if isinstance(waiting, int) and isinstance(goal, int) else ""
    )
    lines = [f"  site: {told.state}, version {told.version}{waits}"]
    if told.me:
        left = "" if told.me.left is None else f", {told.me.left} more allowed"
        lines.append(
            f"  you there: {told.me.state} as {told.me.pseudonym}, {told.me.trainings} trainings{left}"
        )
        if told.me.worth:
            lines.append(f"  worth: {told.me.worth}")
    return plain("\n".join(lines), 2000)
