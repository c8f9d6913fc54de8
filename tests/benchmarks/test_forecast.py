"""What a forecast costs beside what it cannot do without: decoding the photo, and one pass through the network.

make benchmark
"""

import http.client
import io
import statistics
import struct
import threading
import time
import uuid
import zlib
from collections import Counter

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
    """Status and answer; who is told to come back does."""
    while (answer := _post_once(port, photo))[0] == 503:
        time.sleep(0.2)
    return answer


def _post_once(port, photo):
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


HOSTILE, SECONDS = 16, 20


def _of_many_scans():
    """A progressive JPEG of a hundred megapixels whose last scan stands there 1,200 times, some 300 kB."""
    written = io.BytesIO()
    Image.new("L", (9984, 9984), 128).save(written, "JPEG", progressive=True)
    raw = written.getvalue()
    last, end = raw.rindex(b"\xff\xda"), raw.rindex(b"\xff\xd9")
    return raw[:end] + raw[last:end] * 1200 + raw[end:]


def _as_many_as_may_be():
    """The same with fifty megapixels and as many scans as are taken."""
    written = io.BytesIO()
    Image.new("L", (7000, 7000), 128).save(written, "JPEG", progressive=True)
    raw = written.getvalue()
    last, end = raw.rindex(b"\xff\xda"), raw.rindex(b"\xff\xd9")
    return raw[:end] + raw[last:end] * (100 - raw.count(b"\xff\xda")) + raw[end:]


def _deep():
    """A PNG of 49 megapixels with sixteen bits a channel and opacity."""
    width = height = 7000

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * 8 * width) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_hostile_uploads_do_not_stop_the_site(tmp_path):
    """/home's data while 16 hostile and 16 ordinary uploads are under way all the time, against what it takes alone.

    Who is told to come back does so after a second: work is bought here; floods are a matter for nginx.
    """
    hostile = (_of_many_scans(), _as_many_as_may_be(), _deep())
    photo, statuses = _photo(), Counter()
    paths = ("/api/v1/runs", "/api/v1/story", "/api/v1/runs/conf_f10/curves", "/api/v1/live")
    with served(tmp_path, ROOT / "cache", SKYFED_PHOTOS="100000", SKYFED_MEGAPIXELS="999999") as (port, pid):

        def times(seconds):
            connection, found, end = http.client.HTTPConnection("127.0.0.1", port, timeout=120), [], seconds
            end += time.monotonic()
            while time.monotonic() < end:
                for path in paths:
                    started = time.perf_counter()
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status == 200, (path, answer.status)
                    found.append(time.perf_counter() - started)
                time.sleep(0.02)
            return statistics.median(found), statistics.quantiles(found, n=20)[-1]

        assert _post(port, photo)[0] == 200
        times(3)  # everything is read by then
        idle, before = times(SECONDS), memory_of(pid)
        over, peaks = threading.Event(), []

        def upload(files, kind):
            while not over.is_set():
                for file in files:
                    status = _post_once(port, file)[0]
                    statuses[kind, status] += 1
                    over.wait(1.0 if status == 503 else 0.0)

        def watch():
            while not over.wait(0.1):
                peaks.append(memory_of(pid))

        threads = [threading.Thread(target=watch)]
        threads += [threading.Thread(target=upload, args=(hostile, "hostile")) for _ in range(HOSTILE)]
        threads += [threading.Thread(target=upload, args=([photo], "ordinary")) for _ in range(HOSTILE)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        busy = times(SECONDS)
        over.set()
        for thread in threads:
            thread.join()
        assert _post(port, photo)[0] == 200
    told = ", ".join(f"{kind} {status}: {count}" for (kind, status), count in sorted(statuses.items()))
    print(
        f"\n/home's data beside {HOSTILE} hostile and {HOSTILE} ordinary uploads: median {busy[0] / idle[0]:.1f} times "
        f"what it is alone ({1000 * busy[0]:.1f} against {1000 * idle[0]:.1f} ms), 95th percentile "
        f"{busy[1] / idle[1]:.1f} times; memory {before:.0f} MB, at most {max(peaks):.0f} MB; {told}"
    )
    assert statuses["ordinary", 200] and not {status for _, status in statuses} - {200, 413, 503}
    assert (
        max(peaks) < before + 2 * 1000 + 5 * 64 * 4
    )  # two children, and a third of the threads with an upload each
    assert busy[0] <= 5 * idle[0] and busy[1] <= 50 * idle[1]
