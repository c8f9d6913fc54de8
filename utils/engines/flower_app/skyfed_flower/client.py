"""At a node: every message goes to the process that has the data, and what that says goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from . import frames
from .records import opened, packed

if TYPE_CHECKING:
    from .frames import Frame

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Hand a training on."""
    return Message(packed(*_handed_on(message, context)), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Hand a question on."""
    return Message(packed(*_handed_on(message, context)), reply_to=message)


def _handed_on(message: Message, context: Context) -> Frame:
    try:
        head, buffers = opened(message.content)
        where = context.node_config
        with frames.connected(str(where["socket"]), str(where["door"]), float(head["within"])) as peer:
            frames.send(peer, head, buffers)
            return frames.receive(peer)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, frames.FrameError) else type(error).__name__
        return {"failure": f"the process that has the data does not answer ({why})"}, {}
