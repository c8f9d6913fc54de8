"""Folders, files that change under way, photos that lie on their side: nothing is lost, all that fails is told."""

import io
import os
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.conftest import violations
from tests.e2e.test_forecast import ANSWER, PHONE, sky, upload
from tests.e2e.test_nothing_lost import _visitor
from tests.e2e.test_trainings import _until
from utils.forecast.pixels import turned
from utils.forecast.predictor import Predictor, read_photo

expect.set_options(timeout=60_000)


def _drop(page, *paths):
    """Drop files or folders of this machine, as a hand would."""
    box = page.locator(".drop").bounding_box()
    session = page.context.new_cdp_session(page)
    carried = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 20, "y": box["y"] + 20}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": carried, **place})


@pytest.fixture
def folder(tmp_path):
    """A folder with 12 skies, one of them in a folder inside, and what else lies in folders."""
    top = tmp_path / "我的天空"
    (top / "inside").mkdir(parents=True)
    for number in range(1, 12):
        (top / f"sky{number}.jpg").write_bytes(sky(number))
    (top / "inside" / "deep.JPG").write_bytes(sky(12))
    (top / "notes.txt").write_text("no picture")
    (top / ".DS_Store").write_bytes(b"\0")
    return top


@pytest.mark.parametrize("how", ["dropped", "chosen"])
def test_a_folders_pictures_are_judged_ten_at_a_time(page_of, folder, how):
    page = page_of()
    page.goto("/forecast")
    expect(page.get_by_label("Who answers").locator("option")).not_to_have_count(0)
    if how == "dropped":
        _drop(page, folder)
    else:
        page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.locator(".verdict")).to_have_count(10)
    expect(page.get_by_text("Only the first 10 photos are judged.")).to_be_visible()
    expect(page.get_by_text("2 files that are no pictures were left out.")).to_be_visible()
    page.get_by_role("button", name="Judge the next 2 of 2").click()
    expect(page.locator(".verdict")).to_have_count(12)
    expect(page.get_by_role("button", name=re.compile("Judge the next"))).to_have_count(0)
    names = page.locator(".answer p.text-break").all_inner_texts()
    assert sorted(names) == sorted([*(f"sky{number}.jpg" for number in range(1, 12)), "deep.JPG"])
    expect(page.locator(".answer .alert")).to_have_count(0)


def test_folders_and_files_are_dropped_together_and_an_empty_folder_says_so(page_of, folder, tmp_path):
    page = page_of(**PHONE)
    page.goto("/forecast")
    (tmp_path / "empty").mkdir()
    _drop(page, tmp_path / "empty")
    expect(page.get_by_role("alert")).to_have_text("There is no picture in it.")
    (tmp_path / "single.jpg").write_bytes(sky(20))
    _drop(page, tmp_path / "single.jpg", folder / "inside", tmp_path / "empty")
    expect(page.locator(".verdict")).to_have_count(2)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_happens_to_files_after_they_were_chosen_costs_only_these(open_page, tmp_path):
    page = open_page()
    files = [tmp_path / f"sky{number}.jpg" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(sky(number))
    before, stamp = files[2].read_bytes(), files[2].stat()
    page.goto("/forecast")
    held = []
    page.route("**/api/v1/forecast?*", lambda route: held.append(route))
    page.get_by_label("Choose photos").set_input_files(files)
    page.wait_for_timeout(1000)
    files[1].unlink()
    files[2].write_bytes(b"changed")
    for route in held:
        route.continue_()
    page.unroute("**/api/v1/forecast?*")
    expect(page.locator(".verdict")).to_have_count(2)
    faults = page.locator(".answer .alert")
    expect(faults).to_have_count(2)
    for text in faults.all_inner_texts():
        assert "changed, moved or deleted" in text
    files[2].write_bytes(before)
    os.utime(files[2], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    page.get_by_role("button", name="Try again: sky2.jpg").click()
    expect(page.locator(".verdict")).to_have_count(3)
    expect(faults).to_have_count(1)


def test_a_photo_that_did_not_get_through_is_tried_again_by_itself(open_page):
    page = open_page()
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.locator(".verdict")).to_have_count(1)
    page.context.set_offline(True)
    page.get_by_label("Choose photos").set_input_files([upload(2), {**upload(3), "buffer": b"no picture"}])
    expect(page.locator(".answer .alert")).to_have_count(2)
    expect(page.locator(".answer .alert").first).to_contain_text("The site cannot be reached.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again: sky2.jpg").click()
    expect(page.locator(".verdict")).to_have_count(2)
    assert violations(page) == []
    page.get_by_role("button", name="Try again: sky3.jpg").click()
    expect(page.locator(".answer .alert")).to_contain_text("not a picture in a format known here")
    expect(page.locator(".verdict")).to_have_count(2)


def test_a_page_that_could_not_learn_what_to_ask_learns_it_later(open_page):
    page = open_page()
    page.route("**/api/v1/forecast/models", lambda route: route.abort())
    page.goto("/forecast")
    expect(page.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.locator(".verdict")).to_have_count(1)
    page.unroute("**/api/v1/forecast/models")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("Who answers").locator("option")).not_to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".verdict")).to_have_count(1)


@pytest.mark.parametrize("what", ["model", "compare", "turn"])
def test_the_old_answer_stays_until_the_new_one_is_there(open_page, what):
    page = open_page()
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    card = page.locator(".answer")
    expect(card.locator(".verdict")).to_have_text(ANSWER)
    before = card.locator(".verdict + p").inner_text()
    held = []
    page.route("**/api/v1/forecast?*", lambda route: held.append(route))
    change = {
        "model": lambda: page.get_by_label("Who answers").select_option("alone"),
        "compare": lambda: page.get_by_label("Ask all models").click(),
        "turn": lambda: card.get_by_role("button", name="Turn right: sky1.jpg").click(),
    }[what]
    change()
    expect(card.get_by_text("Looking…")).to_be_visible()
    expect(card.locator(".verdict + p")).to_have_text(before)
    expect(card.locator("canvas")).to_be_visible()
    _until(page, lambda: held)
    held.pop().abort()
    expect(card.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    expect(card.locator(".verdict + p")).to_have_text(before)
    card.get_by_role("button", name="Try again: sky1.jpg").click()
    expect(card.get_by_text("Looking…")).to_be_visible()
    _until(page, lambda: held)
    with page.expect_response("**/api/v1/forecast?*") as answer:
        held.pop().continue_()
    sunny = answer.value.json()["forecasts"][0]["forecast"]["probability"]
    expect(card.locator(".verdict + p")).to_contain_text(f"{round(100 * sunny)} % sunny")
    expect(card.get_by_role("alert")).to_have_count(0)


def _uneven():
    """A sky of odd sizes whose left half is darker: turned, it is another picture."""
    picture = Image.open(io.BytesIO(sky(6, (301, 200))))
    dark = picture.crop((0, 0, 150, 200)).point(lambda value: value // 2)
    picture.paste(dark, (0, 0))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize("here", [False, True], ids=["site", "device"])
def test_a_photo_that_lies_on_its_side_is_turned_and_judged_so(page_of, cache, here):
    page = page_of()
    page.goto("/forecast")
    if here:
        page.get_by_label("Judge on this device").check()
        expect(page.get_by_text("ready, no photo is sent")).to_be_visible()
    photo = _uneven()
    page.get_by_label("Choose photos").set_input_files(
        {"name": "p.png", "mimeType": "image/png", "buffer": photo}
    )
    card = page.locator(".answer")
    predictor = Predictor.load(cache, "conf_f10")
    seen = set()
    for turn in (0, 90, 180, 270, 180):
        said = predictor.judge(turned(read_photo(photo), turn))
        seen.add(round(100 * said.probability))
        expect(card.locator("img")).to_have_css("transform", _matrix(turn))
        expect(card).to_have_attribute("aria-busy", "false")
        told = re.match(r"(\d+) % sunny", card.locator(".verdict + p").inner_text())
        assert abs(int(told[1]) - 100 * said.probability) <= 1, (turn, said)
        button = card.get_by_role("button", name=f"Turn {'left' if turn == 270 else 'right'}: p.png")
        button.focus()
        page.keyboard.press("Enter")
    assert len(seen) > 1, "turning makes a difference to this photo"


def _matrix(turn):
    return {0: re.compile(r"none|matrix\(1, 0, 0, 1, 0, 0\)"), 90: re.compile(r"matrix\(.*, 1, -1, "),
            180: re.compile(r"matrix\(-1, "), 270: re.compile(r"matrix\(.*, -1, 1, ")}[turn]  # fmt: skip


def test_what_is_kept_is_what_was_judged(open_page):
    page = open_page()
    _visitor(page)
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(
        {"name": "p.png", "mimeType": "image/png", "buffer": _uneven()}
    )
    card = page.locator(".answer")
    expect(card.locator(".verdict")).to_be_visible()
    card.get_by_role("button", name="Turn right: p.png").click()
    expect(card).to_have_attribute("aria-busy", "false")
    with page.expect_response("**/api/v1/forecasts?*") as answer:
        card.get_by_role("button", name="Keep in my history").click()
    kept = answer.value.json()
    picture = Image.open(io.BytesIO(page.request.get(f"/api/v1/forecasts/{kept['id']}/photo").body()))
    assert picture.size == (200, 301)
    above, below = (picture.convert("L").resize((1, 2)).getpixel((0, row)) for row in (0, 1))
    assert above < below, "what was on the left is above"
