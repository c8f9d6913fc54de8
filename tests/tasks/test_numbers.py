"""Tasks that foretell a number: trained, scored, compared, drawn and shown like those that tell classes apart."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

import i0down_training_resource
import i2main
import i3experiment_drawing
from app import create_app
from app.cli import prepare_database
from app.config import demo
from tests.here import Here
from utils.comparison import FIGURES, OF_NUMBERS, Answers, answers, compare, estimated
from utils.conf import ConfError, make_conf
from utils.data.houses import COLUMNS, FILE, KEPT, table
from utils.data.scaling import agree
from utils.experiment import run_repeat
from utils.federated.bench import Bench, Repeat
from utils.nets.build import build
from utils.results import ResultError, read_result, values

CONF = {
    "type": "diabetes", "no_models": 5, "global_epochs": 6, "local_epochs": 2, "k": 5, "batch_size": 16, "lr": 0.03,
    "momentum": 0.9,
}  # fmt: skip
FIRST = Repeat(0, 0, 0)


def _opened(tmp_path, **changes):
    conf = make_conf({**CONF, **changes}, "test")
    return conf, conf.task.module.open_examples(conf, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the results conf_d (sound) and conf_w (hardly trained) of the same folds and seeds."""
    folder = tmp_path_factory.mktemp("numbers")
    for name, changes in (("conf_d", {}), ("conf_w", {"lr": 1e-6})):
        (folder / f"{name}.json").write_text(json.dumps({**CONF, **changes}))
    confs = [part for name in ("conf_d", "conf_w") for part in ("-c", str(folder / f"{name}.json"))]
    common = [
        "--data",
        str(folder),
        "--cache",
        str(folder / "cache"),
        "--quiet",
        "--folds",
        "3",
        "--seeds",
        "2",
    ]
    assert i2main.main([*confs, *common]) == 0
    return folder


def test_its_scores_are_those_of_scikit_learn(trained):
    result = read_result(trained / "cache" / "conf_d.json.pkl")
    assert result["classes"] is None and result["unit"] == "points" and "acc" not in result
    for record in result["repeats"]:
        truth, said = record["test"]["truth"], record["test"]["said"]
        assert values(record, "rmse")[-1] == pytest.approx(mean_squared_error(truth, said) ** 0.5)
        assert values(record, "mae")[-1] == pytest.approx(mean_absolute_error(truth, said))
        assert values(record, "r2")[-1] == pytest.approx(r2_score(truth, said))
    given = answers(result)
    truth = np.tile(given.truth, (2, 1, 1))
    said = truth + given.outcome
    for figure, expected in (
        ("rmse", mean_squared_error(truth.ravel(), said.ravel()) ** 0.5),
        ("mae", mean_absolute_error(truth.ravel(), said.ravel())),
        ("r2", r2_score(truth.ravel(), said.ravel())),
    ):
        found = estimated(given, figure)
        assert found.value == pytest.approx(expected) and found.low < expected < found.high


def test_its_interval_holds_what_resampling_scenes_gives():
    rng = np.random.default_rng(0)
    truth = 1e6 + rng.normal(size=300)  # what a careless sum of squares loses
    outcome = rng.normal(0, 0.5, size=(1, 1, 300))
    given = Answers(tuple(f"{i:03}" for i in range(300)), np.arange(300), truth, outcome)
    draws = rng.integers(300, size=(4000, 300))
    errors, drawn = outcome[0, 0][draws], truth[draws]
    r2 = 1 - (errors**2).sum(1) / ((drawn - drawn.mean(1, keepdims=True)) ** 2).sum(1)
    found = estimated(given, "r2", 4000)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(r2, [0.025, 0.975])), abs=0.02)
    three = Answers(given.ids[:3], np.arange(3), np.array([10.1, 20.2, 30.7]), outcome[:, :, :3])
    assert estimated(three, "r2").low > -1e6  # of resamples that draw one scene only, rounding is no spread
    flat = Answers(given.ids, given.scenes, np.full(300, 7.0), outcome)
    assert estimated(flat, "r2", 50).value == 0 and set(OF_NUMBERS) < set(FIGURES)


def test_runs_are_compared_by_their_rmse_and_less_is_better(trained):
    results = {name: read_result(trained / "cache" / f"{name}.json.pkl") for name in ("conf_w", "conf_d")}
    (one,) = compare(results)
    assert one.figure == "rmse" and one.difference.value > 0 and one.p_holm < 0.05
    assert one.sentence == "conf_d is better than conf_w"
    (other,) = compare(results, pairs=[("conf_d", "conf_w")])
    ends = [(of.value, of.low, of.high) for of in (other.difference, one.difference.turned)]
    assert np.allclose(*ends, rtol=1e-12) and other.sentence == one.sentence


def test_owners_agree_on_the_scale_of_what_is_foretold_as_well(tmp_path):
    conf, examples = _opened(tmp_path, partition="quantity")
    bench, net = Bench(conf, FIRST, examples, Here()), build(conf, 0)
    agree(net, bench._ask_all)
    assert bench.asked() == (5 * 11 * 8, 5 * (12 + 11) * 8)
    mine = examples.targets[np.concatenate(bench.shares.clients)]
    assert net.target_mean.item() == pytest.approx(mine.mean(), rel=1e-6)
    assert net.target_spread.item() == pytest.approx(mine.std(), rel=1e-6)
    inputs = torch.from_numpy(np.array(examples.inputs[:4]))
    scaled = net.net((inputs - net.mean) / net.spread)
    assert torch.equal(net(inputs), scaled * net.target_spread + net.target_mean)


def test_owners_may_differ_in_their_numbers_and_how_far_is_told_in_their_unit(tmp_path):
    degrees = {}
    for how in ("equal", "shards"):
        conf, examples = _opened(tmp_path, partition=how, global_epochs=1)
        record = run_repeat(conf, FIRST, examples, Here()).record
        degrees[how] = record["degree"]
        assert record["owners"][0]["counts"] == [] and record["clients"][0]["rmse"] > 0
    assert set(degrees["equal"]) == {"wasserstein", "gini"}
    assert degrees["shards"]["wasserstein"] > 2 * degrees["equal"]["wasserstein"] > 0
    with pytest.raises(ConfError, match=r"^test: type: diabetes does not go with partition dirichlet$"):
        make_conf({**CONF, "partition": "dirichlet"}, "test")


def test_early_stopping_goes_by_the_rmse_of_validation_examples(tmp_path):
    conf, examples = _opened(tmp_path, lr=0.3, global_epochs=40, early_stop=2)
    line = values(run_repeat(conf, FIRST, examples, Here()).record, "validation_rmse")
    assert len(line) < 40 and len(line) - 1 - int(np.argmin(line)) == 2


def test_figures_and_cards_tell_of_numbers(trained, capsys):
    out = trained / "figures"
    assert i3experiment_drawing.main(["--cache", str(trained / "cache"), "--out", str(out)]) == 0
    assert (
        (out / "final.csv")
        .read_text()
        .splitlines()[0]
        .startswith("run,repeats,examples,rmse,rmse_low,rmse_high,mae")
    )
    assert (out / "foretold.csv").read_text().splitlines()[0] == "run,seed,rotation,id,truth,said"
    assert (out / "foretold.html").is_file() and ",rmse," in (out / "comparisons.csv").read_text()
    card = (trained / "cache" / "conf_d.json.md").read_text()
    assert "| | examples | RMSE | mean absolute error | R² |" in card and "points (Wasserstein-1)" in card


def test_the_site_shows_them(trained, tmp_path):
    folders = {"INSTANCE": tmp_path, "CACHE": trained / "cache", "DATA": tmp_path}
    settings = demo({f"SKYFED_{name}": str(folder) for name, folder in folders.items()})
    site = create_app({**settings, "DEMO": False, "TESTING": True, "RATELIMIT_ENABLED": False})
    prepare_database(site)
    client = site.test_client()
    runs = {one["name"]: one for one in client.get("/api/v1/runs").json["runs"]}
    sound = runs["conf_d"]
    assert sound["unit"] == "points" and sound["rmse_low"] < sound["rmse"] < sound["rmse_high"]
    assert sound["classes"] == [] and "accuracy" not in sound and 0 < sound["r2"] < 1
    details = client.get("/api/v1/runs/conf_d").json
    assert (
        len(details["foretold"]) == sound["examples"] and details["confusion"] == details["misjudged"] == []
    )
    off = [abs(one["said"] - one["truth"]) for one in details["foretold"]]
    assert off == sorted(off, reverse=True) and details["by_source"][0]["rmse"] == pytest.approx(
        sound["rmse"]
    )
    series = {one["name"]: one["unit"] for one in client.get("/api/v1/runs/conf_d/curves").json["series"]}
    assert series["rmse"] == series["validation_rmse"] == "points" and series["r2"] == ""
    told = client.get("/api/v1/comparison?a=conf_d&b=conf_w").json["comparison"]
    assert told["figure"] == "rmse" and told["verdict"] == "better" and told["difference"] < 0
    page = client.get("/runs/conf_d").text
    assert "RMSE" in page and "points" in page
    assert "RMSE" in client.get("/home").text


def _houses(kind):
    rng = np.random.default_rng(1)
    rows = [[*np.round(rng.random(13) * 10, 3), price] for price in np.round(rng.random(40) * 45 + 5, 1)]
    for row in rows:
        row[-1] = round(5 + 4 * row[5], 1)
    if kind == "counted":
        head = [
            '40,13,"","","","","","","","","","","",""',
            ",".join(f'"{name.upper()}"' for name in COLUMNS),
        ]
        return "\n".join([*head, *(",".join(map(str, row)) for row in rows)])
    if kind == "gaps":
        lines = [",".join(map(str, row)) for row in rows] + ["NA" + ",1" * 13, "1,1,,1,1,1,1,1,1,1,1,1,1,1"]
        return "\r\n".join([",".join(COLUMNS), *lines]) + "\r\n"
    if kind == "plain":
        return "\n".join("  ".join(map(str, row)) for row in rows) + "\n"
    prose = [
        " The Boston house-price data of 1978.",
        "",
        " Variables in order:",
        " CRIM     per capita crime rate by town",
    ]
    broken = [" ".join(map(str, part)) for row in rows for part in (row[:11], row[11:])]
    return "\n".join([*prose, *broken]) + "\n"


@pytest.mark.parametrize("kind", ["counted", "gaps", "plain", "broken"])
def test_house_prices_are_read_in_every_form_they_go_about_in_and_laid_without_column_b(
    tmp_path, kind, capsys
):
    given = tmp_path / "boston.txt"
    given.write_text(_houses(kind))
    assert i0down_training_resource.main(["house", str(given), "--data", str(tmp_path / "data")]) == 0
    out = capsys.readouterr().out
    assert "40" in out and "column B" in out
    laid = (tmp_path / "data" / "house_prices" / FILE).read_text().splitlines()
    assert laid[0].split(",") == list(KEPT) and len(laid) == 41 and "b" not in KEPT
    (tmp_path / "conf_h.json").write_text(
        json.dumps({**CONF, "type": "house_prices", "data": "house_prices"})
    )
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_h.json"), *common]) == 0
    result = read_result(tmp_path / "cache" / "conf_h.json.pkl")
    assert result["unit"] == "1,000 $" and values(result["repeats"][0], "r2")[-1] > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("crim,zn\n1,2\n", "no row of 14 numbers"),
        (",".join(KEPT[1:]) + "\n", "no column crim"),
        (",".join(COLUMNS) + "\n1,2\n", "line 2 has 2 columns, expected 14"),
        (",".join(COLUMNS) + "\n" + "1," * 13 + "much\n", "line 2 has 'much' for a number"),
        ("1 " * 14 + "\n" + "1 " * 9 + "\n", "line 2 makes a row of 9 numbers, expected 14"),
        ("1 " * 11 + "\n", "the last row has 11 numbers, expected 14"),
        ("\x00", "no row of 14 numbers"),
        ("a," + "x" * 200_000, "not a table"),
        (",".join(COLUMNS) + "\n" + "1," * 13 + "1e300\n", "line 2 has '1e300' for a number"),
    ],
)
def test_what_is_no_table_of_houses_is_one_line_and_nothing_is_written(tmp_path, capsys, text, says):
    given = tmp_path / "boston.csv"
    given.write_text(text)
    assert i0down_training_resource.main(["house", str(given), "--data", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list(tmp_path.glob("data/house_prices/*.csv"))


def test_a_file_that_is_none_is_one_line(tmp_path, capsys):
    for given in (tmp_path / "absent.csv", tmp_path):
        assert i0down_training_resource.main(["house", str(given), "--data", str(tmp_path / "data")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert table(_houses("plain").encode(), "x").shape == (40, 13)


def test_what_training_makes_beyond_all_numbers_is_one_line(tmp_path, capsys):
    (tmp_path / "conf_d.json").write_text(json.dumps({**CONF, "lr": 50.0}))
    common = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_d.json"), *common]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ResultError):
        read_result(tmp_path / "cache" / "conf_d.json.pkl")
