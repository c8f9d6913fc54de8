"""What a node asks of the site, and what comes back: terms, a place by an invite, how it stands. Nothing is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from utils.participant import site
from utils.participant.link import line, plain
from utils.participant.refusals import LinkError
from utils.participant.site import API

STATES = ("waiting", "joined", "revoked", "left")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*")
_PUBLIC = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}")
_MAX_TEXT = 50_000


@dataclass(frozen=True)
class Terms:
    """What a site asks of a node: the consent text, what it will connect to (HOST:PORT), the version of Flower."""

    consent: int
    consent_text: str
    public: str
    version: str


@dataclass(frozen=True)
class NodeMe:
    """A node in the eyes of the site: its state (one of STATES), its number, what it connects to, the certificate of
    the authority that it has to trust (PEM), and its last rounds.
    """

    name: str
    state: str
    node_id: str
    public: str
    authority: str
    consent: int
    rounds: list[dict[str, Any]]


def site_of(url: str) -> str:
    """A site's address: scheme, host, port and what stands before its pages. Raises WrongError."""
    root, path = site.root_of(url, "a site's address, as https://SITE")
    return root + re.sub(r"/(nodes|home)?/*$", "", path)


class NodeSite(site.Site):
    """The site of a node. What fails is a LinkError, a DeniedError or a RefusedError."""

    remedy = "; the node was deleted there, or the token was lost: ask for another invite and join again"
    lacking = "the invite or the token may not do that"

    def terms(self) -> Terms:
        """What it asks of a node."""
        given = self.json("GET", f"{API}/nodes/terms")
        consent = given.get("consent")
        if not isinstance(consent, dict):
            raise LinkError("the site's answer cannot be used: consent: expected an object")
        version = consent.get("version")
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**53:
            raise LinkError("the site's answer cannot be used: consent.version: expected a whole number")
        flower = line(given.get("version"), 20)
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", flower):
            raise LinkError("the site's answer cannot be used: version: expected one of Flower, as 1.42.0")
        return Terms(version, plain(consent.get("text"), _MAX_TEXT), _public(given), flower)

    def join(self, asks: Mapping[str, Any]) -> tuple[str, str]:
        """Ask for a place; the token and the state."""
        given = self.json("POST", f"{API}/nodes/join", asks)
        token = given.get("token")
        if not isinstance(token, str):
            raise LinkError("the site's answer cannot be used: token: expected a text")
        return site.checked_token(token), _state(given)

    def me(self) -> NodeMe:
        """How the node stands."""
        given = self.json("GET", f"{API}/nodes/me")
        given = given["node"] if isinstance(given.get("node"), dict) else given
        state, rounds, consent = _state(given), given.get("rounds"), given.get("consent")
        authority = given.get("ca")
        found = authority if isinstance(authority, str) and _PEM.fullmatch(authority[:100_000]) else ""
        if state == "joined" and not found:
            raise LinkError("the site's answer cannot be used: ca: expected a certificate in PEM")
        return NodeMe(
            line(given.get("name"), 60), state, line(str(given.get("node_id") or ""), 30),
            _public(given) if state == "joined" else "", found, consent if isinstance(consent, int) else 0,
            [one for one in rounds if isinstance(one, dict)][-50:] if isinstance(rounds, list) else [],
        )  # fmt: skip

    def leave(self) -> None:
        """Leave; what is under way is not waited for."""
        self.json("POST", f"{API}/nodes/me/leave", {})


def _state(given: Mapping[str, Any]) -> str:
    state = given.get("state")
    if state not in STATES:
        raise LinkError(f"the site's answer cannot be used: state: expected one of {', '.join(STATES)}")
    return str(state)


def _public(given: Mapping[str, Any]) -> str:
    public = given.get("public")
    if not isinstance(public, str) or not _PUBLIC.fullmatch(public):
        raise LinkError(
            "the site's answer cannot be used: public: expected HOST:PORT (is Flower set up there?)"
        )
    return public
