"""What a round at three nodes costs beyond training, and beyond what its bytes take through a socket of this machine;
and how much memory the programs of both ends take. Needs Flower (make flower) and nginx.
"""

import json
import socket
import threading
import time
from pathlib import Path

import pytest

import i0down_training_resource
import i2main
from app.flower import proxy
from app.flower.setup import DEFAULT_BIN
from tests.flower.real import Federation
from utils.results import read_result

pytestmark = [
    pytest.mark.skipif(not (DEFAULT_BIN / "flwr").exists(), reason="no Flower on this machine (make flower)"),
    pytest.mark.skipif(proxy.nginx() is None, reason="no nginx on this machine"),
]
NAMES, ROUNDS = ("east", "north", "south"), 4


def _through_a_socket(size):
    """Seconds that so many bytes take through a socket of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def send():
            with socket.create_connection(listener.getsockname()) as peer:
                peer.sendall(bytes(size))

        began = time.perf_counter()
        threading.Thread(target=send).start()
        peer, _ = listener.accept()
        with peer:
            while peer.recv(1 << 20):
                pass
        return time.perf_counter() - began


def _memory(words):
    """The most that each process whose command has these words has held, in MB."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if all(word in command for word in words):
                lines = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines())
                found.append(int(lines["VmHWM"].split()[0]) // 1000)
        except (OSError, KeyError):
            continue
    return found


def test_a_round_at_three_nodes(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYFED_FLOWER", str(tmp_path / "flower"))
    data = ["--data", str(tmp_path / "data")]
    assert i0down_training_resource.main(["simulate", "30", *data]) == 0
    federation = Federation(
        tmp_path, "weather", dict.fromkeys(NAMES, tmp_path / "data"), ["--set", "simulated"]
    )
    try:
        for width in (16, 64):
            conf = tmp_path / f"conf_{width}.json"
            conf.write_text(
                json.dumps({
                    "model_name": "resnet18", "no_models": 3, "type": "weather", "data": "simulated",
                    "global_epochs": ROUNDS, "local_epochs": 1, "k": 3, "batch_size": 32, "lr": 0.01, "momentum": 0.9,
                    "lambda": 1.0, "width": width, "image_size": 32,
                })
            )  # fmt: skip
            given = [
                "-c",
                str(conf),
                *data,
                "--cache",
                str(tmp_path / "cache"),
                "--quiet",
                "--engine",
                "flower",
            ]
            assert i2main.main(given) == 0
            (repeat,) = read_result(tmp_path / "cache" / f"conf_{width}.json.pkl")["repeats"]
            series = {one["name"]: one["values"] for one in repeat["series"]}
            training = max(client["seconds"] for client in repeat["clients"]) / ROUNDS
            seconds = sorted(series["training_seconds"][1:])
            size = series["bytes_down"][0] + series["bytes_up"][0]
            wire = _through_a_socket(size)
            beyond = seconds[len(seconds) // 2] - training - wire
            print(
                f"\n{size / 24e6:.1f} M weights, {size / 1e6:.0f} MB a round: {seconds[0]:.1f} to {seconds[-1]:.1f} s; "
                f"training {training:.2f} s, the bytes through a socket {wire:.2f} s, beyond both {beyond:.1f} s "
                f"({beyond / (training + wire):.0f} times as much)"
            )
            for what, words in {
                "SuperLink": ["flower-superlink"], "relay": ["flwr-serverapp"], "SuperNode": ["flower-supernode"],
                "data process": ["utils.participant", "node", "serve"], "owner's program": ["utils.participant", "run"],
            }.items():  # fmt: skip
                if found := _memory(words):
                    print(f"  {what}: up to {max(found)} MB")
            assert not repeat["failures"]
    finally:
        federation.end()
