"""From the site's form to the curve: three owners' machines, a server, and the same training on this machine, which
has to come out the same to the last bit.
"""

import shutil

import pytest

from tests.flower_soak.world import SKIES, World, here
from tests.tasks.test_heart import SIZES, _lines
from utils.data.hospitals import HOSPITALS

HEART = {
    "type": "heart", "data": "heart", "no_models": 3, "k": 3, "global_epochs": 3, "local_epochs": 2, "batch_size": 16,
    "lr": 0.1, "momentum": 0.0, "partition": "source", "train_on": ["cleveland", "hungarian", "va"],
    "judge_on": ["switzerland"],
}  # fmt: skip
WEATHER = {
    "model_name": "resnet18", "type": "weather", "data": "skies", "no_models": 3, "k": 3, "global_epochs": 3,
    "local_epochs": 1, "batch_size": 8, "lr": 0.02, "momentum": 0.9, "lambda": 1.0, "image_size": 32, "width": 4,
    "norm": "group", "partition": "source", "train_on": list(SKIES[:3]), "judge_on": ["west"],
}  # fmt: skip
OF_PLACE = {"seconds", "training_seconds", "virtual_seconds"}
ONLY_HERE = {"validation_accuracy", "validation_loss"}
"""What nodes keep."""
OF_CLIENTS = {"client_accuracy", "client_accuracy_spread", "client_accuracy_worst"}
"""Of their own test sets, which are here in the set that is judged."""


def is_the_same(there, ours):
    """Compare result and model of nodes with those of this machine."""
    (result, model), (other, its_model) = there, ours
    assert set(model) == set(its_model)
    assert all(
        (model[name] == its_model[name]).all() and model[name].dtype == its_model[name].dtype
        for name in model
    )
    mine, its = ({one["name"]: one["values"] for one in of["repeats"][0]["series"]} for of in (result, other))
    told = set(its) - OF_PLACE - ONLY_HERE - OF_CLIENTS
    assert {"accuracy", "loss", "bytes_up", "bytes_down"} <= told
    for name in told:
        assert mine[name] == its[name], name
    assert result["repeats"][0]["test"] == other["repeats"][0]["test"]
    assert not result["repeats"][0]["failures"]


def told(world, result):
    """Print what it cost."""
    trained = [one for one in world.rounds() if one["verb"] == "train"]
    series = {one["name"]: one["values"] for one in result["repeats"][0]["series"]}
    print(
        f"\nserver {world.figures['server']:.0f} s, three nodes {world.figures['nodes']:.0f} s until online"
    )
    print("seconds of messages:", [one["seconds"] for one in trained])
    print("series seconds:", series.get("seconds"), "training:", series.get("training_seconds"))


@pytest.fixture
def hospitals(place):
    """Three hospitals with their own tables, and a server with that of the fourth."""
    every = place / "tables" / "heart"
    every.mkdir(parents=True)
    data = {}
    for name in HOSPITALS:
        (every / f"{name}.csv").write_text(_lines(name, SIZES[name]))
        whose = "server" if name == "switzerland" else name
        own = place / "of" / whose / "heart"
        own.mkdir(parents=True)
        shutil.copy(every / f"{name}.csv", own)
        data[whose] = own.parent
    folder = place / "hospitals"
    folder.mkdir()
    world = World(folder, "heart", data)
    yield world, every.parent
    world.close()


def test_hospitals(hospitals, place):
    world, every = hospitals
    result, model = world.whole(world.submit(HEART))
    told(world, result)
    assert result["machine"]["nodes"] == world.owners
    is_the_same((result, model), here(place, HEART, every))
    for name in world.owners:
        sent = [one for one in world.ledger(name) if one["event"] == "sent" and one["what"] == "update"]
        assert [one["round"] for one in sent] == [0, 1, 2]
        assert [one["failure"] for one in world.node(name)["rounds"]] == [""] * len(
            world.node(name)["rounds"]
        )


def test_skies(sky, drawn, place):
    result, model = sky.whole(sky.submit(WEATHER))
    told(sky, result)
    is_the_same((result, model), here(place, WEATHER, drawn[0]))
