"""What a node's program tells: what will leave the machine, where things stand, what was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from utils.participant.link import line
from utils.participant.node_home import NodeAbout, NodeHome
from utils.participant.node_site import NodeMe

_ROUNDS = 10


def leaves(about: NodeAbout) -> str:
    """What will leave this machine, and what never does."""
    which = f" (source {', '.join(about.sources)})" if about.sources else ""
    rows = [
        f"Node {about.name} for the task {about.type}, with the data in {about.data}{which}.",
        "What will leave this machine, to the site and to whoever trains there:",
        "  once:          the node's name, its public key and the version of Flower",
        "  every round:   what training changed in the network (one number a weight), on how many examples, the mean "
        "loss, how long it took",
    ]
    rows.append(
        "  where asked:   how many examples of each kind there are"
        if about.counts
        else "  not told:      how many examples of each kind there are (--no-counts)"
    )
    rows.append(
        "  where asked:   how many of your examples of each kind a model judges rightly"
        if about.judges
        else "  not told:      how models do on your examples (--no-judging)"
    )
    rows.append("What never leaves it: the data, any single example, and what is said of one.")
    rows.append(f"The line goes out from here to {about.public}; nothing here can be reached from outside.")
    return "\n".join(rows)


def at_home(home: NodeHome) -> str:
    """Where things stand here."""
    about = home.about
    state = "left" if home.is_left else "paused" if home.is_paused else "joined here"
    told = [name for name, is_told in (("counts", about.counts), ("judging", about.judges)) if is_told]
    of = f" ({', '.join(about.sources)})" if about.sources else ""
    return (
        f"{about.name}: {about.site}\n"
        f"  here: {state}, consent text {about.consent} accepted {about.accepted}\n"
        f"  data: {about.type}, {about.set or 'the usual set'}{of} in {about.data}; told beside updates: "
        f"{' and '.join(told) or 'nothing'}"
    )


def at_site(me: NodeMe) -> str:
    """Where things stand at the site, and the last rounds there."""
    rows = [
        f"  site: {me.state}{me.node_id and f', number {me.node_id}'}{me.public and f', connects to {me.public}'}"
    ]
    if not me.rounds:
        rows.append("  rounds: none yet")
    rows += [f"  {_round(one)}" for one in me.rounds[-_ROUNDS:]]
    return "\n".join(rows)


def ledger(home: NodeHome) -> str:
    """The ledger, a line for each thing that happened."""
    rows = [f"{home.folder.name}: {home.about.site}"]
    rows += [f"  {_entry(one)}" for one in home.ledger.lines()]
    return "\n".join(rows if len(rows) > 1 else [*rows, "  nothing was sent"])


def _round(one: dict[str, Any]) -> str:
    failure = line(one.get("failure"))
    what = line(one.get("verb"), 20)
    if one.get("round"):
        what = f"{line(one.get('run'), 60)} round {_number(one.get('round'))}, {what}"
    cost = f"{_number(one.get('seconds'))} s, {_number(one.get('down'))} bytes here, {_number(one.get('up'))} back"
    return f"{_moment(one.get('at'))} {what}: {failure or cost}"


def _moment(at: Any) -> str:
    """A time in Unix seconds, as the ledger writes it."""
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 2**34:
        return "?"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "?"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def _entry(one: dict[str, Any]) -> str:
    about = {key: value for key, value in one.items() if key not in ("at", "event", "consent_text")}
    told = ", ".join(
        f"{line(key, 30)} {_value(value)}" for key, value in about.items() if value not in ("", None)
    )
    return f"{line(one.get('at'), 30)} {line(one.get('event'), 30)}{told and f': {told}'}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value) if isinstance(value, int) else f"{value:.4g}"
    return line(value if isinstance(value, str) else str(value), 120)
