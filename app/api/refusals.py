"""What is wrong with a conf, in the reader's language. utils says it in English; programs and log files keep that."""

from __future__ import annotations

import re

from flask_babel import get_locale
from flask_babel import gettext as translated  # under a name that marks no new text
from flask_babel import lazy_gettext as _l

# Each a whole message or, inside one, what was expected or found; `%(name)s` stands for what the brackets matched.
_SENTENCES = [
    (r"(?P<key>\S+): expected (?P<what>.+), found (?P<found>.*)", _l("%(key)s: expected %(what)s, found %(found)s")),
    (r"(?P<key>\S+): expected (?P<what>.+)", _l("%(key)s: expected %(what)s")),
    (r"expected a JSON object of keys, found (?P<found>.*)", _l("expected a JSON object of keys, found %(found)s")),
    (r"unknown key (?P<name>.*)", _l("unknown key %(name)s")),
    (r"key (?P<name>\S+) is missing \((?P<doc>.*)\)", _l("key %(name)s is missing (%(doc)s)")),
    (r"not a text file in UTF-8", _l("not a text file in UTF-8")),
    (r"not valid JSON \((?P<why>.*)\)", _l("not valid JSON (%(why)s)")),
    (r"key (?P<name>.*) stands twice", _l("key %(name)s stands twice")),
    (r"holds: an owner's photos are held twice", _l("holds: an owner's photos are held twice")),
    (r"pretrained: torchvision's weights need width 64 and norm batch",
     _l("pretrained: torchvision's weights need width 64 and norm batch")),
    (r"(?P<count>\d+) training photos cannot fall to (?P<owners>\d+) owners",
     _l("%(count)s training photos cannot fall to %(owners)s owners")),
    (r"(?P<count>\d+) training photos cannot be cut into (?P<shards>\d+) shards",
     _l("%(count)s training photos cannot be cut into %(shards)s shards")),
    (r"more than (?P<most>\d+) owners are not drawn", _l("more than %(most)s owners are not drawn")),
    (r"(?P<file>\S+): no such file; i0down_training_resource.py makes it",
     _l("%(file)s: no such file; i0down_training_resource.py makes it")),
    (r"true or false", _l("true or false")), (r"a text", _l("a text")), (r"a number", _l("a number")),
    (r"an object", _l("an object")), (r"a list", _l("a list")), (r"a whole number", _l("a whole number")),
    (r"a finite number", _l("a finite number")), (r"one of (?P<all>.*)", _l("one of %(all)s")),
    (r"a value in (?P<range>.*)", _l("a value in %(range)s")),
    (r"a multiple of (?P<number>\d+)", _l("a multiple of %(number)s")),
    (r"a name of letters, digits, _ and -", _l("a name of letters, digits, _ and -")),
    (r"at most (?P<most>\d+), after which the clients hold the same photos again",
     _l("at most %(most)s, after which the clients hold the same photos again")),
    (r"at most (?P<most>.*)", _l("at most %(most)s")), (r"less than (?P<number>.*)", _l("less than %(number)s")),
    (r"at least 16 for a resnext", _l("at least 16 for a resnext")),
    (r"at least (?P<least>.*)", _l("at least %(least)s")),
    (r"(?P<count>\d+) lists", _l("%(count)s lists")),
    (r"a list with, for each client, a list of owner numbers",
     _l("a list with, for each client, a list of owner numbers")),
    (r"owner numbers below (?P<number>\d+)", _l("owner numbers below %(number)s")),
]  # fmt: skip


def in_ones_language(text: str) -> str:
    """A message of utils.conf, utils.partition or utils.photos.dataset in the reader's language, where it is known."""
    if str(get_locale() or "en") == "en":
        return text
    for pattern, sentence in _SENTENCES:
        if found := re.fullmatch(pattern, text):
            parts = found.groupdict()
            told = {
                name: in_ones_language(part) if name in ("what", "found", "why") else part
                for name, part in parts.items()
            }
            if "doc" in told:
                told["doc"] = translated(told["doc"])
            return str(sentence) % told if told else str(sentence)
    return text
