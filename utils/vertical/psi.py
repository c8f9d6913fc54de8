"""One side of a private set intersection, in the environment of `make psi`: a line of JSON in, a line of JSON out.

    python psi.py guest    identities -> request; then [setup, response] -> which of them are common, by number
    python psi.py host     [identities, how many the guest has, request] -> [setup, response]

Messages are base64. The sets travel as points of a curve (`RAW`), so nothing is common that is not, and a message is as
long as its set is large. The key is drawn here and never leaves.
"""

import base64
import json
import sys
from typing import Any

import private_set_intersection.python as psi


def heard() -> Any:
    """The next line."""
    return json.loads(sys.stdin.readline())


def say(what: Any) -> None:
    """A line."""
    print(json.dumps(what), flush=True)


def written(message: Any) -> str:
    """A message as text."""
    return base64.b64encode(message.SerializeToString()).decode()


def read(kind: Any, text: str) -> Any:
    """A message of this kind from its text."""
    message = kind()
    message.ParseFromString(base64.b64decode(text))
    return message


def main(role: str) -> None:
    """Play a role to its end."""
    if role == "guest":
        client = psi.client.CreateWithNewKey(True)
        say(written(client.CreateRequest(heard())))
        setup, response = heard()
        say(sorted(client.GetIntersection(read(psi.ServerSetup, setup), read(psi.Response, response))))
        return
    server = psi.server.CreateWithNewKey(True)
    identities, count, request = heard()
    setup = server.CreateSetupMessage(1e-9, count, identities, psi.DataStructure.RAW)
    say([written(setup), written(server.ProcessRequest(read(psi.Request, request)))])


if __name__ == "__main__":
    main(sys.argv[1])
