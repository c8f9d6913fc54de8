"""The API keeps to its own description, whatever is sent: generated requests, as nobody and as a researcher."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from marshmallow import ValidationError
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.auth import service
from app.extensions import db
from app.models import SCOPES, ApiToken, new_secret
from app.names import is_name, is_note, is_tag

TOGETHER = (
    "/api/v1/confs/preview",
    "/api/v1/jobs",
    "/api/v1/calls/try",
    "/api/v1/calls/{number}",
    "/api/v1/calls/{number}/{what}",
)  # whose values have to fit each other, which no schema says
for _format, _valid in (("name", is_name), ("tag", is_tag), ("note", is_note)):
    schemathesis.openapi.format(
        _format, strategies.text(max_size=30).filter(lambda text, v=_valid: _holds(v, text))
    )
REAL = {"name": "conf_a", "a": "conf_a", "b": "conf_b"}


def _holds(valid, text):
    try:
        valid(text)
    except ValidationError:
        return False
    return True


@pytest.fixture
def token(site):
    """The authorization of a researcher's program."""
    secret, secret_hash = new_secret()
    with site.app_context():
        user = service.find_user("researcher@example.org")
        user.tokens.append(ApiToken(name="t", secret_hash=secret_hash, scopes=" ".join(SCOPES)))
        db.session.commit()
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("known", [False, True], ids=["nobody", "researcher"])
def test_the_api_does_what_it_says_of_itself(site, token, known, monkeypatch):
    monkeypatch.setattr("app.runs.live._LIFETIME", 0.0)
    described = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", site)
    seen = Counter()
    for found in described.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(), real=strategies.booleans())
        @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def holds(case, real):
            if real:  # names of runs that are there
                case.path_parameters = {
                    key: REAL.get(key, value) for key, value in case.path_parameters.items()
                }
                case.query = {key: REAL.get(key, value) for key, value in case.query.items()}
            excluded = [positive_data_acceptance] if case.operation.path in TOGETHER else []
            headers = {
                **(token if known else {}),
                "Accept-Encoding": "identity",
            }  # what reads it unpacks nothing
            answer = case.call_and_validate(headers=headers, excluded_checks=excluded)
            seen[case.operation.label, answer.status_code] += 1

        holds()
    succeeded = {label for label, code in seen if code in (200, 204)}
    refused_by_name = {label for label, code in seen if code == 404}
    assert len(succeeded) >= (11 if known else 8), seen
    assert len(refused_by_name) >= 6, seen
