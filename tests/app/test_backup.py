"""What a backup holds comes back whole; what is none changes nothing; and nothing is lost, whenever one is killed."""

import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from flask_migrate import downgrade

from app import create_app
from app.auth import service as people
from app.backup import backup, restore
from app.config import demo
from app.extensions import db
from app.jobs import service as jobs
from app.models import Job, User
from app.presence import serving
from tests.app.conftest import begin_training, whole_result
from tests.app.test_site import _free_port
from tests.asked import tiny_question, write_made_up
from tests.conftest import ROOT, TINY
from utils.federated.bench import Repeat
from utils.results import read_result, result_path, write_result
from utils.studies.measured import study_path


@pytest.fixture
def old(site, cache):
    """The site with a paused training, and the backup of it."""
    with site.app_context():
        user = people.find_user("researcher@example.org")
        [job] = jobs.submit(user, TINY, name="paused", note="", folds=1, seeds=1, sweep={})
        jobs.pause(job)
        (folder := jobs.folder_of(job.id)).mkdir(parents=True)
        (folder / "log.jsonl").write_text("{}\n")
        run = job.run
    checkpoints, rounds = begin_training(cache, run)
    rounds(0, [0.5])
    mine = checkpoints.home(Repeat(0, 0, 0)) / "1" / "0.npz"  # what a client keeps of its own
    mine.parent.mkdir(parents=True)
    np.savez(mine, left=np.ones(3))
    checkpoints.release()
    with site.app_context():
        db.engine.dispose()  # a site that is stopped holds no connection
    archive = site.config["INSTANCE"] / "b.tar.gz"
    assert backup(site, archive) == 0
    return site, archive


def _state(site):
    """Every file of database, results and trainings with its content; locks aside."""
    places = (site.config["INSTANCE"], site.config["CACHE"])
    files = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
    return {
        str(path): path.read_bytes() for path in files if path.suffix != ".lock" and not path.name.startswith("b.tar")
    }  # fmt: skip


def _changed(site):
    """Let the site's life go on after the backup: another person, another result, the training gone on."""
    with site.app_context():
        people.register("late@example.org", "Late", "a long enough password")
        db.engine.dispose()
    cache = site.config["CACHE"]
    write_result(result_path(cache, "conf_a"), whole_result("conf_a", seed=9))
    write_result(result_path(cache, "conf_new"), whole_result("conf_new"))
    [folder] = [path for path in (cache / ".unfinished").iterdir() if path.is_dir()]
    (folder / "fold1-seed0-rotation0.npz").write_bytes(b"later")
    return folder


def _emails(site):
    with site.app_context():
        found = sorted(db.session.scalars(db.select(User.email)))
        db.engine.dispose()
    return found


def test_everything_comes_back_and_what_was_there_stays_beside_it(old, capsys):
    site, archive = old
    before = _state(site)
    folder = _changed(site)
    later = _state(site)
    assert restore(site, archive) == 0
    said = capsys.readouterr().out
    assert "restored database and 2 results" in said and "*.before-restore" in said
    now = _state(site)
    for path, content in before.items():
        if not path.endswith(".db"):
            assert now[path] == content, path
    assert "late@example.org" not in _emails(site) and len(_emails(site)) == 3
    instance, cache = site.config["INSTANCE"], site.config["CACHE"]
    assert now[str(instance / "demo.db.before-restore")] == later[str(instance / "demo.db")]
    kept = cache / "conf_a.json.pkl.before-restore"
    assert now[str(kept)] == later[str(cache / "conf_a.json.pkl")]
    assert (
        cache / ".unfinished.before-restore" / folder.name / "fold1-seed0-rotation0.npz"
    ).read_bytes() == b"later"
    assert not (folder / "fold1-seed0-rotation0.npz").exists()
    assert read_result(result_path(cache, "conf_new"))  # what came after the backup stays
    with site.app_context():
        [job] = db.session.scalars(db.select(Job))
        jobs.resume(job)
        assert job.state == "queued" and (jobs.folder_of(job.id) / "log.jsonl").exists()


def test_it_comes_back_where_there_was_nothing(old, tmp_path):
    site, archive = old
    settings = demo(
        {"SKYFED_INSTANCE": str(tmp_path / "fresh"), "SKYFED_CACHE": str(tmp_path / "fresh_cache")}
    )
    fresh = create_app({**settings, "DEMO": False})
    assert restore(fresh, archive) == 0
    assert _emails(fresh) == _emails(site)
    assert {path.name for path in (tmp_path / "fresh_cache").glob("*.pkl")} == {
        "conf_a.json.pkl",
        "conf_b.json.pkl",
    }
    assert len(list((tmp_path / "fresh_cache").glob(".unfinished/*/*.npz"))) == 1
    [mine] = (tmp_path / "fresh_cache").glob(".unfinished/*/fold0-seed0-rotation0-clients/1/0.npz")
    assert np.load(mine)["left"].tolist() == [1, 1, 1]
    assert not list(tmp_path.glob("fresh*/**/*before-restore*"))


def test_a_second_restore_overwrites_nothing_that_the_first_kept(old):
    site, archive = old
    _changed(site)
    first = (site.config["INSTANCE"] / "demo.db").read_bytes()
    assert restore(site, archive) == 0
    with site.app_context():
        people.register("later@example.org", "Later", "a long enough password")
        db.engine.dispose()
    second = (site.config["INSTANCE"] / "demo.db").read_bytes()
    assert restore(site, archive) == 0
    assert (site.config["INSTANCE"] / "demo.db.before-restore").read_bytes() == first
    assert (site.config["INSTANCE"] / "demo.db.before-restore.2").read_bytes() == second


def test_what_is_the_same_already_is_left_alone(old):
    site, archive = old
    assert restore(site, archive) == 0
    assert not list(site.config["CACHE"].rglob("*before-restore*"))


def test_a_database_of_an_earlier_version_is_brought_up_to_date(old):
    site, archive = old
    with site.app_context():
        downgrade(f"{site.root_path}/migrations", revision="0004")
        db.engine.dispose()
    assert backup(site, archive) == 0
    assert restore(site, archive) == 0
    with site.app_context():
        assert "invites" in db.inspect(db.engine).get_table_names()
        db.engine.dispose()
    assert len(_emails(site)) == 3


def test_a_shipped_result_stays_as_this_version_has_it(old, cache):
    site, archive = old
    write_result(result_path(cache, "conf_f10"), whole_result("conf_f10"))
    assert backup(site, archive) == 0
    write_result(result_path(cache, "conf_f10"), whole_result("conf_f10", seed=5))
    newer = result_path(cache, "conf_f10").read_bytes()
    assert restore(site, archive) == 0 and result_path(cache, "conf_f10").read_bytes() == newer


def _packed(archive, changes):
    """Rewrites a backup: members by name are replaced by bytes, left out (None), or added as a TarInfo makes them."""
    with tarfile.open(archive) as packed:
        members = {one.name: packed.extractfile(one).read() for one in packed}
    members.update({name: content for name, content in changes.items() if not callable(content)})
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in members.items():
            if content is not None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
        for name, make in changes.items():
            if callable(make):
                packed.addfile(*make(tarfile.TarInfo(name)))


def _kind(kind, target=""):
    def make(info):
        info.type, info.linkname = kind, target
        return (info,)

    return make


def _made(*statements):
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in statements:
            made.execute(statement)
        made.commit()
        return made.serialize()


HEAD = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32))",
    "INSERT INTO alembic_version VALUES ('0008')",
)
BAD = {
    "garbage database": {"database.db": b"SQLite format 3\0" + b"garbage" * 1000},
    "empty database": {"database.db": b""},
    "database without tables": {"database.db": _made("CREATE TABLE x (y)", "DROP TABLE x")},
    "another program's database": {"database.db": _made("CREATE TABLE users (id)")},
    "database with half the tables": {"database.db": _made("CREATE TABLE users (id INTEGER)", *HEAD)},
    "database of a newer version": {
        "database.db": _made(
            "CREATE TABLE users (id)", HEAD[0], "INSERT INTO alembic_version VALUES ('9999')"
        )
    },
    "database with a trigger": {
        "database.db": _made(
            "CREATE TABLE users (id)",
            *HEAD,
            "CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM users; END",
        )
    },
    "folder in cache": {"cache/folder": _kind(tarfile.DIRTYPE)},
    "folder called as a result": {"cache/x.json.pkl": _kind(tarfile.DIRTYPE)},
    "link": {"cache/x.json.pkl": _kind(tarfile.SYMTYPE, "/etc/passwd")},
    "hard link": {"cache/x.json.pkl": _kind(tarfile.LNKTYPE, "database.db")},
    "device": {"cache/x.json.pkl": _kind(tarfile.CHRTYPE)},
    "fifo": {"cache/x.json.md": _kind(tarfile.FIFOTYPE)},
    "way out": {"cache/../../x.json.pkl": b"x"},
    "absolute path": {"/tmp/x.json.pkl": b"x"},
    "foreign file": {"notes.txt": b"x"},
    "result that is none": {"cache/x.json.pkl": b"x"},
    "result that carries code": {"cache/x.json.pkl": b"cos\nsystem\n(S'true'\ntR."},
    "result of a name that is none": {"cache/a b.json.pkl": b"x"},
    "plan that is none": {"cache/.unfinished/x/plan.json": b"[]"},
    "checkpoint that is none": {"cache/.unfinished/x/fold0-seed0-rotation0.npz": b"PK"},
    "training without a number": {"jobs/0/log.jsonl": b""},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=list(BAD))
def test_what_is_no_backup_is_refused_in_one_line_and_changes_nothing(old, capsys, changes):
    site, archive = old
    _changed(site)
    before = _state(site)
    _packed(archive, changes)
    capsys.readouterr()
    assert restore(site, archive) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "not restored" in said.err
    assert _state(site) == before


def _truncated(archive):
    archive.write_bytes(archive.read_bytes()[:-200])


def _damaged(archive):
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    archive.write_bytes(raw)


def _unrelated(archive):
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(ROOT / "Makefile", "Makefile")


def _empty(archive):
    with tarfile.open(archive, "w:gz"):
        pass


@pytest.mark.parametrize(
    "spoil", [_truncated, _damaged, _unrelated, _empty, Path.unlink, lambda path: path.write_bytes(b"no archive")]
)  # fmt: skip
def test_an_archive_that_is_none_is_refused_in_one_line(old, capsys, spoil):
    site, archive = old
    _changed(site)
    before = _state(site)
    spoil(archive)
    capsys.readouterr()
    assert restore(site, archive) == 2
    assert capsys.readouterr().err.count("\n") == 1 and _state(site) == before


def test_what_would_not_fit_is_refused(old, monkeypatch):
    site, archive = old
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    before = _state(site)
    assert restore(site, archive) == 2 and _state(site) == before


class Killed(BaseException):
    """The process ends here."""


STEPS = ((os, "link"), (os, "fsync"), (Path, "rename"), (Path, "replace"))


def _until(limit, count, do):
    def step(*given, **more):
        count.append(do)
        if len(count) > limit:
            raise Killed
        return do(*given, **more)

    return step


def test_killed_at_any_step_it_has_lost_nothing_and_can_be_done_again(old, monkeypatch):
    site, archive = old
    _changed(site)
    later = set(_state(site).values())
    places = (site.config["INSTANCE"], site.config["CACHE"])
    copy = places[0].with_name("copy")
    for place in places:
        shutil.copytree(place, copy / place.name)
    for limit in range(100):
        for place in places:
            shutil.rmtree(place)
            shutil.copytree(copy / place.name, place)
        count = []
        with monkeypatch.context() as patch:
            for where, name in STEPS:
                patch.setattr(where, name, _until(limit, count, getattr(where, name)))
            try:
                assert restore(site, archive) == 0
                break
            except Killed:
                pass
        assert later <= set(_state(site).values()), f"lost at step {limit}"
        assert restore(site, archive) == 0 and len(_emails(site)) == 3
        assert later <= set(_state(site).values())
    assert 5 < limit < 99


def test_not_while_the_site_or_a_training_runs(old, capsys):
    site, archive = old
    _changed(site)
    before = _state(site)
    with serving(site):
        assert restore(site, archive) == 2
    assert "the site is running" in capsys.readouterr().err
    with site.app_context():
        folder = jobs.jobs_folder()
    with FileLock(folder / "supervisor.lock"):
        assert restore(site, archive) == 2
    [run] = [path for path in (site.config["CACHE"] / ".unfinished").iterdir() if path.is_dir()]
    with FileLock(run.with_name(f"{run.name}.lock")):
        assert restore(site, archive) == 2
    assert _state(site) == before
    assert restore(site, archive) == 0


def test_the_served_site_says_that_it_runs_and_waits_for_no_restore(tmp_path, cache):
    environment = {**os.environ, "SKYFED_INSTANCE": str(tmp_path / "instance"), "SKYFED_CACHE": str(cache)}

    def run(*arguments):
        command = [sys.executable, "i4wsgi.py", "--demo", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    archive = tmp_path / "b.tar.gz"
    server = run("--port", _free_port())
    try:
        next(line for line in server.stdout if "SkyFed is at" in line)
        assert run("backup", archive).wait(120) == 0
        refused = run("restore", archive)
        said, _ = refused.communicate(timeout=120)
        assert (
            refused.returncode == 2 and "the site is running; stop it first" in said and said.count("\n") == 1
        )
    finally:
        server.terminate()
        server.communicate(timeout=60)
    done = run("restore", archive)
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said


def test_a_result_that_cannot_be_read_is_left_out_and_that_is_said(old, cache, capsys):
    site, archive = old
    (cache / "broken.json.pkl").write_bytes(b"broken")
    (cache / "folder.json.pkl").mkdir()
    capsys.readouterr()
    assert backup(site, archive) == 0
    assert re.search(r"left out: cache/broken\.json\.pkl", capsys.readouterr().err)
    with tarfile.open(archive) as packed:
        assert not [name for name in packed.getnames() if "broken" in name or "folder" in name]
    assert restore(site, archive) == 0


@pytest.mark.parametrize("fault", ["nothing", "no database"])
def test_no_backup_is_made_of_nothing_or_of_a_broken_database(site, capsys, fault):
    database = site.config["INSTANCE"] / "demo.db"
    archive = database.with_name("b.tar.gz")
    archive.write_bytes(b"an older one")
    if fault == "nothing":
        database.unlink()
        shutil.rmtree(site.config["CACHE"])
    else:
        database.write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    assert backup(site, archive) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1 and archive.read_bytes() == b"an older one"


def test_results_alone_are_a_backup(site, capsys):
    (site.config["INSTANCE"] / "demo.db").unlink()
    archive = site.config["INSTANCE"] / "b.tar.gz"
    assert backup(site, archive) == 0
    kept = result_path(site.config["CACHE"], "conf_a")
    content = kept.read_bytes()
    kept.unlink()
    assert restore(site, archive) == 0 and kept.read_bytes() == content
    assert "restored 2 results" in capsys.readouterr().out


def test_a_journal_of_the_old_database_is_never_given_to_the_new_one(old):
    site, archive = old
    database = site.config["INSTANCE"] / "demo.db"
    database.write_bytes(b"garbage")
    database.with_name("demo.db-journal").write_bytes(b"left by a crash")
    assert restore(site, archive) == 0 and len(_emails(site)) == 3
    assert not database.with_name("demo.db-journal").exists()


def test_results_of_studies_come_back_and_the_shipped_ones_stay(site, cache, tmp_path, capsys):
    question = tiny_question(tmp_path / "questions")
    for name in ("tiny", "tiny@2"):
        write_made_up(cache, question, lambda key: 0.6, name=name)
    (cache / "studies" / "broken.json.pkl").write_bytes(b"\0")
    archive = site.config["INSTANCE"] / "b.tar.gz"
    assert backup(site, archive) == 0
    assert "left out: cache/studies/broken.json.pkl" in capsys.readouterr().err
    before = study_path(cache, "tiny@2").read_bytes()
    write_made_up(cache, question, lambda key: 0.9)
    study_path(cache, "tiny@2").unlink()
    shipped = study_path(cache, "tiny").read_bytes()
    assert restore(site, archive) == 0
    assert study_path(cache, "tiny@2").read_bytes() == before
    assert study_path(cache, "tiny").read_bytes() == shipped
