"""Local training and judging on a client."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from utils.federated import client
from utils.federated.update import JudgeJob, TrainJob
from utils.nets.layout import read_weights
from utils.nets.resnet import build
from utils.photos.transforms import for_judging

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _job(conf, photos, indices, **changes):
    fields = {
        "conf": conf, "seed": 0, "round": 0, "client": 0, "lr": conf.lr, "weights": read_weights(build(conf, 0)),
        "store": str(photos.path), "photos": np.array(indices), "labels": photos.labels[indices], **changes,
    }  # fmt: skip
    return TrainJob(**fields)


def test_training_is_plain_sgd_over_shuffled_batches(tiny, photos):
    conf = tiny(augment="none", local_epochs=2, batch_size=8, weight_decay=0.01)
    indices = list(range(20))
    job = _job(conf, photos, indices)
    update = client.train(job, CPU)

    net = build(conf, 0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=conf.lr, momentum=0.9, weight_decay=0.01)
    rng = np.random.default_rng([client.CLIENT_STREAM, 0, 0, 0])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for _ in range(2):
        for batch in np.array_split(rng.permutation(20), 3):
            pictures = torch.from_numpy(photos.pixels[np.array(indices)[batch]].copy()).float() / 255
            pictures = F.interpolate(pictures, size=(32, 32), mode="bilinear", antialias=True)
            inputs = (pictures - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
            loss = F.cross_entropy(
                net(inputs.to(memory_format=torch.channels_last)), torch.from_numpy(photos.labels[batch])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert np.allclose(update.weights, read_weights(net), atol=1e-6)
    assert update.samples == 20 and update.metrics["steps"] == 6


def test_the_result_depends_on_seed_round_and_client_only(tiny, photos):
    conf = tiny()
    first = client.train(_job(conf, photos, range(12)), CPU)
    client.train(_job(conf, photos, range(12, 30), seed=5), CPU)
    assert np.array_equal(first.weights, client.train(_job(conf, photos, range(12)), CPU).weights)
    for change in ({"seed": 1}, {"round": 1}, {"client": 1}):
        assert not np.array_equal(
            first.weights, client.train(_job(conf, photos, range(12), **change), CPU).weights
        )


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("count", [1, 9])
def test_batches_of_one_are_handled(tiny, photos, norm, count):
    conf = tiny(norm=norm, batch_size=1 if count == 9 else 8, image_size=32)
    update = client.train(_job(conf, photos, range(count)), CPU)
    assert np.isfinite(update.weights).all()


def test_no_batch_is_a_lone_remainder(tiny, photos):
    update = client.train(_job(tiny(batch_size=8), photos, range(17)), CPU)
    assert update.metrics["steps"] == math.ceil(17 / 8)


def test_a_diverging_client_fails_instead_of_sending_nan(tiny, photos):
    conf = tiny(local_epochs=5)
    with pytest.raises(FloatingPointError, match="not finite"):
        client.train(_job(conf, photos, range(12), lr=1e20), CPU)


def test_judging_is_deterministic_and_grey_takes_the_colour_out(tiny, photos):
    conf = tiny()
    weights = read_weights(build(conf, 3))
    job = JudgeJob(conf, weights, str(photos.path), np.arange(20))
    assert np.array_equal(client.judge(job, CPU), client.judge(job, CPU))
    grey = client.judge(JudgeJob(conf, weights, str(photos.path), np.arange(20), grey=True), CPU)
    assert grey.shape == (20, 2) and not np.allclose(grey, client.judge(job, CPU))


def test_a_photo_and_its_mirror_image_are_judged_alike(tiny, photos, tmp_path):
    np.save(tmp_path / "mirrored.npy", photos.pixels[:, :, :, ::-1])
    weights = read_weights(build(tiny(), 3))
    first, second = (
        client.judge(JudgeJob(tiny(), weights, store, np.arange(20)), CPU)
        for store in (str(photos.path), str(tmp_path / "mirrored.npy"))
    )
    assert np.allclose(first, second, atol=1e-5)


def test_with_five_crops_the_mean_of_five_answers_counts(tiny, photos):
    conf = tiny(judging="five_crop")
    weights = read_weights(build(conf, 3))
    found = client.judge(JudgeJob(conf, weights, str(photos.path), np.arange(4)), CPU)
    net = build(conf, 3).eval()
    inputs = for_judging(photos.pixels[:4].copy(), 48)
    crops = [inputs[..., :32, :32], inputs[..., :32, 16:].flip(-1), inputs[..., 16:, :32].flip(-1)]
    crops += [inputs[..., 16:, 16:], inputs[..., 8:40, 8:40]]
    with torch.inference_mode():
        expected = sum(net(crop) for crop in crops) / 5
    assert np.allclose(found, expected.numpy(), atol=1e-5)
    assert not np.allclose(
        found, client.judge(JudgeJob(tiny(), weights, str(photos.path), np.arange(4)), CPU), atol=1e-3
    )
