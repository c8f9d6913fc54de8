"""Flower at the server, for nodes on their owners' machines: `python3 -m app.flower --help`."""
