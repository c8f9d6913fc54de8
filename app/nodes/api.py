"""Nodes over HTTP: the front door of owners' machines, and what their owners and the site's admins do about them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

from flask import abort, g
from flask_babel import gettext as _
from flask_login import current_user
from flask_smorest import Blueprint
from sqlalchemy import select

from app.api.answers import answers
from app.api.needs import needs
from app.api.schemas import GoneSchema
from app.auth.service import audit, find_user
from app.extensions import db, limiter
from app.flower.keys import fingerprint
from app.models import Node, NodeInvite
from app.nodes import service
from app.nodes.schemas import (
    AskInviteSchema,
    CodeSchema,
    JoinedSchema,
    JoinNodeSchema,
    NodeAnswerSchema,
    NodeMeSchema,
    NodesSchema,
    NodeTermsSchema,
)
from app.nodes.terms import CONSENT, consent_text
from utils.engines.flower_home import FlowerError

blueprint = Blueprint("nodes_api", __name__, url_prefix="/api/v1/nodes", description="Nodes")
OWN_TOKENS = {"nodes_api.me", "nodes_api.leave"}
_NUMBER = "<int(max=2147483647):number>"
_SHOWN, _TOLD = 30, 50
"""Rounds of a node that a page shows, and that the node itself is told."""


@blueprint.get("/terms")
@answers(NodeTermsSchema, 409)
def terms() -> dict[str, Any]:
    """What an owner agrees to; there are terms where Flower is set up."""
    try:
        known = service.settings()
    except service.NodeError as error:
        _conflict(str(error))
    told = {"version": CONSENT, "text": consent_text()}
    return {"consent": told, "public": known.public, "version": known.version}


@blueprint.post("/join")
@limiter.limit("20 per minute")
@blueprint.arguments(JoinNodeSchema)
@answers(JoinedSchema, 403, 409, 422, 429)
def join(asked: dict[str, Any]) -> dict[str, Any]:
    """Ask to join with a code; the node then waits for an admin's word. The code is the right to ask."""
    code, asked["about"] = asked.pop("invite"), " ".join(asked["about"].split())
    try:
        node, token = service.join(code, service.Asked(**asked))
    except service.InviteError:
        g.message = _("This code is none, or cannot be used any more; ask the site's admin for another.")
        abort(403)
    except service.NodeError as error:
        _conflict(str(error))
    audit("node asked to join", node.name)
    db.session.commit()
    return {"token": token, "state": node.state}


@blueprint.get("/me")
@limiter.limit("120 per minute")
@answers(NodeMeSchema, 401, 429)
def me() -> dict[str, Any]:
    """How the node stands whose token (bearer) this comes with."""
    return _for_itself(_by_token())


@blueprint.post("/me/leave")
@limiter.limit("20 per minute")
@answers(NodeMeSchema, 401, 409, 429)
def leave() -> dict[str, Any]:
    """Take no further part, by the node's own word (its token)."""
    node = _by_token()
    try:
        service.part(node, "left")
    except service.NodeError as error:
        _conflict(str(error))
    audit("node left", node.name)
    db.session.commit()
    return _for_itself(node)


@blueprint.get("")
@needs("read")
@answers(NodesSchema, 401, 403)
def nodes() -> dict[str, Any]:
    """One's own nodes, for researchers all; whether Flower is set up; for admins the codes that are not used yet."""
    which = select(Node).order_by(Node.name)
    if current_user.role == "user":
        which = which.where(Node.user_id == current_user.id)
    found = list(db.session.scalars(which))
    flower = {
        "ready": True,
        "reason": "",
        "public": "",
        "version": "",
        "watched": service.online() is not None,
    }
    try:
        known = service.settings()
        flower |= {"public": known.public, "version": known.version}
    except service.NodeError as error:
        flower |= {"ready": False, "reason": str(error)}
    invites = service.open_invites() if current_user.is_admin else []
    return {
        "flower": flower, "nodes": _told(found),
        "invites": [
            {"id": one.id, "owner": one.user.nickname, "expires": one.expires.isoformat()} for one in invites
        ],
    }  # fmt: skip


@blueprint.post("/invites")
@needs("train", "admin")
@limiter.limit("60 per minute")
@blueprint.arguments(AskInviteSchema)
@answers(CodeSchema, 401, 403, 422, 429)
def invite(asked: dict[str, Any]) -> dict[str, Any]:
    """A code by which a node joins; it will belong to the account of `owner`."""
    owner = find_user(asked["owner"]) if asked["owner"].strip() else current_user
    if owner is None:
        _refuse(_("owner: no account has this e-mail address."))
    code = service.invite(owner, asked["days"])
    audit("node invited", owner.email)
    db.session.commit()
    return {"code": code}


@blueprint.delete(f"/invites/{_NUMBER}")
@needs("train", "admin")
@answers(GoneSchema, 401, 403, 404)
def withdraw(number: int) -> dict[str, Any]:
    """Take back a code that was not used."""
    found = db.session.get(NodeInvite, number)
    if found is None or found.made is not None:
        abort(404)
    audit("node's code revoked", found.user.email)
    db.session.delete(found)
    db.session.commit()
    return {"gone": True}


@blueprint.post(f"/{_NUMBER}/approve")
@needs("train", "admin")
@limiter.limit("60 per minute")
@answers(NodeAnswerSchema, 401, 403, 404, 409, 429)
def approve(number: int) -> dict[str, Any]:
    """Let a waiting node take part."""
    node = _node(number)
    try:
        service.approve(node)
    except service.NodeError as error:
        _conflict(str(error))
    except (FlowerError, OSError) as error:
        _conflict(_("Flower has not taken it: %(why)s", why=service.reason(error)))
    return _done("node approved", number)


@blueprint.post(f"/{_NUMBER}/revoke")
@needs("train", "admin")
@limiter.limit("60 per minute")
@answers(NodeAnswerSchema, 401, 403, 404, 409, 429)
def revoke(number: int) -> dict[str, Any]:
    """Turn a node away, at once; the same again tries what could not be done before."""
    return _part(_node(number), "revoked", "node revoked")


@blueprint.post(f"/{_NUMBER}/leave")
@needs("participate")
@limiter.limit("60 per minute")
@answers(NodeAnswerSchema, 401, 403, 404, 409, 429)
def withdraw_own(number: int) -> dict[str, Any]:
    """Have one's own node take no further part, where the machine itself cannot say so."""
    node = _node(number)
    if node.user_id != current_user.id:
        abort(404)
    return _part(node, "left", "node left")


@blueprint.delete(f"/{_NUMBER}")
@needs("train", "admin")
@answers(GoneSchema, 401, 403, 404, 409)
def delete(number: int) -> dict[str, Any]:
    """Delete what is kept of a node that was turned away or has left."""
    node = _node(number)
    name = node.name
    try:
        service.remove(node)
    except service.NodeError as error:
        _conflict(str(error))
    audit("node deleted", name)
    db.session.commit()
    return {"gone": True}


def _part(node: Node, state: str, what: str) -> dict[str, Any]:
    number = node.id
    try:
        trouble = service.part(node, state)
    except service.NodeError as error:
        _conflict(str(error))
    return _done(what, number, trouble)


def _done(what: str, number: int, trouble: str = "") -> dict[str, Any]:
    node = _node(number)
    audit(what, node.name)
    db.session.commit()
    return {"node": _told([node])[0], "trouble": trouble}


def _node(number: int) -> Node:
    found = db.session.get(Node, number)
    if found is None:
        abort(404)
    return found


def _by_token() -> Node:
    found = service.by_token(g.bearer) if g.get("bearer") else None
    if found is None:
        abort(401)
    return found


def _told(found: list[Node]) -> list[dict[str, Any]]:
    there, rounds = service.online(), service.rounds_of(found, _SHOWN)
    told = []
    for one in found:
        since = (there or {}).get(one.node_id)
        told.append({
            "id": one.id, "name": one.name, "owner": one.user.nickname if one.user else "",
            "mine": one.user_id == current_user.id, "state": one.state, "version": one.version, "about": one.about,
            "fingerprint": fingerprint(one.public_key), "tells": json.loads(one.tells),
            "created": one.created.isoformat(), "changed": one.changed.isoformat(), "released": not one.node_id,
            "online": None if there is None else since is not None,
            "online_since": None if since is None else datetime.fromtimestamp(since, UTC).isoformat(),
            "rounds": rounds[one.name],
        })  # fmt: skip
    return told


def _for_itself(node: Node) -> dict[str, Any]:
    public = ca = ""
    try:
        public = service.settings().public
        ca = (service.home().folder / "ca.crt").read_text()
    except (service.NodeError, OSError, UnicodeDecodeError):
        pass  # Flower is set up anew, say; the node asks again
    return {
        "name": node.name, "state": node.state, "node_id": node.node_id, "public": public, "ca": ca,
        "consent": node.consent, "rounds": service.rounds_of([node], _TOLD)[node.name],
    }  # fmt: skip


def _conflict(message: str) -> NoReturn:
    g.message = g.detail = message
    abort(409)


def _refuse(message: str) -> NoReturn:
    g.message = g.detail = message
    abort(422)
