"""Programs dropped and judged in a real browser, from which nothing of them is sent."""

import base64
import io
import re
import time

import numpy as np
import pytest
import requests
from PIL import Image
from playwright.sync_api import expect

from app.language import messages
from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.malware.headers import NET, PLAIN, header_bytes
from utils.data.programs import FEATURES
from utils.malware.header import REASONS
from utils.malware.launchers import shipped
from utils.malware.predictor import Predictor
from utils.malware.seen import strange
from utils.studies import studies

expect.set_options(timeout=60_000)
RUNS = {role: studies()["malware"].by_role(role).run for role in studies()["malware"].models}
ANSWER = re.compile(
    r"^(Looks like the malware it learnt from|Looks like the benign programs it learnt from|Cannot tell)$"
)
ANSWERS = {
    "malware": "Looks like the malware it learnt from", "benign": "Looks like the benign programs it learnt from",
    "unsure": "Cannot tell",
}  # fmt: skip
LAUNCHER = next(one for one in shipped() if one["file"] == "w32.exe")
DROP = """(place, files) => {
  const carried = new DataTransfer();
  for (const [name, coded] of files)
    carried.items.add(new File([Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0))], name));
  place.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module", autouse=True)
def converted(request):
    """The site has the models at hand; the first visitors are told to come back, and their browsers note that."""
    address = request.getfixturevalue("address")
    asked = ["detect/models", *(f"runs/{run}/model.onnx" for run in RUNS.values())]
    deadline = time.monotonic() + 120
    while any(requests.get(f"{address}/api/v1/{path}", timeout=60).status_code != 200 for path in asked):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def a_png():
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "PNG")
    return written.getvalue()


def of_net():
    raw = bytearray(header_bytes(PLAIN))
    raw[PLAIN["e_lfanew"] + NET] = 8
    return bytes(raw)


REFUSED = {
    "empty.exe": (b"", "empty"),
    "letter.exe": (b"MZ, dear reader", "cut"),
    "notes.txt": (b"a text", "no program"),
    "picture.png": (a_png(), "no program"),
    "dos.exe": (header_bytes(PLAIN).replace(b"PE\0\0", b"NE\0\0"), "16-bit"),
    "wide.dll": (header_bytes(PLAIN | {"Magic": 523, "Machine": 34404, "Characteristics": 8226}), "64-bit"),
    "console.exe": (header_bytes(PLAIN | {"Subsystem": 3}), "console"),
    "driver.sys": (header_bytes(PLAIN | {"Subsystem": 1}), "driver"),
    "arm.exe": (header_bytes(PLAIN | {"Machine": 452}), "processor"),
    "net.exe": (of_net(), ".NET"),
}


def whole(fields):
    """All features; those that made-up fields leave out are zero in the file."""
    return dict.fromkeys(FEATURES, 0) | fields


def file_of(name, raw):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": raw}


def opened(page):
    page.goto("/detect")
    expect(page.locator(".detect-ready")).to_contain_text(re.compile("Ready|已就绪"))


def choose(page, *files, name="Choose files"):
    page.get_by_label(name, exact=True).set_input_files([file_of(*one) for one in files])


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_a_launcher_is_judged_and_explained_and_nothing_is_sent(page_of, settings):
    page = page_of(**settings)
    opened(page)
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    raw = header_bytes(LAUNCHER["fields"])
    page.locator(".drop").evaluate(DROP, [["own.exe", base64.b64encode(raw).decode()]])
    card = page.locator(".file").first
    expect(card.locator(".verdict")).to_have_text(ANSWER)
    expect(card).to_contain_text(re.compile(r"\d+ % malware, .*\d+ % benign"))
    expect(card.locator(".spoke tbody tr")).to_have_count(6)
    card.get_by_role("button", name="Show all 47").click()
    expect(card.locator(".spoke tbody tr")).to_have_count(47)
    card.get_by_text("The header, field by field").click()
    row = card.locator(".fields tr", has_text="ImageBase")
    expect(row).to_contain_text(re.compile(r"4,194,304\s*0x400000"))
    expect(card.locator(".fields tr", has_text="Machine")).to_contain_text("Intel, 32-bit")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert violations(page) == []
    page.wait_for_timeout(500)
    assert sent == []


def test_what_the_browser_says_is_what_python_says(page_of, cache):
    rng = np.random.default_rng(20)
    headers = [PLAIN, LAUNCHER["fields"]]
    changed = {"SizeOfCode": 2**31, "SizeOfImage": 2**32, "AddressOfEntryPoint": 2**20, "ImageBase": 2**32,
               "NumberOfSections": 20, "MajorLinkerVersion": 60, "MinorImageVersion": 2**16,
               "DllCharacteristics": 2**16, "Characteristics": 2**14, "CheckSum": 2**32}  # fmt: skip
    for _ in range(60):
        some = rng.choice(list(changed), 4, replace=False)
        headers.append(PLAIN | {name: int(rng.integers(changed[name])) for name in some})
    page = page_of()
    opened(page)
    choose(page, *[(f"{number:03}.exe", header_bytes(one)) for number, one in enumerate(headers)])
    expect(page.get_by_role("button", name=re.compile("Show .* more|Show all"))).to_be_visible()
    page.locator(".detect-files > .actions button").first.click()
    if (more := page.locator(".detect-files > .actions button", has_text="Show")).count() > 1:
        more.first.click()
    expect(page.locator(".file")).to_have_count(len(headers))
    predictor = Predictor.load(cache, RUNS["federated"])
    rows = page.locator(".file").evaluate_all(
        "all => all.map((one) => [one.querySelector('.file-name').textContent, one.querySelector('data').value,"
        " one.querySelector('.file-answer').textContent])"
    )
    said = {name: (float(value), answer) for name, value, answer in rows}
    far = []
    for number, one in enumerate(headers):
        expected = predictor.judge(whole(one))
        value, answer = said[f"{number:03}.exe"]
        far.append(abs(value - expected.probability))
        assert answer == ANSWERS[expected.answer]
    print(f"\nbrowser and Python: at most {max(far):.2g} apart on {len(far)} headers")
    assert max(far) < 1e-5


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_every_file_that_is_not_judged_says_why_in_a_sentence(page_of, language):
    page = page_of(locale=language)
    opened(page)
    choose(page, *[(name, raw) for name, (raw, _) in REFUSED.items()],
           name="Choose files" if language == "en-US" else "选择文件")  # fmt: skip
    expect(page.locator(".file")).to_have_count(len(REFUSED))
    for name, (_, reason) in REFUSED.items():
        card = page.locator(".file", has=page.get_by_text(name, exact=True))
        card.locator(".file-head").press("Enter")
        sentence = REASONS[reason] if language == "en-US" else messages("zh")[REASONS[reason]]
        expect(card.locator(".file-body")).to_have_text(sentence)
        expect(card.locator(".verdict")).to_have_count(0)
    expect(page.locator(".summary tbody tr")).to_have_count(1)


def test_known_launchers_are_on_the_shelf_and_a_false_alarm_is_called_one(page_of):
    page = page_of()

    def alarmed(route):
        told = (answer := route.fetch()).json()
        for one in told["models"]:
            one.update(low=0.0, high=1e-9)  # whatever it is, it is called malware
        route.fulfill(response=answer, json=told)

    page.route("**/api/v1/detect/models", alarmed)
    opened(page)
    page.get_by_role("button", name="w32.exe pip").click()
    card = page.locator(".file").first
    expect(card.locator(".caution").first).to_have_text("A false alarm: this program is known to be benign.")
    expect(card).to_contain_text(LAUNCHER["sha256"])
    page.locator(".shelf summary").click()
    page.get_by_role("button", name=f"All {len(shipped())}").click()
    expect(page.locator(".file")).to_have_count(1 + len(shipped()))
    expect(page.locator(".summary")).to_contain_text("Not judged")


def test_what_was_never_seen_is_named_and_the_answer_to_be_relied_on_less(page_of):
    page = page_of()
    opened(page)
    fields = PLAIN | {"MajorLinkerVersion": 14, "MinorLinkerVersion": 200, "SizeOfImage": 2**32 - 1}
    choose(page, ("new.exe", header_bytes(fields)))
    unknown = strange(whole(fields))
    card = page.locator(".file").first
    expect(card.locator(".caution").first).to_contain_text(f"{len(unknown)} of its 47 numbers")
    for name in unknown[:6]:
        expect(card.locator(".file-strange")).to_contain_text(name)
    expect(card.locator(".file-strange")).to_contain_text("MinorLinkerVersion 200 was never seen")
    card.get_by_text("The header, field by field").click()
    expect(card.locator(".field-strange")).to_have_count(len(unknown))


def test_it_judges_with_the_network_switched_off_by_keyboard_alone(page_of):
    page = page_of()
    opened(page)
    page.context.set_offline(True)
    page.locator(".shelf button", has_text="w32.exe").focus()
    page.keyboard.press("Enter")
    card = page.locator(".file").first
    expect(card.locator(".verdict")).to_have_text(ANSWER)
    expect(card.locator("tbody").first.locator("tr")).to_have_count(len(RUNS) - 1)
    expect(card.locator(".file-head")).to_be_focused()
    page.keyboard.press("Space")
    expect(card.locator(".file-body")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(card.locator(".file-body")).to_have_count(1)


def test_a_thousand_files_are_counted_first_and_shown_in_portions(page_of, tmp_path):
    for number in range(1000):
        fields = PLAIN | {"SizeOfCode": 512 * number, "Subsystem": 3 if number % 4 == 0 else 2}
        (tmp_path / f"{number}.exe").write_bytes(header_bytes(fields))
    page = page_of()
    opened(page)
    page.get_by_label("Choose files").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.get_by_text("to go…")).to_have_count(0)
    rows = page.locator(".summary tbody tr")
    expect(rows.filter(has_text="Not judged")).to_contain_text("250")
    assert (
        sum(int(text.replace(",", "")) for text in rows.locator("td:nth-child(2)").all_inner_texts()) == 1000
    )
    assert page.locator(".file").count() == 20
    rows.get_by_role("button", name="Not judged").click()
    expect(page.locator(".file-answer", has_text="Not judged")).to_have_count(20)
    page.get_by_text("Why some were not judged").click()
    expect(page.locator(".summary li")).to_have_text(f"250 × {REASONS['console']}")
    page.get_by_role("button", name="Take all files off this list").click()
    expect(page.locator(".file")).to_have_count(0)


def test_back_and_another_language_find_the_files_again_and_another_tab_does_not(page_of):
    page = page_of()
    opened(page)
    choose(page, ("mine.exe", header_bytes(PLAIN)), ("notes.txt", b"a text"))
    expect(page.locator(".file")).to_have_count(2)
    value = page.locator(".file data").first.get_attribute("value")
    page.goto("/why")
    page.go_back()
    expect(page.locator(".file")).to_have_count(2)
    page.evaluate("document.querySelector('form[action$=\"/language/zh\"]').requestSubmit()")
    page.wait_for_function("() => document.documentElement.lang === 'zh'")
    expect(page.locator(".file data").first).to_have_attribute("value", value)
    page.goto("/forecast")  # which keeps its own
    expect(page.locator("#model option")).not_to_have_count(0)
    expect(page.locator(".answer")).to_have_count(0)
    other = page.context.new_page()
    opened(other)
    expect(other.locator(".file")).to_have_count(0)


def test_a_model_that_cannot_be_fetched_is_fetched_again(open_page):
    page = open_page()
    page.route("**/model.onnx", lambda route: route.abort())
    page.goto("/detect")
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute("**/model.onnx")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".detect-ready")).to_be_visible()
    choose(page, ("mine.exe", header_bytes(PLAIN)))
    expect(page.locator(".verdict")).to_have_text(ANSWER)
