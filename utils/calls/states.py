"""The protocol of a call: states, and the events that lead from one to the next. This table is what the site goes by;
the page of docs/ and the program of participants show it.
"""

from __future__ import annotations

CALL = {
    ("draft", "publish"): "open",
    ("open", "pause"): "paused",
    ("paused", "resume"): "open",
    ("open", "finish"): "finished",
    ("paused", "finish"): "finished",
    ("finished", "resume"): "open",
    ("open", "cancel"): "cancelled",
    ("paused", "cancel"): "cancelled",
}
"""Of a call, by what its publisher does; a draft that is given up is deleted."""

PARTICIPATION = {
    ("invited", "join"): "joined",
    ("joined", "join"): "joined",
    ("joined", "leave"): "left",
    ("left", "join"): "joined",
}
"""Of a participant: everybody is invited to an open call; to join means to accept the consent text of a version."""

TRAINING = {
    ("training", "submit"): "waiting",
    ("training", "lapse"): "lapsed",
    ("training", "refuse"): "refused",
    ("training", "withdraw"): "withdrawn",
    ("lapsed", "submit"): "waiting",
    ("lapsed", "refuse"): "refused",
    ("waiting", "accept"): "accepted",
    ("waiting", "refuse"): "refused",
    ("waiting", "withdraw"): "withdrawn",
    ("accepted", "fold"): "folded",
    ("accepted", "return"): "waiting",
}
"""Of one training and its update: begun, sent and waiting, taken into a fold that is under way, in a version."""

REASONS = {
    "too late": "made from a version that is too old by now",
    "over the limit": "more trainings than the task allows",
    "not finite": "a number of it is not finite",
    "wrong shape": "not the tensors of this task",
    "norm too large": "a larger change than the task allows",
    "too few examples": "of fewer examples than the task asks for",
    "by the publisher": "the publisher did not take it",
    "closed": "the task takes no updates any more",
    "lost": "its file is no longer here",
}
"""Why an update is refused, by what its answer calls it."""

AWAY = {
    "not joined": 0,
    "consent changed": 0,
    "paused": 300,
    "closed": 0,
    "over the limit": 0,
    "wait for the next version": 30,
    "too busy": 10,
}
"""Why there is no training now, and after how many seconds to ask again at the earliest; 0: not by itself."""


def after(table: dict[tuple[str, str], str], state: str, event: str) -> str | None:
    """The state that follows; None where the event cannot be in that state."""
    return table.get((state, event))


def before(table: dict[tuple[str, str], str], event: str) -> tuple[str, ...]:
    """The states in which an event can be."""
    return tuple(state for state, what in table if what == event)


def as_markdown(table: dict[tuple[str, str], str]) -> str:
    """A table of states for people: for each state and event the state that follows."""
    rows = [f"| `{state}` | `{event}` | `{then}` |" for (state, event), then in table.items()]
    return "\n".join(["| state | event | then |", "|---|---|---|", *rows])
