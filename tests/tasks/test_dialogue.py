"""Shakespeare's dialogue: a text with all the faults of the real one becomes owners, or one line says what is wrong."""

import http.server
import json
import threading
import zipfile
from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch

import i0down_training_resource
import i2main
from utils.conf import make_conf
from utils.data.examples import DataError
from utils.data.speeches import CHARACTERS, LEAST, speeches
from utils.federated.bench import Repeat, share_out
from utils.nets.stored import as_onnx, load_model

SPEAKERS = ("ALL'S WELL", "First Citizen", "KING")
WORDS = "to be or not that is the question whether tis nobler in mind suffer slings".split()


def _said(rng, line_end="\n"):
    lines = [" ".join(rng.choice(WORDS, 7)).capitalize() + "," for _ in range(rng.integers(1, 6))]
    return line_end.join(lines)[:-1] + "."


def _text(end="\n"):
    """Look-alikes: empty speeches, extra line ends before two, one speech twice, one who says too little."""
    rng = np.random.default_rng(0)
    blocks = ["FOOL:\nNothing, my lord.", "KING:", "KING:\nSpeak, speak.", "\nKING:\nSpeak, speak."]
    said = dict.fromkeys(SPEAKERS, 0)
    while min(said.values()) < LEAST:
        speaker = min(said, key=said.get)
        words = _said(rng)
        said[speaker] += len(words)
        blocks.append(f"{speaker}:\n{words}")
        if len(blocks) == 9:
            blocks.append("\nFirst Citizen:")
    return "\n\n".join(blocks).replace("\n", end) + end


@pytest.fixture(scope="module")
def text():
    return _text()


@pytest.fixture
def data(text, tmp_path):
    """A folder of sets with such a text in it."""
    (tmp_path / "data" / "dialogue").mkdir(parents=True)
    (tmp_path / "data" / "dialogue" / "input.txt").write_text(text)
    return tmp_path / "data"


def _down(*arguments):
    return i0down_training_resource.main(["dialogue", *map(str, arguments)])


def _conf(**changes):
    return {
        "type": "dialogue", "data": "dialogue", "no_models": 3, "k": 3, "global_epochs": 2, "local_epochs": 1,
        "batch_size": 16, "lr": 0.1, "momentum": 0.9, "partition": "source", "judge_every": 3, **changes,
    }  # fmt: skip


def _open(data, **changes):
    conf = make_conf(_conf(**changes), "x")
    return conf, conf.task.module.open_examples(conf, data)


def _read(codes):
    return "".join(CHARACTERS[code] for code in codes)


def test_a_text_is_cut_into_speeches_whatever_its_line_ends(text):
    found = speeches(text.encode(), "x")
    assert {one.speaker for one in found} == set(SPEAKERS)
    assert [one.id for one in found] == sorted({one.id for one in found})
    said = sorted((one.speaker, _read(one.codes)) for one in found)
    wanted = [block.strip("\n").split(":\n", 1) for block in text.split("\n\n") if ":\n" in block.strip("\n")]
    assert said == sorted((name, words.strip("\n")) for name, words in wanted if name != "FOOL")
    crlf = speeches(_text("\r\n").encode(), "x")
    assert [(one.id, _read(one.codes)) for one in crlf] == [(one.id, _read(one.codes)) for one in found]
    twice = [one for one in found if _read(one.codes) == "Speak, speak."]
    assert len(twice) == 2 and len({one.scene for one in twice}) == 1 and len({one.id for one in twice}) == 2


def test_an_example_is_what_stands_before_a_character_and_belongs_to_its_speech(data, text):
    conf, examples = _open(data, window=6, stride=4)
    by_id = {one.id: one for one in speeches(text.encode(), "x")}
    assert list(examples.ids) == sorted(set(examples.ids)) and set(examples.sources) == set(SPEAKERS)
    assert examples.inputs.dtype == np.uint8 and examples.inputs.shape == (len(examples.ids), 6)
    for number, named in enumerate(examples.ids):
        speech, place = by_id[named[:12]], int(named[13:])
        whole = _read(speech.codes)
        assert place % 4 == 0 and CHARACTERS[examples.targets[number]] == whole[place]
        assert _read(examples.inputs[number]) == ("\n" * 6 + whole)[place : place + 6]
        assert (examples.scenes[number], examples.sources[number]) == (speech.scene, speech.speaker)
    assert sum(len(one.codes[::4]) for one in by_id.values()) == len(examples.ids)
    every = conf.task.module.outline(conf, data)
    for name in ("targets", "decks", "judged"):
        assert np.array_equal(getattr(every, name), getattr(examples, name)), name
    assert (every.scenes, every.sources) == (list(examples.scenes), list(examples.sources))


def test_every_character_has_a_readable_name_of_its_own():
    classes = make_conf(_conf(), "x").task.module.CLASSES
    assert len(classes) == len(set(classes)) == len(CHARACTERS) == 65
    named = {"\n": "↵", " ": "␣"}
    assert [named.get(one, one) for one in CHARACTERS] == list(classes)


def test_one_in_so_many_is_judged_and_all_others_are_trained_on(data):
    conf, examples = _open(data, judge_every=3)
    _, all_of_them = _open(data, judge_every=1)
    shares, every = share_out(conf, Repeat(0, 0, 0), examples), share_out(conf, Repeat(0, 0, 0), all_of_them)
    for judged, there in ((shares.test, every.test), (shares.val, every.val)):
        assert set(judged) < set(there) and abs(3 * len(judged) - len(there)) < len(there) / 5
    assert (
        all(map(np.array_equal, shares.clients, every.clients))
        and not examples.judged[shares.clients[0]].all()
    )
    firsts = [examples.judged[number] for number, name in enumerate(examples.ids) if name.endswith("-00000")]
    assert 0.15 < np.mean(firsts) < 0.5, "a beginning is judged as often as any other place"


def test_two_windows_of_one_text_have_stores_of_their_own(data):
    (_, six), (_, nine) = _open(data, window=6), _open(data, window=9)
    assert six.ids == nine.ids and six.store != nine.store and np.load(six.store).shape[1] == 6


def test_speakers_are_the_owners_and_the_model_is_handed_on(data, tmp_path):
    (tmp_path / "conf_d.json").write_text(json.dumps(_conf(global_epochs=6, network="char_mlp")))
    common = ["--data", str(data), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_d.json"), *common]) == 0
    result, conf, net = load_model(tmp_path / "cache", "conf_d")
    assert [list(owner["sources"]) for owner in result["repeats"][0]["owners"]] == [[one] for one in SPEAKERS]
    assert result["acc"][-1] > 0.25 and len(result["classes"]) == 65
    assert "6 whole numbers" in (tmp_path / "cache" / "conf_d.json.md").read_text()
    _, examples = _open(data)
    raw = examples.inputs[:5].astype(np.int64)
    session = onnxruntime.InferenceSession(as_onnx(net, conf, "x"))
    with torch.inference_mode():
        expected = net(torch.from_numpy(raw)).numpy()
    assert np.abs(session.run(None, {conf.task.module.INPUT: raw})[0] - expected).max() < 1e-3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"KING:\nYes.\n\nQUEEN\nNo.\n", "line 4 begins a speech, expected NAME: alone in it"),
        (b"KING: yes.\n", "line 1 begins a speech, expected NAME: alone in it"),
        ("KING:\nYes.\n\nQUEEN:\nNo, caf\xe9.\n".encode(), r"line 5 has '\xe9', which is none of the 65 characters"),
        (b"KING:\nYes, 7.\n", "line 2 has '7', which is none of the 65 characters"),
        (b"KING:\n\xff\xfe\n", "not a text in UTF-8 (byte 6)"),
        (b"KING:\nYes.\n", "nobody says 5000 characters or more in it"),
        (b"", "nobody says 5000 characters or more in it"),
    ],
    ids=["no name", "name and words", "accent", "digit", "bytes", "short", "empty"],
)  # fmt: skip
def test_what_is_no_such_text_is_one_line_and_nothing_is_written(tmp_path, capsys, given, says):
    (tmp_path / "input.txt").write_bytes(given)
    assert _down(tmp_path / "input.txt", "--data", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert says in error and "input.txt" in error and error.count("\n") == 1
    assert not list((tmp_path / "data").rglob("*.txt"))


@pytest.mark.parametrize("packed", ["file", "folder", "zip"])
def test_the_text_is_taken_from_where_it_lies_and_stays_as_it_is(text, tmp_path, capsys, packed):
    given, raw = tmp_path / "given", _text("\r\n").encode()
    (given / "plays").mkdir(parents=True)
    (given / "plays" / "Input.txt").write_bytes(raw)
    (given / "notes.txt").write_text("of mine")
    if packed == "file":
        given = given / "plays" / "Input.txt"
    if packed == "zip":
        with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
            archive.write(given / "plays" / "Input.txt", "plays/input.txt")
        given = tmp_path / "it.zip"
    assert _down(given, "--data", tmp_path / "data") == 0
    count = len(speeches(raw, "x"))
    assert f"speakers 3, speeches {count}, characters 1" in capsys.readouterr().out
    assert (tmp_path / "data" / "dialogue" / "input.txt").read_bytes() == raw


def test_without_the_text_or_with_several_one_line_says_so(text, tmp_path, capsys):
    (tmp_path / "conf_d.json").write_text(json.dumps(_conf()))
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_d.json"), *common]) == 2
    assert "input.txt: no such file" in capsys.readouterr().err
    (tmp_path / "given").mkdir()
    for name in ("one.txt", "two.txt"):
        (tmp_path / "given" / name).write_text(text)
    for path, says in (
        (tmp_path / "given", "2 texts in it, expected one, or one called input.txt"),
        (tmp_path / "gone", "no such folder or file"),
    ):
        assert _down(path, "--data", tmp_path / "data") == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1
    (tmp_path / "data" / "dialogue" / "input.txt").write_text("KING:\nYes, 7.\n")
    with pytest.raises(DataError, match=r"input\.txt: line 2 has '7'"):
        _open(tmp_path / "data")
    (tmp_path / "data" / "dialogue" / "input.txt").write_text(text)
    (tmp_path / "conf_d.json").write_text(json.dumps(_conf(no_models=4, k=4)))
    assert i2main.main(["-c", str(tmp_path / "conf_d.json"), *common]) == 2
    error = capsys.readouterr().err
    assert "3 sources (ALL'S WELL, First Citizen, KING)" in error and error.count("\n") == 1
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").glob("*.pkl"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_it_is_fetched_where_it_lies_and_where_it_does_not_one_line_says_how_to_go_on(text, tmp_path, capsys):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "tiny.txt").write_text(text)
    handler = partial(_Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    assert _down("--url", f"{site}/gone.txt", "--data", tmp_path / "data") == 1
    error = capsys.readouterr().err
    assert "get it by hand" in error and error.count("\n") == 1
    assert _down("--url", f"{site}/tiny.txt", "--data", tmp_path / "data") == 0
    assert (tmp_path / "data" / "dialogue" / "input.txt").read_text() == text
    server.shutdown()
