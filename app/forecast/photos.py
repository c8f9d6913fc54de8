"""The photos that runs were tested on, where they are on this machine; for researchers, photos are private."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, abort, current_app, send_file
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.needs import needs
from app.runs.api import found
from utils.data.examples import DataError
from utils.parts import is_plain_name
from utils.photos.dataset import MANIFEST, read_manifest

blueprint = Blueprint("photos_api", __name__, url_prefix="/api/v1", description="Photos of runs")


class PhotosSchema(Schema):
    """SHA-256s of photos."""

    photos = fields.List(fields.String(), required=True)


@blueprint.get("/runs/<name>/photos")
@needs("read", "researcher")
@answers(PhotosSchema, 401, 403, 404, 422)
def run_photos(name: str) -> dict[str, Any]:
    """SHA-256s of the photos the run was tested on that are on this machine; for researchers, photos are private."""
    return {"photos": sorted(_photos(name))}


@blueprint.get("/runs/<name>/photos/<sha256>")
@needs("read", "researcher")
@answers("image/png", 401, 403, 404, 422)
def run_photo(name: str, sha256: str) -> Response:
    """One of these photos, cleaned, as it was judged before it was made smaller."""
    photo = _photos(name).get(sha256)
    if photo is None or not photo.is_file():
        abort(404)
    return send_file(photo.resolve(), "image/png")


def _photos(name: str) -> dict[str, Path]:
    result = found(name)
    here: dict[str, Path] = current_app.extensions["photos"].of(str(result["data"].get("set", "")))
    tested = {photo for repeat in result["repeats"] for photo in repeat["test"]["id"]}
    return {sha256: here[sha256] for sha256 in tested & set(here)}


class PhotoFiles:
    """The cleaned photos of the sets in one data folder, by SHA-256. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, dict[str, Path]]] = {}

    def of(self, name: str) -> dict[str, Path]:
        """SHA-256 to file for the set `name`; empty when it is not on this machine or cannot be read."""
        folder = self.folder / name
        if not is_plain_name(name):
            return {}
        try:
            stamp = (folder / MANIFEST).stat().st_mtime_ns
            if self._known.get(name, (0, {}))[0] != stamp:
                rows = {row.sha256: folder / row.file for row in read_manifest(folder) if row.file}
                self._known[name] = (stamp, rows)
        except (OSError, DataError):
            return {}
        return self._known[name][1]


def init_app(app: Flask) -> None:
    """Bind the photos of this machine."""
    app.extensions["photos"] = PhotoFiles(app.config["DATA"])
