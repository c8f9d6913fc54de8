"""The networks that are trained, and the one flat vector that stands for their weights."""

JUDGE_BATCH = 64
"""Examples judged at once; fixed, so that logits do not depend on how many workers share the judging."""

ONNX_FORMAT = 3
"""Changes when `stored.as_onnx` writes something else of the same model."""
