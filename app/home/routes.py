"""/home: the comparison at a glance; the page of a run; why federated and centralized differ."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, render_template, request
from flask_babel import get_locale

from app.home.needs import NEEDS
from app.home.sentences import plainly, sentence
from app.language import messages
from app.runs.names import language
from app.runs.service import library
from app.studies.cards import card
from app.studies.service import studies as asked
from utils.results import ResultError
from utils.studies import conf_name, first, studies
from utils.studies.protections import leaks, protections

blueprint = Blueprint("home", __name__)


@blueprint.get("/home")
def home() -> str:
    """The story of the shipped runs, charts and the table of all runs; the table works without JavaScript."""
    study = studies().get(request.args.get("study", first().name))
    if study is None:
        abort(404)
    story = library().story(study)
    return render_template(
        "home/home.html",
        study=study,
        studies=[
            one
            for one in sorted(studies().values(), key=lambda one: one != first())
            if library().has_any(one)
        ],
        runs=library().summaries(),
        marks=story["marks"],
        first=[plainly(fact) for fact in story["first"]],
        sentences=[sentence(fact) for fact in story["facts"]],
        elsewhere=story["elsewhere"],
    )


@blueprint.get("/runs/<name>")
def run(name: str) -> tuple[str, int] | str:
    """One run."""
    try:
        result = library().result(name)
    except ResultError as error:
        return render_template(
            "home/unreadable.html", title=library().title(name), reason=str(error).rpartition(": ")[2]
        ), 422
    if result is None:
        abort(404)
    said = (one for one in library().summaries() if one["name"] == name and "error" not in one)
    return render_template(
        "home/run.html", name=name, title=library().title(name), conf_name=conf_name(name), result=result,
        run=next(said, None),
    )  # fmt: skip


@blueprint.get("/why")
def why() -> str:
    """Federated against centralized, explained to a student with this site's own numbers."""
    story, study = library().story(), first()
    federated, everything = (study.by_role(role).run for role in ("federated", "everything"))
    sent = {one["name"]: one["bytes"] / 1e6 for one in library().summaries() if "error" not in one}
    return render_template(
        "home/why.html",
        protections=protections(current_app.config["CACHE"], str(get_locale() or "en")),
        leaks=leaks(current_app.config["CACHE"], str(get_locale() or "en")),
        marks=story["marks"],
        facts=[sentence(one) for one in story["facts"]
               if federated in (one["a"], one["b"]) and one["verdict"] != "untested"],
        megabytes={"federated": f"{sent[federated]:,.0f}", "central": f"{sent[everything]:,.0f}"}
        if {federated, everything} <= sent.keys() else {},
    )  # fmt: skip


@blueprint.get("/why/needs")
def needs() -> str:
    """What one can do without: a server, waiting, labels, the same columns; and whose data helps, as studies found."""
    found = [
        (asks, says, card(question, language()))
        for name, asks, says in NEEDS
        if (question := asked().question(name)) is not None
    ]
    return render_template("home/needs.html", needs=found)


@blueprint.get("/messages.json")
def texts() -> dict[str, str]:
    """The front end's texts in the reader's language."""
    return messages(str(get_locale() or "en"))


@blueprint.app_context_processor
def where() -> dict[str, str]:
    """The address of this page, to come back to."""
    return {"here": request.full_path.rstrip("?")}
