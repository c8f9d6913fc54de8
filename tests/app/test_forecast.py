"""The forecast over HTTP: answers, bad input with its status and one sentence, history, and nothing left behind."""

import io
import json
import os
import shutil
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from app.forecast.api import MAX_KEPT
from app.forecast.service import sample
from app.forecast.uploads import MAX_PHOTO_BYTES, MAX_PHOTOS
from tests.app.test_at_once import TIMES, at_once
from tests.conftest import ROOT
from tests.forecast.non_skies import screenshot
from utils.forecast.looking import is_night
from utils.forecast.predictor import Predictor, read_photo
from utils.photos.simulator import simulate
from utils.results import read_result, result_path, write_result
from utils.studies import left_out_of

MODELS = ("conf_f10", "conf_centralized_all")


def as_file(image, kind="JPEG", **more):
    written = io.BytesIO()
    image.save(written, kind, **more)
    return written.getvalue()


SKY = Image.fromarray(simulate(1, 0)[0])
PHOTO = as_file(SKY)


@pytest.fixture
def cache(cache):
    for name in MODELS:
        for suffix in ("pkl", "safetensors"):
            shutil.copy(ROOT / "cache" / f"{name}.json.{suffix}", cache)
        if beside := left_out_of(name):
            shutil.copy(ROOT / "cache" / f"{beside}.json.pkl", cache)
    return cache


def send(browser, *photos, path="/api/v1/forecast", **headers):
    files = [(io.BytesIO(photo), f"p{number}.jpg") for number, photo in enumerate(photos)]
    return browser.client.post(
        path, data={"photo": files}, headers={"X-CSRFToken": browser.token(), **headers},
        content_type="multipart/form-data",
    )  # fmt: skip


def test_a_photo_is_judged_as_the_model_room_judges_it(browse, cache):
    answer = send(browse(), PHOTO, path="/api/v1/forecast?explain=true&compare=true")
    (judged,) = answer.json["forecasts"]
    expected = Predictor.load(cache, "conf_f10").judge(read_photo(PHOTO))
    assert answer.status_code == 200 and judged["file"] == "p0.jpg"
    assert judged["forecast"] == {**expected.as_json(), "role": "federated", "run": "conf_f10"}
    assert {one["run"] for one in judged["others"]} == set(MODELS)
    assert np.shape(judged["heat"]) == (7, 7) and np.abs(judged["heat"]).max() == 1


def test_programs_need_no_account_and_no_page(site):
    answer = site.test_client().post("/api/v1/forecast", data={"photo": (io.BytesIO(PHOTO), "x.jpg")})
    assert answer.status_code == 200


def test_several_photos_each_get_their_answer_or_their_error(browse):
    said = send(browse(), PHOTO, b"no picture", PHOTO).json["forecasts"]
    assert [set(one) - {"file"} for one in said] == [{"forecast"}, {"error"}, {"forecast"}]
    assert said[1]["error"]["code"] == 415


def _bomb():
    """A PNG of a few hundred bytes that says it has 400 million pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"0" * 99))
        + chunk(b"IEND", b"")
    )


def _animation():
    frames = [Image.new("RGB", (100, 100), (i, 0, 0)) for i in (10, 200)]
    return as_file(frames[0], "GIF", save_all=True, append_images=frames[1:])


BAD = {
    "zero bytes": (b"", 400),
    "text": (b"hello, I am a photo", 415),
    "svg with script": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 415),
    "html that calls itself a photo": (b"<html><script>alert(1)</script>", 415),
    "truncated": (PHOTO[: len(PHOTO) * 2 // 3], 422),
    "animated": (_animation(), 422),
    "bomb": (_bomb(), 413),
    "50 MB": (PHOTO + b"\0" * 50_000_000, 413),
    "tiny": (as_file(SKY.resize((20, 20))), 422),
    "transparent": (as_file(Image.new("RGBA", (100, 100), (0, 0, 0, 0)), "PNG"), 422),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_bad_photos_get_their_status_and_one_sentence(browse, kind, language):
    raw, code = BAD[kind]
    answer = send(browse(), raw, **{"Accept-Language": language})
    said = answer.json["error"]
    assert answer.status_code == said["code"] == code, said
    assert said["message"] and "Traceback" not in json.dumps(said)
    assert any(ord(letter) > 0x2E80 for letter in said["message"]) == (language == "zh"), said["message"]


def test_requests_that_are_no_uploads_get_their_status(browse, site):
    client = site.test_client()
    assert client.post("/api/v1/forecast", data=b"x", content_type="image/jpeg").status_code == 415
    assert client.post("/api/v1/forecast", json={"photo": "x"}).status_code == 415
    form = {"content_type": "multipart/form-data"}
    assert (
        client.post("/api/v1/forecast", data={"other": (io.BytesIO(PHOTO), "x")}, **form).status_code == 400
    )
    assert client.post("/api/v1/forecast", data={"photo": "text"}, **form).status_code == 400
    assert send(browse(), PHOTO, path="/api/v1/forecast?model=nobody").status_code == 422
    assert send(browse(), *[PHOTO] * (MAX_PHOTOS + 1)).status_code == 413
    assert send(browse(), *[b"x"] * 101).status_code == 413


def test_more_than_a_request_may_hold_is_refused_before_it_is_read(site):
    client = site.test_client()
    answer = client.post(
        "/api/v1/forecast", content_type="multipart/form-data; boundary=b", input_stream=io.BytesIO(b"--b"),
        environ_overrides={"CONTENT_LENGTH": str(3_000_000_000)},
    )  # fmt: skip
    assert answer.status_code == 413


KINDS = {
    "cmyk": as_file(SKY.convert("CMYK")),
    "grey": as_file(SKY.convert("L")),
    "palette": as_file(SKY.quantize(64), "PNG"),
    "16 bit": as_file(Image.fromarray(np.asarray(SKY.convert("L")).astype(np.uint16) * 257), "PNG"),
    "an iPhone's": as_file(SKY, "HEIF"),
    "webp": as_file(SKY, "WEBP"),
    "phone's multi-picture": as_file(SKY, "MPO", save_all=True, append_images=[SKY.rotate(90)]),
    "something behind it": PHOTO + b"PK\x03\x04<script>alert(1)</script>",
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_photos_that_are_welcome(browse, kind):
    answer = send(browse(), KINDS[kind])
    assert answer.status_code == 200 and "forecast" in answer.json["forecasts"][0], answer.json


def test_what_is_no_sky_is_said_to_be_none(browse):
    window = as_file(screenshot(np.random.default_rng(0)))
    assert send(browse(), window).json["forecasts"][0]["forecast"]["answer"] == "no sky"


def test_a_photo_without_colour_is_told_so_and_kept_so(browse):
    grey = io.BytesIO()
    Image.open(io.BytesIO(sample(4))).convert("L").save(grey, "PNG")
    browser = browse("user")
    said = send(browser, grey.getvalue(), path="/api/v1/forecast?compare=true").json["forecasts"][0]
    assert {said["forecast"]["answer"], *(other["answer"] for other in said["others"])} == {"no colour"}
    kept = send(browser, grey.getvalue(), path="/api/v1/forecasts?model=federated")
    assert kept.status_code == 200 and kept.json["answer"] == "no colour"


def test_nothing_of_a_photo_touches_the_disk(browse, site, tmp_path, monkeypatch):
    def files():
        return {path for path in tmp_path.rglob("*") if path.is_file()}

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    browser = browse("user")
    large = as_file(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)),
        quality=95,
    )
    assert len(large) > 1_000_000
    before = files()
    assert send(browser, large, large).status_code == 200
    assert files() == before


def test_too_many_requests_are_told_to_wait(cache, tmp_path, migrated):
    from app import create_app
    from app.config import demo
    from app.extensions import limiter

    (tmp_path / "other").mkdir()
    settings = demo({"SKYFED_INSTANCE": str(tmp_path / "other"), "SKYFED_CACHE": str(cache)})
    limiter.enabled = True
    limited = create_app({**settings, "TESTING": True}).test_client()
    codes = [
        limited.post(
            "/api/v1/forecast", data=b"x", content_type="image/jpeg", base_url="http://localhost"
        ).status_code
        for _ in range(301)
    ]
    assert codes[:300] == [415] * 300 and codes[300] == 429


def _with_place(moment, latitude, longitude):
    exif = Image.Exif()
    parts = lambda value: tuple(TiffImagePlugin.IFDRational(v) for v in (int(abs(value)), 0, 0))  # noqa: E731
    exif[0x8825] = {
        1: "N" if latitude >= 0 else "S", 2: parts(latitude), 3: "E" if longitude >= 0 else "W", 4: parts(longitude),
        7: tuple(TiffImagePlugin.IFDRational(v) for v in moment), 29: "2026:06:21",
    }  # fmt: skip
    return as_file(SKY, exif=exif)


def test_time_and_place_tell_day_from_night_if_the_visitor_agrees(browse):
    noon, midnight = _with_place((12, 0, 0), 45, 0), _with_place((0, 0, 0), 45, 0)
    assert is_night(noon) is False and is_night(midnight) is True
    assert is_night(_with_place((0, 0, 0), 45, 179)) is False  # where it is noon then
    assert is_night(_with_place((12, 0, 0), -85, 0)) is True  # the winter of the south pole
    for says_nothing in (PHOTO, b"", noon[:60]):
        assert is_night(says_nothing) is None
    browser = browse()
    agreed = send(browser, midnight, path="/api/v1/forecast?place=true").json["forecasts"][0]["forecast"]
    assert agreed["answer"] == "night"
    assert send(browser, midnight).json["forecasts"][0]["forecast"]["answer"] != "night"


def test_history_is_kept_corrected_exported_and_deleted(browse, site):
    exif = Image.Exif()
    exif[0x010E] = "a secret caption"
    browser = browse("user")
    kept = send(browser, as_file(SKY, exif=exif) + b"<script>", path="/api/v1/forecasts")
    assert kept.status_code == 200 and kept.json["answer"] and kept.json["correction"] == ""
    number = kept.json["id"]
    picture = browser.get(f"/api/v1/forecasts/{number}/photo").data
    assert (
        b"secret" not in picture
        and b"<script>" not in picture
        and not Image.open(io.BytesIO(picture)).getexif()
    )
    path = f"/api/v1/forecasts/{number}"
    assert browser.put(path, {"correction": "cloudy"}).json["correction"] == "cloudy"
    assert browser.put(path, {"correction": "purple"}).status_code == 422
    exported = browser.get("/profile/export").json["forecasts"]
    assert len(exported) == 1 and exported[0]["correction"] == "cloudy" and exported[0]["photo"]
    page = browse("admin").get("/admin/forecasts").get_data(as_text=True)
    assert "conf_f10" in page
    other = browse("researcher")
    for method in ("PUT", "DELETE"):
        refused = other.client.open(
            path, method=method, json={"correction": ""}, headers={"X-CSRFToken": other.token()}
        )
        assert refused.status_code == 404
    assert other.get(f"{path}/photo").status_code == 404
    assert other.get("/api/v1/forecasts").json == {"forecasts": []}
    gone = browser.client.delete(path, headers={"X-CSRFToken": browser.token()})
    assert gone.json == {"forecasts": []} and browser.get(f"{path}/photo").status_code == 404


def test_a_history_has_an_end(browse, monkeypatch):
    monkeypatch.setattr("app.forecast.api.MAX_KEPT", 1)
    browser = browse("user")
    assert send(browser, PHOTO, path="/api/v1/forecasts").status_code == 200
    refused = send(browser, PHOTO, path="/api/v1/forecasts")
    assert refused.status_code == 422 and "1" in refused.json["error"]["message"] and MAX_KEPT == 200


def test_the_history_holds_no_more_however_many_come_at_once(site, browse, monkeypatch):
    monkeypatch.setattr("app.forecast.api.MAX_KEPT", 3)
    browser = browse("user")
    one = ("/api/v1/forecasts", lambda: {"data": {"photo": (io.BytesIO(PHOTO), "p.jpg")}})
    assert at_once(site, browser, [one] * TIMES) == [200] * 3 + [422] * 21
    assert len(browser.get("/api/v1/forecasts").json["forecasts"]) == 3


def test_keeping_needs_the_pages_token(browse):
    browser = browse("user")
    files = {"photo": (io.BytesIO(PHOTO), "x.jpg")}
    assert browser.client.post("/api/v1/forecasts", data=files).status_code == 400


@pytest.mark.parametrize("size", [(160, 160), (301, 200), (200, 333)])
def test_a_turned_photo_is_judged_as_if_it_had_been_taken_so(browse, size):
    picture = SKY.resize(size)
    for turn in (90, 180, 270):
        told = send(
            browse(), as_file(picture, "PNG"), path=f"/api/v1/forecast?turn={turn}&explain=true&compare=true"
        )
        upright = as_file(picture.rotate(-turn, expand=True), "PNG")
        expected = send(browse(), upright, path="/api/v1/forecast?explain=true&compare=true").json[
            "forecasts"
        ][0]
        (judged,) = told.json["forecasts"]
        for one, other in zip(
            [judged["forecast"], *judged["others"]], [expected["forecast"], *expected["others"]], strict=True
        ):
            assert one["answer"] == other["answer"]
            assert one["probability"] == pytest.approx(other["probability"], abs=0.02)
        assert np.allclose(judged["heat"], expected["heat"], atol=0.2)


def test_a_kept_photo_is_kept_as_it_was_judged(browse):
    browser = browse("user")
    wide = as_file(SKY.resize((300, 200)))
    kept = send(browser, wide, path="/api/v1/forecasts?turn=90").json
    picture = Image.open(io.BytesIO(browser.get(f"/api/v1/forecasts/{kept['id']}/photo").data))
    assert picture.size == (200, 300)
    said = send(browser, wide, path="/api/v1/forecast?turn=90").json["forecasts"][0]["forecast"]
    assert kept["probability"] == pytest.approx(said["probability"], abs=1e-3)
    for nonsense in ("45", "-90", "360", "right"):
        assert send(browser, wide, path=f"/api/v1/forecast?turn={nonsense}").status_code == 422


def test_a_better_model_takes_over_without_a_restart(browse, cache):
    browser = browse()

    def who():
        return send(browser, PHOTO).json["forecasts"][0]["forecast"]["run"]

    assert who() == "conf_f10"
    result = read_result(result_path(cache, "conf_f10"))
    shutil.copy(cache / "conf_f10.json.safetensors", cache / "conf_f10@2.json.safetensors")
    result["name"], result["model"]["test"]["loss"] = (
        "conf_f10@2",
        0.0,
    )  # better on test photos does not count
    write_result(result_path(cache, "conf_f10@2"), result)
    result["model"]["val"]["loss"] += 0.1
    write_result(result_path(cache, "conf_f10@2"), result)
    assert who() == "conf_f10"
    result["model"]["val"]["loss"] = 0.01
    fingerprint = result["data"]["fingerprint"]
    write_result(
        result_path(cache, "conf_f10@3"),
        {**result, "name": "conf_f10@3", "data": {**result["data"], "fingerprint": "x"}},
    )
    shutil.copy(cache / "conf_f10.json.safetensors", cache / "conf_f10@3.json.safetensors")
    assert who() == "conf_f10"  # better, but on other photos
    result["data"]["fingerprint"] = fingerprint
    write_result(result_path(cache, "conf_f10@2"), result)
    assert who() == "conf_f10@2"


def test_each_model_says_what_it_was_tested_on(browse):
    models = browse().get("/api/v1/forecast/models").json["models"]
    for one in models:
        known, *new = one["tested"]
        assert not known["elsewhere"] and 0 < known["answered"] <= 1 and known["answers"] > 300
        assert all(other["elsewhere"] and other["sources"] == ["opensky"] for other in new)
    assert sum(len(one["tested"]) for one in models) > len(models)


def test_no_model_is_no_crash(browse, cache):
    for name in MODELS:
        os.unlink(cache / f"{name}.json.safetensors")
    answer = send(browse(), PHOTO)
    assert answer.status_code == 404 and "model" in answer.json["error"]["message"]
    assert browse().get("/api/v1/forecast/models").json["models"] == []


def test_of_twenty_at_once_who_does_not_find_a_place_is_told_when_to_come_back(site):
    codes = []

    def upload():
        while True:
            answer = site.test_client().post("/api/v1/forecast", data={"photo": (io.BytesIO(PHOTO), "x.jpg")})
            if answer.status_code != 503:
                break
            assert "again" in answer.json["error"]["message"]
            time.sleep(int(answer.headers["Retry-After"]) / 10)
        codes.append(answer.status_code)

    threads = [threading.Thread(target=upload) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 20


def test_only_the_forecast_page_may_run_webassembly(browse):
    policy = {
        path: browse().get(path).headers["Content-Security-Policy"]
        for path in ("/forecast", "/home", "/login")
    }
    assert "'wasm-unsafe-eval'" in policy["/forecast"] and "'unsafe-eval'" not in policy["/forecast"]
    assert not any("wasm" in policy[path] for path in ("/home", "/login"))


def test_samples_are_skies(browse):
    answer = browse().get("/forecast/samples/0.jpg")
    assert answer.mimetype == "image/jpeg" and Image.open(io.BytesIO(answer.data)).size[0] >= 64
    assert len(PHOTO) < MAX_PHOTO_BYTES
