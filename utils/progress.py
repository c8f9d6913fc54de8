"""What a person sees while runs go on: a live bar in a terminal, plain lines elsewhere, nothing if so wished."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from tqdm import tqdm

from utils.federated.bench import Repeat, State, share_out
from utils.results import standing, total
from utils.runs import Run

LINE_EVERY_SECONDS = 5.0


class Tally:
    """How far runs have come, in examples trained on, so that it is right for confs of any shape."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._since = self._started = time.monotonic()
        self.total = sum(_examples(run, repeat) for run in runs for repeat in run.repeats)
        self._seen: dict[tuple[str, Repeat], int] = {}
        self.resumed = 0  # examples of rounds that were done before
        self._uncounted = 0  # examples of the first round, which waits for the workers to start

    def add(self, run: Run, repeat: Repeat, state: State) -> None:
        """Take in what a repeat has done so far."""
        done = int(total(state.record, "examples"))
        if "test" in state.record:
            done = _examples(run, repeat)  # an early stop is done too
        if state.resumed:
            self.resumed += done
        self._seen[run.name, repeat] = done
        if self._since == self._started and not state.resumed:
            self._since, self._uncounted = time.monotonic(), self.done - self.resumed

    @property
    def done(self) -> int:
        """Examples trained on, those before a resume included."""
        return sum(self._seen.values())

    @property
    def measured(self) -> float:
        """Seconds for which the rate was measured."""
        return time.monotonic() - self._since

    @property
    def rate(self) -> float:
        """Examples per second, judging included, since the first round; of a single round, since the start."""
        fresh = self.done - self.resumed
        if fresh > self._uncounted:
            return (fresh - self._uncounted) / max(self.measured, 1e-9)
        return fresh / max(time.monotonic() - self._started, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds left at this rate; None before the first round."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class Progress:
    """A hook for `carry_out` that shows round, accuracy, loss, examples per second and time left."""

    def __init__(self, runs: Sequence[Run], quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._last_line = time.monotonic()
        self._tally = Tally(runs)
        self._bar = tqdm(
            total=self._tally.total, unit=" examples", unit_scale=True, disable=quiet or not self._live,
            dynamic_ncols=True, smoothing=0.05,
        )  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, run: Run, repeat: Repeat, state: State) -> None:
        """Called after every round, from any thread."""
        record = state.record
        with self._lock:
            before, resumed = self._tally.done, self._tally.resumed
            self._tally.add(run, repeat, state)
            if not self._bar.disable:
                self._bar.initial += self._tally.resumed - resumed
            text = f"{run.name} {repeat} round {state.round}/{run.conf.global_epochs} {standing(record)}"
            self._bar.set_description(text, refresh=False)
            self._bar.update(self._tally.done - before)
            if not self._quiet and not self._live:
                self._line(text, "test" in record)

    def _line(self, text: str, end: bool) -> None:
        now = time.monotonic()
        if now - self._last_line < LINE_EVERY_SECONDS and not end:
            return
        self._last_line = now
        left = "" if self._tally.left is None else f"{self._tally.left:.0f} s left"
        print(f"{text}, {self._tally.rate:.0f} examples/s, {left}", file=sys.stderr, flush=True)


def _examples(run: Run, repeat: Repeat) -> int:
    """Examples a repeat trains on in all, every pass counted."""
    clients = share_out(run.conf, repeat, run.examples).clients
    mean_client = sum(len(mine) for mine in clients) / len(clients)
    return round(mean_client * run.conf.k * run.conf.local_epochs * run.conf.global_epochs)
