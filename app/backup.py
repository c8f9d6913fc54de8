"""`i4wsgi.py backup` and `restore`: database, results, published tasks' files, and what it takes to go on with
unfinished trainings.

Nothing of an archive is believed. It is unpacked aside and examined as a whole, and only then takes the place of what
is there, which stays beside it as `*.before-restore`; the database comes last.
"""

from __future__ import annotations

import filecmp
import json
import lzma
import os
import re
import shutil
import sqlite3
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import upgrade
from safetensors import SafetensorError, safe_open
from sqlalchemy.exc import SQLAlchemyError

from app.calls.store import calls_folder
from app.extensions import db, migrate
from app.jobs.service import jobs_folder
from app.presence import AtWorkError, alone
from utils.checkpoints import folder_of, is_busy
from utils.files import atomic_write
from utils.leaks.report import leaks_path, read_leaks
from utils.results import RESULT_NAME, ResultError, read_result
from utils.studies import study_runs
from utils.studies.measured import read_study, study_path

_MIGRATIONS = Path(__file__).parent / "migrations"
_DATABASE = "database.db"
_MEMBER = re.compile(
    rf"{re.escape(_DATABASE)}"
    rf"|cache/(?P<result>{RESULT_NAME})\.json\.(pkl|safetensors|md)"
    rf"|cache/studies/(?P<study>{RESULT_NAME})\.json\.pkl"
    rf"|cache/leaks/(?P<leaks>{RESULT_NAME})\.json\.pkl"
    rf"|cache/\.unfinished/(?P<unfinished>{RESULT_NAME})/"
    r"(plan\.json|[A-Za-z0-9][\w.-]*\.npz|[A-Za-z0-9][\w.-]*-clients/[0-9]{1,9}/[0-9]{1,9}\.npz)"
    r"|jobs/(?P<job>[1-9][0-9]{0,9})/[A-Za-z0-9][\w@.-]*"
    r"|calls/(?P<call>[1-9][0-9]{0,9})/(starter\.zip|versions/[0-9]{1,9}\.(safetensors|npz)|updates/[0-9]{1,9}\.safetensors)",
    re.ASCII,
)
"""What a backup holds, and nothing else."""
_RESULTS = ("*.json.*", "studies/*.json.pkl", "leaks/*.json.pkl")
_KEPT = ".before-restore"


class BackupError(ValueError):
    """What cannot be backed up or restored, and why; the text is one line."""


def backup(app: Flask, target: Path) -> int:
    """Write database (SQLite only; PostgreSQL has pg_dump), results, what published tasks have learnt and unfinished
    trainings into one .tar.gz.

    The site may run meanwhile. Returns the exit status.
    """
    database = _sqlite_file(app)
    if database is None:
        print("backup: the database is not SQLite; dump it with pg_dump, and copy cache/", file=sys.stderr)
        return 2
    draft = target.with_name(f".{target.name}.draft")
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / _DATABASE
            if database.exists():
                with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as sink:
                    source.backup(sink)
                _examine_database(copy)
            found = [(path, name) for path, name in _files(app) if _is_readable(path, name)]
            if not copy.exists() and not found:
                raise BackupError("there is nothing to back up")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            with tarfile.open(draft, "w:gz") as archive:
                if copy.exists():
                    archive.add(copy, _DATABASE)
                for path, name in found:
                    with suppress(FileNotFoundError):  # a training that has ended in this moment
                        archive.add(path, name)
        draft.replace(target)
    except (BackupError, sqlite3.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        print(f"backup: {_said(error)}", file=sys.stderr)
        return 2 if isinstance(error, BackupError) else 1
    print(f"backup in {target}")
    return 0


def _files(app: Flask) -> Iterator[tuple[Path, str]]:
    """What there is to back up and its name there: what is unfinished first, as it may become a result meanwhile."""
    with app.app_context():
        cache = app.config["CACHE"]
        unfinished = ((cache, "cache", f".unfinished/*/{deeper}") for deeper in ("*", "*/*/*"))
        calls = ((calls_folder(), "calls", f"*/{deeper}") for deeper in ("*", "*/*"))
        folders = ((jobs_folder(), "jobs", "*/*"), *calls, *unfinished)
    results = ((app.config["CACHE"], "cache", pattern) for pattern in _RESULTS)
    for folder, name, pattern in (*folders, *results):
        for path in sorted(folder.glob(pattern)):
            told = f"{name}/{path.relative_to(folder).as_posix()}"
            if _MEMBER.fullmatch(told) and path.is_file():
                yield path, told


def _is_readable(path: Path, name: str) -> bool:
    """Whether it could be restored; what could not is left out, and that is said."""
    try:
        _examine(path, name)
    except FileNotFoundError:
        return False
    except BackupError as error:
        print(f"backup: left out: {error}", file=sys.stderr)
        return False
    return True


def restore(app: Flask, source: Path) -> int:
    """Put back what `backup` wrote; what it takes the place of stays beside it. Returns the exit status.

    Shipped results stay as this version has them. Whatever is wrong is found before anything is changed (status 2);
    what fails later, or is killed, has lost nothing and can be done again (status 1).
    """
    database = _sqlite_file(app)
    if database is None:
        print("restore: the database is not SQLite; use pg_restore", file=sys.stderr)
        return 2
    try:
        with alone(app), _aside(database) as folder:
            names = _unpack(source, folder)
            for name in names:
                _examine(folder / name, name)
            if _DATABASE in names:
                _bring_up_to_date(folder / _DATABASE)
            units = _units(app, folder, names)
            kept = [_put(unit, target) for unit, target in units]
            if _DATABASE in names:
                _settle(database)
                kept.append(_put(folder / _DATABASE, database))
    except (BackupError, AtWorkError) as error:
        print(f"{source}: not restored: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{source}: not wholly restored, try again: {_said(error)}", file=sys.stderr)
        return 1
    what = f"{'database and ' if _DATABASE in names else ''}{sum(name.endswith('.pkl') for name in names)} results"
    print(f"restored {what} from {source}")
    if any(kept):
        print(f"what was there before is beside it, as *{_KEPT}")
    return 0


@contextmanager
def _aside(database: Path) -> Iterator[Path]:
    """A folder to unpack into, on the disk of the database; those of restores that were killed go."""
    prefix = f"restore-{database.stem}-"
    database.parent.mkdir(parents=True, exist_ok=True)
    for left in database.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=database.parent) as folder:
        yield Path(folder)


def _unpack(source: Path, folder: Path) -> list[str]:
    """Unpack an archive into an empty folder; its members' names. Raises BackupError on what no backup holds."""
    names: list[str] = []
    try:
        with tarfile.open(source) as archive:
            left = shutil.disk_usage(folder).free
            for member in archive:
                name = member.name
                if not member.isreg() or member.issparse() or not _MEMBER.fullmatch(name) or name in names:
                    raise BackupError(f"it holds {name[:100]!r}, which no backup of SkyFed does")
                left -= member.size
                if left < 0:
                    raise BackupError("there is not enough room to unpack it")
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                packed = archive.extractfile(member)
                assert packed is not None  # a regular file
                with packed, (folder / name).open("xb") as file:
                    shutil.copyfileobj(packed, file)
                names.append(name)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OSError) as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError(f"it cannot be unpacked ({_said(error)})") from None
    if not names:
        raise BackupError("there is nothing in it")
    return names


def _examine(path: Path, name: str) -> None:
    """Raises BackupError where a member of a backup is not what its name says."""
    try:
        if name == _DATABASE:
            _examine_database(path)
        elif name.startswith("cache/studies/"):
            read_study(path)
        elif name.startswith("cache/leaks/"):
            read_leaks(path)
        elif name.endswith(".json.pkl"):
            read_result(path)
        elif name.endswith("/plan.json"):
            if not isinstance(json.loads(path.read_bytes()), dict):
                raise ValueError
        elif name.startswith("calls/") and name.endswith(".safetensors"):
            with safe_open(path, "numpy") as found:
                found.keys()
        elif name.endswith((".npz", ".zip")):
            with zipfile.ZipFile(path) as packed:
                if packed.testzip() is not None:
                    raise ValueError
    except ResultError as error:
        raise BackupError(str(error).replace(str(path), name)) from None
    except FileNotFoundError:
        raise
    except (
        ValueError,
        OSError,
        RecursionError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        SafetensorError,
    ) as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError(f"{name} is damaged") from None


def _examine_database(path: Path) -> None:
    """Raises BackupError where the file is no sound SQLite database of SkyFed, of this version or an earlier one."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise BackupError("the database is none, or empty")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            [sound] = found.execute("PRAGMA integrity_check(1)").fetchone()
            kinds = {kind for (kind,) in found.execute("SELECT type FROM sqlite_master")}
            tables = {
                name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            known = "alembic_version" in tables
            revisions = found.execute("SELECT version_num FROM alembic_version").fetchall() if known else []
    except sqlite3.Error as error:
        raise BackupError(f"the database is damaged ({error})") from None
    if sound != "ok":
        raise BackupError(f"the database is damaged ({' '.join(str(sound).split())[:100]})")
    ours = {one.revision for one in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if len(revisions) != 1 or "users" not in tables or not kinds <= {"table", "index"}:
        raise BackupError("the database is not one of SkyFed")
    if revisions[0][0] not in ours:
        raise BackupError(
            f"the database is of another version of SkyFed (schema {str(revisions[0][0])[:40]!r})"
        )


def _bring_up_to_date(path: Path) -> None:
    """Bring an unpacked database to the present schema. Raises BackupError where it then has another one."""
    aside = Flask("app")
    aside.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    db.init_app(aside)
    migrate.init_app(aside, db, directory=str(_MIGRATIONS))
    with aside.app_context():
        try:
            upgrade(str(_MIGRATIONS))
            with db.engine.connect() as connection:
                different = compare_metadata(MigrationContext.configure(connection), db.metadata)
        except SQLAlchemyError:
            different = ["all"]
        finally:
            db.engine.dispose()
    if different:
        raise BackupError("the database has not the tables that it should have")


def _units(app: Flask, folder: Path, names: list[str]) -> list[tuple[Path, Path]]:
    """What takes a place as one, and which: a file of a result, the folder of an unfinished run or of a training.

    Raises AtWorkError where somebody works on one of the runs.
    """
    cache, found = Path(app.config["CACHE"]), {}
    for name in names:
        match = _MEMBER.fullmatch(name)
        assert match is not None  # or it had not been unpacked
        if run := match["result"] or match["unfinished"]:
            if folder_of(cache, f"{run}.lock").exists() and is_busy(cache, run):
                raise AtWorkError(f"somebody is working on the run {run}")
            target = folder_of(cache, run) if match["unfinished"] else cache / PurePosixPath(name).name
            if not (run in study_runs() and target.exists()):
                found[target] = (
                    folder / "cache" / ".unfinished" / run if match["unfinished"] else folder / name
                )
        elif study := match["study"]:
            target = study_path(cache, study)
            if "@" in study or not target.exists():  # shipped ones have no number
                found[target] = folder / name
        elif leaks := match["leaks"]:
            found[leaks_path(cache, leaks)] = folder / name
        elif match["job"]:
            found[jobs_folder() / match["job"]] = (folder / name).parent
        elif match["call"]:
            found[calls_folder() / match["call"]] = folder / "calls" / match["call"]
    return [(unit, target) for target, unit in found.items()]


def _put(unit: Path, target: Path) -> bool:
    """Let a file or folder take the place of `target`; whether there was another, which then stays beside it."""
    if _is_same(unit, target):
        return False
    there = target.exists()
    if unit.is_dir():
        draft = target.with_name(f".{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(unit, draft)
        if there:  # outside, where nobody takes it for one of the others
            beside = target.parent.with_name(f"{target.parent.name}{_KEPT}")
            beside.mkdir(exist_ok=True)
            target.rename(_free(beside / target.name))
        draft.rename(target)
        return there
    if there:
        kept = _free(target.with_name(f"{target.name}{_KEPT}"))
        try:
            os.link(target, kept)
        except OSError:  # a file system without links
            shutil.copy2(target, kept)
    with atomic_write(target) as file, unit.open("rb") as packed:
        shutil.copyfileobj(packed, file)
    return there


def _is_same(unit: Path, target: Path) -> bool:
    if not unit.is_dir():
        return target.is_file() and filecmp.cmp(unit, target, shallow=False)
    names = {path.name for path in unit.iterdir()}
    if not target.is_dir() or names != {path.name for path in target.iterdir()}:
        return False
    return all(_is_same(unit / name, target / name) for name in names)


def _free(path: Path) -> Path:
    """`path`, or with the first number behind it that no earlier restore has taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _settle(database: Path) -> None:
    """Let SQLite bring into the old database what a crash left beside it, which the new one must never be given."""
    if not database.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as old:
        old.execute("PRAGMA journal_mode = DELETE")
        old.execute("BEGIN IMMEDIATE")
        old.rollback()
    for suffix in ("-journal", "-wal", "-shm"):
        if (left := database.with_name(f"{database.name}{suffix}")).exists():
            left.rename(_free(left.with_name(f"{left.name}{_KEPT}")))


def _said(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, BackupError)
        else getattr(error, "strerror", None) or type(error).__name__
    )


def _sqlite_file(app: Flask) -> Path | None:
    address = str(app.config["SQLALCHEMY_DATABASE_URI"])
    return Path(address.removeprefix("sqlite:///")) if address.startswith("sqlite:///") else None
