"""A node at work: once the site has approved it, its processes are kept running, until it is left or revoked."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from utils.files import ROOT, atomic_write
from utils.participant import node_flower, waiting
from utils.participant.node_home import NodeHome
from utils.participant.node_site import NodeMe, NodeSite
from utils.participant.records import private
from utils.participant.refusals import DeniedError, LinkError, RefusedError, WrongError
from utils.supervision import Kept, Meaning, Program

LOOK = 60.0
"""Seconds between two looks at the site whether the node still belongs to it."""
Say = Callable[[str], None]


def run(home: NodeHome, say: Say) -> None:
    """The whole node in one go: Flower's processes and the one that has the data, under the same user."""
    say(
        "NOTE: all of it runs as you, and whoever runs the site chooses the code that Flower runs: see node units"
    )
    _keep(home, home.folder / "link", say, [_data(home)])


def link(home: NodeHome, work: Path, say: Say) -> None:
    """Flower's processes alone, which write below `work`."""
    _keep(home, work, say, [])


def serve(home: NodeHome, say: Say) -> None:
    """The process that has the data, alone."""
    from utils.participant.node import serve as answer

    if home.about and home.is_left:
        raise WrongError(f"{home.folder.name}: was left; join again")
    with home.alone("data"):
        answer(home, say)


def _keep(home: NodeHome, work: Path, say: Say, beside: list[Program]) -> None:
    """Keep Flower's processes running, and those beside them. Returns when the node was left; raises WrongError when
    the site does not take it any more, and ParticipantError.
    """
    about = home.about
    with home.alone("link", work):
        node_flower.check_version(Path(about.bin), about.version)
        site = NodeSite(about.site, home.token)
        while (me := _joined(home, site, say)) is not None:
            _trust(work, me, home)
            kept = Kept([*beside, *node_flower.programs(home, work, me.public, _free_port())], say)
            kept.start()
            try:
                _until_changed(home, site, me, say)
            finally:
                kept.end()
    say("left: nothing runs any more")


def _joined(home: NodeHome, site: NodeSite, say: Say) -> NodeMe | None:
    """How the site has the node once it is approved; None when it was left. Raises WrongError when it never will be."""
    failures, asked, waits = 0, 0, False
    while not home.is_left:
        try:
            me = site.me()
        except (DeniedError, RefusedError) as error:
            raise WrongError(str(error)) from None
        except LinkError as error:
            failures += 1
            if failures == 1:
                say(f"{error}; it is asked again")
            waiting.wait(
                max(waiting.spread(error.after), waiting.back_off(failures + 2)), lambda: home.is_left
            )
            continue
        failures = 0
        if me.state == "joined":
            _tell_clock(site, say)
            return me
        if me.state == "left":
            return None
        if me.state == "revoked":
            raise WrongError(
                f"{site.site}: has revoked this node; ask there, and join again with another invite"
            )
        if not waits:
            say(f"waiting until {site.site} approves this node")
            waits = True
        waiting.wait(waiting.spread(min(LOOK, waiting.LEAST * 2.0 ** min(asked, 8))), lambda: home.is_left)
        asked += 1
    return None


def _until_changed(home: NodeHome, site: NodeSite, me: NodeMe, say: Say) -> None:
    """Look from time to time how the node stands; returns when that is otherwise than it was."""
    failures = 0
    while not home.is_left:
        waiting.wait(max(waiting.spread(LOOK), waiting.back_off(failures)), lambda: home.is_left)
        if home.is_left:
            return
        try:
            now = site.me()
        except LinkError:
            failures += 1  # Flower's own line may well hold meanwhile
            continue
        except (DeniedError, RefusedError) as error:
            raise WrongError(str(error)) from None
        failures = 0
        if (now.state, now.public, now.authority) != (me.state, me.public, me.authority):
            say(
                f"the site says {now.state}"
                if now.state != me.state
                else "the site has another server for nodes"
            )
            return


def _trust(work: Path, me: NodeMe, home: NodeHome) -> None:
    """Keep the certificate of the authority that Flower's line has to be vouched for by."""
    private(work)
    for path in {work / home.authority.name, home.authority}:
        if os.access(path.parent, os.W_OK) and (not path.exists() or path.read_text() != me.authority):
            with atomic_write(path) as file:
                file.write(me.authority.encode())


def _tell_clock(site: NodeSite, say: Say) -> None:
    ahead = site.ahead or 0.0
    if ahead > node_flower.AHEAD - 1 or ahead < -(node_flower.BEHIND - 5):
        say(
            f"NOTE: the clock here is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the site's; a node "
            f"more than {node_flower.AHEAD} s ahead, or {node_flower.BEHIND} s behind, is refused (timedatectl set-ntp "
            "true)"
        )


def _data(home: NodeHome) -> Program:
    """The process that has the data, as a program that is kept; what it says is said."""
    command = [
        sys.executable, "-m", "utils.participant", "node", "serve", home.folder.name, "--home",
        str(home.folder.parent.parent),
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    log = home.folder / "logs" / "data.log"
    return Program("data", command, {**os.environ, "PYTHONPATH": path}, log, _as_it_says, 2.0)


def _as_it_says(line: str) -> Meaning | None:
    """A line without its time, which every line here has anyway."""
    text = re.sub(r"^\d{4}-\d\d-\d\dT\S+ ", "", line)
    return Meaning(text, is_fault=False) if text else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
