"""What a browser needs to judge programs by itself. No program, and no part of one, is ever sent here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_smorest import Blueprint

from app.api.answers import answers
from app.detect.schemas import DetectorsSchema
from app.detect.service import detectors, in_wheels, launchers
from app.runs.service import library
from utils.malware.seen import shipped

blueprint = Blueprint(
    "detect_api", __name__, url_prefix="/api/v1", description="Programs, judged by their headers"
)


@blueprint.get("/detect/models")
@answers(DetectorsSchema)
def models() -> dict[str, Any]:
    """The models that judge programs, what they learnt from, and programs known to be benign to try them on."""
    found = []
    for role, (name, predictor) in detectors().all().items():
        how = predictor.calibration
        found.append({
            "role": role, "run": name, "title": library().title(name),
            "temperature": how.temperature, "low": how.low, "high": how.high,
            "onnx": f"/api/v1/runs/{name}/model.onnx", "sha256": predictor.model["sha256"],
            "bytes": predictor.model["bytes"], "parameters": predictor.parameters,
            "tested": [asdict(one) for one in predictor.tested],
            "wheels": in_wheels(name, predictor.model["sha256"]),
        })  # fmt: skip
    return {"features": [asdict(one) for one in shipped()], "models": found, "launchers": launchers()}
