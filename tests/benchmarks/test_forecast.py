"""What a forecast costs beside what it cannot do without: decoding the photo, and one pass through the network.

make benchmark
"""

import http.client
import io
import statistics
import threading
import time
import uuid

import numpy as np
import torch
from PIL import Image

from tests.benchmarks.soak import memory_of
from tests.benchmarks.test_site import served
from tests.conftest import ROOT
from utils.forecast.pixels import ENOUGH
from utils.nets.stored import load_model
from utils.photos.simulator import simulate

PAIRS, AT_ONCE = 15, 20


def _photo():
    """Twelve megapixels as a phone takes them: a sky with grain, about 5 MB."""
    sky = Image.fromarray(simulate(9, 1)[0]).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (3000, 4000, 1))
    written = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(sky) + grain, 0, 255).astype(np.uint8)).save(
        written, "JPEG", quality=90
    )
    return written.getvalue()


def _post(port, photo):
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="photo"; filename="p.jpg"\r\n\r\n'.encode()
    body = head + photo + f"\r\n--{mark}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request(
        "POST", "/api/v1/forecast", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
    )
    answer = connection.getresponse()
    return answer.status, answer.read()


def _cannot_do_without(photo, net, side):
    image = Image.open(io.BytesIO(photo))
    image.draft(None, (ENOUGH, ENOUGH))
    image.load()
    with torch.inference_mode():
        net(torch.zeros(1, 3, side, side))


def test_a_forecast_costs_little_more_than_decoding_and_one_pass(tmp_path):
    photo = _photo()
    _, conf, net = load_model(ROOT / "cache", "conf_f10")
    torch.set_num_threads(1)
    with served(tmp_path, ROOT / "cache") as (port, pid):
        for _ in range(3):
            assert _post(port, photo)[0] == 200
            _cannot_do_without(photo, net, conf.task.keys.image_size)
        ratios = []
        for _ in range(PAIRS):
            started = time.perf_counter()
            assert _post(port, photo)[0] == 200
            ours = time.perf_counter() - started
            started = time.perf_counter()
            _cannot_do_without(photo, net, conf.task.keys.image_size)
            ratios.append(ours / (time.perf_counter() - started))

        before, statuses, peaks, done = memory_of(pid), [], [], threading.Event()

        def watch():
            while not done.wait(0.02):
                peaks.append(memory_of(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        uploads = [
            threading.Thread(target=lambda: statuses.append(_post(port, photo)[0])) for _ in range(AT_ONCE)
        ]
        for upload in uploads:
            upload.start()
        for upload in uploads:
            upload.join()
        done.set()
        watcher.join()
    ratio = statistics.median(ratios)
    print(
        f"\nforecast of {len(photo) / 1e6:.1f} MB, 12 megapixels: {ratio:.2f} times decoding and one pass; "
        f"{AT_ONCE} at once: {statuses.count(200)} answered, memory {before:.0f} MB, at most {max(peaks):.0f} MB"
    )
    assert statuses == [200] * AT_ONCE
    assert max(peaks) - before < AT_ONCE * 4 * len(photo) / 1e6 + 200
    assert ratio <= 2
