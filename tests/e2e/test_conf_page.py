"""A researcher puts a conf together in a real browser, and the file trains."""

import json
import random
import re

from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.drawn_confs import WRONG
from tests.e2e.conftest import violations
from utils.conf import ConfError, load_conf, make_conf, parse_conf
from utils.results import read_result, result_path, write_result

expect.set_options(timeout=60_000)


_COOKIES = []  # of the session's one log-in: ten of an account in ten minutes are all the site allows


def _researcher(page):
    if _COOKIES:
        page.context.add_cookies(_COOKIES)
        page.goto("/home")
        expect(page.locator("[data-forget]")).to_be_attached()
        return
    page.goto("/login")
    page.get_by_label("E-mail").fill("greatabel1@126.com")
    page.get_by_label("Password", exact=True).fill("abel")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/home")
    _COOKIES.extend(page.context.cookies())


def test_a_conf_is_changed_previewed_refused_and_taken_along(page_of, tmp_path):
    page = page_of()
    _researcher(page)
    page.goto("/runs/conf_f10")
    page.get_by_role("link", name="Start a new conf from it").click()
    expect(page.locator("#key-no_models")).to_have_value("10")
    page.locator("#key-lr").fill("0.025")
    page.locator("#key-partition").select_option("dirichlet")
    page.get_by_label("Name", exact=True).fill("my skew")
    expect(page.locator("pre").last).to_contain_text("-c conf_my_skew.json")
    expect(page.get_by_role("heading", name="What it leads to")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download conf_my_skew.json").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    conf = load_conf(path)
    assert (conf.lr, conf.partition, conf.no_models, conf.owners) == (0.025, "dirichlet", 10, 10)
    assert "alpha" not in json.loads(path.read_text())  # what is as usual needs no word


def test_a_part_of_ones_own_is_chosen_with_its_keys(page_of, tmp_path):
    page = page_of()
    _researcher(page)
    page.goto("/confs/new")
    expect(page.locator("#key-strategy")).to_have_value("fedavg")
    page.locator("#key-strategy").select_option("lingering")
    expect(page.locator("#key-strategy option:checked")).to_have_text("lingering – averaging that lingers")
    drag = page.get_by_label("drag")
    expect(drag).to_have_value("0.25")
    drag.fill("0.5")
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Download")).click()
    path = tmp_path / "conf_mine.json"
    download.value.save_as(path)
    assert json.loads(path.read_text())["strategy"] == {"name": "lingering", "drag": 0.5}


def test_a_part_that_does_not_fit_is_refused_while_one_types(chromium, address):
    context = chromium.new_context(base_url=address, locale="en-US")  # the browser logs the refusal itself
    page = context.new_page()
    _researcher(page)
    page.goto("/confs/new")
    page.locator("#key-strategy").select_option("fedavgm")
    page.get_by_label("momentum").last.fill("1")
    expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"strategy\.momentum: expected a value in \[0.0, 1.0\)")
    )
    page.locator("#key-strategy").select_option("lingering")
    page.locator("#key-lambda").fill("0.5")
    expect(page.get_by_role("alert")).to_have_text(re.compile("lingering needs lambda 1, found 0.5"))
    page.locator("#key-strategy").select_option("fedavg")
    expect(page.get_by_role("alert")).to_have_count(0)
    context.close()


def test_an_attack_is_put_and_a_strategy_that_stands_it_and_both_are_taken_away(open_page):
    page = open_page(**PHONE)  # the browser logs the refusals itself
    _researcher(page)
    page.goto("/confs/new?from=conf_digits_f10")
    said = page.locator("pre").first
    expect(page.get_by_role("heading", name="How clients learn together")).to_be_visible()
    expect(page.locator("#key-attack option:checked")).to_have_text("none")
    page.locator("#key-attack").select_option("sign_flip")
    page.get_by_label("hostile").fill("3")
    expect(said).to_contain_text('"attack": {"name": "sign_flip", "hostile": 3}')
    page.locator("#key-strategy").select_option("multikrum")
    expect(
        page.get_by_text("the mean of the updates that lie nearest to their neighbours").last
    ).to_be_visible()
    page.locator("[id='key-strategy.multikrum.f']").fill("4")
    refusal = page.get_by_role("alert")
    expect(refusal).to_have_text("strategy: multikrum needs k at least 11, found 10")
    expect(refusal).to_be_in_viewport()
    page.locator("[id='key-strategy.multikrum.f']").fill("3")
    expect(refusal).to_have_count(0)
    page.locator("#key-local").select_option("scaffold")
    expect(refusal).to_have_text("local: scaffold needs momentum 0, found 0.9")
    page.locator("#key-attack").select_option("alie")
    page.locator("#key-local").select_option("ditto")
    expect(refusal).to_have_text("attack: alie does not go with local ditto")
    page.locator("#key-local").select_option("sgd")
    page.locator("[id='key-rounds.synchronous.drop_out']").fill("0.2")
    expect(refusal).to_have_count(0)
    conf = json.loads(said.inner_text())
    assert (conf["strategy"], conf["attack"]) == ({"name": "multikrum", "f": 3}, "alie")
    assert conf["rounds"] == {"name": "synchronous", "drop_out": 0.2} and "local" not in conf
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    assert violations(page) == []
    page.locator("#key-attack").select_option("")
    page.locator("#key-strategy").select_option("fedavg")
    page.locator("[id='key-rounds.synchronous.drop_out']").fill("0")
    expect(said).not_to_contain_text(re.compile("attack|strategy|rounds"))


def test_a_conf_that_cannot_be_is_refused_while_one_types(chromium, address):
    context = chromium.new_context(base_url=address, locale="en-US")  # the browser logs the refusal itself
    page = context.new_page()
    _researcher(page)
    page.goto("/confs/new")
    page.locator("#key-k").fill("11")
    expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"k: expected at most no_models \(10\), found 11")
    )
    expect(page.get_by_role("button", name=re.compile("Download"))).to_be_disabled()
    page.locator("#key-k").fill("10")
    expect(page.get_by_role("alert")).to_have_count(0)
    context.close()


def test_what_is_typed_is_refused_as_a_file_that_says_it_is(open_page):
    page = open_page()  # the browser logs the refusals itself
    _researcher(page)
    page.goto("/confs/new?from=conf_f10")
    expect(page.locator(".conf-outcome .card-plain h2").first).to_be_visible()
    rng, seen = random.Random(5), set()
    broken = [
        value if isinstance(value, str) else json.dumps(value) for value in WRONG if value not in (None, "")
    ]
    fields = page.locator("input[type=text], input:not([type]), textarea").and_(page.locator("[id^=key-]"))
    names = fields.evaluate_all("all => all.map(one => one.id.slice('key-'.length))")
    names = [name for name in names if "." not in name]  # those of parts stand within their part
    assert len(names) > 20
    for name in rng.sample(names, 9):
        field = page.locator(f"#key-{name}")
        before = field.input_value()
        for what in rng.sample(broken, 2):
            field.fill(what)
            said = json.loads(page.locator("pre").first.inner_text())
            found = said.get(name, what)
            assert what in (found, json.dumps(found)), "the file says what was typed"
            try:
                parse_conf(json.dumps(said).encode(), "")
            except ConfError as error:
                expect(page.get_by_role("alert")).to_have_text(str(error))
                seen.add(error.said.values.get("key"))
            else:
                expect(page.get_by_role("alert")).to_have_count(0)
        field.fill(before)
        expect(page.get_by_role("alert")).to_have_count(0)
    assert len(seen) >= 5, seen


def test_a_network_is_chosen_changed_and_seen_layer_by_layer(open_page):
    page = open_page(**PHONE)  # the browser logs the refusals itself
    _researcher(page)
    page.goto("/confs/new?from=conf_digits_f10")
    rows, field = page.locator(".network-table tbody tr"), page.locator("#key-network")
    expect(rows).to_have_text([
        re.compile(said) for said in
        (r"input.*1 × 8 × 8", r"conv2d.*16, padding 1, relu.*16 × 8 × 8.*160", "conv2d.*4,640", "pooling max",
         "flatten.*512", "dense.*32,832", "output.*650")
    ])  # fmt: skip
    expect(page.locator(".network-total")).to_contain_text("38,282")
    expect(field).to_have_value("")
    page.get_by_label("Which network").select_option("mlp")
    expect(field).to_have_value("mlp")
    expect(rows).to_have_count(5)
    expect(page.locator("pre").first).to_contain_text('"network": "mlp"')
    page.get_by_role("button", name="Edit its layers").click()
    layers = json.loads(field.input_value())["layers"]
    assert layers[1] == {"dense": 128, "activation": "relu"}
    field.fill(json.dumps({"layers": [{"conv2d": 4}, {"dense": 3}]}))
    refusal = "network.layers[1]: dense takes numbers in one row (flatten makes one), found 4 x 6 x 6"
    expect(page.get_by_role("alert")).to_have_text(refusal)
    expect(rows).to_have_text([re.compile("input"), re.compile("4 × 6 × 6"), refusal])
    field.fill('{"layers": [\n  {"flatten": true},\n  {"dense": 3,}\n]}')
    expect(page.get_by_role("alert")).to_have_text("Not valid JSON: line 3, column 15.")
    expect(page.get_by_role("button", name="Start the training")).to_be_disabled()
    assert violations(page) == []
    field.fill('{"layers": [\n  {"flatten": true},\n  {"dense": 3}\n]}')
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(rows).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]


def test_the_network_of_a_run_is_a_picture_with_both_ways_of_a_residual(page_of, cache):
    result = read_result(result_path(cache, "conf_digits_f10"))
    network = {"layers": [{"conv2d": 4}, {"residual": [{"conv2d": 4, "padding": 1}]}, {"flatten": True}]}
    conf = make_conf({**result["conf"], "network": network}, "x").as_json()
    write_result(result_path(cache, "conf_drawn_net"), {**result, "name": "conf_drawn_net", "conf": conf})
    for settings in ({}, PHONE):
        page = page_of(color_scheme="dark", **settings)
        page.goto("/runs/conf_drawn_net")
        picture = page.get_by_role("figure").filter(has_text="residual")
        expect(picture.locator(".net-forked .net-way").first).to_contain_text("conv2d 4, padding 1")
        expect(picture.locator(".net-forked")).to_contain_text("shortcut: as it came")
        expect(picture.locator(".net-forked + li")).to_contain_text("flatten")
        expect(picture.locator("> ol > li").last).to_contain_text(re.compile("output.*10.*1,450 parameters"))
        assert violations(page) == []
        assert picture.evaluate("one => one.scrollWidth <= one.clientWidth")
    result_path(cache, "conf_drawn_net").unlink()


def test_another_task_is_chosen_with_its_set_and_its_network_and_trains(page_of):
    page = page_of()
    _researcher(page)
    page.goto("/confs/new?from=conf_f10")
    expect(page.locator("#key-no_models")).to_have_value("10")
    page.locator("#key-type").select_option("digits")
    expect(page.locator("#key-data")).to_have_value("digits")
    expect(page.locator("#key-model_name")).to_have_count(0)
    outcome = page.locator(".conf-outcome table").first
    expect(outcome.get_by_role("columnheader", name="7", exact=True)).to_be_visible()
    for key, value in (("global_epochs", 3), ("local_epochs", 1)):
        page.locator(f"#key-{key}").fill(str(value))
    page.get_by_label("Name", exact=True).fill("some digits")
    page.get_by_label("Folds").fill("1")
    page.get_by_label("Seeds").fill("1")
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    expect(page.locator(".state")).to_have_text("done")
    job = page.url
    page.get_by_role("link", name="The run", exact=True).click()
    expect(page.get_by_role("columnheader", name="said 7")).to_be_visible()
    expect(page.get_by_role("heading", name="How far its probabilities hold")).to_have_count(0)
    expect(page.get_by_role("rowheader", name="network", exact=True)).to_be_visible()
    page.goto(job)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete with all its files").click()
    expect(page.get_by_text("This training is deleted.")).to_be_visible()


def test_links_are_added_ordered_and_taken_out(open_page):
    page = open_page(**PHONE)
    _researcher(page)
    page.goto("/confs/new?from=conf_digits_f10")
    link, file = page.locator("#key-link"), page.locator(".citation").first
    link.select_option("topk")
    page.get_by_label("share").fill("0.05")
    expect(file).to_contain_text('{"name": "topk", "share": 0.05}')
    link.select_option("local_dp")
    expect(page.get_by_role("alert")).to_have_text(
        "link: topk gives updates a form of its own, so it can only be the last"
    )
    assert violations(page) == []
    page.get_by_role("button", name="Earlier: local_dp").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".part-list strong")).to_have_text(["local_dp", "topk"])
    expect(page.get_by_label("share")).to_have_value("0.05")
    page.get_by_role("button", name="Take out local_dp").click()
    expect(file).to_contain_text('{"name": "topk", "share": 0.05}')
    page.get_by_role("button", name="Take out topk").click()
    expect(file).not_to_contain_text("link")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
