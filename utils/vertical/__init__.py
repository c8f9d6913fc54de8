"""Columns instead of rows (vertical federated learning): owners hold different columns of the same people.

The *guest*, owner 0, has the labels too; the others are *hosts*. A host sends what its columns add to the first layer
(`scores`), the guest goes on from the sum and sends back the gradient there; nobody's columns travel, nor the labels.
What the messages say all the same is in `docs/columns.md`. That is the protocol of Hardy et al. 2017
(https://arxiv.org/abs/1711.10677), without its encryption, for logistic regression, and with `concat` split learning as
Vepakomma et al. 2018 (https://arxiv.org/abs/1812.00564) and Ceballos et al. 2020 (https://arxiv.org/abs/2008.04137)
have it.

It needs neither rounds nor experiments; the kind of rounds `columns` (`utils.federated.rounds.columns`) uses it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Wire:
    """What travelled: bytes to the guest (`up`) and from it (`down`), and how many messages."""

    up: int = 0
    down: int = 0
    messages: int = 0

    def to_guest(self, message: bytes) -> bytes:
        """A host's message, counted."""
        self.up += len(message)
        self.messages += 1
        return message

    def to_host(self, message: bytes) -> bytes:
        """A message of the guest's, counted."""
        self.down += len(message)
        self.messages += 1
        return message
