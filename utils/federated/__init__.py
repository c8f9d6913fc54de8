"""Federated learning itself: what a client does, what travels, and how a server makes one model of it."""


class RunError(RuntimeError):
    """A run that cannot go on; the text is one line."""
