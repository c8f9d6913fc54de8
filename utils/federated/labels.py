"""Few labels: whose training examples have one, and what clients made of the others.

Labels are drawn from the partition's seed, in proportion to classes. A local part that does not say
`UNLABELLED = True` trains on labelled examples only, the others drop out: supervised training with the same labels. For
one that does, a client has all of its examples, and the share `labelled/i` names those whose label it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from utils.federated.clock import UNSURE
from utils.federated.update import Failure, Work, share_of
from utils.parts import Part

if TYPE_CHECKING:
    from utils.conf import Conf

LABELS_STREAM = 22
HIDDEN = -1
"""Class number of an example whose label a client does not know."""
Indices = NDArray[np.int64]
Dealt = tuple[list[Indices], list[Indices] | None, Indices]


def labelled_of(client: int) -> str:
    """The name of the share of a client's examples whose labels it knows, where that is not all of them."""
    return f"labelled/{client}"


def dealt(conf: Conf, seed: int, clients: list[Indices], targets: NDArray[Any]) -> Dealt:
    """Which examples (indices into `targets`) clients train on, which of them have a label (None: all), and which lie
    with their labels at the server.
    """
    nothing = clients[0][:0]
    if conf.labels == 1.0:
        return clients, None, nothing
    rng, server = np.random.default_rng([LABELS_STREAM, seed]), nothing
    if conf.labels_at == "server":
        every = np.concatenate(clients)
        server = every[drawn(targets[every], conf.labels, rng)]
        clients = [mine[~np.isin(mine, server)] for mine in clients]
        labelled = [nothing for _ in clients]
    elif conf.labels_at == "some":
        count = max(1, round(conf.labels * len(clients)))
        whose = set(rng.choice(len(clients), count, replace=False).tolist())
        labelled = [mine if client in whose else nothing for client, mine in enumerate(clients)]
    else:
        labelled = [mine[drawn(targets[mine], conf.labels, rng)] for mine in clients]
    if not getattr(conf.local.module, "UNLABELLED", False):
        return labelled, None, server
    return clients, labelled, server


def drawn(targets: NDArray[Any], share: float, rng: np.random.Generator) -> Indices:
    """Positions in `targets` (n,), ascending, of such a share, at least one: of every class as many as its share of all
    comes to, give or take one.
    """
    order, place = rng.permutation(len(targets)), np.empty(len(targets))
    for label in np.unique(targets):
        those = order[targets[order] == label]
        place[those] = (np.arange(len(those)) + rng.random()) / len(those)
    count = max(1, round(share * len(targets)))
    return np.sort(np.argsort(place, kind="stable")[:count])


def known(work: Work, client: int) -> NDArray[Any]:
    """The targets (n,) of a client's examples as far as it knows them: HIDDEN where it does not."""
    mine = work.shares[share_of(client)]
    targets, labelled = work.targets[mine], work.shares.get(labelled_of(client))
    return targets if labelled is None else np.where(np.isin(mine, labelled), targets, HIDDEN)


def at_server(work: Work, server: Indices) -> Work | None:
    """The server's training on labels of its own, as one more client's; None where it has none. It takes
    `server_epochs` of the local part, without attackers or links.
    """
    if not len(server):
        return None
    conf, number = work.conf, work.conf.no_models
    plain = replace(
        conf, local=Part("local", "sgd"), attack=None, link=(), local_epochs=conf.local.keys.server_epochs
    )
    return replace(work, id=uuid4().hex, conf=plain, shares={share_of(number): server}, home="")


def series(
    clients: Sequence[Indices],
    labelled: Sequence[Indices] | None,
    metrics: Sequence[dict[str, float]],
    failures: Sequence[Failure],
) -> dict[str, tuple[float, str, str]]:
    """What share of the unlabelled examples that were asked about in a round got a label, and what share of these
    labels is right, as the lab knows; 0 where there is none.
    """
    if labelled is None:
        return {}
    asked, given, right = (
        sum(one.get(name, 0.0) for one in metrics) for name in ("asked", "labelled", "right")
    )
    asked += sum(
        len(clients[one.client]) - len(labelled[one.client]) for one in failures if one.reason == UNSURE
    )
    return {
        "pseudo_labels": (given / asked if asked else 0.0, "fraction", "none"),
        "pseudo_labels_right": (right / given if given else 0.0, "fraction", "higher"),
    }
