"""Examples of one's own in a real browser: cleaned as in Python, kept there alone, answered, lost, taken out and in."""

import io
import re

import numpy as np
import pytest
import requests
from PIL import Image, ImageCms
from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from utils.calls.examples import pack, picture
from utils.calls.format import checked_format
from utils.photos.simulator import simulate

expect.set_options(timeout=60_000)
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
KEPT = """() => new Promise((done, failed) => {
  const opened = indexedDB.open("skyfed-at-home");
  opened.onerror = failed;
  opened.onsuccess = () => {
    const asked = opened.result.transaction("examples").objectStore("examples").getAll();
    asked.onsuccess = () => {
      opened.result.close();
      done(asked.result.map((one) => ({ ...one, pixels: one.pixels && [...one.pixels], original: !!one.original })));
    };
  };
})"""
FULL_AFTER = """(most) => {
  const put = (window.put ??= IDBObjectStore.prototype.put);
  IDBObjectStore.prototype.put = function (...what) {
    if (most-- <= 0) throw new DOMException("no room", "QuotaExceededError");
    return put.apply(this, what);
  };
}"""
CLEARED = """() => new Promise((done) => { indexedDB.deleteDatabase("skyfed-at-home").onsuccess = done; })"""


def drawn(number, size=(320, 240)):
    return Image.fromarray(simulate(11, number)[0]).resize(size, Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **how):
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 92} if kind == "JPEG" else {}) | how)
    return file.getvalue()


def turned(image, maker, kind="JPEG"):
    """As a camera writes it (its sizes are the pixels'), or a program that has turned the pixels before."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, maker
    exif.get_ifd(0x8769).update({0xA002: image.width, 0xA003: image.height})
    return encoded(image, kind, exif=exif)


def swapped():
    """A colour profile that takes red for blue: whoever obeys it sees other colours."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


def given(name, raw):
    return {"name": name, "mimeType": "image/jpeg", "buffer": raw}


def skies(*numbers):
    return [given(f"sky{number}.jpg", encoded(drawn(number))) for number in numbers]


@pytest.fixture(scope="module")
def tasks(board):
    """Number and format of the demo's tasks: pictures in colour, in grey, rows."""
    calls = requests.get(f"{board}/api/v1/calls", timeout=60).json()["calls"]
    found = {}
    for call in calls:
        told = requests.get(f"{board}/api/v1/calls/{call['id']}", timeout=60).json()
        of = checked_format(told["described"]["format"])
        found["rows" if not of.is_picture else "grey" if of.channels == 1 else "skies"] = (call["id"], of)
    return found


def at(page, number):
    page.goto(f"/tasks/{number}/train")
    expect(page.locator(".own-drop")).to_be_visible()
    return page


def add(page, files, says):
    page.get_by_label("Choose pictures").set_input_files(files)
    expect(page.locator(".own-news")).to_contain_text(says)


def count_of(page, name):
    return page.locator(".own-counts > div", has_text=name).locator("dd")


@pytest.mark.parametrize("kind", ["skies", "grey"])
def test_a_browser_makes_of_files_the_examples_that_python_makes(page_of, tasks, kind):
    number, of = tasks[kind]
    sky = drawn(1, (900, 700))
    files = {
        "plain.jpg": encoded(sky), "progressive.jpg": encoded(drawn(11), progressive=True, subsampling=2),
        "full.jpg": encoded(drawn(2, (211, 333)), subsampling=0), "camera.jpg": turned(sky, "Maker"),
        "stale.jpg": turned(drawn(3), ""), "stale.png": turned(drawn(12), "", "PNG"),
        "camera.png": turned(drawn(13), "Maker", "PNG"), "plain.png": encoded(drawn(4), "PNG"),
        "profile.png": encoded(drawn(5), "PNG", icc_profile=swapped()),
        "lossless.webp": encoded(drawn(6), "WEBP", lossless=True),
        "lossy.webp": encoded(drawn(7), "WEBP", quality=90), "same.png": encoded(drawn(8, (of.side, of.side)), "PNG"),
        "grey.png": encoded(drawn(9).convert("L"), "PNG"), "long.png": encoded(drawn(10, (1200, 65)), "PNG"),
    }  # fmt: skip
    page = at(page_of(), number)
    add(page, [given(name, raw) for name, raw in files.items()], f"Added: {len(files)}.")
    kept = {one["name"]: np.array(one["pixels"]) for one in page.evaluate(KEPT)}
    for name, raw in files.items():
        apart = np.abs(kept[name] - picture(raw, of).ravel().astype(int)).mean() / 255
        assert apart <= 1e-3, (name, apart)


def test_what_is_no_example_is_told_with_the_reason(page_of, tasks):
    page = at(page_of(), tasks["skies"][0])
    moving = encoded(drawn(1), "GIF", save_all=True, append_images=[drawn(2)])
    clear = drawn(3).convert("RGBA")
    clear.putalpha(100)
    files = [
        given("bad.jpg", b"nothing"), given("none.jpg", b""), given("small.png", encoded(drawn(1, (80, 63)), "PNG")),
        given("moving.gif", moving), given("clear.png", encoded(clear, "PNG")),
        given("phone.heic", b"\0\0\0\x18ftypheic" + bytes(40)),
    ]  # fmt: skip
    add(page, files, "Not used: 6.")
    page.get_by_text("What was not used, and why").click()
    told = page.locator(".own-unused").inner_text()
    for why in ("damaged, or in a format", "empty", "at least 64", "moves", "transparent", "HEIC"):
        assert why in told
    assert page.evaluate(KEPT) == []


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_pictures_are_answered_changed_deleted_and_brought_back(page_of, tasks, settings):
    page = at(page_of(**settings), tasks["skies"][0])
    add(page, skies(1, 2), "Added: 2.")
    expect(count_of(page, "Without an answer")).to_have_text("2")
    if settings:
        page.locator(".own-queue").get_by_role("button", name="sunny").tap()
    else:
        page.keyboard.press("2")
    expect(count_of(page, "sunny")).to_have_text("1")
    page.get_by_role("button", name="Undo").click()
    expect(count_of(page, "sunny")).to_have_text("0")
    expect(page.locator(".own-news")).to_contain_text("Undone")
    page.locator(".own-show").get_by_text("cloudy").click()
    again = given("again.jpg", skies(1)[0]["buffer"])
    near = given("near.jpg", encoded(drawn(2), quality=50))
    add(page, [again, near], "Added: 1.")
    expect(page.locator(".own-news")).to_contain_text("1 that were here have their answer now")
    expect(count_of(page, "cloudy")).to_have_text("2")
    page.get_by_role("button", name="looks like sky2.jpg").click()
    expect(page.locator(".own-grid li")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".own-grid li")).to_have_count(3)
    page.get_by_label("Answer of near.jpg").select_option("sunny")
    expect(count_of(page, "sunny")).to_have_text("1")
    add(page, [again], "Set aside, as they are here already: 1.")
    assert not page.evaluate(WIDE)
    assert violations(page) == []
    page.reload()
    expect(page.locator(".own-grid li")).to_have_count(3)
    expect(count_of(page, "sunny")).to_have_text("1")


def test_where_labels_are_digits_these_are_the_keys(page_of, tasks):
    page = at(page_of(color_scheme="dark"), tasks["grey"][0])
    add(page, skies(1, 2), "Added: 2.")
    assert violations(page) == []
    for key in ("7", "0"):
        page.keyboard.press(key)
        expect(page.locator(".own-news")).to_contain_text(f": {key}")
    assert sorted(one["answer"] for one in page.evaluate(KEPT)) == [0, 7]
    expect(page.locator(".own-queue")).to_have_count(0)


def test_an_export_is_read_by_python_and_comes_back_in_another_browser(page_of, tasks):
    number, of = tasks["skies"]
    page = at(page_of(), number)
    page.get_by_label("Keep the original files too").check()
    page.locator(".own-show").get_by_text("sunny").click()
    add(page, skies(1, 2), "Added: 2.")
    page.get_by_label("Keep the original files too").uncheck()
    page.locator(".own-show").get_by_text("cloudy").click()
    add(page, skies(3), "Added: 1.")
    kept = page.evaluate(KEPT)
    assert [one["original"] for one in kept] == [True, True, False]
    with page.expect_download() as told:
        page.get_by_role("button", name="Export all as a zip").click()
    file = told.value.path()
    inputs, answers, unused = pack(file.read_bytes(), of)
    mine = {tuple(one["pixels"]): one["answer"] for one in kept}
    assert unused == [] and len(answers) == 3
    found = sorted(zip((one.ravel().tolist() for one in inputs), answers, strict=True))
    for (pixels, answer), (other, own) in zip(
        found, sorted((list(key), one) for key, one in mine.items()), strict=True
    ):
        assert answer == own and np.abs(np.subtract(pixels, other)).mean() / 255 <= 1e-3
    other = at(page_of(), number)
    add(other, given("mine.zip", file.read_bytes()), "Added: 3.")
    assert {tuple(one["pixels"]): one["answer"] for one in other.evaluate(KEPT)} == mine


def test_rows_come_from_a_table_whose_columns_are_chosen_and_go_out_again(page_of, tasks):
    number, of = tasks["rows"]
    page = at(page_of(), number)
    keys = [field.key for field in of.fields]
    good = [str((field.low + field.high) / 2) for field in of.fields]
    header = ["first", *keys[1:], of.number.key]
    rows = [header, [*good, "100"], [*good, ""], ["=1+1", *good[1:], "100"], [*good, "1e9"], [*good, "100"]]
    text = "\ufeff" + "\n".join(";".join(row) for row in rows)
    page.get_by_label("Choose a table").set_input_files(given("rows.csv", text.encode()))
    page.locator(f"#column-{keys[0]}").select_option(index=1)
    page.get_by_role("button", name="Add 5 rows").click()
    expect(page.locator(".own-news")).to_contain_text(
        "Added: 2. Set aside, as they are here already: 1. Not used: 2."
    )
    page.get_by_text("What was not used, and why").click()
    expect(page.locator(".own-unused")).to_contain_text("row 4")
    expect(page.locator(".own-unused")).to_contain_text("row 5")
    page.get_by_text("Type a row").click()
    for key, value in zip(keys, good, strict=True):
        page.locator(f"#own-{key}").fill(value)
    page.locator(f"#own-{of.number.key}").fill("77")
    page.get_by_role("button", name="Add this row").click()
    expect(page.locator(".own-rows tbody tr")).to_have_count(3)
    assert not page.evaluate(WIDE) and violations(page) == []
    with page.expect_download() as told:
        page.get_by_role("button", name="Export all as a zip").click()
    inputs, answers, unused = pack(told.value.path().read_bytes(), of)
    assert (
        sorted(answers) == [77, 100]
        and len(unused) == 1
        and inputs.tolist() == [[float(one) for one in good]] * 2
    )


def test_the_starter_pack_is_loaded_whole_and_can_be_undone(page_of, tasks):
    for kind in ("grey", "rows"):
        page = at(page_of(), tasks[kind][0])
        page.get_by_role("button", name="Load the starter pack").click()
        expect(page.locator(".own-news")).to_contain_text(re.compile(r"Added: \d+\."))
        assert page.evaluate(KEPT)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".own-news")).to_contain_text("Undone")
        assert page.evaluate(KEPT) == []


def test_where_the_browser_is_full_what_was_added_is_whole(page_of, tasks):
    page = at(page_of(), tasks["skies"][0])
    add(page, skies(1), "Added: 1.")
    page.evaluate(FULL_AFTER, 1)
    page.get_by_label("Choose pictures").set_input_files(skies(2, 3))
    expect(page.get_by_role("alert")).to_contain_text("no more room")
    expect(page.locator(".own-grid li")).to_have_count(1)
    assert len(page.evaluate(KEPT)) == 1
    page.evaluate(FULL_AFTER, 100)
    add(page, skies(2, 3), "Added: 2.")


def test_what_the_browser_has_cleared_is_told_once(page_of, tasks):
    page = at(page_of(), tasks["skies"][0])
    add(page, skies(1, 2), "Added: 2.")
    page.goto("/why")
    page.evaluate(CLEARED)
    at(page, tasks["skies"][0])
    expect(page.get_by_role("alert")).to_contain_text("2 of your examples are gone")
    page.get_by_role("button", name="I have read it").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.reload()
    expect(page.locator(".own-drop")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_two_tabs_have_the_same_examples_and_neither_brings_back_what_the_other_deleted(page_of, tasks):
    page = at(page_of(), tasks["skies"][0])
    other = at(page.context.new_page(), tasks["skies"][0])
    for tab in (page, other):
        tab.get_by_label("Choose pictures").set_input_files(skies(1, 2))
    for tab in (page, other):
        expect(tab.locator(".own-grid li")).to_have_count(2)
        expect(tab.locator(".own-news")).to_contain_text(re.compile("Added|Set aside"))
    page.get_by_role("button", name="Delete: sky1.jpg").click()
    expect(other.locator(".own-grid li")).to_have_count(1)
    other.locator(".own-queue").get_by_role("button", name="sunny").click()
    expect(count_of(page, "sunny")).to_have_text("1")
    assert len(page.evaluate(KEPT)) == 1


def test_many_pictures_show_how_far_they_are_and_can_be_stopped(page_of, tasks):
    page = at(page_of(), tasks["skies"][0])
    page.get_by_label("Choose pictures").set_input_files(skies(*range(40)))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".own-news")).to_contain_text("Stopped; what was added is whole.")
    assert len(page.evaluate(KEPT)) < 40
