"""What browsers are told so that they can judge programs, and that the page's words promise nothing."""

import json
import re
import shutil

import pytest

from app.language import CATALOGUE, messages, texts
from tests.conftest import ROOT
from utils.data.programs import FEATURES
from utils.malware.elsewhere import shipped
from utils.malware.header import FIELDS, REASONS
from utils.malware.predictor import Predictor
from utils.studies import studies

STUDY = studies()["malware"]
RUNS = {role: STUDY.by_role(role).run for role in STUDY.models}
PROMISES = re.compile(
    r"\bsafe\b|\bsafely\b|harmless|virus-free|clean bill|no threat|安全|无害|无毒|放心", re.IGNORECASE
)
ITS_OWN = ("app/templates/detect/*", "app/detect/*.py", "app/static/vue/src/components/Detect*",
           "app/static/vue/src/device/header.ts", "app/static/vue/src/device/programs.ts",
           "app/static/vue/src/*programs.ts", "app/static/vue/src/fields.ts", "utils/malware/*.py",
           "utils/studies/malware*/*.json", "cache/conf_malware*.md")  # fmt: skip


@pytest.fixture
def with_models(cache):
    for run in RUNS.values():
        for path in (ROOT / "cache").glob(f"{run}*.json.*"):
            shutil.copy(path, cache)
    return cache


def test_anybody_is_told_the_models_their_features_and_programs_to_try_them_on(browse, with_models):
    told = browse().get("/api/v1/detect/models").json
    assert {one["role"]: one["run"] for one in told["models"]} == RUNS
    assert tuple(one["name"] for one in told["features"]) == FEATURES
    assert all(one["low"] <= one["high"] for one in told["features"])
    assert all(one["values"] is None or len(one["values"]) <= 64 for one in told["features"])
    for one in told["models"]:
        expected = Predictor.load(with_models, one["run"])
        how = expected.calibration
        assert (one["temperature"], one["low"], one["high"]) == (how.temperature, how.low, how.high)
        assert [tested["elsewhere"] for tested in one["tested"]] == [False, True]
        assert {"false_alarms", "missed", "right"} <= set(one["tested"][0])
        assert sum(one["wheels"].values()) == len(shipped()["programs"])
        assert one["onnx"] == f"/api/v1/runs/{one['run']}/model.onnx"
    assert {"w32.exe", "gui-32.exe"} <= {one["file"] for one in told["launchers"]}
    assert all(set(one["fields"]) <= set(FIELDS) for one in told["launchers"])


def test_a_site_without_these_models_says_that_there_are_none(browse):
    told = browse().get("/api/v1/detect/models")
    assert (
        told.status_code == 200 and told.json["models"] == [] and len(told.json["features"]) == len(FEATURES)
    )


def test_what_anybody_needs_of_a_model_is_converted_when_anybody_asks(browse, with_models):
    other = with_models / "conf_malware_else.json"
    for path in with_models.glob(f"{RUNS['federated']}.json.*"):
        shutil.copy(path, f"{other}{path.suffix}")
    assert browse().get("/api/v1/runs/conf_malware_else/model.onnx").status_code in (401, 422)
    answer = browse().get(f"/api/v1/runs/{RUNS['federated']}/model.onnx")
    assert answer.status_code == 503 or (answer.status_code == 200 and b"spoke" in answer.data)


def test_the_page_says_how_little_a_header_tells_in_both_languages(browse):
    for language, sentence in (
        ("en", "right in only 55 to 70 % of cases"),
        ("zh", "55 到 70 % 的情形下判断正确"),
    ):
        page = browse().get("/detect", headers={"Accept-Language": language})
        assert sentence in page.get_data(as_text=True)
        assert "'wasm-unsafe-eval'" in page.headers["Content-Security-Policy"]


def test_reasons_are_told_as_python_tells_them_and_in_chinese():
    source = (ROOT / "app" / "static" / "vue" / "src" / "programs.ts").read_text(encoding="utf-8")
    for sentence in REASONS.values():
        assert json.dumps(sentence) in source and messages("zh")[sentence], sentence


def test_nothing_that_is_said_of_programs_promises_anything():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for pattern in ITS_OWN for path in sorted(ROOT.glob(pattern))
        for line in path.read_text(encoding="utf-8").splitlines()
        if PROMISES.search(line) and "Safe to use from several threads" not in line
    ]  # fmt: skip
    sources = "".join(
        path.read_text(encoding="utf-8") for pattern in ITS_OWN[:7] for path in ROOT.glob(pattern)
    )
    own = [text for text in texts() if json.dumps(text, ensure_ascii=False)[1:-1] in sources]
    assert len(own) > 100 and CATALOGUE.is_file()
    found += [text for text in own if PROMISES.search(messages("zh").get(text, ""))]
    assert found == []
    assert [text for text in own if not messages("zh").get(text)] == []
