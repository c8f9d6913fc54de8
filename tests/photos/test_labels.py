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
        ("clouds/IMG_1.jpg", "cloudy"),
        ("晴天/1.jpg", "sunny"),
        ("2020 多云/图1.jpg", "cloudy"),
        ("阴天3.png", "cloudy"),
        ("cloudy no 5.jpg", "cloudy"),
        ("nothing/cloudy1.jpg", "cloudy"),
        ("ｓｕｎｎｙ１.jpg", "sunny"),
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
        ("cloudy, then clear/3.jpg", "two classes in one name"),
        ("sunny/cloudy3.jpg", "file and folder disagree"),
        ("not_cloudy/1.jpg", "a class denied"),
        ("Not very cloudy/1.jpg", "a class denied"),
        ("no clouds/1.jpg", "a class denied"),
        ("isn't sunny 4.jpg", "a class denied"),
        ("non-cloudy/1.jpg", "a class denied"),
        ("partly cloudy/1.jpg", "a class denied"),
        ("不晴/1.jpg", "a class denied"),
        ("晴转多云/1.jpg", "two classes in one name"),
        ("云/1.jpg", "no class in its name"),
        ("晴/阴1.jpg", "file and folder disagree"),
    ],
)
def test_a_path_that_does_not_settle_it_is_refused(path: str, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        label_of(PurePosixPath(path))
    assert refusal.value.reason == reason
