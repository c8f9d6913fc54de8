"""What units of systemd need of a path to stand in them."""

from __future__ import annotations

from pathlib import Path


def quoted(path: Path | str) -> str:
    """A path as a unit takes it, whatever is in its name (systemd.syntax, systemd.unit: specifiers)."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return '"' + text.replace('"', '\\"').replace("\n", "\\n") + '"' if _has_special(text) else text


def _has_special(text: str) -> bool:
    return any(one.isspace() or one in "\"'\\;" for one in text)
