"""From a source of photos to a clean, split set on disk, and from there to tensors."""
