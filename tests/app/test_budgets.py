"""What each page fetches of scripts before anybody does anything, as the build made it."""

import json

import pytest

from app.vite import DIST

MANIFEST = DIST / ".vite" / "manifest.json"
BUDGETS = {
    "src/home.ts": 50, "src/run.ts": 62, "src/forecast.ts": 46, "src/detect.ts": 48, "src/conf.ts": 52,
    "src/jobs.ts": 50,    "src/studies.ts": 52, "src/calls.ts": 80, "src/train.ts": 90,
    "src/nodes.ts": 50, "src/site.ts": 8,
}  # fmt: skip
"""Kilobytes, compressed by Brotli."""
pytestmark = pytest.mark.skipif(not MANIFEST.exists(), reason="front end not built (make install)")


def _needed(manifest, name, found=None):
    found = [] if found is None else found
    if name not in found:
        found.append(name)
        for other in manifest[name].get("imports", []):
            _needed(manifest, other, found)
    return found


def test_every_page_keeps_to_its_budget_and_none_brings_what_trains():
    manifest = json.loads(MANIFEST.read_text())
    entries = {name for name, one in manifest.items() if one.get("isEntry") and one["file"].endswith(".js")}
    assert entries == set(BUDGETS)
    for name, most in BUDGETS.items():
        files = [DIST / manifest[one]["file"] for one in _needed(manifest, name)]
        kilobytes = sum((file.parent / f"{file.name}.br").stat().st_size for file in files) / 1000
        print(f"{name}: {kilobytes:.1f} kB of {most}")
        assert kilobytes <= most, f"{name}: {kilobytes:.1f} kB"
        text = "".join(file.read_text() for file in files)
        for mark in ("tfjs", "Conv2DBackpropInput", "WebAssembly.instantiate"):
            assert mark not in text, f"{name} brings {mark}"


def test_what_trains_is_there_and_small():
    found = {
        file.name.partition("-")[0]: file
        for file in (DIST / "assets").iterdir()
        if file.suffix in (".js", ".wasm")
    }
    assert (found["worker"].parent / f"{found['worker'].name}.br").stat().st_size < 4_000
    runtime = next(file for file in found.values() if file.suffix == ".wasm" and "tfjs" in file.name)
    assert (runtime.parent / f"{runtime.name}.br").stat().st_size < 150_000
