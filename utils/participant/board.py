"""The board's HTTP: a task of a site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from utils.participant import site
from utils.participant.link import (
    Me,
    Task,
    Training,
    me_of,
    parents_of,
    task_of,
    training_of,
    trainings_of,
)
from utils.participant.refusals import LinkError, WrongError
from utils.participant.site import API, MAX_ANSWER

MAX_BACKBONE = 250_000_000
_ADDRESS = re.compile(r"(?P<before>(?:/[^/]+)*?)/(?:tasks|api/v1/calls)/(?P<number>[0-9]{1,15})(?:/.*)?")


@dataclass(frozen=True)
class Address:
    """Where a task is: the site (scheme, host, port and what stands before its pages), and the task's number."""

    site: str
    number: int

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether whoever is on the way could read along."""
        return site.is_readable_on_the_way(self.site)


def address_of(url: str) -> Address:
    """The address in a task's page or its place in the API. Raises WrongError."""
    root, path = site.root_of(url, "a task's address, as https://SITE/tasks/3")
    if not (found := _ADDRESS.fullmatch(path)):
        raise WrongError(f"{url[:200]!r}: no address of a task, which ends as in /tasks/3")
    return Address(f"{root}{found['before']}", int(found["number"]))


class Board(site.Site):
    """A task on a site."""

    remedy = (
        "; make one in your account there that may read and participate, and join again with --token, or with "
        "SKYFED_TOKEN"
    )
    lacking = "the token may not participate"

    def __init__(self, address: Address, token: str) -> None:
        super().__init__(address.site, token)
        self._call = f"{API}/calls/{address.number}"

    def task(self) -> Task:
        """See `Link`."""
        return task_of(self.json("GET", self._call))

    def join(self, consent: int) -> Me:
        """See `Link`."""
        return me_of(self.json("POST", f"{self._call}/join", {"consent": consent}).get("me"))

    def leave(self) -> None:
        """See `Link`."""
        self.json("POST", f"{self._call}/leave", {})

    def begin(self, id: str) -> Training:
        """See `Link`."""
        return self._same(id, self.json("POST", f"{self._call}/trainings", {"id": id}))

    def weights(self, version: int, most: int) -> bytes:
        """See `Link`."""
        return self.raw("GET", f"{self._call}/versions/{version}/model.safetensors", most=most)

    def backbone(self, run: str) -> tuple[dict[str, Any], bytes]:
        """See `Link`."""
        place = f"{API}/runs/{quote(run, safe='')}"
        conf = self.json("GET", place).get("conf")
        if not isinstance(conf, dict):
            raise LinkError("the site's answer cannot be used: conf: expected an object")
        return conf, self.raw("GET", f"{place}/model.safetensors", most=MAX_BACKBONE)

    def send(self, id: str, body: bytes, about: Mapping[str, float]) -> Training:
        """See `Link`."""
        asked = "&".join(f"{name}={value!r}" for name, value in about.items())
        told = self.raw("PUT", f"{self._call}/trainings/{id}?{asked}", body, most=MAX_ANSWER)
        return self._same(id, site.parsed(told))

    def trainings(self) -> list[Training]:
        """See `Link`."""
        return trainings_of(self.json("GET", f"{self._call}/trainings").get("trainings"))

    def parents(self) -> dict[int, int | None]:
        """See `Link`."""
        return parents_of(self.json("GET", f"{self._call}/versions").get("versions"))

    def withdraw(self, id: str) -> Training:
        """See `Link`."""
        return self._same(id, self.json("DELETE", f"{self._call}/trainings/{id}"))

    def _same(self, id: str, told: dict[str, Any]) -> Training:
        training = training_of(told.get("training"))
        if training.id != id:
            raise LinkError("the site's answer cannot be used: it speaks of another training")
        return training
