"""Commands for whoever keeps the site: `i4wsgi.py admin`, `invite`, `backup`, `restore`; and the demo's accounts."""

from __future__ import annotations

import getpass
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade

from app import names
from app.auth.passwords import fault, prepared
from app.auth.service import find_user, invite, register
from app.config import DEMO_ACCOUNTS
from app.extensions import db


def prepare_database(app: Flask) -> None:
    """Bring the database to the present schema; in the demo, put its three accounts in."""
    app.config["INSTANCE"].mkdir(parents=True, exist_ok=True, mode=0o700)  # hashes and addresses lie there
    with app.app_context():
        upgrade(str(Path(__file__).parent / "migrations"))
        if app.config["DEMO"]:
            for email, nickname, password, role in DEMO_ACCOUNTS:
                if find_user(email) is None:
                    register(email, nickname, password, role)


def create_admin(app: Flask, email: str) -> int:
    """Make an account of `email` an admin, asking for a password if it has none yet. Returns the exit status."""
    prepare_database(app)
    with app.app_context():
        user = find_user(email)
        if user is None:
            password = prepared(getpass.getpass("Password (10 characters or more): "))
            if wrong := fault(password, email):
                print(f"password: {wrong}", file=sys.stderr)
                return 2
            user = register(email, email.partition("@")[0][:40], password, "admin")
        if user is not None:
            user.role = "admin"
            db.session.commit()
        print(f"{email} is an admin")
    return 0


def create_invite(app: Flask, name: str, uses: int, days: int) -> int:
    """Print a code by which `uses` people can register within so many days. Returns the exit status."""
    prepare_database(app)
    with app.app_context():
        wrong = names.fault(name) or ("At most 60 characters." if len(name) > 60 else "")
        if wrong:
            print(f"name: {wrong}", file=sys.stderr)
            return 2
        code = invite(name, uses, days)
        db.session.commit()
    print(code)
    if app.config["REGISTER"] != "invite":
        print("it is asked for where SKYFED_REGISTER is invite", file=sys.stderr)
    return 0


def backup(app: Flask, target: Path) -> int:
    """Write database (SQLite only; PostgreSQL has pg_dump) and results into one .tar.gz. Returns the exit status."""
    database = _sqlite_file(app)
    if database is None:
        print("backup: the database is not SQLite; dump it with pg_dump, and copy cache/", file=sys.stderr)
        return 2
    draft = target.with_name(f".{target.name}.draft")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "database.db"
        if database.exists():
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as sink:
                source.backup(sink)
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with tarfile.open(draft, "w:gz") as archive:
            if copy.exists():
                archive.add(copy, "database.db")
            for path in sorted(app.config["CACHE"].glob("*.json.*")):
                archive.add(path, f"cache/{path.name}")
    draft.replace(target)
    print(f"backup in {target}")
    return 0


def restore(app: Flask, source: Path) -> int:
    """Put back what `backup` wrote; results that are there already stay. Returns the exit status."""
    database = _sqlite_file(app)
    if database is None:
        print("restore: the database is not SQLite; use pg_restore", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
            kept = Path(folder) / "database.db"
            if kept.exists():
                if kept.read_bytes()[:16] not in (b"", b"SQLite format 3\0"):
                    raise tarfile.TarError
                database.parent.mkdir(parents=True, exist_ok=True)
                draft = database.with_name(f".{database.name}.draft")
                shutil.copy(kept, draft)
                draft.replace(database)
            for path in sorted((Path(folder) / "cache").glob("*")):
                target = app.config["CACHE"] / path.name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)
    except (OSError, tarfile.TarError, EOFError) as error:
        print(f"{source}: not a backup that can be restored ({type(error).__name__})", file=sys.stderr)
        return 2
    print(f"restored from {source}")
    return 0


def _sqlite_file(app: Flask) -> Path | None:
    address = str(app.config["SQLALCHEMY_DATABASE_URI"])
    return Path(address.removeprefix("sqlite:///")) if address.startswith("sqlite:///") else None
