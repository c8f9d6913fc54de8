"""The version of the SuperLink's database: Flower moves an older one up by itself, and refuses a newer one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from utils.engines.flower_home import FlowerError


def fault(database: Path, bin: Path) -> str:
    """Why the Flower in this folder of commands cannot use the database, in one line; empty where it can.

    Raises FlowerError where that cannot be found out.
    """
    if not database.exists() or not (found := _revision(database)):
        return ""
    known = _revisions(bin)
    if not known or found in known:
        return ""
    return (
        f"{database}: it is of another, newer version of Flower (revision {found}); install that version, or move the "
        "file away, after which every node has to be approved again"
    )


def _revision(database: Path) -> str:
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as opened:
            row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return ""  # of a SuperLink that was ended before it had begun
        raise FlowerError(f"{database}: cannot be read ({error})") from None
    except sqlite3.DatabaseError as error:
        raise FlowerError(f"{database}: no database ({error})") from None
    return str(row[0]) if row else ""


def _revisions(bin: Path) -> set[str]:
    """All revisions that this Flower knows, as its migrations declare them."""
    found = set()
    for path in bin.parent.glob("lib/python3*/site-packages/flwr/supercore/state/alembic/versions/*.py"):
        found.update(
            re.findall(r"^revision[^=\n]*=\s*[\"'](\w+)", path.read_text(errors="replace"), re.MULTILINE)
        )
    return found
