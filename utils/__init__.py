"""The laboratory: from examples to trained models and honest curves. Knows nothing of Flask or the site."""
