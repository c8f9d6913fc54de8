"""The networks that are trained, and the one flat vector that stands for their weights."""
