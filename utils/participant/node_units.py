"""Two units by which systemd keeps a node running, under two users.

Whoever runs the site chooses the code that Flower runs on a node's machine, and so does whoever breaks into the site.
So Flower's processes run as a user who can read neither the data nor the node's home: all they get is one socket, the
key of its door, and the node's own key. The process that has the data, in turn, has no network at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from utils.files import ROOT, atomic_write
from utils.participant.node_home import NodeHome
from utils.participant.refusals import WrongError
from utils.units import in_command, listed, owner_of, whole

LINK_USER = "skyfed-link"
"""Who runs Flower's processes."""
_GIVEN = ("node.json", "key", "secret", "door", "token")
_HARDENED = """NoNewPrivileges=yes
ProtectSystem=strict
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
"""
_KEPT = """Restart=always
RestartSec=10
# Over (left), or for good (revoked): starting it again would only ask the site again.
RestartPreventExitStatus=0 2
SuccessExitStatus=130
TimeoutStopSec=30
"""
_DATA = """# Written by python3 -m utils.participant node units.
# The process that has the data: it answers at a socket and has no network.
[Unit]
Description=SkyFed node {name}: the data
StartLimitIntervalSec=0

[Service]
User={user}
Group={link}
WorkingDirectory={root}
Environment=SKYFED_NODE_SOCKET={socket}
RuntimeDirectory={place}
RuntimeDirectoryMode=0750
ExecStart={python} -m utils.participant node serve {name} --home {home}
{kept}# Its socket is for the group; whatever else it writes lies in a folder where the group does not get in.
UMask=0007
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
ProtectHome=read-only
ReadWritePaths={folder} {data}
{hardened}
[Install]
WantedBy=multi-user.target
"""
_LINK = """# Written by python3 -m utils.participant node units.
# Flower's processes. Whoever runs the site chooses the code that they run, so they run as a user of their own, who sees
# neither the data nor the node's home; what they need of it is handed to them.
[Unit]
Description=SkyFed node {name}: the line to the site
After=network-online.target {place}.service
Wants=network-online.target {place}.service
StartLimitIntervalSec=0

[Service]
User={link}
Group={link}
WorkingDirectory={root}
Environment=SKYFED_NODE_SOCKET={socket}
{given}StateDirectory={state}
StateDirectoryMode=0700
ExecStart={python} -m utils.participant node link --folder %d --work %S/{state}
{kept}UMask=0077
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
InaccessiblePaths={folder} {data}
{hardened}
[Install]
WantedBy=multi-user.target
"""


def names(home: NodeHome) -> tuple[str, str]:
    """What both units are called, without their ending: that of the data, that of the line."""
    return f"skyfed-data-{home.folder.name}", f"skyfed-link-{home.folder.name}"


def write(home: NodeHome, into: Path, link_user: str, say: Callable[[str], None]) -> None:
    """Write both into a folder, and say what has to be done with them. Raises WrongError."""
    about = home.about
    owner = owner_of(home.folder)
    if owner == link_user:
        raise WrongError(f"{link_user}: has the data; Flower's processes need another user")
    data, link = names(home)
    socket = f"/run/{data}/door.sock"
    given = "".join(f"LoadCredential={name}:{_credential(home.folder / name)}\n" for name in _GIVEN)
    texts = {
        data: _DATA.format(
            name=home.folder.name, user=owner, link=link_user, root=whole(ROOT), socket=socket, place=data,
            python=in_command(sys.executable), home=in_command(home.folder.parent.parent), folder=listed(home.folder),
            data=listed(about.data), kept=_KEPT, hardened=_HARDENED,
        ),
        link: _LINK.format(
            name=home.folder.name, link=link_user, root=whole(ROOT), socket=socket, place=data, state=link,
            python=in_command(sys.executable), folder=listed(home.folder), data=listed(about.data), given=given,
            kept=_KEPT, hardened=_HARDENED,
        ),
    }  # fmt: skip
    for name, text in texts.items():
        with atomic_write(into / f"{name}.service") as file:
            file.write(text.encode())
        say(f"wrote {into / f'{name}.service'}")
    both = f"{data}.service {link}.service"
    say("Two users, because whoever runs the site chooses the code that Flower runs here. Now, as root:")
    say(f"  useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {link_user}")
    say(f"  cd {into.absolute()} && cp {both} /etc/systemd/system/")
    say(f"  systemctl daemon-reload && systemctl enable --now {both}")
    needed = (ROOT, Path(sys.executable), Path(about.bin), Path(about.bin) / "python")
    for hidden in sorted({one for path in needed for one in (_hidden(path), _hidden(path.resolve())) if one}):
        say(f"NOTE: {link_user} runs what lies in {hidden}, and that is closed to others")


def _credential(path: Path) -> str:
    """A path in LoadCredential=, which takes no quotes. Raises WrongError."""
    text = str(path)
    if any(one.isspace() or one in "\"'\\:" for one in text):
        raise WrongError(f"{text!r}: systemd takes no such path; give --home another")
    return text.replace("%", "%%")


def _hidden(path: Path) -> Path | None:
    """The first folder on the way that others may not enter."""
    for folder in (*reversed(path.parents), path):
        if folder.is_dir() and not folder.stat().st_mode & 0o001:
            return folder
    return None
