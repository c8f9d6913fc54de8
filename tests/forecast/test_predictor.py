"""A shipped model asked about photos: the lab's own figures, sensible heat, nights and non-skies told apart."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import ROOT
from tests.forecast.non_skies import screenshot
from utils.federated.client import judge
from utils.federated.update import JudgeJob, Work
from utils.forecast.__main__ import main
from utils.forecast.pixels import SIDE, square_of
from utils.forecast.predictor import Predictor, read_photo
from utils.nets.layout import read_weights
from utils.nets.stored import load_model
from utils.photos.cleaning import Refused
from utils.photos.simulator import simulate


@pytest.fixture(scope="module")
def predictor():
    return Predictor.load(ROOT / "cache", "conf_f10")


def _jpeg(pixels, **more):
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=95, **more)
    return written.getvalue()


def test_it_answers_as_the_laboratory_judges(predictor, tmp_path):
    _, conf, net = load_model(ROOT / "cache", "conf_f10")
    stored = np.random.default_rng(0).integers(0, 256, (4, 3, SIDE, SIDE), dtype=np.uint8)
    np.save(tmp_path / "store.npy", stored)
    work = Work("test", conf, 0, str(tmp_path / "store.npy"), np.zeros(4, np.int64), {"all": np.arange(4)})
    buffers = {"weights": read_weights(net).tobytes()}
    logits = judge(JudgeJob("all", 0, 1, ("weights",)), work, buffers, torch.device("cpu"))
    for pixels, (cloudy, sunny) in zip(stored, logits, strict=True):
        said = predictor.judge(pixels.astype(np.float32) / 255)
        assert said.probability == pytest.approx(predictor.calibration.probability(sunny - cloudy), abs=1e-4)


def test_the_heat_map_is_what_covering_does(predictor):
    square = square_of(Image.fromarray(simulate(3, 1)[0]))
    heat = predictor.heat(square)
    assert heat.shape == (7, 7) and np.abs(heat).max() == pytest.approx(1)
    top, left = np.unravel_index(np.abs(heat).argmax(), heat.shape)
    covered = square.copy()
    covered[:, 12 * top : 12 * top + 24, 12 * left : 12 * left + 24] = square.mean(axis=(1, 2))[:, None, None]
    sign = 1 if predictor._margins(square[None])[0] >= 0 else -1
    fall = sign * (predictor._margins(square[None])[0] - predictor._margins(covered[None])[0])
    assert np.sign(fall) == np.sign(heat[top, left])


def test_a_photo_without_colour_is_its_own_answer_and_faint_colour_is_enough(predictor):
    grey = np.repeat(simulate(3, 0)[0][..., 1:2], 3, axis=2)
    assert predictor.judge(square_of(Image.fromarray(grey))).answer == "no colour"
    tinted = np.clip(grey.astype(int) + np.array([0, 0, 3]), 0, 255).astype(np.uint8)
    assert predictor.judge(square_of(Image.fromarray(tinted))).answer != "no colour"
    black = (grey * 0.05).astype(np.uint8)
    assert predictor.judge(square_of(Image.fromarray(black))).answer == "night"


def test_a_dark_picture_is_a_night_and_a_window_of_a_program_no_sky(predictor):
    dark = (simulate(3, 0)[0] * 0.08).astype(np.uint8)
    assert predictor.judge(square_of(Image.fromarray(dark))).answer == "night"
    assert predictor.judge(square_of(screenshot(np.random.default_rng(0)))).answer == "no sky"
    day = square_of(Image.fromarray(simulate(3, 0)[0]))
    assert predictor.judge(day, night=True).answer == "night" != predictor.judge(day).answer
    assert predictor.judge(day, night=False).answer in ("sunny", "cloudy", "unsure")


@pytest.mark.parametrize("raw", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xe0 not whole"])
def test_what_is_no_photo_is_refused(raw):
    with pytest.raises(Refused):
        read_photo(raw)


def test_the_command_judges_a_folder(tmp_path, capsys):
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "a.jpg").write_bytes(_jpeg(simulate(1, 0)[0]))
    (folder / "broken.jpg").write_bytes(_jpeg(simulate(1, 0)[0])[:-500])
    (folder / "notes.txt").write_text("no photo")
    out = tmp_path / "said.csv"
    assert main([str(folder), "-o", str(out), "--cache", str(ROOT / "cache")]) == 0
    rows = {row["file"]: row for row in csv.DictReader(out.open())}
    assert rows["deeper/a.jpg"]["answer"] in ("sunny", "cloudy", "unsure")
    assert 0 <= float(rows["deeper/a.jpg"]["probability_sunny"]) <= 1 and not rows["deeper/a.jpg"]["refused"]
    assert rows["broken.jpg"]["refused"] == "damaged" and rows["notes.txt"]["refused"] == "not a picture"
    capsys.readouterr()
    for arguments, reason in (
        ([str(tmp_path / "nothing"), "-o", str(out)], "not a folder"),
        ([str(folder), "-o", str(out), "--model", "conf_nobody"], "cannot be read"),
    ):
        assert main([*arguments, "--cache", str(ROOT / "cache")]) == 2
        said = capsys.readouterr().err
        assert reason in said and said.count("\n") == 1
