"""What a federation may do without, question by question: the study that answers it, and what to know before."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

NEEDS = (
    (
        "no_server",
        _l("Do you need a server?"),
        _l(
            "Without one, owners mix their models with those of a few neighbours, or pass one model on from hand to "
            "hand. Nobody sees every update, and nobody has to be there for all the others. But nobody has the one "
            "model either: each has its own, as near to the others as the graph lets it be, and with every further "
            "neighbour another model travels."
        ),
    ),
    (
        "no_waiting",
        _l("Do you need to wait?"),
        _l(
            "Who waits for everybody is as slow as the slowest. A server that steps whenever some updates are there "
            "leaves no owner idle; but what it takes in was begun from an older model, and owners who are fast are "
            "heard more often than those who are slow."
        ),
    ),
    (
        "few_labels",
        _l("Do you need labels?"),
        _l(
            "Examples cost little, labels somebody's time. Owners can have the model label what it is sure of, and "
            "learn from that: which helps as far as it is right where it is sure."
        ),
    ),
    (
        "rows_or_columns",
        _l("Do you need the same columns?"),
        _l(
            "Some owners know different things of the same people: a hospital what was measured, another what was "
            "paid. They can train one model of all columns and show none. What travels then are partial sums and "
            "residuals, once for every batch, and these tell something too."
        ),
    ),
    (
        "who_contributed",
        _l("Do you need everybody?"),
        _l(
            "How much data somebody has says little of what it is worth: a copy adds nothing, and wrong labels harm. "
            "Shapley values share out what a round gained among those who took part; that costs many models judged, "
            "and takes examples that nobody trained on."
        ),
    ),
)
"""The name of a study, the question, and a text."""
