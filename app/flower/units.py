"""A unit by which systemd keeps Flower running at the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from utils.engines.flower_home import Home
from utils.files import ROOT, atomic_write
from utils.units import in_command, listed, owner_of, whole

NAME = "skyfed-flower.service"
# PrivateTmp would part it from the site, whose socket may lie in the folder for temporary files.
_UNIT = """# Written by python3 -m app.flower units.
[Unit]
Description=SkyFed: Flower for nodes on their owners' machines
After=network-online.target
Wants=network-online.target

[Service]
User={user}
WorkingDirectory={root}
ExecStart={python} -m app.flower serve --folder {given}
Restart=always
RestartSec=10
SuccessExitStatus=130
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={folder}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def write(home: Home, into: Path, say: Callable[[str], None]) -> None:
    """Write it into a folder. Raises FlowerError where Flower is not set up."""
    home.read()
    text = _UNIT.format(
        user=owner_of(home.folder), root=whole(ROOT), python=in_command(sys.executable),
        given=in_command(home.folder), folder=listed(home.folder),
    )  # fmt: skip
    with atomic_write(into / NAME) as file:
        file.write(text.encode())
    say(f"wrote {into / NAME}; now, as root:")
    say(
        f"  cp {into / NAME} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now {NAME}"
    )
