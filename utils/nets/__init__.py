"""The networks that are trained, and the one flat vector that stands for their weights."""

ONNX_FORMAT = 3
"""Changes when `stored.as_onnx` writes something else of the same model."""
