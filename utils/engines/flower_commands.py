"""Flower's commands, as the server runs them: with Flower's folder as their home, and with a deadline."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.engines.flower_home import FlowerError, Home

SECONDS = 60.0
"""In which a command has to have answered."""


def environment(home: Home, bin: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Flower's programs find around them; they start each other by name, so theirs is the first folder of PATH."""
    return {**environ, **home.environment(), "PATH": f"{bin}{os.pathsep}{environ.get('PATH', os.defpath)}"}


def ran(command: Sequence[str], environ: Mapping[str, str], what: str, seconds: float = SECONDS) -> str:
    """What a command printed. Raises FlowerError, which says what was to be done and why it failed."""
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise FlowerError(f"{what}: there is no {command[0]}") from None
    except OSError as error:
        raise FlowerError(f"{what}: {command[0]}: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise FlowerError(f"{what}: no answer after {seconds:g} s") from None
    told = done.stdout.decode(errors="replace")
    if done.returncode:
        raise FlowerError(f"{what}: {_why(told, done.stderr.decode(errors='replace'))}")
    return told


def asked(home: Home, words: Sequence[str], what: str) -> dict[str, Any]:
    """What `flwr WORDS CONNECTION --format json` answers. Raises FlowerError."""
    settings = home.read()
    command = [str(Path(settings.bin) / "flwr"), *words, settings.connection, "--format", "json"]
    told = ran(command, environment(home, settings.bin), what)
    found = _json_of(told)
    if found.get("success") is not True:
        raise FlowerError(f"{what}: {_why(told, '')}")
    return found


def version_of(bin: str, home: Home) -> str:
    """The version of the Flower in this folder of commands. Raises FlowerError."""
    told = ran(
        [str(Path(bin) / "flwr"), "--version"], environment(home, bin), f"{bin}: the version of Flower"
    )
    found = re.search(r"\d+\.\d+\.\d+\S*", told)
    if not found:
        raise FlowerError(f"{bin}: Flower does not say its version")
    return found[0]


def _json_of(told: str) -> dict[str, Any]:
    """The last JSON object in what a command printed."""
    try:
        found = json.loads(told[told.index("{") : told.rindex("}") + 1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _why(told: str, errors: str) -> str:
    """What a command says of its failure, in one line."""
    says = _json_of(told).get("error-message") or errors.strip() or told.strip() or "no reason given"
    plain = re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│─]", " ", str(says))
    return " ".join(plain.split())[-300:]
