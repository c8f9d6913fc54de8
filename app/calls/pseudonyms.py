"""Names by which participants are known to others: they say nothing of anybody, and no two of a call are alike."""

from __future__ import annotations

import secrets

_COLOURS = (
    "amber", "azure", "brown", "copper", "coral", "crimson", "golden", "green", "grey", "indigo", "ivory", "jade",
    "olive", "orange", "pearl", "purple", "red", "silver", "teal", "violet", "white", "yellow",
)  # fmt: skip
_BIRDS = (
    "avocet", "bittern", "blackbird", "bunting", "chaffinch", "condor", "crane", "cuckoo", "curlew", "dipper", "dove",
    "dunlin", "eider", "falcon", "finch", "flamingo", "grebe", "gull", "harrier", "heron", "hoopoe", "ibis", "jay",
    "kestrel", "kingfisher", "kite", "lapwing", "lark", "linnet", "magpie", "martin", "merlin", "nightjar", "nuthatch",
    "oriole", "osprey", "ouzel", "owl", "petrel", "pipit", "plover", "puffin", "quail", "raven", "redstart", "robin",
    "rook", "ruff", "sanderling", "serin", "shrike", "siskin", "skua", "snipe", "sparrow", "starling", "stork",
    "swallow", "swan", "swift", "teal", "tern", "thrush", "turnstone", "wagtail", "warbler", "whimbrel", "wren",
)  # fmt: skip


def pseudonym() -> str:
    """A colour, a bird and a number, drawn."""
    return f"{secrets.choice(_COLOURS)} {secrets.choice(_BIRDS)} {secrets.randbelow(1000):03d}"
