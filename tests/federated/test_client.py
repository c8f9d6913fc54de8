"""Local training and judging on a client."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.here import judged, trained
from utils.federated import client
from utils.federated.client import vector
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.photos.transforms import for_judging


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _train(conf, photos, indices, **changes):
    return trained(conf, photos, indices, read_weights(build(conf, 0)), **changes)


def test_training_is_plain_sgd_over_shuffled_batches(tiny, photos):
    conf = tiny(augment="none", local_epochs=2, batch_size=8, weight_decay=0.01)
    indices = list(range(20))
    update = _train(conf, photos, indices)

    net = build(conf, 0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=conf.lr, momentum=0.9, weight_decay=0.01)
    rng = np.random.default_rng([client.CLIENT_STREAM, 0, 0, 0])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for _ in range(2):
        for batch in np.array_split(rng.permutation(20), 3):
            pictures = torch.from_numpy(photos.inputs[np.array(indices)[batch]].copy()).float() / 255
            pictures = F.interpolate(pictures, size=(32, 32), mode="bilinear", antialias=True)
            inputs = (pictures - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
            loss = F.cross_entropy(
                net(inputs.to(memory_format=torch.channels_last)), torch.from_numpy(photos.targets[batch])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert np.allclose(vector(update.payload), read_weights(net), atol=1e-6)
    assert update.samples == 20 and update.metrics["steps"] == 6


def test_the_result_depends_on_seed_round_and_client_only(tiny, photos):
    conf = tiny()
    first = _train(conf, photos, range(12))
    _train(conf, photos, range(12, 30), seed=5)
    assert first.payload == _train(conf, photos, range(12)).payload
    for change in ({"seed": 1}, {"round": 1}, {"number": 1}):
        assert first.payload != _train(conf, photos, range(12), **change).payload


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("count", [1, 9])
def test_batches_of_one_are_handled(tiny, photos, norm, count):
    conf = tiny(norm=norm, batch_size=1 if count == 9 else 8, image_size=32)
    update = _train(conf, photos, range(count))
    assert np.isfinite(vector(update.payload)).all()


def test_no_batch_is_a_lone_remainder(tiny, photos):
    update = _train(tiny(batch_size=8), photos, range(17))
    assert update.metrics["steps"] == math.ceil(17 / 8)


def test_a_diverging_client_fails_instead_of_sending_nan(tiny, photos):
    conf = tiny(local_epochs=5)
    with pytest.raises(FloatingPointError, match="not finite"):
        _train(conf, photos, range(12), lr=1e20)


def test_judging_is_deterministic(tiny, photos):
    conf = tiny()
    weights = read_weights(build(conf, 3))
    plain = judged(conf, photos, np.arange(20), weights)
    assert np.array_equal(plain, judged(conf, photos, np.arange(20), weights))


def test_a_photo_and_its_mirror_image_are_judged_alike(tiny, photos, tmp_path):
    np.save(tmp_path / "mirrored.npy", photos.inputs[:, :, :, ::-1])
    weights = read_weights(build(tiny(), 3))
    first, second = (
        judged(tiny(), photos, np.arange(20), weights, store=store)
        for store in (photos.store, tmp_path / "mirrored.npy")
    )
    assert np.allclose(first, second, atol=1e-5)


def test_with_five_crops_the_mean_of_five_answers_counts(tiny, photos):
    conf = tiny(judging="five_crop")
    weights = read_weights(build(conf, 3))
    found = judged(conf, photos, np.arange(4), weights)
    net = build(conf, 3).eval()
    inputs = for_judging(photos.inputs[:4].copy(), 48)
    crops = [inputs[..., :32, :32], inputs[..., :32, 16:].flip(-1), inputs[..., 16:, :32].flip(-1)]
    crops += [inputs[..., 16:, 16:], inputs[..., 8:40, 8:40]]
    with torch.inference_mode():
        expected = sum(net(crop) for crop in crops) / 5
    assert np.allclose(found, expected.numpy(), atol=1e-5)
    assert not np.allclose(found, judged(tiny(), photos, np.arange(4), weights), atol=1e-3)
