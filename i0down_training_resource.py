#!/usr/bin/env python3
"""Gather photos of sunny and cloudy skies into data/, clean, without duplicates and split."""

import argparse
import re
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; the exit status is 0 done, 1 failed, 2 bad arguments or data, 130 interrupted."""
    options = _parser().parse_args(arguments)
    from utils.photos.dataset import DataError, build
    from utils.photos.sources.folder import from_folder

    try:
        name = (
            options.set
            or re.sub(r"\W+", "_", options.folder.resolve().name.casefold()).strip("_")
            or "photos"
        )
        result = build(options.data / name, "folder", from_folder(options.folder))
    except (DataError, NotADirectoryError) as error:
        print(f"i0down_training_resource.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    print(len(result.rows), len(result.added), len(result.copies), result.refusals(), result.changed)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    sources = parser.add_subparsers(required=True)
    folder = sources.add_parser("folder")
    folder.add_argument("folder", type=Path)
    folder.add_argument("--set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
