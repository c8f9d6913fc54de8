"""With Flower itself: set up, served, a node registered, connected over the proxy, revoked. Skipped where it is not
installed (make flower).
"""

import json
import time

import pytest
import safetensors.numpy

import i2main
from app.flower import proxy, registry
from app.flower.setup import DEFAULT_BIN
from tests.flower.fakes import alive, free_port
from tests.flower.real import Federation
from tests.participant.fake_site import INVITE, FakeSite
from tests.tasks.test_heart import SIZES, _lines
from tests.test_nodes import AT_NODES, CONF
from tests.test_supervision import until
from utils.data.hospitals import HOSPITALS
from utils.engines.flower_home import FlowerError, JoinedNode
from utils.results import read_result

pytestmark = [
    pytest.mark.skipif(not (DEFAULT_BIN / "flwr").exists(), reason="no Flower on this machine (make flower)"),
    pytest.mark.skipif(proxy.nginx() is None, reason="no nginx on this machine"),
]


@pytest.fixture
def site():
    made = FakeSite()
    yield made
    made.close()


@pytest.fixture
def federation(home, tmp_path):
    """Makes one, which ends in the end."""
    made = []

    def make(*given):
        made.append(Federation(tmp_path, *given))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_node_connects_over_the_proxy_until_it_is_revoked(run, home, start, site, tmp_path, public):
    port = free_port()
    assert run("setup", "--public", public, "--port", port)[0] == 0
    served, told = start("app.flower", "serve")
    until(lambda: (home.folder / "online.json").exists(), 60)
    status, out, _ = run("doctor", "--site", site.url)
    assert (status, "nothing is wrong" in out) == (0, True), out

    site.public, site.ca = public, (home.folder / "ca.crt").read_text()
    (tmp_path / "data").mkdir()
    joined, said = start(
        "utils.participant", "node", "join", site.url, f"--invite={INVITE}", "--name", "school", "--type", "heart",
        "--data", tmp_path / "data", "--accept", "1", "--anyway", "--home", tmp_path / "owner",
    )  # fmt: skip
    assert joined.wait(timeout=60) == 0, said.read_text()
    key = site.joins[0]["public_key"]
    number = registry.register(home, key)
    assert registry.register(home, key) == number
    link, said = start("utils.participant", "node", "link", "--home", tmp_path / "owner")
    until(lambda: "waiting until" in said.read_text(), 30)
    site.state = "joined"
    home.write_joined([JoinedNode("school", number, key, "")])
    proxy.allow(home)
    until(lambda: f"node: connected, as number {number}" in said.read_text(), 60)
    until(lambda: isinstance(home.online().get(number), float), 60)
    assert abs(home.online()[number] - time.time()) < 60

    home.write_joined([])
    proxy.allow(home)
    registry.unregister(home, number)
    until(lambda: "lets this node's key through no more" in said.read_text(), 30)
    with pytest.raises(FlowerError, match="join again with a new key"):
        registry.register(home, key)
    until(lambda: number not in home.online(), 60)
    site.state = "left"
    pids = [
        int(line.rpartition(" ")[2]) for line in told.read_text().splitlines() if "started, process" in line
    ]
    served.terminate()
    assert served.wait(timeout=30) == 130 and not any(map(alive, pids))
    assert "Traceback" not in told.read_text() + said.read_text()
    link.terminate()
    assert link.wait(timeout=30) == 130


def test_three_hospitals_on_loopback_train_as_they_do_here(home, federation, tmp_path, capsys):
    tables = tmp_path / "data" / "heart"
    tables.mkdir(parents=True)
    for hospital in HOSPITALS:
        (tables / f"{hospital}.csv").write_text(_lines(hospital, SIZES[hospital]))
    sets = {}
    for name in AT_NODES:
        own = tmp_path / name / "data" / "heart"
        own.mkdir(parents=True)
        (own / f"{name}.csv").write_bytes((tables / f"{name}.csv").read_bytes())
        sets[name] = own.parent
    told = federation("heart", sets, ["--set", "heart"]).said
    conf = tmp_path / "conf_h.json"
    conf.write_text(json.dumps({**CONF, "global_epochs": 2}))
    common = ["-c", str(conf), "--data", str(tmp_path / "data"), "--quiet", "--workers", "1", "--cache"]
    assert i2main.main([*common, str(tmp_path / "here")]) == 0
    assert i2main.main([*common, str(tmp_path / "there"), "--engine", "flower"]) == 0, capsys.readouterr().err
    here, there = (
        safetensors.numpy.load_file(tmp_path / at / "conf_h.json.safetensors") for at in ("here", "there")
    )
    assert all((here[name] == there[name]).all() for name in here)
    result = read_result(tmp_path / "there" / "conf_h.json.pkl")
    assert not result["repeats"][0]["failures"] and result["machine"]["nodes"] == list(AT_NODES)
    assert {one["verb"] for one in home.rounds(100)} == {"describe", "ask", "train"}
    assert not any("Traceback" in said.read_text() for said in told)
