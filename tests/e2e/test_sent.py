"""The page of a run shows what each client sent, where that was recorded."""

import numpy as np
from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from utils.packing import UPDATES, packed
from utils.results import read_result, result_path, write_result

expect.set_options(timeout=60_000)
CLIENTS, ROUNDS = 10, 20
COLOURS = """(canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4) seen.add(pixels.slice(at, at + 4).join());
  return seen.size;
}"""


def _attacked(cache):
    """Ten clients whose first two send the opposite and are left out in all rounds but the last."""
    result = read_result(result_path(cache, "conf_digits_f10"))
    clients, rounds = np.tile(np.arange(CLIENTS), ROUNDS), np.repeat(np.arange(ROUNDS), CLIENTS)
    hostile, last = clients < 2, rounds == ROUNDS - 1
    columns = {
        "round": rounds, "client": clients, "norm": np.where(hostile, 40.0, 0.5 + clients / 20),
        "cosine": np.where(hostile, -0.75, 0.5), "score": np.where(hostile, 9.0, 1.0), "kept": ~hostile | last,
    }  # fmt: skip
    record = result["repeats"][0]
    record["updates"] = {name: packed(column.astype(UPDATES[name])) for name, column in columns.items()}
    record["hostile"] = [0, 1]
    record["failures"] = [[0, 3, "lost"], [1, 3, "too late"]]
    write_result(result_path(cache, "conf_attacked"), {**result, "name": "conf_attacked"})


def test_what_each_client_sent_is_mapped_and_hostile_clients_stand_out(page_of, cache):
    _attacked(cache)
    for settings in ({}, {**PHONE, "color_scheme": "dark"}):
        page = page_of(**settings)
        page.goto("/runs/conf_attacked")
        expect(page.get_by_role("heading", name="What each client sent, in the first repeat")).to_be_visible()
        expect(page.locator(".sent-seen")).to_have_text(
            "Of 40 updates of hostile clients 2 were taken as they came, of the others' 160 updates 160. "
            "Cosine to the mean of the round, on average: −0.75 of hostile clients, 0.50 of the others."
        )
        expect(
            page.get_by_text("Clients that were asked and not waited for: 2 (lost 1, too late 1).")
        ).to_be_visible()
        rows = page.locator(".sent-table tbody tr")
        expect(rows).to_have_count(CLIENTS)
        expect(rows.first).to_contain_text("A hostile")
        assert rows.first.locator("td").all_inner_texts()[:4] == ["20", "40.0", "−0.75", "5 %"]
        expect(page.locator(".sent-bad")).to_have_count(2)
        canvas = page.locator(".sent-map")
        canvas.scroll_into_view_if_needed()
        assert canvas.evaluate(COLOURS) > 10, "the map is drawn"
        canvas.hover(position={"x": 46, "y": 9})
        says = page.locator(".sent-map + p")
        expect(says).to_have_text("Client A, round 1: cosine to the mean −0.75, not taken as it came")
        page.get_by_label("The map shows").select_option("norm")
        expect(page.locator(".sent-legend")).to_contain_text("(logarithmic)")
        canvas.hover(position={"x": 46, "y": 27})
        expect(says).to_have_text("Client B, round 1: norm 40.0, not taken as it came")
        page.get_by_label("The map shows").select_option("score")
        expect(page.get_by_text("The score that the strategy fedavg gave each update")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        assert violations(page) == []
    page.goto("/runs/conf_digits_f10")
    expect(page.get_by_role("heading", name="How the examples fell to the owners")).to_be_visible()
    expect(page.locator(".sent-map")).to_have_count(0)
    result_path(cache, "conf_attacked").unlink()
