"""Published tasks over HTTP: the protocol of docs/tasks.md. Bodies of updates and versions are safetensors."""

from __future__ import annotations

import shutil
from typing import Any, NoReturn
from uuid import UUID

from flask import abort, current_app, g, request, send_file
from flask_babel import gettext as _
from flask_login import current_user
from flask_smorest import Blueprint
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.busy import hold
from app.api.needs import needs
from app.api.refusals import in_ones_language
from app.api.schemas import GoneSchema
from app.calls import contributed, folding, publishing, service, store, telling
from app.calls.models import Call, Participation, TestExample, Training, Version
from app.calls.schemas import (
    BeginSchema,
    CallDetailsSchema,
    CallsSchema,
    ChangeSchema,
    ChoicesSchema,
    ContributeSchema,
    ContributionsSchema,
    DraftSchema,
    GivenSchema,
    JoinSchema,
    ListingSchema,
    MeAnswerSchema,
    NotNowSchema,
    ReviewSchema,
    SentSchema,
    SharesSchema,
    StepsSchema,
    TrainingAnswerSchema,
    TrainingsSchema,
    TriedSchema,
    VersionsSchema,
)
from app.extensions import db, limiter
from utils.conf import ConfError

blueprint = Blueprint("calls_api", __name__, url_prefix="/api/v1/calls", description="Published tasks")
_NUMBER = "<int(max=2147483647):number>"
_UUID = "<uuid:uuid>"
UPLOADS = {"calls_api.contribute", "calls_api.give"}
ACTIONS = ("pause", "resume", "finish", "cancel", "fold")


@blueprint.get("")
@blueprint.arguments(ListingSchema, location="query")
@answers(CallsSchema, 422)
def calls(asked: dict[str, Any]) -> dict[str, Any]:
    """Published tasks, and one's own drafts."""
    return telling.listed(asked["category"], asked["search"], asked["order"])


@blueprint.get("/choices")
@needs("read", "researcher")
@answers(ChoicesSchema, 401, 403)
def choices() -> dict[str, Any]:
    """What a description may name."""
    return telling.choices()


@blueprint.post("")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@blueprint.arguments(DraftSchema)
@answers(CallDetailsSchema, 401, 403, 409, 422, 429)
def draft(asked: dict[str, Any]) -> dict[str, Any]:
    """Begin a draft, which nobody else sees."""
    try:
        return telling.details(publishing.new_draft(current_user, asked))
    except service.CallError as error:
        _conflict(str(error))


@blueprint.post("/try")
@needs("train", "researcher")
@limiter.limit("30 per minute")
@blueprint.doc(
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
)
@answers(TriedSchema, 401, 403, 415, 422, 429, 503)
def dry_run() -> dict[str, Any]:
    """Try a description (the body) on drawn examples, apart: does it fit, does it learn, what does an update weigh?"""
    if not request.is_json:
        abort(415)
    try:
        of, found, folder = publishing.tried(request.get_json(silent=True))
    except (ConfError, service.CallError) as error:
        _refuse(in_ones_language(error))
    shutil.rmtree(folder, ignore_errors=True)
    return {**found, "described": of.as_json()}


@blueprint.get(f"/{_NUMBER}")
@answers(CallDetailsSchema, 404)
def call(number: int) -> dict[str, Any]:
    """One task: what for, by whom, what is asked, what it has come to."""
    return telling.details(_seen(number))


@blueprint.get(f"/{_NUMBER}/steps")
@answers(StepsSchema, 404)
def steps(number: int) -> dict[str, Any]:
    """How its network reckons, for programs that have neither torch nor this project."""
    return telling.steps(_published(number))


@blueprint.put(f"/{_NUMBER}")
@needs("train", "researcher")
@blueprint.arguments(ChangeSchema)
@answers(CallDetailsSchema, 401, 403, 404, 409, 422)
def edit(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Change a draft; of a published task what it is called and says, its consent text and when updates are folded."""
    one = _own(number)
    try:
        publishing.edit(one, asked)
    except service.CallError as error:
        _conflict(str(error))
    except ConfError as error:
        _refuse(in_ones_language(error))
    return telling.details(one)


@blueprint.delete(f"/{_NUMBER}")
@needs("train", "researcher")
@answers(GoneSchema, 401, 403, 404, 409)
def delete(number: int) -> dict[str, Any]:
    """Delete a draft; admins any task, with all that belongs to it."""
    one = _own(number)
    if one.state != "draft" and not current_user.is_admin:
        _conflict(_("A published task can be finished or cancelled, and not deleted."))
    service.remove(one)
    db.session.commit()
    return {"gone": True}


@blueprint.post(f"/{_NUMBER}/publish")
@needs("train", "researcher")
@limiter.limit("30 per minute")
@answers(CallDetailsSchema, 401, 403, 404, 409, 422, 429, 503)
def publish(number: int) -> dict[str, Any]:
    """Publish a draft as a whole, or not at all."""
    one = _own(number)
    try:
        publishing.publish(one)
    except (ConfError, service.CallError) as error:
        _refuse(in_ones_language(error))
    return telling.details(one)


@blueprint.post(f"/{_NUMBER}/<any({', '.join(ACTIONS)}):action>")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@answers(CallDetailsSchema, 401, 403, 404, 409, 429)
def act(number: int, action: str) -> dict[str, Any]:
    """Pause, resume, finish or cancel a task; or fold the updates that wait."""
    one = _own(number)
    try:
        if action != "fold":
            service.change(one, action)
        elif not folding.fold(_published(number)):
            _conflict(_("Updates are being folded; try again when that is done."))
    except service.CallError as error:
        _conflict(str(error))
    return telling.details(one)


@blueprint.post(f"/{_NUMBER}/join")
@needs("participate")
@limiter.limit("60 per minute")
@blueprint.arguments(JoinSchema)
@answers(MeAnswerSchema, 401, 403, 404, 409, 422, 429, told={409: NotNowSchema})
def join(asked: dict[str, int], number: int) -> dict[str, Any]:
    """Take part, having accepted a version of the consent text."""
    one = _seen(number)
    try:
        return {"me": telling.me(one, service.join(one, current_user, asked["consent"]))}
    except service.NotNowError as error:
        _not_now(error)


@blueprint.post(f"/{_NUMBER}/leave")
@needs("participate")
@answers(MeAnswerSchema, 401, 403, 404)
def leave(number: int) -> dict[str, Any]:
    """Take no further part; updates that wait are withdrawn."""
    one = _seen(number)
    who = _taking_part(one)
    service.leave(who)
    return {"me": telling.me(one, who)}


@blueprint.get(f"/{_NUMBER}/trainings")
@needs("read participate")
@answers(TrainingsSchema, 401, 403, 404)
def trainings(number: int) -> dict[str, Any]:
    """One's own trainings and their updates; for the publisher those of all, by pseudonym."""
    return {"trainings": telling.trainings(_seen(number))}


@blueprint.get(f"/{_NUMBER}/shares")
@needs("read", "researcher")
@answers(SharesSchema, 401, 403, 404)
def shares(number: int) -> dict[str, Any]:
    """What each participant gave and was worth, by pseudonym; for the publisher."""
    return {"shares": telling.shares(_own(number))}


@blueprint.post(f"/{_NUMBER}/trainings")
@needs("participate")
@limiter.limit("120 per minute")
@blueprint.arguments(BeginSchema)
@answers(TrainingAnswerSchema, 401, 403, 404, 409, 422, 429, told={409: NotNowSchema})
def begin(asked: dict[str, str], number: int) -> dict[str, Any]:
    """Begin a training from the present version, or hear why not now, and when to ask again."""
    one = _seen(number)
    try:
        made = service.begin(one, service.participation(one, current_user), asked["id"])
    except service.NotNowError as error:
        _not_now(error)
    return {"training": telling.training(made)}


@blueprint.put(f"/{_NUMBER}/trainings/{_UUID}")
@needs("participate")
@limiter.limit("60 per minute")
@blueprint.arguments(SentSchema, location="query")
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
)
@answers(TrainingAnswerSchema, 401, 403, 404, 409, 411, 413, 422, 429, 503)
def send(asked: dict[str, Any], number: int, uuid: UUID) -> dict[str, Any]:
    """Send the update of a training: the difference of each tensor to the version it began from. The same once more
    changes nothing.
    """
    one = _seen(number)
    training = _training(one, str(uuid))
    raw = _body(service.longest_update(one))
    try:
        service.submit(one, training.participation, training, raw, service.Sent(**asked))
    except service.CallError as error:
        _conflict(str(error))
    return {"training": telling.training(training)}


@blueprint.delete(f"/{_NUMBER}/trainings/{_UUID}")
@needs("participate")
@answers(TrainingAnswerSchema, 401, 403, 404, 409)
def withdraw(number: int, uuid: UUID) -> dict[str, Any]:
    """Take an update back that is in no version yet."""
    training = _training(_seen(number), str(uuid))
    try:
        service.withdraw(training)
    except service.CallError as error:
        _conflict(str(error))
    return {"training": telling.training(training)}


@blueprint.get(f"/{_NUMBER}/versions")
@answers(VersionsSchema, 404)
def versions(number: int) -> dict[str, Any]:
    """The versions of a task's model: where each comes from, and how it does."""
    return {"versions": telling.versions(_seen(number))}


@blueprint.post(f"/{_NUMBER}/versions/<int(max=2147483647):version>/restore")
@needs("train", "researcher")
@answers(CallDetailsSchema, 401, 403, 404, 409)
def restore(number: int, version: int) -> dict[str, Any]:
    """Go back to an older version, or on to one that was left."""
    one = _own(number)
    try:
        folding.restore(one, version)
    except service.CallError as error:
        _conflict(str(error))
    return telling.details(one)


@blueprint.get(f"/{_NUMBER}/versions/<int(max=2147483647):version>/model.safetensors")
@answers("application/octet-stream", 404)
def model(number: int, version: int) -> Response:
    """The weights of a version, in float32."""
    return _file(_version(_seen(number), version), "safetensors")


@blueprint.get(f"/{_NUMBER}/versions/<int(max=2147483647):version>/model.onnx")
@answers("application/octet-stream", 404, 503)
def onnx(number: int, version: int) -> Response:
    """The model of a version as ONNX: from pixels in 0..1, or values in their units, to logits or the number."""
    found = _version(_seen(number), version)
    return _file(found, "onnx")


@blueprint.get(f"/{_NUMBER}/starter.zip")
@answers("application/zip", 404)
def starter(number: int) -> Response:
    """A pack of examples to try the task with."""
    path = store.starter_of(_seen(number).id)
    if not path.is_file():
        abort(404)
    return send_file(
        path.resolve(), "application/zip", as_attachment=True, download_name=f"starter-{number}.zip"
    )


@blueprint.get(f"/{_NUMBER}/cover")
@answers("image/jpeg", 404)
def cover(number: int) -> Response:
    """The picture of a task; drawn of its name where it has none of its own."""
    one = _seen(number)
    made = telling.drawn_cover(one) if one.cover is None else one.cover
    response = current_app.response_class(
        made, mimetype="image/svg+xml" if one.cover is None else "image/jpeg"
    )
    response.add_etag()
    return response.make_conditional(request)


@blueprint.get(f"/{_NUMBER}/examples")
@needs("read participate")
@answers(ContributionsSchema, 401, 403, 404)
def examples(number: int) -> dict[str, Any]:
    """One's own test examples, and what became of them; for the publisher all."""
    one = _published(number)
    return contributed.told(one, None if telling.may_edit(one) else _taking_part(one))


@blueprint.post(f"/{_NUMBER}/examples")
@needs("participate")
@limiter.limit("30 per minute")
@blueprint.arguments(ContributeSchema)
@answers(ContributionsSchema, 401, 403, 404, 409, 413, 422, 429, 503)
def contribute(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Contribute test examples. They leave the device, and are seen by the publisher."""
    one = _published(number)
    who = None if telling.may_edit(one) else _taking_part(one)
    if who is not None and (who.state != "joined" or one.state not in ("open", "paused")):
        _conflict(telling.why_not("closed" if who.state == "joined" else "not joined"))
    try:
        contributed.contribute(one, who, asked["examples"])
    except service.CallError as error:
        _refuse(str(error))
    return contributed.told(one, who)


@blueprint.get(f"/{_NUMBER}/examples/<int(max=2147483647):example>.png")
@needs("read")
@answers("image/png", 401, 403, 404)
def example_picture(number: int, example: int) -> Response:
    """The picture of a test example, for the publisher and for who contributed it."""
    one = _published(number)
    made = contributed.picture_of(
        one, example, telling.may_edit(one), service.participation(one, current_user)
    )
    if made is None:
        abort(404)
    return current_app.response_class(made, mimetype="image/png")


@blueprint.post(f"/{_NUMBER}/examples/<int(max=2147483647):example>/<any(accept, refuse):word>")
@needs("train", "researcher")
@blueprint.arguments(ReviewSchema)
@answers(ContributionsSchema, 401, 403, 404, 422)
def review(asked: dict[str, str], number: int, example: int, word: str) -> dict[str, Any]:
    """Let a test example count, or refuse it with a reason."""
    one = _own(_published(number).id)
    contributed.review(_example(one, example), word == "accept", asked["reason"])
    return contributed.told(one, None)


@blueprint.delete(f"/{_NUMBER}/examples/<int(max=2147483647):example>")
@needs("participate")
@answers(ContributionsSchema, 401, 403, 404)
def take_back(number: int, example: int) -> dict[str, Any]:
    """Delete a test example of one's own; the publisher any."""
    one = _published(number)
    who = None if telling.may_edit(one) else _taking_part(one)
    found = _example(one, example)
    if who is not None and found.participation_id != who.id:
        abort(404)
    contributed.take_back(found)
    return contributed.told(one, who)


@blueprint.put(f"/{_NUMBER}/<any(test, starter, cover):what>")
@needs("train", "researcher")
@limiter.limit("30 per minute")
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
)
@answers(GivenSchema, 401, 403, 404, 409, 413, 422, 429, 503)
def give(number: int, what: str) -> dict[str, Any]:
    """Give a task its test examples or its starter pack (a zip of folders of pictures called as the labels, or a table
    in CSV), or its cover (a picture).
    """
    one, raw = _own(number), request.get_data(cache=False)
    try:
        return publishing.give(one, what, raw)
    except service.CallError as error:
        _refuse(str(error))
    except ConfError as error:  # of a draft
        _refuse(in_ones_language(error))


def _seen(number: int) -> Call:
    """A task that is published, or one's own draft."""
    found = db.session.get(Call, number)
    if found is None or (found.state == "draft" and not telling.may_edit(found)):
        abort(404)
    return found


def _published(number: int) -> Call:
    """A task that is, or was, published: all that a draft has no part in."""
    found = _seen(number)
    if found.state == "draft":
        abort(404)
    return found


def _own(number: int) -> Call:
    found = _seen(number)
    if not telling.may_edit(found):
        abort(403)
    return found


def _taking_part(call: Call) -> Participation:
    found = service.participation(call, current_user)
    if found is None:
        abort(404)
    return found


def _training(call: Call, uuid: str) -> Training:
    who = _taking_part(call)
    of_it = (Training.participation_id == who.id, Training.uuid == uuid)
    found: Training | None = db.session.scalar(select(Training).where(*of_it))
    if found is None:
        abort(404)
    return found


def _example(call: Call, number: int) -> TestExample:
    found = db.session.get(TestExample, number)
    if found is None or found.call_id != call.id:
        abort(404)
    return found


def _version(call: Call, number: int) -> Version:
    found: Version | None = db.session.scalar(
        select(Version).where(Version.call_id == call.id, Version.number == number)
    )
    if found is None:
        abort(404)
    return found


def _file(version: Version, kind: str) -> Response:
    path = (telling.onnx_of if kind == "onnx" else _weights_of)(version)
    if path is None or not path.is_file():
        abort(404)
    name = f"task-{version.call_id}-version-{version.number}.{kind}"
    return send_file(
        path.resolve(), "application/octet-stream", as_attachment=True, download_name=name,
        etag=f"{version.sha256[:32]}-{kind}",
    )  # fmt: skip


def _weights_of(version: Version) -> Any:
    return store.model_of(version.call_id, version.number)


def _body(most: int) -> bytes:
    """The body of this request, if it says how long it is and is no longer than `most` bytes."""
    if request.content_length is None:
        abort(411)
    request.max_content_length = most
    if request.content_length > most:
        g.detail = f"{request.content_length} bytes, at most {most}"
        abort(413)
    hold(current_app.extensions["uploads"])  # before the request is read, which fills memory
    return request.get_data(cache=False)


def _not_now(error: service.NotNowError) -> NoReturn:
    g.message, g.detail = telling.why_not(error.why), error.why
    g.beside, g.retry_after = {"why": error.why, "retry_after": error.seconds}, error.seconds
    abort(409)


def _conflict(message: str) -> NoReturn:
    g.message = g.detail = message
    abort(409)


def _refuse(message: str) -> NoReturn:
    g.message = g.detail = message
    abort(422)
