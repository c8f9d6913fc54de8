"""A photo dropped, judged by the site and by the browser itself, kept, corrected and deleted, in a real browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from app.vite import DIST
from tests.app.test_forecast import BAD
from tests.chromium import PHONE
from utils.forecast.predictor import Predictor, read_photo
from utils.photos.simulator import simulate

expect.set_options(timeout=60_000)
ANSWER = re.compile(r"^(Sunny|Cloudy|I cannot tell)$")
DROP = """(place, [name, coded]) => {
  const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/jpeg" }));
  place.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""

IN_NO_SKY = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const at = [...Array(data.length / 4).keys()].map((n) => data.slice(4 * n, 4 * n + 4));
  const magenta = ([red, green, blue]) => red > 150 && blue > 100 && green < 60;
  const green = ([red, green, blue]) => green > 120 && red < 60 && blue < 100;
  const seen = at.filter(([, , , opacity]) => opacity > 40);
  return seen.length > 0 && seen.every((one) => magenta(one) || green(one));
}"""


def sky(number, size=None):
    picture = Image.fromarray(simulate(11, number)[0])
    written = io.BytesIO()
    (picture.resize(size, Image.Resampling.BICUBIC) if size else picture).save(written, "JPEG", quality=92)
    return written.getvalue()


def upload(number, size=None):
    return {"name": f"sky{number}.jpg", "mimeType": "image/jpeg", "buffer": sky(number, size)}


def log_in(page):
    page.goto("/login?next=/forecast")
    page.get_by_label("E-mail").fill("test@126.com")
    page.get_by_label("Password", exact=True).fill("test")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_a_dropped_photo_is_judged_explained_compared_kept_and_corrected(page_of, settings):
    page = page_of(**settings)
    log_in(page)
    page.goto("/forecast")
    page.locator(".drop").evaluate(DROP, ["dropped.jpg", base64.b64encode(sky(1)).decode()])
    card = page.locator(".answer").first
    expect(card.locator(".verdict")).to_have_text(ANSWER)
    expect(card).to_contain_text(re.compile(r"\d+ % sunny, \d+ % cloudy"))
    expect(card.locator("canvas")).to_be_visible()
    assert card.locator("canvas").evaluate(IN_NO_SKY)
    expect(card.locator("canvas")).to_have_css("opacity", "0")  # the photo first
    press = card.get_by_role("button", name="Show what spoke for the answer: dropped.jpg")
    press.focus()
    page.keyboard.press("Enter")
    expect(card.locator("canvas")).to_have_css("opacity", "0.8")
    press.click()
    expect(card.locator("canvas")).to_have_css("opacity", "0")
    card.get_by_role("slider", name="What spoke for the answer").fill("0.5")
    expect(card.locator("canvas")).to_have_css("opacity", "0.5")
    expect(card).to_contain_text("spoke for the answer")
    expect(card.locator("table tbody tr")).to_have_count(4)
    page.get_by_label("Ask all models").uncheck()
    expect(card.locator("table")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    card.get_by_role("button", name="Keep in my history").click()
    kept = page.locator(".kept").first
    expect(kept.locator("img")).to_have_js_property("complete", True)
    kept.get_by_label("What it really was").select_option("cloudy")
    page.reload()
    expect(page.locator(".kept").first.get_by_label("What it really was")).to_have_value("cloudy")
    before = page.locator(".kept").count()
    page.locator(".kept").first.get_by_role("button", name="Delete").click()
    expect(page.locator(".kept")).to_have_count(before - 1)


def test_samples_several_files_and_a_bad_one(page_of):
    page = page_of()
    page.goto("/forecast")
    page.get_by_alt_text("Drawn sky 1").click()
    expect(page.locator(".verdict")).to_have_text(ANSWER)
    chooser = page.get_by_label("Choose photos")
    chooser.set_input_files([upload(2), upload(3)])
    expect(page.locator(".verdict")).to_have_count(3)


@pytest.mark.parametrize("here", [False, True], ids=["site", "device"])
def test_every_bad_photo_gets_a_sentence_and_the_next_good_one_an_answer(chromium, address, tmp_path, here):
    context = chromium.new_context(base_url=address, locale="en-US")  # the browser logs the refusals itself
    page = context.new_page()
    page.goto("/forecast")
    if here:
        page.get_by_label("Judge on this device").check()
    chooser = page.get_by_label("Choose photos")
    harmless = ("animated", "50 MB") if here else ()  # judged on one's own device, at one's own cost
    bad = [(kind, raw) for kind, (raw, _) in BAD.items() if kind not in harmless]
    for count, (kind, raw) in enumerate(bad, 1):
        photo = tmp_path / f"{kind}.jpg"  # a file, as the 50 MB would take half a minute through a pipe
        photo.write_bytes(raw)
        chooser.set_input_files(photo)
        expect(page.locator(".answer .alert")).to_have_count(count)
        sentence = page.locator(".answer .alert").first.inner_text()
        assert 15 < len(sentence) < 200 and sentence.endswith("."), (kind, sentence)
    chooser.set_input_files([upload(1)] * 100)
    expect(page.locator(".alert").first).to_have_text("Only the first 10 photos are judged.")
    expect(page.locator(".verdict")).to_have_count(10)
    context.close()


def test_the_device_judges_with_the_network_switched_off(page_of):
    page = page_of()
    page.goto("/forecast")
    page.get_by_label("Judge on this device").check()
    expect(page.get_by_text("ready, no photo is sent")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_label("Choose photos").set_input_files([upload(4)])
    card = page.locator(".answer").first
    expect(card.locator(".verdict")).to_have_text(ANSWER)
    expect(card).to_contain_text("Judged on this device.")
    expect(card.locator("canvas")).to_be_visible()


JUDGE = """async ([chunk, photos]) => {
  const { Judge } = await import(chunk);
  const told = await (await fetch("/api/v1/forecast/models")).json();
  const model = told.models.find((one) => one.role === "federated");
  const judge = await Judge.load({ ...model, name: model.run }, told.sky);
  const said = [];
  for (const coded of photos) {
    const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
    said.push((await judge.judge(new Blob([bytes], { type: "image/jpeg" }))).verdict);
  }
  return said;
}"""


def test_server_and_browser_agree_on_fifty_photos(page_of, cache):
    rng = np.random.default_rng(4)
    photos = [sky(100 + n, tuple(int(v) for v in rng.integers(130, 900, 2))) for n in range(49)]
    photos.append(sky(200, (4000, 3000)))
    page = page_of()
    page.goto("/forecast")
    chunk = (
        "/static/" + json.loads((DIST / ".vite" / "manifest.json").read_text())["src/device/judge.ts"]["file"]
    )
    said = page.evaluate(JUDGE, [chunk, [base64.b64encode(photo).decode() for photo in photos]])
    predictor = Predictor.load(cache, "conf_f10")
    expected = [predictor.judge(read_photo(photo)) for photo in photos]
    far = [abs(one["probability"] - other.probability) for one, other in zip(said, expected, strict=True)]
    print(f"\nserver and browser: at most {max(far):.4f} apart on {len(photos)} photos")
    assert max(far) < 0.01
    assert [one["answer"] for one in said] == [other.answer for other in expected]
    assert len({other.answer for other in expected}) >= 2


def test_what_is_to_stay_on_the_device_is_never_sent(chromium, address):
    context = chromium.new_context(
        base_url=address, locale="en-US"
    )  # the browser logs the blocked request itself
    page = context.new_page()
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    page.route("**/model.onnx", lambda route: route.abort())
    page.goto("/forecast")
    page.get_by_label("Judge on this device").check()
    page.get_by_label("Choose photos").set_input_files([upload(1), upload(2)])
    expect(page.locator(".answer .alert")).to_have_count(2)
    expect(page.locator(".answer .alert").first).to_contain_text("nothing was sent")
    assert sent == []
    page.unroute("**/model.onnx")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.get_by_text("Judged on this device.")).to_be_visible()
    assert sent == []
    context.close()


def test_the_latest_question_is_the_one_that_is_answered(page_of):
    page = page_of()

    page.add_init_script(
        "const quick = window.fetch; window.fetch = async (address, ...more) => {"
        "  if (String(address).includes('model=alone')) await new Promise((done) => setTimeout(done, 1500));"
        "  return quick(address, ...more);"
        "};"
    )
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.locator(".verdict")).to_be_visible()
    page.get_by_label("Who answers").select_option("alone")
    with page.expect_response("**/api/v1/forecast?model=everything*") as answer:
        page.get_by_label("Who answers").select_option("everything")
    sunny = answer.value.json()["forecasts"][0]["forecast"]["probability"]
    page.wait_for_timeout(2500)
    expect(page.locator(".answer")).to_contain_text(f"{round(100 * sunny)} % sunny")


@pytest.mark.parametrize(
    "settings", [{"viewport": {"width": 1280, "height": 720}}, PHONE], ids=["desktop", "phone"]
)
def test_after_the_first_photo_the_answer_is_in_view_and_back_and_another_language_keep_it(page_of, settings):
    page = page_of(**settings)
    page.goto("/forecast")
    whole = page.locator(".drop").bounding_box()["height"]
    page.get_by_label("Choose photos").set_input_files(upload(1))
    verdict, odds = page.locator(".verdict"), page.locator(".verdict + p")
    expect(verdict).to_have_text(ANSWER)
    expect(verdict).to_be_in_viewport(ratio=1)
    expect(page.locator(".heat-photo img")).to_be_in_viewport(ratio=1)
    assert page.locator(".drop").bounding_box()["height"] < min(110, whole / 2)
    said = odds.inner_text()
    page.locator(".site-links a", has_text="Why is that so?").click() if not settings.get(
        "is_mobile"
    ) else page.goto("/why")
    page.wait_for_url("**/why")
    page.go_back()
    expect(odds).to_have_text(said)
    assert (
        page.locator(".heat-photo img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        > 64
    )
    page.evaluate("document.querySelector('form[action$=\"/language/zh\"]').requestSubmit()")
    page.wait_for_function("() => document.documentElement.lang === 'zh'")
    percents = re.findall(r"\d+ %", said)
    expect(odds).to_contain_text(percents[0])
    expect(page.locator(".answer")).to_have_count(1)
    page.get_by_role("button", name="向右转: sky1.jpg").click()  # the photo itself is there again
    expect(page.locator(".answer[aria-busy=false]")).to_have_count(1)
    other = page.context.new_page()  # not of this tab
    other.goto("/forecast")
    expect(other.locator("#model option")).not_to_have_count(0)
    expect(other.locator(".answer")).to_have_count(0)


def test_what_one_should_know_before_the_answer_is_said_before_it(page_of):
    page = page_of()

    def doubtful(route):
        answer = route.fetch()
        told = answer.json()
        said = told["forecasts"][0]
        said["forecast"].update(answer="sunny", probability=0.9, strangeness=0.7)
        for other in said["others"]:
            other["answer"] = "cloudy" if other["role"] == "alone" else "sunny"
        route.fulfill(response=answer, json=told)

    page.route("**/api/v1/forecast?*", doubtful)
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    cautions = page.locator(".caution")
    expect(cautions).to_have_text([
        "The models disagree: Cloudy say One owner alone.",
        "This photo is unlike nearly all that the network learnt from: trust its answer less.",
    ])  # fmt: skip
    tops = [page.locator(one).first.bounding_box()["y"] for one in (".caution", ".verdict")]
    assert tops[0] < tops[1]


def test_who_logs_out_leaves_no_photo_behind(page_of):
    page = page_of()
    log_in(page)
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.locator(".verdict")).to_have_text(ANSWER)
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url("**/login")
    page.goto("/forecast")
    expect(page.locator("#model option")).not_to_have_count(0)
    expect(page.locator(".answer")).to_have_count(0)
