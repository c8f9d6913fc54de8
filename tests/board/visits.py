"""Four people with data of their own visit one of the demo's tasks until it has three more versions; not a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tests.board.browsers import Browser
from tests.board.people import Person
from tests.board.proxy import Proxy
from tests.board.site import until
from utils.calls.demo import MEASURES, pictures, rows
from utils.photos.call import drawn

PEOPLE, VERSIONS = 4, 3
SKIES, DIABETES, DIGITS = (
    "Sunny or cloudy?",
    "How far will diabetes have gone in a year?",
    "Which digit is it?",
)
SEED = 4300
"""Of the skies that people have; the task's own are of other seeds."""
SHARES = (0.8, 0.65, 0.35, 0.2)
"""Of sunny skies, person by person."""


@dataclass
class Visit:
    """The site, the number of its task, who took part, the line by which all reached it, and what it kept before."""

    site: object
    task: int
    people: list[Person] = field(default_factory=list)
    browsers: list[Browser] = field(default_factory=list)
    line: Proxy | None = None
    before: list[bytes] = field(default_factory=list)

    def series(self, figure):
        """That figure of every version, as the site measured it."""
        return [one["scores"][figure] for one in self.site.versions(self.task)]


def skies(folder, place):
    """Some 36 drawn skies, of which so many are sunny as the place in SHARES says; the folder they lie in."""
    wanted = {1: round(36 * SHARES[place]), 0: 36 - round(36 * SHARES[place])}
    index = 0
    while any(wanted.values()):
        raw, label = drawn(SEED + place, index)
        index += 1
        if not wanted[label]:
            continue
        wanted[label] -= 1
        path = folder / ("cloudy", "sunny")[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return "--pictures", folder


def patients(folder, place, each=24):
    """Patients beyond those of the test and of the pack; those of one person are lighter than those of the next."""
    measures, progress = rows()
    mine = np.arange(160, 160 + PEOPLE * each)
    mine = mine[np.argsort(measures[mine, 2], kind="stable")][place * each : (place + 1) * each]
    lines = [",".join([*(one[0] for one in MEASURES), "progress"])]
    lines += [",".join(f"{value:g}" for value in (*measures[one], progress[one])) for one in mine]
    folder.mkdir(parents=True)
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    return "--table", folder / "patients.csv"


def digits(folder, place, mixed=150, own=30):
    """Digits beyond those of the test and of the pack: most of any kind, the others of a few kinds."""
    inks, answers = pictures()
    free = np.random.default_rng(5).permutation(np.arange(360, len(inks)))
    any_kind, left = free[: PEOPLE * mixed][place::PEOPLE], free[PEOPLE * mixed :]
    kinds = ((0, 1, 2), (3, 4), (5, 6, 7), (8, 9))[place]
    for at in [*any_kind, *left[np.isin(answers[left], kinds)][:own]]:
        path = folder / str(answers[at]) / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(inks[at, 0]).save(path)
    return "--pictures", folder


def browse(site, name, folder, contexts):
    """Have three people join the task in browsers of their own, and a fourth by the program, until it has three
    versions of theirs. The first is at a phone and reads Chinese; all are led to log in when it is time to send.
    """
    found = Visit(site, site.number(name), line=Proxy(site.port))
    found.before = everything(site)
    program = None
    try:
        for place, context in enumerate(contexts):
            site.account(email := f"browser{place}.{found.task}@example.org")
            one = Browser(context, site, email, found.line.address).open(found.task)
            kind, path = DATA[name](folder / f"data{place}", place)
            one.give(kind, path)
            one.data = folder / f"data{place}"
            found.browsers.append(one)
        one = Person(folder / "home3", site, f"program.{found.task}@example.org", found.line.address)
        one.join(found.task, *DATA[name](folder / "data3", 3))
        found.people.append(one)
        for number in range(VERSIONS):
            for one in found.browsers:
                one.train()
                if not number:
                    one.sends().click()
                    one.log_in()
                one.sends().click()
                if not number:
                    one.agree()
                one.sent()
            if program is None:
                program = found.people[0].watch()
            until(
                lambda n=number: len(site.versions(found.task)) == 2 + n,
                f"version {2 + number}: {program.said}", 300,
            )  # fmt: skip
            for one in found.browsers:
                one.trains().wait_for()
    finally:
        if program is not None:
            program.kill()
        found.line.close()
    return found


DATA: dict[str, Callable] = {SKIES: skies, DIABETES: patients, DIGITS: digits}


def visit(site, name, folder):
    """Have four people join the task and watch it until it has three versions of theirs."""
    found = Visit(site, site.number(name), line=Proxy(site.port))
    found.before = everything(site)
    watching = []
    try:
        for place in range(PEOPLE):
            one = Person(folder / f"home{place}", site, f"visitor{place}@example.org", found.line.address)
            one.join(found.task, *DATA[name](folder / f"data{place}", place))
            found.people.append(one)
        for place, one in enumerate(found.people):
            watching.append(one.watch())
            if (
                place % 2 and place < PEOPLE - 1
            ):  # two at a time, as more than that is much for a small machine
                until(
                    lambda n=place: site.waiting(found.task) > n, f"update {place + 1}: {watching[-1].said}"
                )
        until(
            lambda: len(site.versions(found.task)) == 1 + VERSIONS,
            f"{VERSIONS} versions: {[one.said for one in watching]}", 300,
        )  # fmt: skip
        assert all(one.is_alive() for one in watching), [one.said for one in watching]
        assert [one.end() for one in watching] == [130] * PEOPLE
    finally:
        for one in watching:
            one.kill()
        found.line.close()
    return found


def everything(site):
    """All that lies in the site's folder, file by file, the database as raw bytes."""
    return [path.read_bytes() for path in sorted(site.instance.rglob("*")) if path.is_file()]
