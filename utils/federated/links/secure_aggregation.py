"""Secure aggregation (Bonawitz et al. 2017), https://doi.org/10.1145/3133956.3133982: the server adds masked updates
and learns their sum, and none of them.

Four times server and clients exchange something:

0. every client draws a secret of the round and says two public keys made of it (X25519);
1. it sends everybody else, encrypted for them (AES-GCM), a share (Shamir) of the seed of its own mask and of the key
   for its masks with others;
2. it trains and sends its update as whole numbers modulo 2 ** 32, plus its own mask, plus a mask with each client
   that comes after it and minus one with each that comes before: these cancel out (AES-CTR);
3. the server says who sent an update. Each client gives the shares it has: of the own mask of those, of the key of
   those who vanished, and of nobody both. With shares of enough clients the masks that are left are known, and the sum
   is opened.

Who vanishes before 2 takes no part; who vanishes in 2 or 3 is made up for. Where fewer than the threshold are left the
round is not opened. Against a server that follows the protocol and looks at all it sees; one that lies about who
vanished is the paper's other case, in which clients sign, and clients that give false shares spoil the sum. A secret
serves one round: it is destroyed when the client has answered, or draws the next one. How many examples a client has
the server knows.

A round that a killed run plays again opens a second sum. Here, where training is repeated to the bit, two sums of
other clients would tell the update of who is in one alone; a client in the world must answer for a round once.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.links import UnopenedError
from utils.federated.links._fixed import LEAST, LEVELS, bound_key, check_clients, quantised, summed
from utils.federated.links._shamir import recovered, shared
from utils.federated.update import Failure
from utils.parts import AtLeast, key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.links import Ask
    from utils.federated.update import Buffers, Bytes
    from utils.nets.layout import Layout, Vector

ABOUT = (
    "the server adds masked updates and sees nothing but their sum",
    "安全聚合：服务器只对加了掩码的更新求和，看不到任何单个更新",
)
PACKAGES = ("cryptography",)
PROTECTS = True
NEEDS = {"k": AtLeast(LEAST)}

_SHARE = 33  # bytes of a number below the prime of shares
_KEYS = np.dtype([("client", "<u4"), ("for_shares", "V32"), ("for_masks", "V32")])
_SEALED = np.dtype([("client", "<u4"), ("shares", f"V{2 * _SHARE + 16}")])
_GIVEN = np.dtype([("client", "<u4"), ("vanished", "?"), ("share", f"V{_SHARE}")])


_GIVEN_OF = np.dtype([("client", "<u4"), ("vanished", "?")])


@dataclass(frozen=True)
class Keys:
    """How many must be left, and how fine the whole numbers are."""

    threshold: float = key(
        "share of a round's clients that must be left to open the sum",
        zh="打开总和所需的存活客户端比例",
        default=0.67,
        low=0.5,
        high=1.0,
        above_low=True,
    )
    bound: float = bound_key()


def fits(conf: Conf, where: str) -> None:
    """The sum of all whole numbers must stay below 2 ** 32. Raises ConfError."""
    check_clients(conf, where, "secure_aggregation")


class Link:
    """4 n bytes an update, of n weights and normalisation buffers. A client's values count by its examples: it sends
    them times its number of examples over the largest of the round, which the server knows.
    """

    AT_HOME = True

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._keys, self._size = keys, layout.size

    # At the server.

    def prepare(
        self, cohort: Sequence[int], sizes: Sequence[int], ask: Ask
    ) -> tuple[Sequence[int], dict[str, Bytes]]:
        """Exchange keys and shares. Raises UnopenedError when too few clients are left."""
        self._ask, self._sizes = ask, sizes
        self._total, self._sent = np.zeros(self._size, np.uint32), list[int]()
        self._least = max(LEAST, math.ceil(self._keys.threshold * len(cohort) - 1e-9))
        told: dict[int, bytes] = {}
        for one in ask("keys", cohort, lambda client: {}):
            if not isinstance(one, Failure) and len(one.payload) == 64:
                told[one.client] = bytes(one.payload)
        self._keys_of = np.array(
            [(client, payload[:32], payload[32:]) for client, payload in told.items()], _KEYS
        )
        self._check(len(told))
        header = np.array([self._least], "<u4").tobytes()
        keys = header + self._keys_of.tobytes()
        self._shares: dict[int, NDArray[Any]] = {}
        for one in ask("shares", list(told), lambda client: {"keys": keys}):
            others = [client for client in told if client != one.client]
            if not isinstance(one, Failure) and len(one.payload) == len(others) * _SEALED.itemsize:
                shares = np.frombuffer(one.payload, _SEALED)
                if shares["client"].tolist() == others:
                    self._shares[one.client] = shares
        self._check(len(self._shares))
        clients = list(self._shares)
        most = max(sizes[client] for client in clients)
        left = self._keys_of[np.isin(self._keys_of["client"], clients)]
        return clients, {"keys": np.array([most], "<u4").tobytes() + left.tobytes()}

    def _check(self, left: int) -> None:
        if left < self._least:
            raise UnopenedError(f"not opened: {left} clients were left, {self._least} are needed")

    def fold(self, payload: Bytes, client: int) -> None:
        """Add one masked update. Raises ValueError on another length."""
        if memoryview(payload).nbytes != 4 * self._size:
            raise ValueError(f"an update of {memoryview(payload).nbytes} bytes, expected {4 * self._size}")
        self._total += np.frombuffer(payload, "<u4")
        self._sent.append(client)

    def open(self, samples: int) -> Vector:
        """The mean difference (layout.size,). Raises UnopenedError when too few clients are left."""
        self._check(len(self._sent))
        there = set(self._sent)
        given: dict[tuple[int, bool], dict[int, int]] = {}
        places = {int(client): place for place, client in enumerate(self._keys_of["client"], 1)}
        answered = 0
        asked = np.array([(client, client not in there) for client in self._shares], _GIVEN_OF)
        for one in self._ask("unmask", self._sent, self._to_unmask):
            if isinstance(one, Failure) or len(one.payload) != len(self._shares) * _GIVEN.itemsize:
                continue
            shares = np.frombuffer(one.payload, _GIVEN)
            if not np.array_equal(shares[["client", "vanished"]], asked):
                continue
            answered += 1
            for client, vanished, share in shares:
                of = given.setdefault((int(client), bool(vanished)), {})
                of[places[one.client]] = int.from_bytes(bytes(share), "big")
        self._check(answered)
        total = self._total
        for (client, vanished), known in given.items():
            secret = recovered(dict(list(known.items())[: self._least])).to_bytes(_SHARE, "big")[1:]
            if not vanished:
                total = total - _mask(secret, b"own", self._size)
                continue
            for other in self._keys_of:
                if int(other["client"]) in there:
                    mask = _mask(_agreed(secret, bytes(other["for_masks"])), b"pair", self._size)
                    total = total + mask if other["client"] > client else total - mask  # see `encode`
        most = max(self._sizes[client] for client in self._shares)
        found = summed(total, len(self._sent), self._keys.bound, LEVELS) * (most / samples)
        return found.astype(np.float32)

    def _to_unmask(self, client: int) -> Buffers:
        """Who sent an update and who did not, and what was sealed for this client."""
        there = [other in self._sent for other in self._shares]
        sealed = np.zeros(len(self._shares), _SEALED)
        for row, (other, shares) in zip(sealed, self._shares.items(), strict=True):
            row["client"] = other
            if other != client:
                row["shares"] = shares[shares["client"] == client]["shares"][0]
        keys = self._keys_of.tobytes()
        return {"sent": np.array(there).tobytes(), "sealed": sealed.tobytes(), "keys": keys}

    # At a client.

    def join(self, client: int, home: str, read: Buffers) -> None:
        """Who it is, and whom it has masks with."""
        keys = memoryview(read["keys"])
        self._client, self._secret = client, _recall(home, client)
        self._most = int(np.frombuffer(keys[:4], "<u4")[0])
        self._with = np.frombuffer(keys[4:], _KEYS)

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """The update as whole numbers, masked."""
        bound = self._keys.bound
        masked = quantised(difference * np.float32(samples / self._most), bound, LEVELS, rng)
        masked += _mask(_derived(self._secret, b"own seed"), b"own", self._size)
        mine = _derived(self._secret, b"for masks")
        for other in self._with:
            if int(other["client"]) == self._client:
                continue
            mask = _mask(_agreed(mine, bytes(other["for_masks"])), b"pair", self._size)
            if int(other["client"]) > self._client:
                masked += mask
            else:
                masked -= mask
        return masked.astype("<u4").tobytes()


def _say_keys(asked: Any) -> bytes:
    """Draw the secret of the round; public keys for shares and for masks."""
    secret = secrets.token_bytes(32)
    _keep(_path(asked.work.home, asked.question.client), secret)
    return b"".join(_public(_derived(secret, what)) for what in (b"for shares", b"for masks"))


def _give_shares(asked: Any) -> bytes:
    """For everybody else, sealed: a share of the own mask's seed, and one of the key for masks with others."""
    me, secret = asked.question.client, _recall(asked.work.home, asked.question.client)
    read = memoryview(asked.buffers["keys"])
    least, keys = int(np.frombuffer(read[:4], "<u4")[0]), np.frombuffer(read[4:], _KEYS)
    places = range(1, len(keys) + 1)
    both = [
        shared(int.from_bytes(_derived(secret, what), "big"), least, places)
        for what in (b"own seed", b"for masks")
    ]
    rows = []
    for place, other in zip(places, keys, strict=True):
        plain = b"".join(of[place].to_bytes(_SHARE, "big") for of in both)
        if int(other["client"]) == me:
            _keep(_path(asked.work.home, me, "shares"), plain)
            continue
        sealing = _sealing(secret, other, me, int(other["client"]))
        rows.append((int(other["client"]), sealing.encrypt(plain)))
    return np.array(rows, _SEALED).tobytes()


def _unmask(asked: Any) -> bytes:
    """Shares of the own mask of who sent an update, and of the key of who did not; once."""
    me, home = asked.question.client, asked.work.home
    secret, own = _recall(home, me), _path(home, me, "shares").read_bytes()
    sent = np.frombuffer(asked.buffers["sent"], np.bool_)
    sealed = np.frombuffer(asked.buffers["sealed"], _SEALED)
    keys = {int(one["client"]): one for one in np.frombuffer(asked.buffers["keys"], _KEYS)}
    rows = []
    for there, row in zip(sent.tolist(), sealed, strict=True):
        other = int(row["client"])
        plain = own
        if other != me:
            plain = _sealing(secret, keys[other], other, me).decrypt(bytes(row["shares"]))
        rows.append((other, not there, plain[:_SHARE] if there else plain[_SHARE:]))
    for name in ("secret", "shares"):
        _path(home, me, name).unlink(missing_ok=True)
    return np.array(rows, _GIVEN).tobytes()


ANSWERS = {"keys": _say_keys, "shares": _give_shares, "unmask": _unmask}


@dataclass(frozen=True)
class _Sealing:
    """Encryption of one message between two clients, with a key that serves for it alone."""

    key: bytes

    def encrypt(self, plain: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key).encrypt(bytes(12), plain, None)

    def decrypt(self, sealed: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key).decrypt(bytes(12), sealed, None)


def _sealing(secret: bytes, other: Any, sender: int, receiver: int) -> _Sealing:
    agreed = _agreed(_derived(secret, b"for shares"), bytes(other["for_shares"]))
    return _Sealing(_derived(agreed, b"%d to %d" % (sender, receiver)))


def _derived(secret: bytes, what: bytes) -> bytes:
    """32 bytes for one purpose (HKDF, SHA-256)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, None, what).derive(secret)


def _public(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _agreed(private: bytes, public: bytes) -> bytes:
    """What two clients alone know (X25519)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def _mask(seed: bytes, what: bytes, size: int) -> NDArray[np.uint32]:
    """As many numbers below 2 ** 32 as there are weights (AES-256 in counter mode)."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    stream = Cipher(AES(_derived(seed, what)), CTR(bytes(16))).encryptor()
    return np.frombuffer(stream.update(bytes(4 * size)), "<u4").astype(np.uint32)


def _path(home: str, client: int, what: str = "secret") -> Path:
    return Path(home) / str(client) / f"secure_aggregation.{what}"


def _keep(path: Path, secret: bytes) -> None:
    """For nobody else to read, and for this round: a client that is killed draws another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secret)


def _recall(home: str, client: int) -> bytes:
    """The secret of the round. Raises ValueError where there is none (any more)."""
    try:
        return _path(home, client).read_bytes()
    except FileNotFoundError:
        raise ValueError("it has no secret of this round") from None
