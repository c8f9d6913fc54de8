"""Which public keys are taken, and by what they are known."""

import base64

import pytest

from app.flower.keys import checked_key, fingerprint
from tests.app.nodes.made import FINGERPRINT, KEYS, pem
from utils.engines.flower_home import FlowerError

P256 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERA+WgV+swYyqquo5rvjy+bvRwxISwhBY5yarhAMZ2cxQ8IjWsqe3Ar6x"
    "OHju4NMzcRwfdj5doQQarKQc1hbp3A=="
)


def _der(key=0):
    return base64.b64decode("".join(KEYS[key].splitlines()[1:-1]))


def test_a_key_has_one_form_however_its_lines_end_and_the_fingerprint_that_openssl_says():
    for key in KEYS:
        assert checked_key(key) == checked_key(f"  {key.replace(chr(10), chr(13) + chr(10))}") == key
    assert fingerprint(KEYS[3]) == FINGERPRINT


@pytest.mark.parametrize(
    "text",
    [
        "", "ssh-ed25519 AAAA", pem(P256), KEYS[0].replace("PUBLIC", "PRIVATE"), KEYS[0][:-40], KEYS[0] + KEYS[1],
        pem("!" * 160), pem("A" * 161), pem(base64.b64encode(_der()[:-1]).decode()),
        pem(base64.b64encode(_der() + b"x").decode()),
        pem(base64.b64encode(_der()[:23] + b"\2" + _der()[24:]).decode()),
        pem(base64.b64encode(_der()[:-1] + bytes([_der()[-1] ^ 1])).decode()),  # a point beside the curve
        pem(base64.b64encode(_der()[:24] + b"\xff" * 96).decode()),
    ],
)  # fmt: skip
def test_what_is_no_point_of_the_curve_is_no_key(text):
    with pytest.raises(FlowerError):
        checked_key(text)
