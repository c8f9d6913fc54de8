"""A photo's class is read from whole words of its path."""

from pathlib import PurePosixPath

import pytest

from utils.photos.cleaning import Refused
from utils.photos.labels import label_of


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("shine12.jpg", "sunny"),
        ("SUNNY-1.JPG", "sunny"),
        ("a clear day.png", "sunny"),
        ("cloudy1.jpg", "cloudy"),
        ("cloud_7.jpg", "cloudy"),
        ("overcast.tif", "cloudy"),
        ("sunny/IMG_1.jpg", "sunny"),
        ("2019/Cloudy days/sunshine.jpg", "cloudy"),
        ("sunny/clear/shine3.jpg", "sunny"),
        ("cloudy/sunnyvale.jpg", "cloudy"),
    ],
)
def test_whole_words_name_the_class(path: str, label: str) -> None:
    assert label_of(PurePosixPath(path)) == label


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("IMG_1.jpg", "no class in its name"),
        ("sunshine.jpg", "no class in its name"),
        ("cloudless.jpg", "no class in its name"),
        ("rain12.jpg", "no class in its name"),
        ("sunrise1.jpg", "no class in its name"),
        ("IMG_1.sunny", "no class in its name"),
        ("sunny_cloudy3.jpg", "two classes in one name"),
        ("sunny/cloudy/3.jpg", "two classes in one name"),
        ("partly cloudy, then clear/3.jpg", "two classes in one name"),
        ("sunny/cloudy3.jpg", "file and folder disagree"),
    ],
)
def test_a_path_that_does_not_settle_it_is_refused(path: str, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        label_of(PurePosixPath(path))
    assert refusal.value.reason == reason
