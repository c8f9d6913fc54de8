"""The command by which owners find whom both have: what it prints, and what it refuses."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from utils.vertical.__main__ import main


@pytest.fixture
def tables(tmp_path, capsys):
    (tmp_path / "guest.csv").write_text("id,age\n 7,30\n8,40\n9,50\n,60\n", encoding="utf-8-sig")
    (tmp_path / "host.csv").write_text('name,person\nx,"9 "\ny,10\nz,7\nz,7\n')
    assert main(["salt"]) == 0
    (tmp_path / "salt").write_text(capsys.readouterr().out)
    return tmp_path


def _run(tables, what, table, column, *more):
    return main(
        [what, str(tables / table), "--column", column, "--salt", str(tables / "salt"), *map(str, more)]
    )


def test_two_tables_give_whom_both_have(tables, capsys):
    assert _run(tables, "hash", "host.csv", "person") == 0
    said = capsys.readouterr()
    assert said.err == "3 of 3 people\n" and len(said.out.split()) == 3
    (tables / "hashes").write_text(said.out)
    assert _run(tables, "match", "guest.csv", "id", "--hashes", tables / "hashes") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("7\n9\n", "2 of 3 people\n")
    assert main(["salt"]) == 0
    (tables / "salt").write_text(capsys.readouterr().out)
    assert _run(tables, "match", "guest.csv", "id", "--hashes", tables / "hashes") == 0
    assert capsys.readouterr().out == "", "hashes of another salt"


@pytest.mark.parametrize(
    ("table", "column", "salt", "said"),
    [
        ("no.csv", "id", None, "no.csv: No such file or directory"),
        ("guest.csv", "name", None, "guest.csv: there is no column name, only id, age"),
        ("guest.csv", "id", "ab", "salt: number 1 is not 32 bytes in hexadecimal"),
        ("guest.csv", "id", "", "salt: expected one line, made by: python3 -m utils.vertical salt"),
        ("bad.csv", "id", None, "bad.csv: not a CSV file in UTF-8 (UnicodeDecodeError)"),
    ],
)
def test_what_cannot_be_used_is_one_line(tables, capsys, table, column, salt, said):
    (tables / "bad.csv").write_bytes(b"id\n\xff\xfe\n")
    if salt is not None:
        (tables / "salt").write_text(salt)
    assert _run(tables, "hash", table, column) == 2
    assert capsys.readouterr().err == f"{tables}/{said}\n"


def test_it_is_a_command_that_starts_without_torch():
    code = "import sys, utils.vertical.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "utils.vertical", "salt"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and len(bytes.fromhex(done.stdout)) == 32
