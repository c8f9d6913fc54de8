"""What units of systemd need of a path: taken as it is, whatever stands in its name; and its owner."""

from __future__ import annotations

from pathlib import Path


def whole(path: Path | str) -> str:
    """A path that is all of a setting (systemd.unit, "Specifiers")."""
    return str(path).replace("%", "%%")


def listed(path: Path | str) -> str:
    """A path in a setting that takes several (systemd.syntax, "Quoting")."""
    text = whole(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if any(one.isspace() or one in "\"'\\;" for one in text) else text


def in_command(path: Path | str) -> str:
    """A path in a command line (systemd.service, "Command Lines")."""
    return listed(path).replace("$", "$$")


def owner_of(path: Path) -> str:
    """Whose a file or folder is: a name, or a number where that has none."""
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
