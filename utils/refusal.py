"""What is said to a person whose input cannot be used: a code with values, and its sentence in English.

The English sentence is also the key under which the site's catalogue has it in other languages, so that nobody has to
recognise a sentence by its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SENTENCES: dict[str, str] = {
    # a conf as a whole
    "unreadable": "cannot be read (%(why)s)",
    "too_large": "larger than %(most)s bytes, not a conf",
    "not_utf8": "not a text file in UTF-8",
    "not_json": "not valid JSON (%(why)s)",
    "twice": "key %(name)s stands twice",
    "not_object": "expected a JSON object of keys, found %(found)s",
    "unknown_key": "unknown key %(name)s",
    "foreign_key": "%(name)s: a key of %(whose)s, which this conf does not use",
    "missing": "key %(name)s is missing (%(doc)s)",
    "two_networks": "%(key)s: %(other)s names a network as well; a conf has one",
    "same_name": "two of the confs are called %(name)s; results are named after them",
    "no_name": "name the conf in letters, digits, _ and - (and .json)",
    # a value
    "expected_found": "%(key)s: expected %(what)s, found %(found)s",
    "expected": "%(key)s: expected %(what)s",
    "both": "%(key)s: %(name)s is trained on as well",
    "held_twice": "%(key)s: what an owner has is held twice",
    "needs": "%(key)s: %(part)s needs %(other)s %(what)s, found %(found)s",
    "refuses": "%(key)s: %(part)s does not go with %(other)s %(found)s",
    "packages": "%(key)s: %(part)s needs %(names)s, which is not installed; %(command)s installs it",
    "budget": "%(key)s: the budget of %(budget)s does not last for one round, which takes an epsilon of %(epsilon)s",
    "adapts": "%(key)s: expected less than %(most)s, a tenth of the %(k)s clients expected in a round, where the clip "
    "adapts; found %(found)s",
    "weights_unavailable": "%(key)s: torchvision's weights for %(name)s cannot be had (%(why)s)",
    # nodes
    "as_many_as_nodes": "%(key)s: expected %(count)s, as there are nodes (%(names)s), found %(found)s",
    "not_on_nodes": "%(key)s: what this asks for needs the clients' examples or models on one machine, and nodes keep "
    "theirs",
    # a layer
    "takes": "%(key)s: %(layer)s takes %(takes)s, found %(found)s",
    "window": "%(key)s: %(layer)s of size %(size)s does not fit into %(found)s",
    "groups": "%(key)s: expected channels that make %(groups)s groups of several numbers each, found %(found)s",
    "two_shapes": "%(key)s: residual makes %(inner)s and its shortcut %(outer)s, which cannot be added",
    "flat": "numbers in one row (flatten makes one)",
    "picture": "channels x height x width",
    "colours": "pictures of three colours",
    "channels": "channels x height x width, or numbers in one row",
    "numbers": "numbers, no tokens (embedding makes some)",
    "tokens": "tokens",
    "sequence": "steps x numbers",
    # what was expected or found
    "bool": "true or false",
    "text": "a text",
    "number": "a number",
    "object": "an object",
    "list": "a list",
    "null": "null",
    "whole": "a whole number",
    "finite": "a finite number",
    "one_of": "one of %(all)s",
    "broken_part": "%(key)s: the part %(name)s cannot be used (%(why)s)",
    "part_of_general": "it has a key %(key)s, as every conf has",
    "no_folder": "%(name)s: %(folder)s is not a folder",
    "part_twice": "%(file)s: there is a %(family)s of this name already; call it otherwise",
    "encodes": "%(key)s: %(name)s gives updates a form of its own, so it can only be the last",
    "batch_norm": "with batch norm",
    "none": "none",
    "above_0": "above 0",
    "no_buffers": "without values beside its parameters (statistics of batch norm, agreed scaling), which are neither "
    "clipped nor noised",
    "a_value": "a value",
    "published": "that is published",
    "update_bytes": "a network of at most %(most)s bytes of weights",
    "no_statistics": "a network without batch norm, whose statistics nobody could check; group_norm does the same",
    "kept_run": "a run that has kept its model",
    "same_network": "a run whose network has the same weights as this one",
    "colours_as": "%(colours)s, as the run was trained with it",
    "kept_resnet": "a ResNet whose run has kept its model",
    "picture_of": "a picture of side %(side)s, 3 channels and colours %(colours)s, as the backbone takes it",
    "letters": "at most %(most)s letters",
    "so_many": "%(count)s of them",
    "as_usual": "as they usually are",
    "grid": "a number that fills a grid of at least %(least)s rows and columns",
    "not_recurrent": "without gru and lstm, which give no gradients of single examples",
    "recurrent": "one of these",
    "no_part": "nothing, for there is none yet",
    "part": "a name, or an object with a name and keys",
    "parts": "a list of names, or of objects with a name and keys",
    "range": "a value in %(range)s",
    "multiple": "a multiple of %(number)s",
    "name": "a name of letters, digits, _ and -",
    "at_most": "at most %(most)s",
    "weights_at_most": "of at most %(most)s weights",
    "at_most_key": "at most %(key)s (%(most)s)",
    "less_than_key": "less than %(key)s (%(most)s)",
    "at_least": "at least %(least)s",
    "at_least_key": "at least %(key)s (%(least)s)",
    "lists": "%(count)s lists",
    "list_of_sources": "a list of names of sources",
    "each_once": "each name once",
    "lists_of_owners": "a list with, for each client, a list of owner numbers",
    "owners_below": "owner numbers below %(number)s",
    "description": "a name, or an object with layers",
    "layers": "a list of layers",
    "layer": "an object with one of %(all)s",
    "no_residual": "no residual inside a residual",
    "shape": "a list of at most %(most)s sizes",
    "parameters": "at most %(most)s parameters",
    "megabytes": "at most %(most)s MB of memory for batches of %(batch)s",
    "turns": "at most %(most)s, after which the clients hold the same examples again",
    # data
    "no_set": "%(file)s: no such file; i0down_training_resource.py makes it",
    "only_set": "%(set)s: this task has no such set, only %(only)s",
    "no_training": "%(set)s: no training examples%(of)s",
    "no_test": "%(set)s: fold %(fold)s has no test examples%(of)s",
    "no_validation": "%(set)s: %(key)s needs validation examples, fold %(fold)s has none",
    "of_sources": " of %(names)s",
    "too_few_examples": "%(count)s training examples cannot fall to %(owners)s owners",
    "too_many_shards": "%(count)s training examples cannot be cut into %(shards)s shards",
    "other_sources": "the training examples come from %(count)s sources (%(names)s), so there must be %(count)s "
    "owners, not %(owners)s",
    "too_many_owners": "more than %(most)s owners are not drawn",
}


@dataclass(frozen=True)
class Said:
    """A sentence of `SENTENCES` by its code; a value may be a sentence itself."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return SENTENCES[self.code] % {name: str(value) for name, value in self.values.items()}


def said(code: str, **values: Any) -> Said:
    """Short for `Said(code, values)`."""
    return Said(code, values)


class Refusal(ValueError):  # noqa: N818  # what it is to the person who gets it
    """Input that cannot be used. Its text is one line: where, then the sentence; `said` is that sentence as a code."""

    def __init__(self, where: str, code: str, **values: Any) -> None:
        self.where, self.said = where, Said(code, values)
        super().__init__(f"{where}: {self.said}" if where else str(self.said))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.where, self.said)


def _again(kind: type[Refusal], where: str, what: Said) -> Refusal:
    return kind(where, what.code, **what.values)
