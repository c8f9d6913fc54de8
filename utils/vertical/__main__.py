"""Who stands in another owner's table too, by salted hashes (weak: see `utils.vertical.matching`).

python3 -m utils.vertical salt > salt.txt
python3 -m utils.vertical hash people.csv --column id --salt salt.txt > hashes.txt
python3 -m utils.vertical match people.csv --column id --salt salt.txt --hashes hashes.txt > common.txt
"""

from __future__ import annotations

import argparse
import csv
import re
import secrets
import sys
from pathlib import Path

from utils.interrupt import until_interrupted
from utils.vertical.matching import hashed

SALT_BYTES = 32


class TableError(ValueError):
    """A file that cannot be used; the text is one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    if given.what == "salt":
        print(secrets.token_hex(SALT_BYTES))
        return 0
    try:
        [salt] = _hashes(given.salt)
        mine = {hashed(one, salt): one for one in identities(given.table, given.column)}
        if given.what == "hash":
            lines = sorted(one.hex() for one in mine)
        else:
            lines = sorted(mine[one] for one in set(_hashes(given.hashes)) & set(mine))
    except (TableError, OSError) as error:
        print(f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error, file=sys.stderr)
        return 2
    except ValueError:
        print(f"{given.salt}: expected one line, made by: python3 -m utils.vertical salt", file=sys.stderr)
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    print(f"{len(lines)} of {len(mine)} people", file=sys.stderr)
    return 0


def identities(table: Path, column: str) -> list[str]:
    """Those of a column of a CSV file with a heading, without the blanks around them; empty cells are nobody.

    Raises TableError and OSError.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = csv.DictReader(file)
            if column not in (rows.fieldnames or ()):
                raise TableError(
                    f"{table}: there is no column {column}, only {', '.join(rows.fieldnames or ())}"
                )
            return [cell for row in rows if (cell := (row[column] or "").strip())]
        except (UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"{table}: not a CSV file in UTF-8 ({type(error).__name__})") from None


def _hashes(path: Path) -> list[bytes]:
    """One a line, in hexadecimal. Raises TableError and OSError."""
    lines = path.read_bytes().split()
    for number, line in enumerate(lines, 1):
        if not re.fullmatch(rb"[0-9a-f]{64}", line):
            raise TableError(f"{path}: number {number} is not 32 bytes in hexadecimal")
    return [bytes.fromhex(line.decode()) for line in lines]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m utils.vertical", description=str(__doc__).split("\n")[0]
    )
    each = parser.add_subparsers(dest="what", required=True, metavar="salt|hash|match")
    each.add_parser("salt", help="make a salt, which all owners then need and nobody else may have")
    for name, says in (
        ("hash", "hashes of a table's people, to be given to the other owner"),
        ("match", "the people of a table whose hashes the other owner gave"),
    ):
        one = each.add_parser(name, help=says)
        one.add_argument("table", type=Path, metavar="TABLE.csv")
        one.add_argument("--column", required=True, metavar="NAME", help="the column that says who it is")
        one.add_argument("--salt", type=Path, required=True, metavar="FILE")
        if name == "match":
            one.add_argument("--hashes", type=Path, required=True, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(until_interrupted(main, "interrupted"))
