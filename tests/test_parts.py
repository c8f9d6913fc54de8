"""Parts: a file in a family's folder is all it takes; what it declares is checked, told, trained and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import tokenize

import numpy as np
import pytest

from tests.conftest import ROOT, TINY
from tests.here import Here
from utils import parts
from utils.conf import ConfError, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, State
from utils.federated.update import Reply
from utils.results import ResultError, append, read_result, values

DROPPED = '''"""Averaging with a drag towards where the model was before the last round."""

from dataclasses import dataclass

import numpy as np

from utils.federated.strategies import fedavg
from utils.parts import key

ABOUT = ("averaging that lingers", "迟滞平均")
NEEDS = {"lambda": (1.0,)}
REFUSES = {"partition": ("shards",)}


@dataclass(frozen=True)
class Keys:
    drag: float = key("share of the model before", zh="此前模型的比例", default=0.25, low=0.0, high=1.0)


class Strategy(fedavg.Strategy):
    def __init__(self, conf):
        super().__init__(conf)
        self._drag, self._before = conf.strategy.keys.drag, None

    def finish(self):
        mean = self.mean()
        before = mean if self._before is None else self._before
        self._before = self._old.astype(np.float64)
        return ((1 - self._drag) * mean + self._drag * before).astype(np.float32)

    def series(self):
        return {"lag": (float(np.abs(self._before).mean()), "", "none")}

    def state(self):
        return {} if self._before is None else {"before": self._before}

    def restore(self, state):
        self._before = state.get("before")
'''


@pytest.fixture
def own_parts(tmp_path):
    """A folder of one's own parts with a strategy in it, and the environment in which it is found."""
    file = tmp_path / "own" / "strategy" / "lingering.py"
    file.parent.mkdir(parents=True)
    file.write_text(DROPPED)
    return {**os.environ, "OMP_NUM_THREADS": "1", parts.EXTRA: str(tmp_path / "own")}


def _refusal(**changes):
    with pytest.raises(ConfError) as error:
        make_conf({**TINY, **changes}, "x.json")
    assert "\n" not in str(error.value) and str(error.value).startswith("x.json: ")
    return str(error.value).removeprefix("x.json: ")


def test_a_part_is_named_alone_or_with_keys():
    bare, whole = (
        make_conf({**TINY, "strategy": "fedavgm"}, "x"),
        make_conf({**TINY, "strategy": {"name": "fedavgm", "momentum": 0.9}}, "x"),
    )
    assert bare == whole and hash(bare) == hash(whole) and bare.strategy.keys.momentum == 0.9
    assert bare.as_json()["strategy"] == {"name": "fedavgm", "momentum": 0.9}
    assert make_conf(json.loads(json.dumps(bare.as_json())), "y") == bare


def test_a_conf_of_flat_keys_serialises_as_it_always_did():
    told = make_conf(TINY, "x").as_json()
    assert told["strategy"] == "fedavg"
    assert not {"rounds", "selection", "local", "attack", "link"} & set(told)
    assert make_conf({**TINY, "selection": "uniform", "link": [], "attack": None}, "x").as_json() == told


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "fedsgd"}, f"strategy: expected one of {', '.join(parts.names('strategy'))}, found"),
        ({"strategy": 3}, "strategy: expected a name, or an object with a name and keys, found a number"),
        ({"strategy": {}}, "strategy: expected a name, or an object with a name and keys, found an object"),
        (
            {"strategy": {"name": "fedavgm", "momentum": 1.0}},
            "strategy.momentum: expected a value in [0.0, 1.0)",
        ),
        ({"strategy": {"name": "fedavgm", "lr": 1.0}}, 'unknown key "strategy.lr"'),
        ({"strategy": {"name": "fedavg", "momentum": 0.5}}, 'unknown key "strategy.momentum"'),
        ({"link": "topk"}, "link: expected a list of names"),
        ({"link": ["zip"]}, f"link: expected one of {', '.join(parts.names('link'))}, found"),
        ({"attack": "kindness"}, f"attack: expected one of {', '.join(parts.names('attack'))}, found"),
        (
            {"type": "cats", "min_crop": 1},
            "type: expected one of breast_cancer, diabetes, dialogue, digits, heart, house_prices, iris, malware, "
            "mnist, weather",
        ),
    ],
)
def test_what_no_part_can_be_is_refused_in_one_line(changes, says):
    assert says in _refusal(**changes)


def test_a_key_of_another_task_or_network_is_refused_and_named(tmp_path):
    task = tmp_path / "task" / "numbers.py"
    task.parent.mkdir()
    task.write_text(
        "from dataclasses import dataclass\nfrom utils.parts import key\nfrom utils.tasks.weather import *\n"
        "ABOUT, CLASSES, NETWORK = ('numbers', 'x'), ('a', 'b'), 'resnet'\n"
        "def input_shape(conf): return (3, 32, 32) if conf.task.keys.noise < 0.9 else 1 / 0\n"
        "@dataclass(frozen=True)\nclass Keys:\n    noise: float = key('x', zh='x', default=0.0, low=0.0, high=1.0)\n"
    )
    code = (
        "import json\nfrom utils.conf import ConfError, make_conf\n"
        f"tiny = {TINY!r}\n"
        "flat = {k: v for k, v in tiny.items() if k != 'image_size'}\n"
        "print(json.dumps(make_conf({**flat, 'type': 'numbers', 'noise': 0.5}, 'x').as_json()['noise']))\n"
        "for type_, wrong in (('numbers', 'noise'), ('numbers', 'image_size'), ('weather', 'noise')):\n"
        "    try: make_conf({**flat, 'type': type_, wrong: 1}, 'x')\n"
        "    except ConfError as error: print(error)\n"
    )
    done = _python(["-c", code], {**os.environ, parts.EXTRA: str(tmp_path)})
    assert done.stdout.splitlines() == [
        "0.5",
        "x: type: the part numbers cannot be used (ZeroDivisionError: division by zero)",
        "x: image_size: a key of weather, which this conf does not use",
        "x: noise: a key of numbers, which this conf does not use",
    ]


def _python(arguments, environment, status=0):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_a_strategy_dropped_into_a_folder_trains_and_resumes_to_the_bit(own_parts, tmp_path, data):
    conf = tmp_path / "conf_own.json"
    strategy = {"name": "lingering", "drag": 0.5}
    conf.write_text(json.dumps({**TINY, "global_epochs": 5, "local_epochs": 8, "strategy": strategy}))
    arguments = ["-c", conf, "--data", data, "--workers", "2", "--quiet"]
    _python(["i2main.py", *arguments, "--out", tmp_path / "whole"], own_parts)
    process = subprocess.Popen(
        [sys.executable, "i2main.py", *map(str, arguments), "--out", str(tmp_path / "killed")],
        cwd=ROOT, env=own_parts, start_new_session=True,
    )  # fmt: skip
    checkpoint = tmp_path / "killed" / ".unfinished" / "conf_own" / "fold0-seed0-rotation0.npz"
    while not checkpoint.exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with np.load(checkpoint) as packed:
        assert {"round", "record", "order", "vector/weights", "vector/strategy/before"} == set(packed.files)
        assert 1 <= int(packed["round"]) < 5
    _python(["i2main.py", *arguments, "--out", tmp_path / "killed", "--resume"], own_parts)
    models = [(tmp_path / run / "conf_own.json.safetensors").read_bytes() for run in ("whole", "killed")]
    assert models[0] == models[1]
    results = [read_result(tmp_path / run / "conf_own.json.pkl") for run in ("whole", "killed")]
    lags = [values(result["repeats"][0], "lag") for result in results]
    assert len(lags[0]) == 5 and lags[0] == lags[1], "a series of its own"
    assert results[0]["acc"] == results[1]["acc"] and results[0]["conf"]["strategy"] == strategy
    conf.write_text(json.dumps({**TINY, "global_epochs": 5, "local_epochs": 8}))
    _python(["i2main.py", *arguments, "--out", tmp_path / "plain"], own_parts)
    assert (tmp_path / "plain" / "conf_own.json.safetensors").read_bytes() != models[0]


def test_what_a_dropped_part_declares_is_held_and_stands_in_form_and_catalogue(own_parts, tmp_path):
    code = (
        "import json\nfrom app import create_app\nfrom app.config import demo\n"
        "from utils.conf import ConfError, make_conf\n"
        "from app.language import messages, texts\n"
        "from app.confs.api import _key\nfrom utils.conf import all_keys\n"
        f"tiny = {TINY!r}\n"
        "for changes in ({'lambda': 0.5}, {'partition': 'shards'}, {'strategy': {'name': 'lingering', 'drag': 2}}):\n"
        "    try: make_conf({**tiny, 'strategy': 'lingering', **changes}, 'x')\n"
        "    except ConfError as error: print(error)\n"
        "strategy = [_key(one.field) for one in all_keys() if one.name == 'strategy'][0]\n"
        "print([part['keys'][0]['key'] for part in strategy['parts'] if part['name'] == 'lingering'])\n"
        "print(messages('zh')['share of the model before'], messages('zh')['averaging that lingers'])\n"
        "print('averaging that lingers' in texts())\n"
        "from utils.readme import parts_table\nprint('`lingering`' in parts_table())\n"
    )
    assert _python(["-c", code], own_parts).stdout.splitlines() == [
        "x: strategy: lingering needs lambda 1, found 0.5",
        "x: strategy: lingering does not go with partition shards",
        "x: strategy.drag: expected a value in [0.0, 1.0], found 2.0",
        "['drag']",
        "此前模型的比例 迟滞平均",
        "False",  # it brings its own Chinese, so the catalogue need not have it
        "True",
    ]


BROKEN_PARTS = {
    "no Python": "def Strategy(:",
    "an import that is not there": "import nowhere_to_be_found",
    "no word of what it is": "class Strategy: pass",
    "a key without limits": "from dataclasses import dataclass\nfrom utils.parts import key\nABOUT = ('x', 'x')\n"
    "@dataclass(frozen=True)\nclass Keys:\n    a: float = key('x', default=1.0)\n",
    "an exit": "raise SystemExit(3)",
    "one text only": "ABOUT = 'hello'\nclass Strategy: pass",
    "no class": "ABOUT = ('it is', 'x')",
    "keys that are none": "ABOUT = ('it is', 'x')\nclass Strategy: pass\nclass Keys: pass",
    "a key called name": "from dataclasses import dataclass\nfrom utils.parts import key\nABOUT = ('it is', 'x')\n"
    "class Strategy: pass\n@dataclass(frozen=True)\nclass Keys:\n    name: str = key('x', default='')\n",
    "needs that are none": "ABOUT = ('it is', 'x')\nclass Strategy: pass\nNEEDS = {'k': 5}",
    "needs of no key": "ABOUT = ('it is', 'x')\nclass Strategy: pass\nNEEDS = {'nokey': (5,)}",
    "a key that is none": "from dataclasses import dataclass\nABOUT = ('x', 'x')\n"
    "@dataclass(frozen=True)\nclass Keys:\n    a: int = 3\n",
}


def test_a_broken_part_is_one_line_and_takes_nothing_down(own_parts, tmp_path):
    for number, text in enumerate(BROKEN_PARTS.values()):
        (tmp_path / "own" / "strategy" / f"broken{number}.py").write_text(text)
    code = (
        "import logging\nfrom utils import parts\nfrom utils.conf import ConfError, all_keys, make_conf\n"
        "from app.confs.api import _key\n"
        f"tiny = {TINY!r}\n"
        f"for number in range({len(BROKEN_PARTS)}):\n"
        "    try: make_conf({**tiny, 'strategy': f'broken{number}'}, 'x.json')\n"
        "    except ConfError as error: print(error)\n"
        "logging.disable()\n"
        "told = [_key(one.field) for one in all_keys() if one.name == 'strategy'][0]\n"
        "print([part['name'] for part in told['parts']])\n"
        "from utils.readme import parts_table\nassert 'lingering' in parts_table()\n"
    )
    *refused, listed = _python(["-c", code], own_parts).stdout.splitlines()
    assert len(refused) == len(BROKEN_PARTS)
    for number, line in enumerate(refused):
        assert line.startswith(f"x.json: strategy: the part broken{number} cannot be used ("), line
    last = len(BROKEN_PARTS) - 2  # "needs of no key" is known only where a conf names it
    assert listed == str(sorted([f"broken{last}", "lingering", *parts.names("strategy")]))


def test_a_part_whose_package_is_missing_is_told_and_read_but_not_trained(own_parts, tmp_path):
    file = tmp_path / "own" / "strategy" / "lingering.py"
    needing = (
        "\nPACKAGES = ('numpy', 'nowhere_to_be_found')\ndef fits(conf, where): import nowhere_to_be_found\n"
    )
    file.write_text(DROPPED + needing)
    conf = tmp_path / "conf_own.json"
    conf.write_text(json.dumps({**TINY, "strategy": "lingering"}))
    done = _python(["i2main.py", "-c", conf, "--cache", tmp_path], own_parts, status=2)
    assert done.stderr == (
        f"{conf}: strategy: lingering needs nowhere_to_be_found, which is not installed; {parts.INSTALL} installs it\n"
    )
    told = _python(["i2main.py", "--keys"], own_parts).stdout
    assert "(needs `numpy`, `nowhere_to_be_found` of `requirements-bench.txt`)" in told
    assert f"strategy lingering needs nowhere_to_be_found\nInstall with: {parts.INSTALL}" in told
    code = (
        "from app.confs.api import _key\nfrom utils.conf import all_keys, make_conf\n"
        f"print(make_conf({{**{TINY!r}, 'strategy': 'lingering'}}, 'x').as_json()['strategy'])\n"
        "told = [_key(one.field) for one in all_keys() if one.name == 'strategy'][0]['parts']\n"
        "print({one['name']: one['install'] for one in told if one['name'] in ('fedavg', 'lingering')})\n"
    )
    assert _python(["-c", code], own_parts).stdout.splitlines() == [
        "{'name': 'lingering', 'drag': 0.25}",
        str({"fedavg": "", "lingering": parts.INSTALL}),
    ]


@pytest.mark.parametrize("kind", ["no folder", "a name that is taken"])
def test_a_folder_of_ones_own_that_would_be_ignored_is_told(tmp_path, kind, script, monkeypatch):
    monkeypatch.setenv(parts.EXTRA, str(tmp_path / "own"))
    if kind != "no folder":
        (tmp_path / "own" / "strategy").mkdir(parents=True)
        (tmp_path / "own" / "strategy" / "fedavg.py").write_text(DROPPED)
    for arguments in (("i2main.py", "--keys"), ("i4wsgi.py", "--demo")):
        done = script(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert str(tmp_path / "own") in done.stderr


FAULTS = {
    "raises at once": ("def __init__(self, conf): raise ValueError('not today')", "ValueError: not today"),
    "raises later": ("def finish(self): return {}['x']", "KeyError: 'x'"),
    "double precision": ("def finish(self): return self.mean()", "made weights of float64"),
    "too short": ("def finish(self): return super().finish()[:9]", "of shape (9,), expected float32"),
    "a series of every run": ("def series(self): return {'loss': (1.0, '', 'none')}", "calls a series loss"),
    "a series sideways": (
        "def series(self): return {'drift': (1.0, '', 'sideways')}",
        "'drift': expected better",
    ),
    "a series now and then": (
        "seen = 0\n    def series(self):\n        self.seen += 1\n"
        "        return {'drift': (1.0, '', 'none')} if self.seen == 1 else {}",
        "its series drift in every round",
    ),
}


def test_parts_that_fail_in_training_fail_their_runs_in_one_line_and_no_other(tmp_path, data):
    folder = tmp_path / "own" / "strategy"
    folder.mkdir(parents=True)
    arguments = []
    for number, (code, _) in enumerate([*FAULTS.values(), ("pass", "")]):
        (folder / f"faulty{number}.py").write_text(
            "from utils.federated.strategies import fedavg\nABOUT = ('it may fail', 'x')\n"
            f"class Strategy(fedavg.Strategy):\n    {code}\n"
        )
        conf = tmp_path / f"conf_{number}.json"
        conf.write_text(json.dumps({**TINY, "global_epochs": 2, "strategy": f"faulty{number}"}))
        arguments += ["-c", conf]
    arguments += ["--data", data, "--quiet", "--workers", "1", "--out", tmp_path / "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", parts.EXTRA: str(tmp_path / "own")}
    told = _python(["i2main.py", *arguments], environment, status=1).stderr.splitlines()
    assert len(told) == len(FAULTS), told
    for number, (kind, (_, says)) in enumerate(FAULTS.items()):
        (line,) = [one for one in told if one.startswith(f"conf_{number}: ")]
        assert says in line, (kind, line)
    assert [path.name for path in (tmp_path / "out").glob("*.pkl")] == [f"conf_{len(FAULTS)}.json.pkl"]


def test_every_part_says_what_it_is_in_both_languages_and_imports_no_torch():
    every = [(family, name) for family in parts.FAMILIES for name in parts.names(family)]
    assert {family for family, _ in every} >= {"task", "network", "strategy", "rounds", "selection", "local"}
    from app.language import messages

    known = messages("zh")
    for family, name in every:
        module = parts.load(family, name)
        assert all(module.ABOUT) and any(ord(letter) > 0x2E80 for letter in module.ABOUT[1]), name
        for field in parts.declared(family, name):
            assert field.metadata["doc"] and (field.metadata["zh"] or known.get(field.metadata["doc"])), (
                field.name
            )
    code = (
        "import sys\nfrom utils import parts\n"
        "for family in parts.FAMILIES:\n"
        "    for name in parts.names(family):\n"
        "        if family != 'rounds': parts.load(family, name)\n"
        "assert not {'torch', 'torchvision', 'pandas'} & set(sys.modules), 'imported too much'\n"
    )
    _python(["-c", code], dict(os.environ))


def test_the_round_loop_names_no_part_and_no_task_and_fits_on_a_screen():
    path = ROOT / "utils" / "experiment.py"
    text = path.read_text()
    for family in parts.FAMILIES:
        for name in parts.names(family):
            assert not re.search(rf"\b{name}\b", text, re.IGNORECASE), name
    loop = text[text.index("def run_repeat(") : text.index("\n\n\ndef train_only")]
    assert len(loop.splitlines()) <= 45


WORDS = re.compile(r"sunny|cloudy|photo", re.IGNORECASE)
ITS_OWN = (  # where the weather may be spoken of: its own files, the forecast, the table that keeps forecasts
    "utils/photos/", "utils/forecast/", "utils/tasks/weather.py", "utils/studies/weather/", "app/forecast/",
    "app/models.py", "app/migrations/",
)  # fmt: skip
_SPOKEN = re.compile(r"""\bt\(\s*("([^"\\]|\\.)*"|'([^'\\]|\\.)*')""")


def test_only_the_weathers_own_files_speak_of_sunny_cloudy_and_photos():
    """Names, keys and comments; texts to translate may say what the site is about."""
    found = []
    for folder in ("utils", "app"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(ITS_OWN) or "node_modules" in place:
                continue
            with tokenize.open(path) as file:
                before = ""
                for token in tokenize.generate_tokens(file.readline):
                    text = token.type == tokenize.STRING and before.endswith(("_(", "_l("))
                    imported = token.line.strip().startswith("from utils.photos")  # its room has that name
                    if WORDS.search(token.string) and not text and not imported:
                        found.append(f"{place}:{token.start[0]}: {token.string[:60]}")
                    before = (before + token.string)[-4:]
    assert found == []


def test_the_same_holds_for_the_front_end():
    source = ROOT / "app" / "static" / "vue" / "src"
    its_own = re.compile(r"device/|forecast\.ts|components/(Forecast|HeatPhoto|MisjudgedPhotos)")
    found = []
    for path in sorted([*source.rglob("*.vue"), *source.rglob("*.ts")]):
        place = path.relative_to(source).as_posix()
        if not its_own.search(place):
            told = _SPOKEN.sub("", path.read_text(encoding="utf-8"))
            found += [
                f"{place}: {line.strip()}"
                for line in told.splitlines()
                if re.search("sunny|cloudy|photo", line, re.I) and "MisjudgedPhotos" not in line
            ]
    assert [one for one in found if "photos_seen" not in one] == []  # the name an axis had in old links


def test_an_update_of_the_wrong_length_is_a_failure_of_its_client_alone(tiny, photos):
    class Short(Here):
        def train(self, work, jobs, buffers):
            for reply in super().train(work, jobs, buffers):
                yield (
                    Reply(1, reply.payload[:400], reply.samples, reply.metrics)
                    if reply.client == 1
                    else reply
                )

    state = run_repeat(tiny(global_epochs=1), Repeat(0, 0, 0), photos, Short())
    assert state.record["failures"] == [[0, 1, f"an update of 100 values, expected {len(state.weights)}"]]


def test_a_state_gives_each_part_what_it_remembers():
    state = State({"weights": np.zeros(2), "strategy/velocity": np.ones(2), "selection/scores": np.ones(3)})
    assert list(state.of("strategy")) == ["velocity"] and len(state.of("selection")["scores"]) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200])
def test_a_series_that_no_result_could_hold_ends_the_run_in_its_round(value):
    with pytest.raises(ResultError, match="the series lag came to"):
        append({"series": []}, "lag", value)


def test_keys_and_parts_are_told_on_the_command_line(script):
    done = script("i2main.py", "--keys")
    assert done.returncode == 0 and "| `momentum` |" in done.stdout and "`fedavgm`" in done.stdout
