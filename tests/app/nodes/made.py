"""Public keys of nodes that were made for tests, and a server's folder as set-up leaves it."""

import json

_BODIES = (
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAELtpX/qWYe261q+wU2hEwPkCw5Co3NvZhMxFPwNDa4/Oj25V06ESranoGi+YsrWXo4geT9WHARkObqMqhV7ZkV5B8gQXVdsylYLeBCbkm2s3zjqefvvOGZuQrBZVwdeC+",
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEJEmf1gKqYv7CSDgKna+ORgBQnGlgewmj1IW8oQ1Wma7gyEcPP0cifgrRkZV9ER1wPXJJd+p/QNlpcsupkKvD5Uw4tS4G9B9uuUyAn1tX/q294jcexY2gjSferoQV8bTU",
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE3IHgR6k7s0MgvXAVtWPkWG2e6vAS1xYcNFo9xAAWIqrh3w/oPKzGuW/Al5uJSw1B+6bFYz5dWGh4MAznpzlDI29seB3LeQGKr7xqK9WlAxC/7/L+MDVwZ46/Bc1tuG4O",
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE65v6O9IFnIL1u7CcDIVEFt19kMlkNWKWeSJh9iB8LVnAhCi3pKmbJ57PY6jAJJjHagxB656DqsiXSmqe/zOBMHhJLgdTeDiW+wG5c01bO6GA0F11gZGqDVSA5IKgHLMJ",
)  # fmt: skip


def pem(body):
    """A public key in PEM, 64 letters a line."""
    lines = [body[place : place + 64] for place in range(0, len(body), 64)]
    return "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))


KEYS = tuple(map(pem, _BODIES))
FINGERPRINT = "43c5f1ed0594ceaac6ab9ff472f9d448f5262ae8c911e3551b9c5a087cd555a9"  # of the last, by openssl
SETTINGS = {
    "format": 1, "bin": "/nowhere", "address": "127.0.0.1:9091", "public": "nodes.example.org:9443",
    "connection": "skyfed", "version": "1.42.0",
}  # fmt: skip


def set_up(folder):
    """Leave the settings of Flower and a CA's certificate in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flower.json").write_text(json.dumps(SETTINGS))
    (folder / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nof the CA\n-----END CERTIFICATE-----\n")
