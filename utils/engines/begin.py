"""How a worker process begins. It imports nothing, so that what it imports then sees the environment it is given."""

import os
from multiprocessing.connection import Connection


def begin(connection: Connection, device: str, environment: dict[str, str]) -> None:
    """Be a worker, in the environment of the process that wants one: it may be forked from one that began before."""
    os.environ.clear()
    os.environ.update(environment)
    from utils.engines.worker import work

    work(connection, device)
