"""The house rules: formatted, linted, typed, quick to answer, and with nothing in it that must not be."""

import re
import subprocess
import sys

import pytest

from tests.conftest import GROUPS, ROOT

SCRIPTS = ("i0down_training_resource.py", "i2main.py", "i3experiment_drawing.py", "i4wsgi.py")


def _python(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)


def _tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).exists()]


@pytest.mark.parametrize("arguments", [("check", "."), ("format", "--check", ".")], ids=["lint", "format"])
def test_ruff_finds_nothing(arguments):
    done = _python("-m", "ruff", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_hold():
    done = _python("-m", "mypy", "--no-error-summary")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_answers_without_importing_torch(name):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({name!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'torch', 'torchvision', 'plotly'} & set(sys.modules), 'imported too much'\n"
    )
    done = _python("-c", code)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_the_laboratory_knows_nothing_of_the_site():
    for path in (ROOT / "utils").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (flask|app)\b", path.read_text(), re.MULTILINE), path


def test_every_requirement_is_pinned_and_says_what_it_is_for():
    runtime, tests = (ROOT / "requirements.txt").read_text().split("# tests only")
    for line in runtime.splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9.]+\s+# .+", line), line
    assert all(
        re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9.]+(\s+#.*)?", line) for line in tests.split("\n")[1:] if line
    )


def test_tests_that_share_something_are_where_they_are_looked_for():
    assert [place for place in GROUPS if not (ROOT / place).exists()] == []


def test_no_photo_and_nothing_large_is_committed():
    for path in _tracked():
        assert path.stat().st_size <= 25_000_000, path
        if path.suffix.lower() in (".jpg", ".jpeg", ".heic", ".webp", ".gif", ".bmp", ".tif", ".tiff"):
            pytest.fail(f"a photograph is committed: {path}")
        if path.suffix == ".png":
            assert path.is_relative_to(ROOT / "cache" / "figures"), path


def test_nothing_of_others_and_nothing_built_is_committed():
    for path in _tracked():
        assert not {"node_modules", "dist"} & set(path.relative_to(ROOT).parts), path
    assert '"resolved"' not in (ROOT / "app" / "static" / "vue" / "package-lock.json").read_text()
