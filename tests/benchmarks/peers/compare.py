"""SkyFed beside Flower and pfl-research at the same work, five times each in turn: a table and a picture in figures/.

    make benchmark-peers

The peers run in an environment of their own, which the first call makes.
"""

from __future__ import annotations

import csv
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks.bare import BareProcesses
from tests.benchmarks.common_work import CONF, FIRST, examples_in, play
from tests.benchmarks.peers.common import (
    CLIENTS,
    ROUNDS,
    WARM,
    WORK,
)
from utils.conf import make_conf
from utils.data.examples import Examples
from utils.engines.workers import Workers
from utils.federated.bench import share_out
from utils.files import ROOT, atomic_write
from utils.interrupt import until_interrupted

HERE = Path(__file__).resolve().parent
PYTHON, READY, WANTED = (
    HERE / ".venv" / "bin" / "python",
    HERE / ".venv" / ".ready",
    HERE / "requirements.txt",
)
REPEATS, WORKERS, SECONDS = 5, 2, 600


class PeerError(RuntimeError):
    """What could not be had, in one line."""


def left_out(who: str) -> str:
    """Why this one cannot take part on this Python; nothing where it can."""
    if who.startswith("pfl") and sys.version_info >= (3, 13):
        return f"needs a Python older than 3.13, this is {sys.version_info.major}.{sys.version_info.minor}"
    return ""


def is_ready() -> bool:
    """Whether the peers' environment has what `requirements.txt` asks for."""
    return READY.exists() and READY.read_text() == WANTED.read_text()


def install() -> None:
    """Make the peers' environment, unless it is there. Raises PeerError."""
    if is_ready():
        return
    print("installing the peers into tests/benchmarks/peers/.venv, once: some minutes", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", WANTED]
    for command in ([sys.executable, "-m", "venv", HERE / ".venv"], pip):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            why = done.stderr.partition("ERROR: ")[2].partition("\n")[0] or _last(done.stderr or done.stdout)
            raise PeerError(f"the peers could not be installed: {why}")
    READY.write_text(WANTED.read_text())


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"


def limit(examples: Examples) -> float:
    """Photos per second of bare loops that exchange nothing, in the layout that is faster at this work."""
    conf = make_conf(CONF, "common work")
    mine = share_out(conf, FIRST, examples).clients[0]
    passes = ROUNDS * CLIENTS // WORKERS
    bare = BareProcesses(WORKERS)
    work = (conf, str(examples.store), mine, examples.targets[mine])
    bare.rate(*work, WARM * CLIENTS // WORKERS, torch.contiguous_format)
    rate = bare.rate(*work, passes, torch.contiguous_format)
    bare.close()
    return rate


def skyfed(examples: Examples) -> float:
    """Photos per second of SkyFed's workers."""
    conf = make_conf(CONF, "common work")
    with Workers(WORKERS) as engine:
        play(conf, examples, engine, WARM)
        return float(play(conf, examples, engine, ROUNDS)[0])


def peer(module: str, threads: int, processes: int, examples: Examples) -> float:
    """Photos per second that a peer tells of itself. Raises PeerError."""
    code = f"from tests.benchmarks.peers.{module} import main; main()"
    env = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0", "PFL_PYTORCH_DEVICE": "cpu",
    }  # fmt: skip
    if processes > 1:
        env["PFL_WORKER_ADDRESSES"] = ",".join(f"localhost:{port}" for port in _free_ports(processes))
    with tempfile.TemporaryDirectory() as home:
        started = [
            subprocess.Popen(
                [str(PYTHON), "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**env, "FLWR_HOME": home, "PFL_WORKER_RANK": str(rank)},
            )
            for rank in range(processes)
        ]  # fmt: skip
        try:
            told = [process.communicate(timeout=SECONDS) for process in started]
        except subprocess.TimeoutExpired:
            raise PeerError(f"{module} took more than {SECONDS} seconds") from None
        finally:
            for process in started:
                process.kill()
                process.wait()
    for process, (_, error) in zip(started, told, strict=True):
        if process.returncode:
            raise PeerError(f"{module} failed: {_last(error)}")
    return float(_last(told[0][0]))


def _free_ports(count: int) -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for taken in (one, other):
            taken.bind(("localhost", 0))
        return [taken.getsockname()[1] for taken in (one, other)][:count]


Rates = dict[str, list[float]]
WHO: dict[str, Callable[[Examples], float]] = {
    "limit": limit,
    "SkyFed": skyfed,
    "pfl-research": partial(peer, "pfl_research", 1, 1),
    "pfl-research, 2 threads": partial(peer, "pfl_research", 2, 1),
    "pfl-research, 2 processes": partial(peer, "pfl_research", 1, 2),
    "Flower": partial(peer, "flower", 1, 1),
}
NOTES = f"""
The work: {WORK}.
Compared: photos per second of wall time, from first step to last aggregate of {ROUNDS} rounds, after {WARM} for warmth.
Everybody begins anew in every repeat, on one machine; one thread a process unless said.
Not compared: start-up, evaluation (nobody evaluates in the rounds that count), privacy, encryption, a network,
decoding and augmentation (there are none), and how good the model is.
- limit: two bare loops of PyTorch in two processes, which exchange nothing.
- SkyFed: two workers, plain FedAvg. It keeps photos as bytes and makes numbers of every batch; the peers have tensors.
- pfl-research: its simulation in one process; the same with two threads; and two processes, which its guide to
  distributed simulations starts so too (gloo). It averages parameters; what batch norm measures stays in each process.
- Flower: its simulation on Ray, two actors of one CPU. Weights travel in its messages, through Ray, as they always
  do. An actor keeps its network, where the quickstart makes one for every message, which takes longer.
SkyFed's networks are channels_last; the others have PyTorch's usual layout, in which this work is faster."""


def measure(examples: Examples, names: list[str], repeats: int) -> Rates:
    """Photos per second of each, in turn so that a machine's moods meet all alike; who fails once is left out."""
    rates: Rates = {name: [] for name in names}
    for repeat in range(repeats):
        for name in list(rates):
            try:
                rates[name].append(WHO[name](examples))
            except PeerError as error:
                print(f"{name}: left out, {error}", file=sys.stderr)
                del rates[name]
                continue
            print(f"{repeat + 1}/{repeats} {name}: {rates[name][-1]:.0f} photos/s", flush=True)
    return rates


def times(rates: Rates, name: str) -> float:
    """How many times as fast as this one SkyFed is, median over the repeats."""
    return statistics.median(a / b for a, b in zip(rates["SkyFed"], rates[name], strict=True))


def _table(rates: Rates) -> str:
    rows = [
        "| who | photos/s, median | least to most | SkyFed is so many times as fast |",
        "|---|---|---|---|",
    ]
    for name, found in rates.items():
        middle = f"{statistics.median(found):.0f} | {min(found):.0f} to {max(found):.0f}"
        rows.append(f"| {name} | {middle} | {times(rates, name):.2f} |")
    return "\n".join(rows)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def draw(rates: Rates, folder: Path) -> list[str]:
    """Write table, page and, where a Chromium is at hand, picture; returns their names."""
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs

    from utils.figures import LAYOUT, SHADES

    figure = go.Figure()
    for (name, found), shade in zip(reversed(rates.items()), SHADES, strict=False):
        figure.add_trace(
            go.Box(
                x=found, name=name, boxpoints="all", jitter=0.5, marker={"size": 6}, marker_color=shade,
                orientation="h", showlegend=False,
            )
        )  # fmt: skip
    repeats = len(rates["SkyFed"])
    figure.update_layout(
        **LAYOUT,
        title=f"The same work, {repeats} repeats in turn",
        height=180 + 60 * len(rates),
    )
    figure.update_xaxes(title_text="photos trained on per second", rangemode="tozero")
    figure.update_yaxes(automargin=True)
    page = figure.to_html(include_plotlyjs="directory", full_html=True, config={"displaylogo": False})
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["who", "repeat", "photos_per_second"])
    lines.writerows(
        (name, repeat, f"{rate:.6g}") for name, found in rates.items() for repeat, rate in enumerate(found)
    )
    files = {"peers.csv": text.getvalue().encode(), "peers.html": page.encode()}
    try:
        files["peers.png"] = figure.to_image("png", width=1200, scale=2)
    except Exception as error:  # kaleido raises many kinds when there is no browser
        print(f"no picture: {_last(str(error))}", file=sys.stderr)
    for name, content in {**files, "plotly.min.js": get_plotlyjs().encode()}.items():
        _write(folder / name, content)
    return list(files)


def main() -> int:
    """Install, measure, draw; returns the exit status."""
    try:
        install()
    except PeerError as error:
        print(error, file=sys.stderr)
        return 1
    for name in WHO:
        if why := left_out(name):
            print(f"{name}: left out, it {why}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(examples_in(Path(folder)), [name for name in WHO if not left_out(name)], REPEATS)
    print(f"\n{_table(rates)}\n{NOTES}\n\nin figures/: {', '.join(draw(rates, ROOT / 'figures'))}")
    return 0


if __name__ == "__main__":
    sys.exit(until_interrupted(main, "interrupted; the same command begins again"))
