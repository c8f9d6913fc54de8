"""Who is slowed down, and who is not: wrong passwords count, right ones do not, and nobody is shut out by others."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from limits.errors import StorageError

from app import create_app
from app.auth import service, tries
from app.config import ConfigError, demo
from app.extensions import limiter, network
from tests.app.conftest import PASSWORD, Browser


@pytest.fixture
def limited(site):
    """The site with its limits on."""
    limiter.enabled = True
    limiter.reset()
    return site


class Somewhere(Browser):
    """A browser at another address."""

    def __init__(self, site, address):
        super().__init__(site)
        self.client.environ_base["REMOTE_ADDR"] = address


def _register(browser, name):
    data = {"email": f"{name}@example.org", "nickname": name, "password": PASSWORD, "again": PASSWORD}
    return browser.post("/register", data).status_code


def _guess(browser, times, email="user@example.org"):
    return [browser.log_in(email, f"guess number {n}").status_code for n in range(times)]


@pytest.mark.parametrize(
    ("address", "counts_for"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"), ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"), ("", ""),
    ],
)  # fmt: skip
def test_an_address_of_version_6_counts_for_its_network(site, address, counts_for):
    with site.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert network() == counts_for


def test_addresses_of_one_network_share_their_failures(limited):
    tried = [_guess(Somewhere(limited, f"2001:db8:1:2::{n}"), 1)[0] for n in range(12)]
    assert tried == [401] * 11 + [429]
    assert _guess(Somewhere(limited, "2001:db8:1:3::1"), 1) == [401]
    assert _guess(Somewhere(limited, "2001:db8:1:2::1"), 1, "admin@example.org") == [401]


def test_thirty_students_behind_one_address_register_and_log_in_within_a_minute(limited):
    started = time.monotonic()
    students = [Somewhere(limited, "198.51.100.1") for _ in range(30)]
    assert [_register(one, f"student{n}") for n, one in enumerate(students)] == [302] * 30
    for n, one in enumerate(students):
        assert one.log_in(f"student{n}@example.org", "mistyped once").status_code == 401
        assert one.log_in(f"student{n}@example.org").status_code == 302
    assert time.monotonic() - started < 60


def test_right_passwords_do_not_count(limited):
    assert [Browser(limited).log_in("user@example.org").status_code for _ in range(25)] == [302] * 25
    browser = Browser(limited)
    browser.log_in("user@example.org")
    for _ in range(25):
        assert browser.post("/profile/delete", {"password": ""}).status_code == 422
    assert browser.post("/profile/delete", {"password": PASSWORD}).status_code == 302


def test_a_device_that_has_logged_in_before_is_not_held_up_by_others(limited):
    owner = Somewhere(limited, "198.51.100.1")
    assert owner.log_in("user@example.org").status_code == 302
    owner.post("/logout")
    stranger = Somewhere(limited, "198.51.100.1")  # behind the same address, even
    assert _guess(stranger, 12)[-1] == 429
    assert stranger.log_in("user@example.org").status_code == 429
    assert owner.log_in("user@example.org").status_code == 302
    owner.post("/logout")
    assert _guess(owner, 12)[-1] == 429  # its own failures count: the cookie might be stolen


@pytest.mark.parametrize("stolen", ["made up", "of another account", "of another site"])
def test_no_cookie_but_ones_own_says_that_one_has_been_here(limited, tmp_path, stolen):
    other = Somewhere(limited, "198.51.100.2")
    other.log_in("admin@example.org")
    cookie = other.cookie("skyfed_demo_device")
    if stolen == "made up":
        cookie = "WyJhIiwgWyIxLTAiXV0.YQ.x"
    elif stolen == "of another site":
        elsewhere = create_app({**demo({"SKYFED_INSTANCE": str(tmp_path)}), "DEMO": False})
        with elsewhere.test_request_context():
            from app.auth import devices

            cookie = devices._signed().dumps(["a", ["1-0", "2-0", "3-0"]])
    stranger = Somewhere(limited, "198.51.100.1")
    _guess(stranger, 12)
    stranger.client.set_cookie("skyfed_demo_device", cookie)
    assert stranger.log_in("user@example.org").status_code == 429


def test_whoever_has_to_wait_is_told_how_long(limited):
    browser = Browser(limited)
    _guess(browser, 11)
    answer = browser.log_in("user@example.org")
    assert answer.status_code == 429 and 1 <= int(answer.headers["Retry-After"]) <= 5
    assert (
        f"Please wait {answer.headers['Retry-After']} seconds" in answer.text
        and "user@example.org" in answer.text
    )


@pytest.fixture
def clock(monkeypatch):
    """A time that only the test moves."""
    moment = [1e9]
    monkeypatch.setattr(time, "time", lambda: moment[0])
    return moment


SETTINGS = {"RATELIMIT_STORAGE_URI": "memory://", "WAIT": 5, "WAIT_MOST": 60}


def test_waits_double_up_to_the_longest_and_end(clock):
    kept, waits = tries.Tries(SETTINGS), []
    assert [kept.begin({"a": 3}) for _ in range(4)] == [0] * 4
    for _ in range(6):
        waits.append(kept.begin({"a": 3}))
        clock[0] += waits[-1]
        assert kept.begin({"a": 3}) == 0
    assert waits == [5, 10, 20, 40, 60, 60]
    assert kept.begin({"b": 3}) == 0
    clock[0] += tries.DAY
    assert [kept.begin({"a": 3}) for _ in range(4)] == [0] * 4


def test_many_tries_at_once_are_as_many(limited):
    kept = tries.Tries(SETTINGS)
    with ThreadPoolExecutor(24) as pool:
        begun = list(pool.map(lambda _: kept.begin({"a": 3}), range(24)))
    assert begun.count(0) == 4


def test_while_the_shared_store_is_away_this_process_counts(monkeypatch):
    kept = tries.Tries(SETTINGS)

    def away(*_, **__):
        raise StorageError(OSError())

    monkeypatch.setattr(kept._shared, "incr", away)
    assert [kept.begin({"a": 1}) for _ in range(3)] == [0, 0, 5]


def test_accounts_of_one_address_in_an_hour_are_limited_and_links_that_are_none_are(limited):
    limited.config["REGISTRATIONS"] = 3
    browser = Somewhere(limited, "2001:db8::1")
    assert [_register(browser, f"n{n}") for n in range(6)] == [302] * 4 + [429] * 2
    limited.config["TRIES_ADDRESS"] = 2
    assert [browser.get(f"/reset/{n}").status_code for n in range(5)] == [404] * 3 + [429] * 2
    with limited.test_request_context():
        secret = service.start_reset(service.find_user("user@example.org"))
        service.db.session.commit()
    assert [Somewhere(limited, "192.0.2.1").get(f"/reset/{secret}").status_code for _ in range(9)] == [
        200
    ] * 9


def test_a_session_that_guesses_the_password_is_slowed_down_and_the_owner_elsewhere_is_not(limited):
    thief, owner = Browser(limited), Browser(limited)
    thief.log_in("user@example.org")
    owner.log_in("user@example.org")
    tried = [thief.post("/profile/delete", {"password": f"guess {n}"}).status_code for n in range(12)]
    assert tried == [422] * 11 + [429]
    new = {"old": PASSWORD, "password": "a quite new password", "again": "a quite new password"}
    assert thief.post("/profile/password", new).status_code == 429
    assert owner.post("/profile/password", new).status_code == 302


def test_the_numbers_are_settings():
    assert (
        demo({"SKYFED_TRIES": "3", "SKYFED_WAIT_MOST": "7"}).items() >= {"TRIES": 3, "WAIT_MOST": 7}.items()
    )
    with pytest.raises(ConfigError, match="SKYFED_REGISTRATIONS"):
        demo({"SKYFED_REGISTRATIONS": "many"})
