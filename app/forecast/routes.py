"""The page where one drops a photo of the sky."""

from __future__ import annotations

import io
from functools import lru_cache

from flask import Blueprint, abort, g, render_template, send_file
from werkzeug.wrappers import Response

from app.forecast.service import sample

blueprint = Blueprint("forecast", __name__, url_prefix="/forecast")
SAMPLES = 6


@blueprint.get("")
def page() -> str:
    """Drop, choose, paste or take a photo; the models answer."""
    g.wasm = True  # judging on the device runs WebAssembly, on this page alone
    return render_template("forecast/forecast.html", samples=range(SAMPLES))


@blueprint.get("/samples/<int(max=2147483647):number>.jpg")
def drawn_sky(number: int) -> Response:
    """A sky drawn by the simulator, to try the page on."""
    if number >= SAMPLES:
        abort(404)
    answer = send_file(io.BytesIO(_sample(number)), "image/jpeg", max_age=86400)
    answer.cache_control.public = True
    return answer


@lru_cache(maxsize=SAMPLES)
def _sample(number: int) -> bytes:
    return sample(number)
