"""What passes an owner's cable while a model of 0.7 million weights is trained: as many bytes as the ledger and the
result say, and nothing of an example or of what is asked in clear.
"""

import json
import time

import numpy as np

from tests.flower_soak.capture import Capture
from tests.flower_soak.test_curves import WEATHER
from tests.flower_soak.world import LINE_PORT
from utils.photos.dataset import read_manifest

LARGE = {**WEATHER, "width": 16, "global_epochs": 3}
"""Updates of 2.8 MB."""
NAME, PIECE = "north", 24


def test_what_travels(sky):
    capture, began = Capture(sky.net, NAME), time.time()
    try:
        sky.run_program(NAME, "-m", "utils.participant", "node", "status", "--home", sky.folder / NAME)
        result, model = sky.whole(sky.submit(LARGE))
    finally:
        capture.stop()
    streams = capture.streams()
    every = b"\n".join(streams.values())
    in_line = {
        up: sum(len(one) for key, one in streams.items() if key[:2] == (up, LINE_PORT))
        for up in (False, True)
    }

    weights = 4 * sum(one.size for one in model.values())
    assert weights > 2_500_000
    sent = [one for one in sky.ledger(NAME) if one["event"] == "sent"][-3 * 2 :]
    updates = [one["bytes"] for one in sent if one["what"] == "update"]
    series = {one["name"]: one["values"] for one in result["repeats"][0]["series"]}
    noted = [one for one in sky.rounds(began) if one["node"] == NAME]
    down, up = sum(one["down"] for one in noted), sum(one["up"] for one in noted)
    trained = [one for one in noted if one["verb"] == "train"]
    assert len(updates) == 3 and sum(updates) == sum(one["up"] for one in trained)
    assert sum(one["down"] for one in trained) * 3 == sum(series["bytes_down"])
    assert sum(one["up"] for one in trained) * 3 == sum(series["bytes_up"])
    print(f"\nledger {sum(updates):,} bytes of updates; with answers up {up:,}, down {down:,}")
    print(f"on the cable up {in_line[True]:,} ({in_line[True] / up - 1:+.2%}), down {in_line[False]:,} "
          f"({in_line[False] / down - 1:+.2%}); connections {sum(key[0] for key in streams)}")  # fmt: skip
    assert abs(in_line[True] / up - 1) < 0.03 and abs(in_line[False] / down - 1) < 0.03

    # That what is looked for would be found: the node asks the site by plain HTTP here, as only a test does.
    assert b"GET /api/v1/nodes/me" in every
    secrets = {
        "conf": [
            b'"model_name"',
            b"local_epochs",
            b"batch_size",
            b"resnet18",
            json.dumps(LARGE)[:40].encode(),
        ]
    }
    folder = sky.data[NAME] / "skies"
    own = [row for row in read_manifest(folder) if row.source == NAME and row.file]
    secrets["photo"] = [piece for row in own for piece in _pieces((folder / row.file).read_bytes())]
    secrets["name of a photo"] = [row.sha256.encode() for row in own] + [row.name.encode() for row in own]
    (store,) = (sky.data[NAME] / ".store").glob("skies-*.npy")
    secrets["pixels"] = _pieces(store.read_bytes(), 1001)  # some of each photo's rows
    secrets["weights"] = [
        one.tobytes()[:PIECE] for one in model.values() if one.nbytes >= PIECE and np.ptp(one)
    ]
    for what, pieces in secrets.items():
        assert pieces, what
        found = sum(piece in every for piece in set(pieces))
        assert not found, f"{found} pieces of {what}"
    print(
        {what: len(set(pieces)) for what, pieces in secrets.items()},
        "looked for, in",
        f"{len(every):,} bytes",
    )
    # Nor is there room for them: what went up beyond updates and answers is less than the owner's photos.
    photos = sum((folder / row.file).stat().st_size for row in own)
    print(
        f"up beyond what was told: {in_line[True] - up:,} bytes; the owner's {len(own)} photos have {photos:,}"
    )


def _pieces(raw, each=4096):
    """Pieces of a file that are its own: not its beginning, nothing that repeats itself."""
    found = (raw[at : at + PIECE] for at in range(200, len(raw) - PIECE, each))
    return [piece for piece in found if len(set(piece)) > PIECE // 2]
