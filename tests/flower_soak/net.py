"""Machines that are network namespaces, on one switch: cut, slowed down, listened to; not a test.

Whatever is started in one of them ends with it. What a killed test run left is found by its name, and ended too.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import queue
import select
import signal
import struct
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
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
    def losing(self, name, share):
        """One frame in so many is lost meanwhile, each way."""
        space = self.space(name)
        rules = "".join(
            f"add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}\n"
            f"add rule inet loss {hook} {way} != lo numgen random mod {share} 0 counter drop\n"
            for hook, way in (("input", "iifname"), ("output", "oifname"))
        )
        done = subprocess.run(
            ["ip", "netns", "exec", space, "nft", "-f", "-"], input=f"add table inet loss\n{rules}", text=True,
            capture_output=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        try:
            yield
        finally:
            print(ran("ip", "netns", "exec", space, "nft", "list", "table", "inet", "loss"))
            ran("ip", "netns", "exec", space, "nft", "delete", "table", "inet", "loss")

    @contextmanager
    def delayed(self, name, seconds):
        """Every frame takes so long meanwhile, each way: a pair of TAP devices is the cable, a relay between them."""
        space, port = self.space(name), self.port(name)
        mac = ran("ip", "-n", space, "-br", "link", "show", "eth0").split()[2]
        own, other = (self._tap(one, f"tap{port}") for one in (name, "switch"))
        over = threading.Event()
        try:
            ran("ip", "-n", space, "link", "set", "eth0", "down")
            ran("ip", "-n", space, "addr", "flush", "dev", "eth0")
            ran("ip", "-n", space, "link", "set", f"tap{port}", "address", mac, "up")
            ran("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", f"tap{port}")
            ran("ip", "-n", self._switch, "link", "set", port, "nomaster")
            ran("ip", "-n", self._switch, "link", "set", f"tap{port}", "master", "br0", "up")
            for pair in ((own, other), (other, own)):
                _relay(*pair, seconds, over)
            yield
        finally:
            over.set()
            time.sleep(seconds + 0.6)
            os.close(own)
            os.close(other)
            ran("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0", check=False)
            ran("ip", "-n", space, "link", "set", "eth0", "up")
            ran("ip", "-n", self._switch, "link", "set", port, "master", "br0")

    def _tap(self, name, called):
        """A TAP device on a machine, whose frames are read and written here."""
        with self.inside(name):
            device = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", called.encode(), _IFF_TAP | _IFF_NO_PI))
        return device

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


def _relay(source, sink, seconds, over):
    """Two threads: what comes from one device goes to the other so many seconds later."""
    frames = queue.SimpleQueue()

    def read():
        while not over.is_set():
            if select.select([source], [], [], 0.2)[0]:
                frames.put((time.monotonic() + seconds, os.read(source, 65536)))
        frames.put(None)

    def write():
        while (one := frames.get()) is not None:
            time.sleep(max(0.0, one[0] - time.monotonic()))
            with suppress(OSError):
                os.write(sink, one[1])

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()


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
