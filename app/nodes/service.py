"""Owners' own machines: invited, joined, turned away. Every change of state is made here, in one short transaction.

    waiting -> joined, by an admin's word; waiting, joined -> revoked, by an admin's; waiting, joined -> left, by the
    owner's

Flower and the proxy in front of it follow: who is not joined gets nowhere. Both take their time, so no transaction is
open meanwhile. A node that is `revoked` or `left` and has a `node_id` is one that Flower has not yet let go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError

from app.auth.service import hash_code, new_code
from app.extensions import db
from app.flower import proxy, registry
from app.flower.keys import checked_key
from app.models import Node, NodeInvite, User, hash_secret, new_secret, now
from app.nodes.terms import CONSENT
from utils.conf import Conf
from utils.engines.flower_home import FlowerError, Home, JoinedNode, Settings

STATES = ("waiting", "joined", "revoked", "left")
MOST_DAYS = 90
NAME = r"[a-z0-9][a-z0-9_-]{0,39}"
_PATIENCE = 20.0
"""Seconds to wait for another change of what Flower knows."""
_KEPT_ROUNDS = 5000
"""Outcomes of all nodes that are looked through for those of one."""


class NodeError(ValueError):
    """What cannot be done with nodes as they are; the text is one line in the reader's language."""


class InviteError(ValueError):
    """A code by which no node can join, or none any more."""


@dataclass(frozen=True)
class Asked:
    """What a node says of itself when it asks to join."""

    name: str
    public_key: str
    version: str
    consent: int
    tells: dict[str, bool]
    about: str = ""


def home() -> Home:
    """The folder of what Flower needs at this server, whether it is there or not."""
    return Home(current_app.config["FLOWER"])


def settings() -> Settings:
    """What set-up wrote. Raises NodeError where Flower is not set up, or not as it should be."""
    try:
        return home().read()
    except FlowerError:
        raise NodeError(_("Flower is not set up on this site; its admin can do that.")) from None


def reason(error: Exception) -> str:
    """The line of an error, without where things lie on this machine."""
    folder = current_app.config["FLOWER"]
    return str(error).replace(str(folder.resolve()), "flower").replace(str(folder), "flower")


def invite(owner: User, days: int) -> str:
    """A new code by which one node of this owner can join within so many days; the caller commits."""
    code = new_code()
    expires = now() + timedelta(days=days)
    db.session.add(NodeInvite(user_id=owner.id, secret_hash=hash_code(code), expires=expires))
    return code


def open_invites() -> list[NodeInvite]:
    """Codes that can still be used, the latest first."""
    live = (NodeInvite.made.is_(None), NodeInvite.expires > now())
    return list(db.session.scalars(select(NodeInvite).where(*live).order_by(NodeInvite.id.desc())))


def join(code: str, asked: Asked) -> tuple[Node, str]:
    """A node that waits for an admin's word, and the token that it speaks with from now on.

    Whoever asks the same again with the same code, as after an answer that was lost, gets another token. Raises
    InviteError, NodeError where Flower is not set up, the terms are others by now, or key or name cannot be taken.
    """
    live = (NodeInvite.secret_hash == hash_code(code), NodeInvite.expires > now())
    found = db.session.scalar(select(NodeInvite).where(*live))
    if found is None:
        raise InviteError
    settings()
    try:
        public_key = checked_key(asked.public_key)
    except FlowerError:
        raise NodeError(_("public_key: expected the public key of EC P-384 as PEM.")) from None
    if asked.consent != CONSENT:
        raise NodeError(
            _("The terms are version %(version)s by now; read them, and join again.", version=CONSENT)
        )
    secret, secret_hash = new_secret()
    said: dict[str, Any] = {
        "version": asked.version, "about": asked.about, "consent": asked.consent, "secret_hash": secret_hash,
        "tells": json.dumps(asked.tells), "changed": now(),
    }  # fmt: skip
    if found.made is not None:
        return _again(found.made, asked.name, public_key, said), secret
    made = Node(user_id=found.user_id, name=asked.name, public_key=public_key, **said)
    try:
        db.session.add(made)
        db.session.flush()
        spent = update(NodeInvite).where(NodeInvite.id == found.id, NodeInvite.made.is_(None))
        used = db.session.execute(spent.values(made=made.id))
    except IntegrityError:
        db.session.rollback()
        raise NodeError(
            _("A node of this name or with this key is there already; choose another name.")
        ) from None
    if not (isinstance(used, CursorResult) and used.rowcount == 1):  # somebody else was quicker by a moment
        db.session.rollback()
        raise InviteError
    return made, secret


def _again(number: int, name: str, public_key: str, said: dict[str, Any]) -> Node:
    same = (Node.id == number, Node.name == name, Node.public_key == public_key, Node.state == "waiting")
    known: Node | None = db.session.scalar(select(Node).where(*same))
    if known is None:
        raise InviteError
    for key, value in said.items():
        setattr(known, key, value)
    return known


def by_token(secret: str) -> Node | None:
    """The node that speaks with this token."""
    return db.session.scalar(select(Node).where(Node.secret_hash == hash_secret(secret)))


def approve(node: Node) -> None:
    """Let a waiting node take part: Flower registers it, the proxy lets it through. All of it happens, or nothing.

    Raises NodeError where it does not wait or Flower is not set up, FlowerError or OSError where that has failed.
    """
    number, public_key = node.id, node.public_key
    if node.state != "waiting":
        raise NodeError(_("That can be done to a node that waits, and not to one that does not any more."))
    settings()
    db.session.rollback()  # Flower takes its time
    with home().locked("nodes", _PATIENCE):
        node_id = registry.register(home(), public_key)
        if not _change(number, ("waiting",), state="joined", node_id=node_id):
            registry.unregister(home(), node_id)
            raise NodeError(
                _("That can be done to a node that waits, and not to one that does not any more.")
            )
        try:
            _let_through()
        except (FlowerError, OSError):
            _change(number, ("joined",), state="waiting", node_id="")
            for back in (_let_through, lambda: registry.unregister(home(), node_id)):
                with suppress(FlowerError, OSError):
                    back()
            raise


def part(node: Node, state: str) -> str:
    """Turn a node away (`revoked`), or let it go (`left`): the proxy refuses it at once, and Flower forgets it.

    It is so from now on, whatever happens. Returns what has failed for the time being, in one line, else "": the same
    once more then tries it again. Raises NodeError of one that is in that state for good.
    """
    number = node.id
    if node.state not in ("waiting", "joined") and not node.node_id:
        raise NodeError(_("This node is not taking part any more."))
    db.session.rollback()
    _change(number, ("waiting", "joined"), state=state)
    return _let_go(number)


def remove(node: Node) -> None:
    """Delete what is kept of a node that was turned away or has left; its name and key are free then.

    Raises NodeError of another, and where Flower cannot let it go; the caller commits.
    """
    if node.state not in ("revoked", "left"):
        raise NodeError(_("Only a node that was turned away or has left can be deleted."))
    number = node.id
    if node.node_id and (home().folder / "flower.json").exists():
        db.session.rollback()
        if trouble := _let_go(number):
            raise NodeError(trouble)
    db.session.execute(delete(NodeInvite).where(NodeInvite.made == number))
    db.session.execute(delete(Node).where(Node.id == number))


def _let_go(number: int) -> str:
    """Have the proxy and Flower do without a node; what has failed, in one line."""
    node_id = db.session.scalar(select(Node.node_id).where(Node.id == number))
    db.session.rollback()
    if not node_id:
        return ""
    failed = []
    try:
        with home().locked("nodes", _PATIENCE):
            home().read()
            for step in (_let_through, lambda: registry.unregister(home(), node_id)):
                try:
                    step()
                except (FlowerError, OSError) as error:
                    failed.append(reason(error))
    except (FlowerError, OSError) as error:
        failed.append(reason(error))
    if not failed:
        _change(number, ("revoked", "left"), node_id="")
        return ""
    return str(_("It may take part no more, but Flower still knows it: %(why)s", why="; ".join(failed)))


def _let_through() -> None:
    """Tell Flower's side which nodes may take part, and the proxy to let these through."""
    nodes = db.session.scalars(select(Node).where(Node.state == "joined").order_by(Node.name)).all()
    joined = [
        JoinedNode(
            name=one.name, node_id=one.node_id, public_key=one.public_key,
            owner=one.user.nickname if one.user else "",
        )
        for one in nodes
    ]  # fmt: skip
    db.session.rollback()
    home().write_joined(joined)
    proxy.allow(home())


def forget_person(user: User) -> None:
    """Nodes of somebody who goes leave, and belong to nobody. The caller commits, and then calls `follow`."""
    mine = Node.user_id == user.id
    taking_part = (mine, Node.state.in_(("waiting", "joined")))
    db.session.execute(update(Node).where(*taking_part).values(state="left", changed=now()))
    db.session.execute(update(Node).where(mine).values(user_id=None))
    db.session.execute(delete(NodeInvite).where(NodeInvite.user_id == user.id))


def follow() -> None:
    """Have proxy and Flower let go all nodes that take no part any more, as far as that can be done now."""
    apart = select(Node.id).where(Node.state.in_(("revoked", "left")), Node.node_id != "")
    for number in db.session.scalars(apart).all():
        _let_go(number)


def online() -> dict[str, float | None] | None:
    """By Flower's numbers since when nodes are there (Unix seconds; None: they are not); None: nobody knows."""
    return home().online() or None


def rounds_of(nodes: Sequence[Node], most: int) -> dict[str, list[dict[str, Any]]]:
    """What became of the latest `most` messages to each of these nodes, by its name, the oldest first."""
    path = home().folder / "rounds.jsonl"
    try:
        state = (path.stat().st_mtime_ns, path.stat().st_size)
    except OSError:
        state = (0, 0)
    known, lines = current_app.extensions.get("rounds of nodes", (None, []))
    if known != state:  # thousands of lines, of which there are new ones now and then
        lines = home().rounds(_KEPT_ROUNDS)
        current_app.extensions["rounds of nodes"] = state, lines
    found: dict[str, list[dict[str, Any]]] = {one.name: [] for one in nodes}
    since = {one.name: one.created.timestamp() for one in nodes}  # a name may have been another node's
    for line in lines:
        if line["at"] >= since.get(line["node"], float("inf")):
            found[line["node"]].append(line)
    return {name: told[-most:] for name, told in found.items()}


def check_choice(names: Sequence[str], conf: Conf) -> None:
    """Whether a training of `conf` can be on these nodes, one a client, in this order. Raises NodeError."""
    settings()
    if twice := next((one for place, one in enumerate(names) if one in names[:place]), None):
        raise NodeError(_("The node %(name)s is chosen twice.", name=twice))
    if len(names) != conf.no_models:
        raise NodeError(
            _(
                "A node is a client: nodes chosen %(count)s, no_models %(clients)s.",
                count=len(names),
                clients=conf.no_models,
            )
        )
    if conf.holds or conf.pool != conf.no_models or conf.rotations > 1:
        raise NodeError(
            _("A node is an owner, and has its own examples: leave out owners, holds and rotations.")
        )
    joined = select(Node).where(Node.name.in_(names), Node.state == "joined")
    known = {one.name: one.node_id for one in db.session.scalars(joined)}
    there = online()
    for name in names:
        if name not in known:
            raise NodeError(_("There is no node called %(name)s that takes part.", name=name))
        if there is None:
            raise NodeError(_("Nobody knows at this moment which nodes are online; tell the site's admin."))
        if there.get(known[name]) is None:
            raise NodeError(_("The node %(name)s is offline.", name=name))


def _change(number: int, states: tuple[str, ...], **values: Any) -> bool:
    """Set `values` if the node is in one of `states` by now, and whether it was so; a transaction of its own."""
    which = update(Node).where(Node.id == number, Node.state.in_(states))
    changed = db.session.execute(which.values(changed=now(), **values))
    db.session.commit()
    return isinstance(changed, CursorResult) and changed.rowcount == 1
