"""The command line of a node: `python3 -m utils.participant node ...`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = "python3 -m utils.participant node"
ABOUT = "keep data here and train in step with others whenever a researcher's run asks, over Flower"
Commands = argparse._SubParsersAction


def add(parser: argparse.ArgumentParser) -> None:
    """Add the node's commands to their parser."""
    commands = parser.add_subparsers(title="commands", dest="node_command", required=True, metavar="COMMAND")
    join = command(
        commands, "join", "see what a site asks of a node, accept it, make the keys, hand in the invite"
    )
    join.add_argument("site", metavar="SITE", help="as https://SITE")
    join.add_argument(
        "--invite", required=True, metavar="CODE", help="from whoever runs the site; for one node"
    )
    join.add_argument("--name", required=True, help="of the node: small letters, digits, - and _")
    join.add_argument(
        "--type", required=True, metavar="TASK", help="what the data are for, as weather or heart"
    )
    join.add_argument("--data", required=True, type=Path, metavar="DIR", help="the folder with the sets")
    join.add_argument("--set", default="", metavar="S", help="which of them (default: the task's usual one)")
    join.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="S",
        help="examples of this source only; may be repeated",
    )
    join.add_argument(
        "--no-counts", action="store_true", help="do not tell how many examples of each kind there are"
    )
    join.add_argument("--no-judging", action="store_true", help="do not tell how models do on your examples")
    join.add_argument(
        "--about", default="", metavar="LINE", help="one line about the node, for the site's list"
    )
    join.add_argument(
        "--accept", type=int, metavar="V", help="accept this version of the consent text unasked"
    )
    join.add_argument(
        "--bin", type=Path, metavar="DIR", help="where Flower's commands are (.venv-flower/bin)"
    )
    join.add_argument(
        "--new-key", action="store_true", help="make another key, as after the node was revoked"
    )
    join.add_argument("--anyway", action="store_true", help="join though this machine lacks something")

    for name, about in (
        ("run", "the whole node: waits until it is approved, then trains when it is asked to"),
        ("serve", "the process that has the data alone"),
        ("status", "where things stand, here and at the site"),
        ("pause", "refuse every training until resume"),
        ("resume", "train again"),
        ("leave", "take part no longer"),
    ):
        _which(command(commands, name, about))
    link = command(commands, "link", "Flower's processes alone; node serve runs beside them, as another user")
    _which(link)
    link.add_argument(
        "--folder", type=Path, metavar="DIR", help="where what they need of the node lies, as units have it"
    )
    link.add_argument(
        "--work", type=Path, metavar="DIR", help="where they write (default: link in the node's folder)"
    )
    ledger = command(commands, "ledger", "everything that was ever sent")
    _which(ledger)
    ledger.add_argument("--json", action="store_true", help="for programs")
    units = command(commands, "units", "write two units for systemd into a folder")
    units.add_argument("into", type=Path, metavar="DIR")
    _which(units)
    units.add_argument(
        "--link-user", default="skyfed-link", metavar="USER", help="who runs Flower's processes"
    )


def command(commands: Commands[argparse.ArgumentParser], name: str, about: str) -> argparse.ArgumentParser:
    """A command of the participant's program, with the options that all of them have."""
    parser = commands.add_parser(name, help=about, description=about)
    parser.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help="where it is all kept (default SKYFED_PARTICIPANT, or ~/.skyfed)",
    )
    return parser


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", nargs="?", metavar="NAME", help="of the node, where there are several")


def carried_out(given: argparse.Namespace) -> int:
    """Carry a command out; returns the exit status. Raises ParticipantError."""
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "join": _join, "run": _run, "serve": _run, "link": _run, "status": _status, "pause": _pause, "resume": _pause,
        "leave": _leave, "ledger": _ledger, "units": _units,
    }  # fmt: skip
    return commands[given.node_command](given)


def _join(given: argparse.Namespace) -> int:
    from utils.participant.node_home import DEFAULT_BIN, Nodes
    from utils.participant.node_joining import Wish, join
    from utils.participant.node_site import site_of
    from utils.participant.refusals import WrongError
    from utils.participant.site import is_readable_on_the_way

    site = site_of(given.site)
    home = Nodes(given.home).at(given.name)
    if given.accept is None and not sys.stdin.isatty():
        raise WrongError("there is nobody to ask: --accept VERSION accepts a version of the consent text")
    if is_readable_on_the_way(site):
        print("NOTE: http, not https: who is on the way can read the invite and the token", file=sys.stderr)
    wish = Wish(
        site, given.invite, given.type, given.data, given.set, given.source, not given.no_counts, not given.no_judging,
        given.bin or DEFAULT_BIN, given.about, given.accept, given.anyway, given.new_key,
    )  # fmt: skip
    state = join(home, wish)
    if not state:
        print("not accepted; nothing was sent")
        return 0
    approved = "approved" if state == "joined" else f"{state}: whoever runs {site} has to approve it"
    print(f"joined as {given.name}, {approved}; now: {PROGRAM} run {given.name} (it waits)")
    return 0


def _run(given: argparse.Namespace) -> int:
    from utils.participant import node_running
    from utils.participant.node_home import NodeHome, Nodes
    from utils.supervision import said

    home = NodeHome(given.folder) if getattr(given, "folder", None) else Nodes(given.home).find(given.node)
    if given.node_command == "link":
        node_running.link(home, (given.work or home.folder / "link").absolute(), said)
    elif given.node_command == "serve":
        node_running.serve(home, said)
    else:
        node_running.run(home, said)
    return 0


def _status(given: argparse.Namespace) -> int:
    from utils.participant import node_told
    from utils.participant.node_home import Nodes
    from utils.participant.node_site import NodeSite
    from utils.participant.refusals import ParticipantError

    nodes, status = Nodes(given.home), 0
    for home in [nodes.find(given.node)] if given.node or not nodes.all() else nodes.all():
        print(node_told.at_home(home))
        try:
            print(node_told.at_site(NodeSite(home.about.site, home.token).me()))
        except ParticipantError as error:
            print(f"  {error}", file=sys.stderr)
            status = 1
    return status


def _pause(given: argparse.Namespace) -> int:
    from utils.participant.node_home import Nodes

    home, pauses = Nodes(given.home).find(given.node), given.node_command == "pause"
    home.mark(paused=pauses)
    home.ledger.add("paused" if pauses else "resumed")
    print(
        f"{home.folder.name}: {'paused: every training is refused; resume goes on' if pauses else 'trains again'}"
    )
    return 0


def _leave(given: argparse.Namespace) -> int:
    from utils.participant.node_home import Nodes
    from utils.participant.node_site import NodeSite
    from utils.participant.refusals import DeniedError, ParticipantError, RefusedError

    home = Nodes(given.home).find(given.node)
    home.mark(left=True)  # processes that run see it, and end
    home.ledger.add("left", site=home.about.site)
    try:
        NodeSite(home.about.site, home.token).leave()
    except RefusedError as error:
        if error.code not in (404, 409):  # there is nothing to leave any more
            raise ParticipantError(
                f"{error}; left here, but the site does not know: run this again"
            ) from None
    except DeniedError:
        pass  # nor here: it does not know the node
    except ParticipantError as error:
        raise ParticipantError(f"{error}; left here, but the site does not know: run this again") from None
    print(f"{home.folder.name}: left; the ledger and the keys stay in {home.folder}")
    return 0


def _ledger(given: argparse.Namespace) -> int:
    from utils.participant import node_told
    from utils.participant.node_home import Nodes

    nodes = Nodes(given.home)
    homes = [nodes.find(given.node)] if given.node else nodes.all()
    if given.json:
        lines = [{"node": home.folder.name, **one} for home in homes for one in home.ledger.lines()]
        print(json.dumps(lines, indent=1, ensure_ascii=False))
        return 0
    print("\n".join(map(node_told.ledger, homes)) or "nothing was sent: no node was joined")
    return 0


def _units(given: argparse.Namespace) -> int:
    from utils.participant import node_units
    from utils.participant.node_home import Nodes

    node_units.write(Nodes(given.home).find(given.node), given.into, given.link_user, print)
    return 0
