"""Take part in a published task, with data that stay at home: what leaves is what training changed in the network, and
each time it stands in the ledger.

Exit status: 0 done, 1 failed while running, 2 bad arguments or data, 130 interrupted (nothing is lost).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from utils.interrupt import until_interrupted
from utils.participant import node_cli
from utils.participant.node_cli import command

if TYPE_CHECKING:
    from utils.participant.board import Board
    from utils.participant.importing import Examples
    from utils.participant.kept import Kept, Place

PROGRAM = "python3 -m utils.participant"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
    return until_interrupted(lambda: _carried_out(given), "interrupted; the same command goes on from here")


def _joined(arguments: list[str]) -> list[str]:
    """With --token or --invite and what follows it in one, as one of them in 64 begins like an option."""
    found = list(arguments)
    for name in ("--token", "--invite"):
        if name in found[:-1]:
            at = found.index(name)
            found[at : at + 2] = [f"{name}={found[at + 1]}"]
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    join = command(commands, "join", "see what a task is, accept its consent text, prepare your data")
    join.add_argument("url", metavar="URL", help="the task's page, as https://SITE/tasks/3")
    join.add_argument(
        "--token",
        help="yours at the site, with the scope participate; kept here (SKYFED_TOKEN is seen by nobody else)",
    )
    join.add_argument(
        "--accept", type=int, metavar="VERSION", help="accept this version of the consent text unasked"
    )
    data = join.add_mutually_exclusive_group()
    data.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="pictures, in folders called as their answers"
    )
    data.add_argument("--table", type=Path, metavar="CSV", help="values and answers, a row an example")
    join.add_argument("--answers", type=Path, metavar="CSV", help="of --pictures: columns file and answer")
    join.add_argument(
        "--column", action="append", default=[], metavar="FIELD=HEADER",
        help="of --table: which column a field is (label: the answer); may be repeated",
    )  # fmt: skip
    join.add_argument("--keep-duplicates", action="store_true", help="use equal examples more than once")

    train = command(commands, "train", "train once, or whenever there is a new version")
    _which(train)
    often = train.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="one training (what it does without --watch too)")
    often.add_argument(
        "--watch", action="store_true", help="one whenever there is a new version; sends unasked"
    )
    train.add_argument(
        "--clip", type=_clip, default=0.0, metavar="C", help="make an update no longer than that"
    )
    train.add_argument(
        "--noise",
        type=_noise,
        default=0.0,
        metavar="Z",
        help="with --clip: add noise of Z times C to every number",
    )
    train.add_argument("--anyway", action="store_true", help="train though this machine lacks something")
    train.add_argument("--yes", action="store_true", help="send unasked")

    _which(command(commands, "status", "where things stand, here and at the site"))
    _which(command(commands, "pause", "train no more here until resume, a train --watch that runs neither"))
    _which(command(commands, "resume", "train again"))
    leave = command(commands, "leave", "take part no longer; what waits at the site is withdrawn")
    _which(leave)
    leave.add_argument("--forget", action="store_true", help="delete the prepared data too; the ledger stays")
    ledger = command(commands, "ledger", "everything that was ever sent, and what became of it")
    _which(ledger)
    ledger.add_argument("--json", action="store_true", help="for programs")

    node_cli.add(commands.add_parser("node", help=node_cli.ABOUT, description=node_cli.ABOUT))
    return parser


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task", nargs="?", metavar="TASK", help="number, address or folder, where there are several"
    )


def _carried_out(given: argparse.Namespace) -> int:
    from utils.participant.kept import Place, default_home
    from utils.participant.refusals import ParticipantError

    commands = {
        "join": _join, "train": _train, "status": _status, "pause": _pause, "resume": _pause, "leave": _leave,
        "ledger": _ledger,
    }  # fmt: skip
    try:
        if given.command == "node":
            return node_cli.carried_out(given)
        return commands[given.command](given, Place(given.home or default_home()))
    except ParticipantError as error:
        print(error, file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 1


def _join(given: argparse.Namespace, place: Place) -> int:
    from utils.participant import told
    from utils.participant.asking import accepts
    from utils.participant.board import Board, address_of
    from utils.participant.kept import About
    from utils.participant.ledger import now
    from utils.participant.refusals import ParticipantError, RefusedError, WrongError
    from utils.participant.site import checked_token
    from utils.participant.training import AGREED, call_of

    address = address_of(given.url)
    if given.answers and not given.pictures:
        raise WrongError("--answers: goes with --pictures")
    if given.column and not given.table:
        raise WrongError("--column: goes with --table")
    if given.accept is None and not sys.stdin.isatty():
        raise WrongError("there is nobody to ask: --accept VERSION accepts a version of the consent text")
    kept = place.at(address)
    before = kept.about if kept.exists else None
    if not (given.pictures or given.table or (before and before.data)):
        raise WrongError("which data? --pictures FOLDER or --table FILE.csv")
    token = given.token or os.environ.get("SKYFED_TOKEN") or place.token(address.site)
    if not token:
        raise WrongError(
            f"no token: make one that may participate in your account at {address.site}, give SKYFED_TOKEN"
        )
    token = checked_token(token)
    if address.is_readable_on_the_way:
        print("NOTE: http, not https: who is on the way can read the token and what is sent", file=sys.stderr)
    board = Board(address, token)
    try:
        task = board.task()
    except RefusedError as error:
        raise WrongError(str(error)) if error.code == 404 else error from None
    call = call_of(task.described)
    print(told.task(task, call))
    if not accepts(given.accept, task.consent, task.consent_text):
        print("not accepted; nothing was sent")
        return 0
    with kept.locked():
        examples = None
        if given.pictures or given.table:
            examples = _examples(given, call.format)
            print(examples.report)
            if len(examples.inputs) < call.limits.examples:
                found = f"{len(examples.inputs)} can be used"
                raise WrongError(
                    f"the task takes updates of {call.limits.examples} examples or more; {found}"
                )
        elif before and before.described.get("format") != task.described.get("format"):
            raise WrongError("the task wants other data than before: give them with --pictures or --table")
        kept.ledger.add(
            "accepted", site=address.site, task=address.number, name=task.name, consent=task.consent
        )
        try:
            me = board.join(task.consent)
        except RefusedError as error:
            changed = "; read it by joining again" if error.why == "consent changed" else ""
            raise ParticipantError(f"{error}{changed}") from None
        place.keep_token(address.site, token)
        if before and any(before.described.get(key) != task.described.get(key) for key in AGREED):
            kept.done()  # what was trained is of no use any more
        data = before.data if before else ""
        count = before.examples if before else 0
        if examples:
            folder = kept.new_data()
            _save(folder, examples)
            data, count = folder.name, len(examples.inputs)
        kept.keep(
            About(
                address.site, address.number, task.name, task.described, task.consent, task.consent_text, now(),
                me.pseudonym, data, count,
            )
        )  # fmt: skip
        kept.mark(left=False)
    print(f"joined as {me.pseudonym}; {count} examples lie in {kept.folder / data}; now: {PROGRAM} train")
    return 0


def _examples(given: argparse.Namespace, of: object) -> Examples:
    from utils.calls.format import Format
    from utils.participant import importing

    assert isinstance(of, Format)
    if given.pictures:
        return importing.from_pictures(given.pictures, given.answers, of, given.keep_duplicates)
    return importing.from_table(given.table, given.column, of, given.keep_duplicates)


def _save(folder: Path, examples: Examples) -> None:
    import numpy as np

    from utils.files import atomic_write

    for name, array in (("inputs", examples.inputs), ("answers", examples.answers)):
        with atomic_write(folder / f"{name}.npy") as file:
            np.save(file, array, allow_pickle=False)


def _train(given: argparse.Namespace, place: Place) -> int:
    from utils.participant.asking import asked
    from utils.participant.refusals import WrongError
    from utils.participant.training import How, train_once, watch

    if given.noise and not given.clip:
        raise WrongError("--noise: needs --clip, which says how much noise covers an update")
    unasked = given.yes or given.watch
    if not unasked and not sys.stdin.isatty():
        raise WrongError("there is nobody to ask before sending: --yes sends unasked")
    kept = place.find(given.task)
    how = How(print, None if unasked else asked, given.clip, given.noise, given.anyway)
    with kept.locked():
        return (watch if given.watch else train_once)(kept, _board(kept, place), how)


def _status(given: argparse.Namespace, place: Place) -> int:
    from utils.participant import told
    from utils.participant.refusals import NotNowError, ParticipantError
    from utils.participant.training import check_agreed, follow

    status = 0
    for kept in [place.find(given.task)] if given.task or not place.tasks() else place.tasks():
        try:
            board = _board(kept, place)
            task = board.task()
            if follow(kept, board) is None:
                print("NOTE: the token may not read, so what becomes of updates is not known here")
            print(f"{told.at_home(kept)}\n{told.at_site(task)}")
            if not kept.is_left:
                check_agreed(kept.about, task)
        except NotNowError as error:
            print(f"  NOTE: {error}")
        except ParticipantError as error:
            print(told.at_home(kept))
            print(f"  {error}", file=sys.stderr)
            status = 1
    return status


def _pause(given: argparse.Namespace, place: Place) -> int:
    kept = place.find(given.task)
    pauses = given.command == "pause"
    kept.mark(paused=pauses)
    print(f"{kept.folder.name}: {'paused; resume goes on' if pauses else 'trains again'}")
    return 0


def _leave(given: argparse.Namespace, place: Place) -> int:
    from utils.participant.refusals import ParticipantError, RefusedError
    from utils.participant.training import follow

    kept = place.find(given.task)
    kept.mark(left=True)  # a process that trains sees it, and ends
    untold = ""
    try:
        kept.ledger.add("left", site=kept.about.site, task=kept.about.number)
        board = _board(kept, place)
        board.leave()
        with suppress(ParticipantError):
            follow(kept, board)
    except RefusedError as error:
        if error.code not in (404, 409):  # there is nothing to leave any more
            untold = str(error)
    except ParticipantError as error:
        untold = str(error)
    with kept.locked(patience=30):
        kept.forget() if given.forget else kept.done()
    deleted = (
        "; the prepared data are deleted" if given.forget else "; the prepared data stay here (--forget)"
    )
    if untold:
        raise ParticipantError(f"{untold}; left here{deleted}, but the site does not know: run this again")
    print(f"{kept.folder.name}: left{deleted}; the ledger stays")
    return 0


def _ledger(given: argparse.Namespace, place: Place) -> int:
    import json

    from utils.participant import told

    tasks = [place.find(given.task)] if given.task else place.tasks()
    if given.json:
        print(json.dumps([one for kept in tasks for one in told.records(kept)], indent=1, ensure_ascii=False))
        return 0
    print("\n".join(map(told.ledger, tasks)) or "nothing was sent: no task was joined")
    return 0


def _board(kept: Kept, place: Place) -> Board:
    from utils.participant.board import Board
    from utils.participant.refusals import WrongError
    from utils.participant.site import checked_token

    # That of the environment may be for another site.
    token = place.token(kept.about.site) or os.environ.get("SKYFED_TOKEN")
    if not token:
        raise WrongError(
            f"no token for {kept.about.site}: give one with SKYFED_TOKEN, or join again with --token"
        )
    return Board(kept.about.address, checked_token(token))


def _clip(text: str) -> float:
    return _between(text, 0, 1e9, above=True)


def _noise(text: str) -> float:
    return _between(text, 0, 1000)


def _between(text: str, low: float, high: float, above: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high or (above and value == low):
        expected = f"{'above' if above else 'from'} {low:g}, at most {high:g}"
        raise argparse.ArgumentTypeError(f"expected a number {expected}, found {text[:40]!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
