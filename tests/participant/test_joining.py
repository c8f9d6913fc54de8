"""To join: what is shown, what is accepted, which data are taken, and what leaving leaves."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from tests.participant import fake_board
from tests.participant.fake_board import TOKEN, FakeBoard, examples
from utils.calls.format import checked_format
from utils.participant import importing
from utils.participant.kept import Kept
from utils.participant.ledger import Ledger
from utils.participant.refusals import WrongError

PICTURE = {"kind": "picture", "side": 8, "channels": 1}
LABEL = {"kind": "label", "labels": ["cat", "dog"]}
VALUES = checked_format(FakeBoard().described["format"])


def test_the_task_is_shown_and_its_consent_asked_for(run, board, table):
    status, out, _ = run("join", board.url, "--token", TOKEN, "--table", table, says=["y"])
    assert status == 0 and board.me["consent"] == 2
    for shown in (
        "Tells small from large.", "mia", "width (Width of it) 0 to 10 cm", "one of small, large", "learning rate 0.1",
        "at least 4 examples an update", f"{board.call.update_bytes:,} bytes each way", "Accept version 2? [y/N]",
        "40 rows to train on: small", "blue heron 12",
    ):  # fmt: skip
        assert shown in out, shown


@pytest.mark.parametrize("says", [["n"], [""], []])
def test_not_accepted_nothing_is_sent_nor_kept(run, board, table, home, says):
    status, out, _ = run("join", board.url, "--token", TOKEN, "--table", table, says=says)
    assert status == 0 and "not accepted" in out and board.me is None and not home.exists()


def test_with_nobody_to_ask_it_needs_a_version(run, board, table):
    status, _, errors = run("join", board.url, "--token", TOKEN, "--table", table)
    assert status == 2 and "--accept VERSION" in errors and not board.asked


def test_another_version_is_not_accepted(run, board, table):
    status, _, errors = run("join", board.url, "--token", TOKEN, "--accept", "1", "--table", table)
    assert status == 2 and "the consent text is version 2" in errors and board.me is None


def test_consent_that_changes_meanwhile_is_not_accepted(run, board, table, home):
    def then(method, path):
        board.consent = 3

    board.then = then
    status, _, errors = run("join", board.url, "--token", TOKEN, "--accept", "2", "--table", table)
    assert status == 1 and "read it by joining again" in errors and not list(home.glob("tasks/*/task.json"))


def test_what_is_missing_is_said_before_the_site_is_asked(run, board, table):
    assert "--pictures FOLDER or --table" in run("join", board.url, "--token", TOKEN, "--accept", "2")[2]
    assert "no token" in run("join", board.url, "--accept", "2", "--table", table)[2]
    assert not board.asked


def test_no_such_task_is_a_bad_argument(run, board, table):
    status, _, errors = run(
        "join", f"{board.site}/tasks/4", "--token", TOKEN, "--accept", "2", "--table", table
    )
    assert status == 2 and errors.count("\n") == 1


def test_too_few_examples_join_nothing(run, board, table):
    table.write_text(examples(3))
    status, _, errors = run("join", board.url, "--token", TOKEN, "--accept", "2", "--table", table)
    assert status == 2 and "updates of 4 examples or more; 3 can be used" in errors and board.me is None


def test_new_data_take_the_place_of_old(run, board, joined, table):
    table.write_text(examples(50, seed=1))
    assert run("join", board.url, "--accept", "2", "--table", table)[0] == 0
    (data,) = joined.glob("data-*")
    assert np.load(data / "inputs.npy").shape == (50, 2) and Kept(joined).about.examples == 50


def test_leave_withdraws_and_forget_deletes_the_data_and_keeps_the_ledger(run, board, joined):
    run("train", "--yes")
    status, out, _ = run("leave", "--forget")
    assert status == 0 and "deleted" in out and board.me["state"] == "left"
    assert not list(joined.glob("data-*")) and not list(joined.glob("*.safetensors"))
    assert [one["state"] for one in Kept(joined).ledger.sent()] == ["withdrawn"]
    status, _, errors = run("train", "--yes")
    assert status == 1 and "left this task" in errors


def test_leave_without_the_site_stops_here_and_says_that_it_is_untold(run, board, joined):
    board.failures = [("POST", "/leave", "cut")] * 4
    status, _, errors = run("leave")
    assert status == 1 and "the site does not know: run this again" in errors
    assert run("train", "--yes")[0] == 1 and run("leave")[0] == 0 and board.me["state"] == "left"


def test_who_left_may_join_again(run, board, joined, table):
    run("leave")
    assert run("join", board.url, "--accept", "2")[0] == 0 and run("train", "--yes")[0] == 0


def test_status_without_the_site_tells_what_is_here(run, board, joined):
    board.failures = [("GET", "/calls/3", "cut")] * 4
    status, out, errors = run("status")
    assert status == 1 and "40 examples prepared" in out and "cannot be reached" in errors


def test_commands_without_a_task_are_one_line(run):
    for command in ("train", "status", "pause", "leave"):
        status, _, errors = run(command, *(["--yes"] if command == "train" else []))
        assert status == 2 and errors.count("\n") == 1, command
    assert run("ledger")[:2] == (0, "nothing was sent: no task was joined\n")


def test_a_spoilt_file_at_home_is_one_line(run, joined):
    (joined / "task.json").write_text('{"site": 3}')
    status, _, errors = run("train", "--yes")
    assert status == 1 and "not as this program wrote it" in errors and errors.count("\n") == 1


def test_a_line_that_a_killed_process_left_torn_is_passed_over(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add("sending", id="a", bytes=1)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[: len(whole) // 2])
    ledger.add("outcome", id="a", state="waiting", reason="")
    assert [one["event"] for one in ledger.lines()] == ["sending", "outcome"]
    assert ledger.sent()[0]["state"] == "waiting"


def _table(tmp_path, text, *columns, of=VALUES, **how):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return importing.from_table(path, columns, of, **how)


def test_columns_are_found_by_key_name_or_as_said(tmp_path):
    text = "WIDTH OF IT;tall;Height;what\n1;9;2;small\n3;9;4;1\n"
    found = _table(tmp_path, text, "label=what")
    assert found.inputs.tolist() == [[1, 2], [3, 4]] and found.answers.tolist() == [0, 1]


def test_missing_columns_are_named_with_what_there_is(tmp_path):
    with pytest.raises(WrongError) as error:
        _table(tmp_path, "a,height,b\n1,2,3\n")
    assert "no column for width (Width of it), label (answer); the table has a, height, b" in str(error.value)
    assert "--column width=HEADER" in str(error.value)


@pytest.mark.parametrize("column", ["width", "x=a", "=a"])
def test_a_mapper_that_makes_no_sense_is_refused(tmp_path, column):
    with pytest.raises(WrongError, match="expected FIELD=HEADER, FIELD one of width, height, label"):
        _table(tmp_path, "a,b\n", column)


def test_rows_are_cleaned_and_counted_by_reason(tmp_path):
    text = "width,height,label\n1,2,small\n1,2,small\n1,2,large\n99,2,small\n88,2,small\nx,2,small\n1,2,huge\n1\n\n"
    found = _table(tmp_path, text)
    assert found.inputs.tolist() == [[1, 2], [1, 2]] and found.answers.tolist() == [0, 1]
    told = str(found.report)
    assert "2 rows to train on: small 1, large 1" in told and "duplicates set aside: 1" in told
    assert "refused: 5 rows" in told and "    2 width: expected 0 to 10 (row 5, row 6)" in told
    assert len(_table(tmp_path, text, keep_duplicates=True).inputs) == 3


def test_an_absent_label_is_noted(tmp_path):
    assert "NOTE: no example is large" in str(_table(tmp_path, "width,height,label\n1,2,small\n").report)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"", b"width,width,height,label\n1,1,1,0\n"])
def test_a_table_that_is_none_is_one_line(tmp_path, raw):
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(WrongError) as error:
        importing.from_table(path, [], VALUES)
    assert "\n" not in str(error.value)


def _picture(path, shade, size=(70, 70)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), shade, np.uint8)
    pixels[: size[1] // 2] = 255 - shade
    Image.fromarray(pixels).save(path)


def test_pictures_by_folder_are_cleaned_and_counted(tmp_path):
    of = checked_format({"input": PICTURE, "answer": LABEL})
    for name, shade in (
        ("cat/1", 1),
        ("cat/2", 2),
        ("cat/same", 1),
        ("dog/3", 3),
        ("dog/4", 9),
        ("cat/4", 9),
    ):
        _picture(tmp_path / f"{name}.png", shade)
    _picture(tmp_path / "bird/1.png", 7)
    _picture(tmp_path / "bare.png", 8)
    (tmp_path / "dog/notes.txt").write_text("no picture")
    found = importing.from_pictures(tmp_path, None, of)
    assert found.inputs.shape == (3, 1, 8, 8) and found.answers.tolist() == [0, 0, 1]
    told = str(found.report)
    assert "3 pictures to train on: cat 2, dog 1" in told and "duplicates set aside: 1" in told
    assert "2 the same picture under different answers" in told and "1 not a picture (dog/notes.txt)" in told
    assert "2 label: expected one of cat, dog (bare.png, bird/1.png)" in told


def test_pictures_with_a_table_of_answers(tmp_path):
    number = {"kind": "number", "key": "age", "low": 0, "high": 100}
    of = checked_format({"input": PICTURE, "answer": number})
    for name, shade in (("a", 1), ("b/c", 2), ("d", 3)):
        _picture(tmp_path / "p" / f"{name}.png", shade)
    text = io.StringIO()
    csv.writer(text).writerows([["File", "Answer"], ["a.png", 30], ["b\\c.png", 200], ["gone.png", 3]])
    (tmp_path / "p" / "answers.csv").write_text(text.getvalue())
    found = importing.from_pictures(tmp_path / "p", None, of)
    assert found.answers.tolist() == [30]
    told = str(found.report)
    assert "age from 30 to 30" in told and "not in the table of answers (d.png)" in told
    assert (
        "in the table of answers, but not in the folder (gone.png)" in told
        and "age: expected 0 to 100" in told
    )


def test_the_wrong_kind_of_data_is_said(tmp_path):
    with pytest.raises(WrongError, match="given with --table"):
        importing.from_pictures(tmp_path, None, VALUES)
    with pytest.raises(WrongError, match="given with --pictures"):
        _table(tmp_path, "a\n", of=checked_format({"input": PICTURE, "answer": LABEL}))


def test_help_answers_without_importing_torch():
    import subprocess
    import sys

    from tests.conftest import ROOT

    code = (
        "import runpy, sys\nsys.argv = ['participant', '--help']\n"
        "try:\n    runpy.run_module('utils.participant', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'requests'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_a_token_may_begin_like_an_option(run, board, table, monkeypatch):
    token = f"-{TOKEN}"
    monkeypatch.setattr(fake_board, "TOKEN", token)
    status, _, errors = run("join", board.url, "--token", token, "--accept", board.consent, "--table", table)
    assert (status, errors) == (0, "")
    assert run("join", board.url, "--token")[0] == 2
