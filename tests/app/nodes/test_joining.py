"""Nodes join by a code and an admin's word, are turned away or leave; Flower and its proxy follow."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.auth import service as people
from app.extensions import db
from app.models import ApiToken, AuditEntry, Node, NodeInvite, hash_secret, now
from tests.app.conftest import PASSWORD
from tests.app.nodes.made import KEYS
from utils.engines.flower_home import Outcome


def _states(ask):
    return {one["name"]: one["state"] for one in ask("GET", role="admin")["nodes"]}


def test_a_node_joins_from_the_code_to_its_first_round(ask, join, flower, told, site):
    terms = ask("GET", "/terms")
    assert terms["public"] == "nodes.example.org:9443" and terms["version"] == "1.42.0"
    assert terms["consent"]["version"] == 1 and "stay on your machine" in terms["consent"]["text"]
    answer = join(about="three rooms\nupstairs")
    assert answer["state"] == "waiting" and told.calls == []
    me = ask("GET", "/me", token=answer["token"])
    assert (me["name"], me["state"], me["node_id"], me["rounds"]) == ("school", "waiting", "", [])
    assert me["public"] == "nodes.example.org:9443" and "CERTIFICATE" in me["ca"] and me["consent"] == 1
    [node] = ask("GET", role="admin")["nodes"]
    assert node["owner"] == "User" and node["about"] == "three rooms upstairs" and node["released"]
    approved = ask("POST", f"/{node['id']}/approve", role="admin")
    assert approved["trouble"] == "" and approved["node"]["state"] == "joined"
    assert told.calls == [("register", KEYS[0]), ("allow", ["school"])]
    [one] = flower.joined()
    assert (one.name, one.node_id, one.public_key, one.owner) == ("school", "101", KEYS[0], "User")
    flower.write_online(time.time(), {"101": 1_800_000_000.0})
    flower.note(Outcome(time.time(), "school", "conf_a", 3, "train", 2.5, 1000, 900))
    flower.note(Outcome(time.time(), "other", "conf_a", 3, "train", 2.5, 1000, 900))
    flower.note(Outcome(time.time(), "school", "conf_a", 4, "train", 9.0, 1000, 0, "did not answer in time"))
    me = ask("GET", "/me", token=answer["token"])
    assert (me["state"], me["node_id"]) == ("joined", "101")
    assert [(line["round"], line["failure"]) for line in me["rounds"]] == [
        (3, ""),
        (4, "did not answer in time"),
    ]
    [node] = ask("GET", role="user")["nodes"]
    assert node["mine"] and node["online"] and node["online_since"].startswith("2027-01-15T08:00:00")
    assert node["tells"] == {"counts": True, "judges": False} and len(node["fingerprint"]) == 64
    assert node["rounds"] == me["rounds"]
    with site.app_context():
        actions = db.session.scalars(select(AuditEntry.action)).all()
    assert [one for one in actions if "node" in one] == [
        "node invited",
        "node asked to join",
        "node approved",
    ]


def test_a_code_is_for_one_node_and_its_answer_may_be_lost(ask, join, flower, site):
    code = ask("POST", "/invites", role="admin", owner="", days=1)["code"]
    first = join(invite=code)["token"]
    second = join(invite=code.lower().replace("-", " "))["token"]  # the same once more, however it is typed
    ask("GET", "/me", 401, token=first)
    assert ask("GET", "/me", token=second)["name"] == "school"
    assert "cannot be used" in join("other", 1, 403, invite=code)["error"]["message"]
    [node] = ask("GET", role="admin")["nodes"]
    assert node["mine"]  # nobody else was named
    ask("POST", f"/{node['id']}/approve", role="admin")
    join(invite=code, status=403)  # what has joined asks no more
    with site.app_context():
        db.session.scalars(select(NodeInvite)).one().expires = now() - timedelta(seconds=1)
        db.session.commit()
    join("other", 1, 403, invite=code)
    join(invite="ABCD", status=403)


def test_codes_are_listed_for_admins_without_the_code_and_can_be_taken_back(ask, join, flower):
    code = ask("POST", "/invites", role="admin", owner="USER@example.org", days=7)["code"]
    [one] = ask("GET", role="admin")["invites"]
    assert one["owner"] == "User" and code not in str(one)
    assert ask("GET", role="researcher")["invites"] == []
    ask("DELETE", f"/invites/{one['id']}", role="admin")
    assert ask("GET", role="admin")["invites"] == []
    join(invite=code, status=403)
    ask("DELETE", f"/invites/{one['id']}", 404, role="admin")
    said = ask("POST", "/invites", 422, role="admin", owner="nobody@example.org")
    assert "no account" in said["error"]["message"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"name": "School"}, 422, "name"), ({"name": "a" * 41}, 422, "name"), ({"name": "-a"}, 422, "name"),
        ({"name": "../a"}, 422, "name"), ({"name": "a\n"}, 422, "name"), ({"consent": 2}, 409, "version 1"),
        ({"consent": True}, 422, "consent"), ({"public_key": "ssh-rsa AAAA"}, 409, "public_key"),
        ({"version": "<b>"}, 422, "version"), ({"tells": {"counts": True}}, 422, "judges"),
        ({"tells": {"counts": 1, "judges": "yes"}}, 422, "tells"), ({"about": "x" * 201}, 422, "about"),
        ({"state": "joined"}, 422, "state"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_kept(
    ask, join, flower, change, status, message
):
    said = join(status=status, **change)["error"]["message"]
    assert message in said and "\n" not in said
    assert _states(ask) == {}
    assert len(ask("GET", role="admin")["invites"]) == 1  # the code can still be used


def test_names_and_keys_are_taken_once(ask, join, flower):
    join()
    assert "already" in join("school", 1, 409)["error"]["message"]
    assert "already" in join("other", 0, 409)["error"]["message"]
    join("other", 1)
    assert _states(ask) == {"other": "waiting", "school": "waiting"}


def test_without_flower_nothing_joins_and_the_page_says_why(ask, join, site, told):
    assert "not set up" in ask("GET", "/terms", 409)["error"]["message"]
    assert "not set up" in join(status=409)["error"]["message"]
    flower = ask("GET", role="researcher")["flower"]
    assert flower["ready"] is False and "not set up" in flower["reason"] and not flower["watched"]
    assert str(site.config["FLOWER"]) not in str(flower)


@pytest.mark.parametrize("fails", ["register", "allow"])
def test_an_approval_happens_as_a_whole_or_not_at_all(ask, join, flower, told, fails):
    token = join()["token"]
    number = ask("GET", role="admin")["nodes"][0]["id"]
    told.fails = {fails}
    said = ask("POST", f"/{number}/approve", 409, role="admin")["error"]["message"]
    assert f"{fails}: it does not want to" in said
    assert ask("GET", "/me", token=token)["state"] == "waiting" and flower.joined() == []
    if fails == "allow":
        assert told.calls[-1] == ("unregister", "101")
    told.fails = set()
    ask("POST", f"/{number}/approve", role="admin")
    assert [one.name for one in flower.joined()] == ["school"]
    ask("POST", f"/{number}/approve", 409, role="admin")
    ask("POST", "/99/approve", 404, role="admin")


def test_no_transaction_is_open_while_flower_works(ask, join, flower, told, site, monkeypatch):
    join()
    number = ask("GET", role="admin")["nodes"][0]["id"]

    def registers(home, key):
        assert not db.session().in_transaction()
        return "7"

    monkeypatch.setattr("app.flower.registry.register", registers)
    ask("POST", f"/{number}/approve", role="admin")


def test_who_is_turned_away_is_refused_at_once_even_if_flower_does_not_follow(ask, joined, flower, told):
    token, _ = joined("school", "clinic")
    number = next(one["id"] for one in ask("GET", role="admin")["nodes"] if one["name"] == "school")
    told.calls.clear()
    told.fails = {"unregister"}
    answer = ask("POST", f"/{number}/revoke", role="admin")
    assert "it does not want to" in answer["trouble"] and answer["node"]["state"] == "revoked"
    assert told.calls == [("allow", ["clinic"]), ("unregister", "101")]
    assert answer["node"]["released"] is False and ask("GET", "/me", token=token)["state"] == "revoked"
    assert "still knows" in ask("DELETE", f"/{number}", 409, role="admin")["error"]["message"]
    told.fails = set()
    assert ask("POST", f"/{number}/revoke", role="admin")["trouble"] == ""  # the same once more tries again
    ask("POST", f"/{number}/revoke", 409, role="admin")
    ask("POST", f"/{number}/approve", 409, role="admin")
    ask("DELETE", f"/{number}", role="admin")
    ask("GET", "/me", 401, token=token)
    assert _states(ask) == {"clinic": "joined"}


def test_one_that_waits_or_takes_part_is_not_deleted(ask, join, flower):
    join()
    number = ask("GET", role="admin")["nodes"][0]["id"]
    ask("DELETE", f"/{number}", 409, role="admin")
    ask("POST", f"/{number}/revoke", role="admin")  # turned away before it ever took part
    ask("DELETE", f"/{number}", role="admin")
    join()  # name and key are free again
    assert _states(ask) == {"school": "waiting"}


def test_a_node_leaves_by_its_token_and_by_its_owner(ask, joined, flower, told):
    tokens = joined("school", "clinic")
    told.calls.clear()
    assert ask("POST", "/me/leave", token=tokens[0])["state"] == "left"
    assert told.calls == [("allow", ["clinic"]), ("unregister", "101")]
    ask("POST", "/me/leave", 409, token=tokens[0])
    clinic = next(one["id"] for one in ask("GET", role="user")["nodes"] if one["name"] == "clinic")
    for role in ("researcher", "admin"):
        ask("POST", f"/{clinic}/leave", 404, role=role)
    assert ask("POST", f"/{clinic}/leave", role="user")["node"]["state"] == "left"
    assert flower.joined() == []


def test_a_nodes_token_is_no_accounts_and_the_other_way_round(ask, joined, site):
    [token] = joined("school")
    for path, to in (("", "nodes"), ("", "jobs"), ("", "labels"), ("", "forecasts"), ("", "runs")):
        ask("GET", path, 401, token=token, to=to)
    with site.app_context():
        owner = people.find_user("user@example.org")
        owner.tokens.append(ApiToken(name="t", secret_hash=hash_secret("mine"), scopes="read participate"))
        db.session.commit()
        kept = db.session.scalars(select(Node.secret_hash)).one()
    assert ask("GET", "", token="mine")["nodes"][0]["name"] == "school"
    for none in ("mine", "", kept, "x" * 5000):
        ask("GET", "/me", 401, token=none)
        ask("POST", "/me/leave", 401, token=none)
    ask("GET", "/me", 401, role="admin")


def test_others_see_no_nodes_but_their_own(ask, joined, site, browse):
    joined("school")
    with site.app_context():
        people.register("other@example.org", "Other", PASSWORD)
    other = browse()
    other.log_in("other@example.org")
    assert other.get("/api/v1/nodes").json["nodes"] == []
    assert other.get("/nodes").status_code == 200 and "/nodes" not in other.get("/why").text
    assert 'href="/nodes"' in browse("user").get("/why").text
    assert 'href="/nodes"' in browse("researcher").get("/why").text
    assert 'href="/nodes"' in browse("user").get("/profile").text.partition("<main")[2]
    [seen] = ask("GET", role="researcher")["nodes"]
    assert seen["mine"] is False and seen["owner"] == "User"


def test_who_deletes_the_account_takes_the_nodes_out(ask, joined, flower, told, site, browse):
    joined("school")
    ask("POST", "/invites", role="admin", owner="user@example.org")
    owner = browse("user")
    exported = owner.get("/profile/export").json["nodes"]
    assert [(one["name"], one["state"]) for one in exported] == [("school", "joined")]
    told.calls.clear()
    answer = owner.post("/profile/delete", {"password": PASSWORD, "runs": "delete", "sure": "y"})
    assert answer.status_code == 302, answer.text
    assert told.calls == [("allow", []), ("unregister", "101")]
    told = ask("GET", role="admin")
    assert [(one["state"], one["owner"], one["released"]) for one in told["nodes"]] == [("left", "", True)]
    assert told["invites"] == []


def test_joining_is_held_up_where_somebody_tries_codes(site, flower):
    from app.extensions import limiter

    site.config["RATELIMIT_ENABLED"] = True
    limiter.enabled = True
    client = site.test_client()
    said = {"invite": "x", "name": "a", "public_key": KEYS[0], "version": "1", "consent": 1,
            "tells": {"counts": True, "judges": True}}  # fmt: skip
    limiter.reset()
    statuses = [client.post("/api/v1/nodes/join", json=said).status_code for _ in range(25)]
    limiter.reset()
    assert statuses[:20] == [403] * 20 and statuses[-1] == 429
