"""The page where one drops Windows programs."""

from __future__ import annotations

from flask import Blueprint, g, render_template

blueprint = Blueprint("detect", __name__, url_prefix="/detect")


@blueprint.get("")
def page() -> str:
    """Drop or choose programs; models judge their headers, in the browser alone."""
    g.wasm = True  # judging on the device runs WebAssembly
    return render_template("detect/detect.html")
