"""Joining a site as a node: what it asks is read and accepted, keys are made here, the invite is handed in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from utils.participant import machine, node_flower, node_told
from utils.participant.asking import accepts
from utils.participant.ledger import now
from utils.participant.node_home import NodeAbout, NodeHome
from utils.participant.node_site import NodeSite
from utils.participant.refusals import NotNowError, ParticipantError, RefusedError, WrongError


@dataclass(frozen=True)
class Wish:
    """How somebody wants to join: see `NodeAbout`; `accept` is the version of the consent text that was accepted
    before, `anyway` whether this machine's lacks do not matter, `new_key` whether the key is to be another one.
    """

    site: str
    invite: str
    type: str
    data: Path
    set: str
    sources: list[str]
    counts: bool
    judges: bool
    bin: Path
    about: str = ""
    accept: int | None = None
    anyway: bool = False
    new_key: bool = False


def join(home: NodeHome, wish: Wish) -> str:
    """Join; the state at the site, empty where the terms were not accepted. Raises ParticipantError."""
    if home.exists and home.about.site != wish.site:
        raise WrongError(f"{home.folder}: belongs to {home.about.site}; give the node another name")
    data = _data(wish)
    site = NodeSite(wish.site)
    try:
        terms = site.terms()
    except RefusedError as error:
        raise WrongError(f"{wish.site}: takes no nodes") if error.code == 404 else error from None
    node_flower.check_version(wish.bin, terms.version)
    about = NodeAbout(
        wish.site, home.folder.name, terms.public, terms.version, str(wish.bin.absolute()), wish.type, str(data),
        wish.set, wish.sources, wish.counts, wish.judges, terms.consent, terms.consent_text, now(),
    )  # fmt: skip
    print(node_told.leaves(about))
    if not accepts(wish.accept, terms.consent, terms.consent_text):
        return ""
    if wish.new_key or home.is_left or not (home.key.exists() and home.public_key.exists()):
        home.keep_keys(*node_flower.made_keys(wish.bin))
    _check_machine(home, wish.anyway)
    home.ledger.add("accepted", site=wish.site, name=about.name, consent=terms.consent)
    asks = {
        "invite": wish.invite, "name": about.name, "public_key": home.public_key.read_text(), "version": terms.version,
        "consent": terms.consent, "tells": {"counts": wish.counts, "judges": wish.judges}, "about": wish.about,
    }  # fmt: skip
    try:
        token, state = site.join(asks)
    except RefusedError as error:
        raise ParticipantError(f"{error}{f' ({error.why})' if error.why else ''}") from None
    home.keep_token(token)
    home.keep(replace(about, accepted=now()))
    home.mark(left=False)
    home.ledger.add("joined", site=wish.site, name=about.name, state=state)
    return state


def _data(wish: Wish) -> Path:
    """The folder of the data. Raises WrongError."""
    from utils.parts import missing, names

    if wish.type not in names("task"):
        raise WrongError(f"--type {wish.type[:60]}: expected one of {', '.join(names('task'))}")
    if lacks := missing("task", wish.type):
        raise WrongError(f"--type {wish.type}: needs {', '.join(lacks)}, which is not installed here")
    data = wish.data.absolute()
    if not data.is_dir():
        raise WrongError(f"{data}: no folder")
    if wish.set and (Path(wish.set).name != wish.set or not (data / wish.set).is_dir()):
        raise WrongError(f"{data}: no set {wish.set} in it")
    return data


def _check_machine(home: NodeHome, anyway: bool) -> None:
    """Say what there is. Raises NotNowError where there is not room for any training."""
    found = machine.checks(machine.Need(machine.BASE, machine.SPARE), home.folder)
    print("this machine: " + "; ".join(map(str, found)))
    short = [one for one in found if one.enough is False and one.what in ("memory", "disk")]
    if short and not anyway:
        why = "; ".join(f"{one.what} ({one.there}, {one.needed})" for one in short)
        raise NotNowError(f"not joined: this machine lacks {why}; --anyway joins all the same")
    if shutil.which("setpriv") is None:
        print(
            "NOTE: without setpriv (util-linux), Flower's processes outlive this program where that is killed"
        )
