"""Flower's commands as shell scripts and small programs, so that what runs them can be tried without it."""

import json
import os
import socket
import stat
import sys
from pathlib import Path

# Two keys made once for these tests; the private halves were thrown away.
KEYS = (
    "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEomnNvBglxDFdMq+5OQCFFRMqR5anDK85\n"
    "puPotFO+jfjwD+PpqNDnLm9wDmCsshS55rE51gI/ONJmFkAg0t00BJINZkV1zhQQ\n"
    "y1L4ONPbe4/lAR671aEeVj28Td2FshmK\n"
    "-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEI8SF0zB34V3unVswCEPcqmOVGl47UVBS\n"
    "fygLt4OKUq1CmoaUDcsZv5lOoaq8J8iA3QqP5SgV4WD+O3Ukh0ej7Ai1ZunoYMcS\n"
    "FN0fPD54Xsr5G5GjT6HSLgzqifdYOMSz\n"
    "-----END PUBLIC KEY-----\n",
)

_FLWR = """#!{python}
import json, secrets, sys
from pathlib import Path
nodes = Path({nodes!r})
known = json.loads(nodes.read_text()) if nodes.exists() else {{}}
words = sys.argv[1:]
if words == ["--version"]:
    print("Flower version: {version}")
elif words[:2] == ["supernode", "register"]:
    key = Path(words[2]).read_text()
    if key in known:
        print(json.dumps({{"success": False, "error-message": "[code: 23] Public key already in use."}}))
        sys.exit(1)
    known[key] = {{"node-id": str(secrets.randbits(63)), "status": "registered", "online-elapsed": 0.0}}
    nodes.write_text(json.dumps(known))
    print(json.dumps({{"success": True, "node-id": known[key]["node-id"]}}))
elif words[:2] == ["supernode", "unregister"]:
    for node in known.values():
        if node["node-id"] == words[2] and node["status"] != "unregistered":
            node["status"] = "unregistered"
            nodes.write_text(json.dumps(known))
            print(json.dumps({{"success": True}}))
            break
    else:
        print(json.dumps({{"success": False, "error-message": "[code: 24] SuperNode not found."}}))
        sys.exit(1)
elif words[:2] == ["supernode", "list"]:
    print("Listing all nodes...\\n" + json.dumps({{"success": True, "nodes": list(known.values())}}))
else:
    sys.exit(f"unexpected: {{words}}")
"""


def commands(folder: Path, version: str = "1.42.0", **scripts: str) -> Path:
    """A folder with `flwr`, which keeps its nodes in flwr.json beside it, and these other scripts (of sh)."""
    folder.mkdir(parents=True, exist_ok=True)
    flwr = _FLWR.format(python=sys.executable, nodes=str(folder / "flwr.json"), version=version)
    for name, text in {
        "flwr": flwr,
        **{name: f"#!/bin/sh\n{text}\n" for name, text in scripts.items()},
    }.items():
        path = folder / name.replace("_", "-")
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def nodes_of(bin: Path) -> dict[str, dict]:
    """What the fake `flwr` knows."""
    path = bin / "flwr.json"
    return json.loads(path.read_text()) if path.exists() else {}


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alive(process: int) -> bool:
    """Whether there is such a process, and no dead one that nobody waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(os.stat(path).st_mode)
