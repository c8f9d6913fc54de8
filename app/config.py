"""Where the site keeps its things and how strict it is; read once, at the start, from the environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from utils.files import place

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
DEMO_ACCOUNTS = (
    ("admin@126.com", "admin", "admin", "admin"),
    ("greatabel1@126.com", "abel", "abel", "researcher"),
    ("test@126.com", "test", "test", "user"),
)  # e-mail, nickname, password, role; as the original had them, in the demo database only

REGISTER = ("open", "invite", "closed")  # who may make an account: anybody, whoever has a code, nobody


class ConfigError(ValueError):
    """Settings the site cannot serve with; the text is one line."""


def production(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Settings from SKYFED_SECRET_KEY (required), _HOSTS, _PROXIES, _INSTANCE, _CACHE, _DATA, DATABASE_URL, REDIS_URL,
    for trainings SKYFED_SLOTS, _PER_USER, _MAX_HOURS, _GIANT_HOURS, _QUOTA_MB, _LOST_AFTER, _LEAKS_SECONDS, for
    accounts SKYFED_TRIES, _TRIES_ADDRESS, _TRIES_ACCOUNT, _WAIT, _WAIT_MOST, _REGISTRATIONS, _REGISTER, for nodes
    SKYFED_FLOWER.

    Raises ConfigError, one line, when there is no secret key that could be secret or a value makes no sense.
    """
    key = environ.get("SKYFED_SECRET_KEY", "")
    if len(key) < 32 or len(set(key)) < 8:
        raise ConfigError(
            "SKYFED_SECRET_KEY: expected at least 32 random characters, for example from "
            "python3 -c 'import secrets; print(secrets.token_hex())'; to try the site out use --demo"
        )
    hosts = [host.strip() for host in environ.get("SKYFED_HOSTS", "").split(",") if host.strip()]
    instance = Path(environ.get("SKYFED_INSTANCE", ROOT / "instance"))
    return {
        **_common(environ, instance),
        "SECRET_KEY": key,
        "SQLALCHEMY_DATABASE_URI": _database(environ.get("DATABASE_URL", ""), instance / "skyfed.db"),
        "TRUSTED_HOSTS": hosts or list(LOOPBACK),
        "PROXIES": count(environ, "SKYFED_PROXIES", 0, "the number of proxies in front of the site"),
        "SESSION_COOKIE_NAME": "__Host-session",
        "SESSION_COOKIE_SECURE": True,
        "REMEMBER_COOKIE_NAME": "__Host-remember",
        "REMEMBER_COOKIE_SECURE": True,
        "DEVICE_COOKIE_NAME": "__Host-device",
        "REGISTER": _choice(environ, "SKYFED_REGISTER", "closed", REGISTER),
        "DEMO": False,
    }


def demo(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Settings for trying out on this machine: a database of its own, loopback hosts only, a key for this process."""
    instance = Path(environ.get("SKYFED_INSTANCE", ROOT / "instance"))
    return {
        **_common(environ, instance),
        "SECRET_KEY": secrets.token_hex(),
        "SQLALCHEMY_DATABASE_URI": _database("", instance / "demo.db"),
        "TRUSTED_HOSTS": list(LOOPBACK),
        "PROXIES": 0,
        "SESSION_COOKIE_NAME": "skyfed_demo_session",
        "SESSION_COOKIE_SECURE": False,
        "REMEMBER_COOKIE_NAME": "skyfed_demo_remember",
        "REMEMBER_COOKIE_SECURE": False,
        "DEVICE_COOKIE_NAME": "skyfed_demo_device",
        "REGISTER": _choice(environ, "SKYFED_REGISTER", "open", REGISTER),
        "DEMO": True,
    }


def _common(environ: Mapping[str, str], instance: Path) -> dict[str, Any]:
    slots = count(environ, "SKYFED_SLOTS", 2, "how many trainings may run at a time")
    return {
        "REDIS_URL": environ.get("REDIS_URL", ""),
        "SLOTS": slots,
        "PER_USER": count(
            environ, "SKYFED_PER_USER", max(1, slots - 1), "how many of them may be one person's"
        ),
        "MAX_HOURS": count(
            environ, "SKYFED_MAX_HOURS", 4, "hours until a training makes room for others that wait"
        ),
        "GIANT_HOURS": count(
            environ, "SKYFED_GIANT_HOURS", 48, "hours above which a training needs an admin's word"
        ),
        "QUOTA": 1e6 * count(environ, "SKYFED_QUOTA_MB", 1000, "megabytes a person's trainings may take"),
        "LEAKS_SECONDS": count(environ, "SKYFED_LEAKS_SECONDS", 80, "seconds that attacks on a run may take"),
        "LOST_AFTER": count(environ, "SKYFED_LOST_AFTER", 30, "seconds until a silent training is given up"),
        "TRIES": count(
            environ, "SKYFED_TRIES", 10, "wrong passwords of an account from one place without a wait"
        ),
        "TRIES_ADDRESS": count(
            environ, "SKYFED_TRIES_ADDRESS", 100, "the same of one address, for all accounts"
        ),
        "TRIES_ACCOUNT": count(
            environ, "SKYFED_TRIES_ACCOUNT", 100, "the same of an account, from everywhere"
        ),
        "WAIT": count(environ, "SKYFED_WAIT", 5, "seconds of the first wait, which then doubles"),
        "WAIT_MOST": count(environ, "SKYFED_WAIT_MOST", 900, "seconds of the longest wait"),
        "REGISTRATIONS": count(environ, "SKYFED_REGISTRATIONS", 60, "accounts an hour from one address"),
        "INSTANCE": instance,
        "FLOWER": Path(environ.get("SKYFED_FLOWER") or instance / "flower"),
        "CACHE": place("cache", environ),
        "DATA": place("data", environ),
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "REMEMBER_COOKIE_HTTPONLY": True,
        "REMEMBER_COOKIE_SAMESITE": "Lax",
        "REMEMBER_COOKIE_DURATION": timedelta(days=7),
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
        "MAX_CONTENT_LENGTH": 256 * 1024,
        "MAX_FORM_MEMORY_SIZE": 256 * 1024,
        "MAX_FORM_PARTS": 100,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "RATELIMIT_STORAGE_URI": environ.get("REDIS_URL") or "memory://",
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,  # Redis may be away for a while
        "RATELIMIT_HEADERS_ENABLED": True,
        "SQLALCHEMY_ENGINE_OPTIONS": {"pool_pre_ping": True},
        "BABEL_DEFAULT_LOCALE": "en",
        "BABEL_TRANSLATION_DIRECTORIES": str(Path(__file__).parent / "translations"),
        "THREADS": 24,  # requests at a time; a third of them is more than one browser asks for at once
        "COMPRESS_ALGORITHM": ["br", "gzip"],
        "COMPRESS_MIMETYPES": [
            "text/html",
            "text/csv",
            "application/json",
        ],  # of the rest, `app.vite` sees to it
        "COMPRESS_STREAMS": False,  # events go out as they come, files as they lie
        "LANGUAGES": {"en": "English", "zh": "中文"},
    }


def count(environ: Mapping[str, str], name: str, usual: int, what: str) -> int:
    """The whole number that the setting `name` says. Raises ConfigError where it says something else."""
    text = environ.get(name) or str(usual)
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ConfigError(f"{name}: expected {what}, found {text!r}")
    return int(text)


def _choice(environ: Mapping[str, str], name: str, usual: str, choices: tuple[str, ...]) -> str:
    text = environ.get(name) or usual
    if text not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, found {text!r}")
    return text


def _database(url: str, sqlite: Path) -> str:
    """The SQLAlchemy address of DATABASE_URL, or of the SQLite file `sqlite` where there is none."""
    if not url:
        return f"sqlite:///{sqlite}"
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url
