"""Commands for whoever keeps the site: `i4wsgi.py admin`, `invite`; and the demo's accounts."""

from __future__ import annotations

import getpass
import sys
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
