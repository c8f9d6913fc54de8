"""Machines that are network namespaces, on one switch: cut, slowed down, listened to; not a test.

Whatever is started in one of them ends with it. What a killed test run left is found by its name, and ended too.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET
_PREFIX = "sky-"
_libc = ctypes.CDLL(None, use_errno=True)


def ran(*words, check=True):
    """What a command printed. Raises AssertionError where it fails."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=30)
    assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}"
    return done.stdout


class Net:
    """A switch and the machines at it, by name; `address` says where one is."""

    def __init__(self, names):
        _sweep()
        self._id, self.names = os.getpid(), list(names)
        self._switch = self.space("switch")
        self.started = []
        try:
            for space in (self._switch, *map(self.space, self.names)):
                ran("ip", "netns", "add", space)
                ran("ip", "-n", space, "link", "set", "lo", "up")
            ran("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
            ran("ip", "-n", self._switch, "link", "set", "br0", "up")
            for name in self.names:
                port, space = self.port(name), self.space(name)
                ran(
                    "ip",
                    "-n",
                    self._switch,
                    "link",
                    "add",
                    port,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "eth0",
                    "netns",
                    space,
                )
                ran("ip", "-n", self._switch, "link", "set", port, "master", "br0", "up")
                ran("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
                ran("ip", "-n", space, "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    def space(self, name):
        """What the namespace of a machine is called."""
        return f"{_PREFIX}{self._id}-{name}"

    def address(self, name):
        """Of a machine, in the network that all share."""
        return f"10.91.7.{1 + self.names.index(name)}"

    def port(self, name):
        """What the switch calls the end of a machine's cable."""
        return f"to{self.names.index(name)}"

    def start(self, name, command, log, environment, **more):
        """Start a program on a machine, in a session of its own; what it says goes to a file."""
        with Path(log).open("ab") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.space(name), *map(str, command)], env=environment, stdout=out,
                stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True, **more,
            )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, name, command, environment=None, patience=120, **more):
        """What a program on a machine came to: status, and all that it said."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.space(name), *map(str, command)], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience, **more,
        )  # fmt: skip
        return done.returncode, done.stdout

    def processes(self, name, *words):
        """The processes on a machine whose command line has all these words."""
        found = []
        for pid in map(int, ran("ip", "netns", "pids", self.space(name), check=False).split()):
            with suppress(OSError):
                said = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if said and all(word in said for word in words):
                    found.append(pid)
        return found

    def kill(self, name, *words):
        """SIGKILL for all of these at once; which they were."""
        found = self.processes(name, *words)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def cut(self, name):
        """From now on nothing comes through, and nobody is told."""
        ran("ip", "-n", self._switch, "link", "set", self.port(name), "nomaster")

    def join(self, name):
        """Everything comes through again."""
        ran("ip", "-n", self._switch, "link", "set", self.port(name), "master", "br0")

    def slow(self, name, megabits=None):
        """So many megabits a second each way; None: as many as there can be."""
        for space, link in ((self.space(name), "eth0"), (self._switch, self.port(name))):
            ran("tc", "-n", space, "qdisc", "del", "dev", link, "root", check=False)
            if megabits:
                rate = ("rate", f"{megabits}mbit", "burst", "32kb", "latency", "400ms")
                ran("tc", "-n", space, "qdisc", "add", "dev", link, "root", "tbf", *rate)

    @contextmanager
    def inside(self, name):
        """Sockets that this thread makes meanwhile are that machine's."""
        with (
            Path("/proc/thread-self/ns/net").open() as before,
            Path(f"/run/netns/{self.space(name)}").open() as there,
        ):
            assert _libc.setns(there.fileno(), _NETWORK) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert _libc.setns(before.fileno(), _NETWORK) == 0

    def http(self, name, host, port, patience=60):
        """An HTTP connection from a machine."""
        line = http.client.HTTPConnection(host, port, timeout=patience)
        with self.inside(name):
            line.connect()
        return line

    def close(self):
        """End everything, and take it all down."""
        spaces = [self.space(name) for name in (*self.names, "switch")]
        _take_down(spaces)
        for process in self.started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _take_down(spaces):
    """Killed are only processes in these namespaces, which nobody else knows of."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        left = [pid for space in spaces for pid in ran("ip", "netns", "pids", space, check=False).split()]
        if not left:
            break
        for pid in map(int, left):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    for space in spaces:
        ran("ip", "netns", "del", space, check=False)


def _sweep():
    """End what test runs left whose own process is gone."""
    lost = []
    for line in ran("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            lost.append(name)
    _take_down(lost)
