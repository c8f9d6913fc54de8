"""Finds the front end's built files through Vite's manifest, and serves them as the build compressed them; sources are
never served.
"""

from __future__ import annotations

import json
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from flask import Flask, current_app, request, send_from_directory, url_for
from markupsafe import Markup
from werkzeug.security import safe_join
from werkzeug.wrappers import Response

DIST = Path(__file__).parent / "static" / "vue" / "dist"
WIDE = "(min-width: 48rem)"
"""As `isWide` in plot.ts has it: narrower ones draw a chart when it comes near."""


def init_app(app: Flask) -> None:
    """Give templates `vite(entry)`: the tags that load an entry point."""
    app.extensions["vite"] = {"stamp": None, "manifest": {}}
    app.jinja_env.globals["vite"] = tags
    app.view_functions["static"] = static


def static(filename: str) -> Response:
    """A built file, compressed where the build has done that and whoever asks takes it."""
    for coding, ending in (("br", ".br"), ("gzip", ".gz")):
        path = safe_join(str(DIST), f"{filename}{ending}")
        if request.accept_encodings[coding] and path and Path(path).is_file():
            answer = send_from_directory(DIST, f"{filename}{ending}", mimetype=guess_type(filename)[0])
            answer.content_encoding = coding
            break
    else:
        answer = current_app.send_static_file(filename)
    answer.vary.add("Accept-Encoding")
    return answer


def tags(entry: str) -> Markup:
    """Script and style tags of an entry point such as "src/home.ts"; nothing when it was not built."""
    chunk = _manifest().get(entry)
    if chunk is None:
        return Markup("")
    lines = [
        Markup('<link rel="stylesheet" href="{}">').format(url_for("static", filename=name))
        for name in _styles(entry)
    ]
    lines += [
        Markup('<link rel="modulepreload" href="{}">').format(url_for("static", filename=needed["file"]))
        for needed in _needed(entry)[1:]
    ]
    lines += [
        Markup('<link rel="preload" as="script" href="{}" media="{}">').format(
            url_for("static", filename=name), WIDE
        )
        for name in _scripts(entry)
    ]
    if chunk["file"].endswith(".js"):
        lines.append(
            Markup('<script type="module" src="{}"></script>').format(
                url_for("static", filename=chunk["file"])
            )
        )
    else:
        lines.append(
            Markup('<link rel="stylesheet" href="{}">').format(url_for("static", filename=chunk["file"]))
        )
    return Markup("\n").join(lines)


def _styles(entry: str) -> list[str]:
    return list(dict.fromkeys(name for chunk in _needed(entry) for name in chunk.get("css", [])))


def _scripts(entry: str) -> list[str]:
    """Plain scripts that the entry asks for at once on a wide screen; named in the page, they come sooner."""
    assets = [name for chunk in _needed(entry) for name in chunk.get("assets", [])]
    return [name for name in dict.fromkeys(assets) if name.endswith(".js")]


def _needed(entry: str) -> list[dict[str, Any]]:
    manifest, found, waiting = _manifest(), {}, [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = manifest[name]
            waiting += manifest[name].get("imports", [])
    return list(found.values())


def _manifest() -> dict[str, Any]:
    """The manifest, read again when a new build has written it."""
    path, kept = DIST / ".vite" / "manifest.json", current_app.extensions["vite"]
    try:
        stamp = path.stat().st_mtime_ns
        if stamp != kept["stamp"]:
            kept.update(stamp=stamp, manifest=json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
    return dict(kept["manifest"])
