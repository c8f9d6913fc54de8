"""Who holds the key of an encryption: a process of its own. It says the public key to all, and decrypts what it is
given, which is the sum of a round; the server that adds ciphertexts never has the key.
"""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from utils.federated import RunError

_ROOT = Path(__file__).resolve().parents[3]


class KeyHolder:
    """The way to that process; `scheme` is the module whose `Holder(size)` it runs, `size` the bits of a key.

    Raises RunError when it has died.
    """

    def __init__(self, scheme: str, size: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, scheme, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self.public = self._heard()

    def decrypt(self, ciphertext: bytes) -> bytes:
        """What the holder makes of a ciphertext."""
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, ciphertext)
        except OSError:
            raise RunError("the process that holds the key has ended") from None
        return self._heard()

    def _heard(self) -> bytes:
        assert self._process.stdout is not None
        found = _read(self._process.stdout)
        if found is None:
            raise RunError("the process that holds the key has ended")
        return found

    def close(self) -> None:
        """End it, and its key with it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it may have ended, with something unread
                    pipe.close()
        self._process.kill()
        self._process.wait()


def _write(to: IO[bytes], message: bytes) -> None:
    to.write(struct.pack("<Q", len(message)) + message)
    to.flush()


def _read(source: IO[bytes]) -> bytes | None:
    """The next message; None where there is none any more."""
    head = source.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head)
    found = source.read(length)
    return found if len(found) == length else None


def main(scheme: str, size: int) -> None:
    """Say the public key, then answer until nobody asks any more."""
    holder = importlib.import_module(scheme).Holder(size)
    source, to = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # for whatever a library prints
    _write(to, holder.public)
    while (asked := _read(source)) is not None:
        _write(to, holder.decrypt(asked))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
