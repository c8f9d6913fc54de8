"""Flower at the server, by which nodes on their owners' machines take part in trainings.

Exit status: 0 done, 1 failed (doctor: something is wrong), 2 bad arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.flower import doctor, proxy, units
from app.flower.serving import serve
from app.flower.setup import DEFAULT_BIN, set_up
from utils.engines.flower_home import FlowerError, Home
from utils.interrupt import until_interrupted
from utils.supervision import said

PROGRAM = "python3 -m app.flower"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    return until_interrupted(lambda: _carried_out(given), "Flower was ended")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    setup = _command(commands, "setup", "certificates, secret, configuration; what is right already stays")
    setup.add_argument(
        "--public", required=True, metavar="HOST:PORT", help="what nodes connect to: the proxy"
    )
    setup.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="another name or address of this machine; may be repeated",
    )
    setup.add_argument(
        "--port", type=_port, default=9091, help="of the SuperLink on the loopback address (9091)"
    )
    setup.add_argument(
        "--bin",
        type=Path,
        default=DEFAULT_BIN,
        metavar="DIR",
        help="where Flower's commands are (.venv-flower/bin)",
    )

    _command(commands, "serve", "keep the SuperLink, its SuperExec and the proxy running")

    ill = _command(commands, "doctor", "say what is wrong")
    ill.add_argument("--site", metavar="URL", help="of the site: compare its clock with this machine's")

    _command(commands, "allow", "let the proxy read again which nodes joined; the site does it by itself")

    unit = _command(commands, "units", "write a unit for systemd into a folder")
    unit.add_argument("into", type=Path, metavar="DIR")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="where it all lies (SKYFED_FLOWER, or flower in the site's instance)",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"expected 1 to 65535, found {text[:20]!r}")
    return int(text)


def _carried_out(given: argparse.Namespace) -> int:
    home = Home(given.folder)
    try:
        if given.command == "setup":
            set_up(home, given.public, given.name, given.port, given.bin, print)
        elif given.command == "serve":
            serve(home, said)
        elif given.command == "doctor":
            return doctor.examine(home, given.site, print)
        elif given.command == "allow":
            proxy.allow(home)
        else:
            units.write(home, given.into, print)
    except FlowerError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
