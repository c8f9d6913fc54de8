"""What the API takes and tells of nodes."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.names import Note
from app.nodes.service import MOST_DAYS, NAME, STATES


def _text(**more: object) -> fields.String:
    return fields.String(required=True, **more)  # type: ignore[arg-type]


class AskInviteSchema(Schema):
    """Whose node a code is for, by the e-mail address of an account (empty: one's own), and for how many days."""

    owner = fields.String(load_default="", validate=validate.Length(max=254))
    days = fields.Integer(load_default=7, strict=True, validate=validate.Range(1, MOST_DAYS))


class CodeSchema(Schema):
    """A code, shown this once."""

    code = _text()


class TermsSchema(Schema):
    """The present terms: a text, paragraphs with blank lines between, in the language asked for."""

    version = fields.Integer(required=True)
    text = _text()


class NodeTermsSchema(Schema):
    """What an owner agrees to, where the node will connect to (host:port), and the version of Flower here."""

    consent = fields.Nested(TermsSchema, required=True)
    public, version = _text(), _text()


class TellsSchema(Schema):
    """What an owner lets the node tell: examples of each class; how models do on test examples of its own."""

    counts, judges = (fields.Boolean(required=True, truthy={True}, falsy={False}) for _ in range(2))


class JoinNodeSchema(Schema):
    """What a node says of itself: a name of its owner's choice, the public key (PEM of EC P-384) that Flower is to
    know it by, the version of Flower there, the version of the terms that was accepted, and what it will tell.
    """

    invite = _text(validate=validate.Length(1, 100))
    name = _text(validate=validate.Regexp(rf"\A{NAME}\Z"))
    public_key = _text(validate=validate.Length(1, 1000))
    version = _text(validate=validate.Regexp(r"\A[0-9A-Za-z.+-]{1,40}\Z"))
    consent = fields.Integer(required=True, strict=True, validate=validate.Range(1, 2**31 - 1))
    tells = fields.Nested(TellsSchema, required=True)
    about = Note(200, load_default="")


class JoinedSchema(Schema):
    """The token that the node speaks with from now on, shown this once, and its state."""

    token = _text()
    state = _text(validate=validate.OneOf(STATES))


class OutcomeSchema(Schema):
    """What became of a message to a node in a round of a run: seconds until the answer, bytes to the node and back;
    `failure` says why there was none. `at` in Unix seconds.
    """

    at, seconds = (fields.Float(required=True) for _ in range(2))
    node, run, verb, failure = (_text() for _ in range(4))
    round, down, up = (fields.Integer(required=True) for _ in range(3))


class NodeMeSchema(Schema):
    """How a node stands, for itself: where to connect to with which CA's certificate, and the latest of what it did."""

    name, node_id, public, ca = (_text() for _ in range(4))
    state = _text(validate=validate.OneOf(STATES))
    consent = fields.Integer(required=True)
    rounds = fields.List(fields.Nested(OutcomeSchema), required=True)


class NodeSchema(Schema):
    """A node. `owner` is a nickname, empty where the account is gone; `online` is null where nobody knows, else
    `online_since` says since when it is there; `fingerprint` is SHA-256 of its public key; `released` whether Flower
    does not know it (any more); `rounds` are the latest, the oldest first.
    """

    id = fields.Integer(required=True)
    name, owner, version, about, fingerprint, created, changed = (_text() for _ in range(7))
    state = _text(validate=validate.OneOf(STATES))
    mine, released = (fields.Boolean(required=True) for _ in range(2))
    online = fields.Boolean(required=True, allow_none=True)
    online_since = _text(allow_none=True)
    tells = fields.Nested(TellsSchema, required=True)
    rounds = fields.List(fields.Nested(OutcomeSchema), required=True)


class NodeAnswerSchema(Schema):
    """A node; `trouble` says what could not be done about it for the time being, else it is empty."""

    node = fields.Nested(NodeSchema, required=True)
    trouble = _text()


class OpenInviteSchema(Schema):
    """A code that can still be used: whose node it is for, and until when."""

    id = fields.Integer(required=True)
    owner, expires = _text(), _text()


class FlowerSchema(Schema):
    """Whether Flower is set up here (`reason`: why not), where nodes connect to, its version, and whether it is known
    which nodes are online.
    """

    ready, watched = (fields.Boolean(required=True) for _ in range(2))
    reason, public, version = (_text() for _ in range(3))


class NodesSchema(Schema):
    """Nodes by name, one's own or, for researchers, all; `invites` for admins."""

    flower = fields.Nested(FlowerSchema, required=True)
    nodes = fields.List(fields.Nested(NodeSchema), required=True)
    invites = fields.List(fields.Nested(OpenInviteSchema), required=True)
