"""One training, or one whenever the task asks: from the version it begins from to what the site made of the update.

Whatever is trained lies on the disk, with the id that the site knows it by, before any of it is sent, and until the
site has it for certain: who is killed at any moment goes on from there. Sending the same again changes nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from utils.participant import ledger, machine, waiting
from utils.participant.kept import About, Kept, Pending
from utils.participant.ledger import OPEN
from utils.participant.link import Link, Task, Training
from utils.participant.refusals import DeniedError, LinkError, NotNowError, ParticipantError, RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from utils.calls.described import Call

AGREED = ("format", "network", "training")
"""What of a description has to be as it was accepted."""
_KEPT_FOR = ("paused", "consent changed", "too busy", "wait for the next version")
"""Why the site may take no update now, and yet take it later."""
OVER = ("finished", "cancelled")


@dataclass(frozen=True)
class How:
    """How to train: clip and noise (0: none), whether in spite of a weak machine, whom to `ask` before anything is sent
    (None: nobody), and where to `say` what happens.
    """

    say: Callable[[str], None]
    ask: Callable[[str], bool] | None = None
    clip: float = 0.0
    noise: float = 0.0
    anyway: bool = False


def train_once(kept: Kept, link: Link, how: How) -> int:
    """One training, or what is left of the one before; the exit status. Raises ParticipantError."""
    try:
        return 0 if Round(kept, link, how).carry_out() else 1
    except NotNowError as error:
        hint = f"; ask again in {error.after:.0f} s" if error.after else ""
        raise ParticipantError(f"{error}{hint}") from None


def watch(kept: Kept, link: Link, how: How) -> int:
    """Train whenever there is a new version, until there is nothing more to do; the exit status."""
    failures, told, tried = 0, "", set[int]()
    while True:
        is_paused = kept.is_paused
        try:
            Round(kept, link, how, tried).carry_out()
            failures, told, after = 0, "", waiting.LEAST
        except NotNowError as error:
            failures, after = 0, error.after
            if str(error) != told:
                how.say(told := str(error))
            if not after:
                return 0 if error.is_over else 1
        except LinkError as error:
            failures += 1
            after = max(error.after, waiting.back_off(failures))
            if str(error) != told:
                told = str(error)
                how.say(f"{told}; trying again for as long as it takes")
        waiting.wait(
            waiting.spread(max(waiting.LEAST, after)),
            lambda was=is_paused: kept.is_left or kept.is_paused != was,  # type: ignore[misc]
        )


def call_of(described: dict[str, Any]) -> Call:
    """A call as a site describes it. Raises LinkError."""
    from utils.calls.described import checked_call
    from utils.conf import ConfError

    try:
        return checked_call(described)
    except (ConfError, RecursionError) as error:
        raise LinkError(f"the site's description of the task cannot be used: {error}") from None


def follow(kept: Kept, link: Link) -> list[str] | None:
    """Note in the ledger what became of what was sent; returns a line for each piece of news, or None where the token
    does not let one read it.
    """
    open_ = {one["id"]: one for one in kept.ledger.sent() if one["state"] in OPEN}
    trainings = own(link) if open_ else []
    if trainings is None:
        return None
    news = []
    for training in trainings:
        known = open_.get(training.id)
        if known and (known["state"], known["reason"]) != (training.state, training.reason):
            note(kept, training)
            news.append(f"the update from version {known['version']}: {became(training)}")
    return news


def own(link: Link) -> list[Training] | None:
    """One's own trainings; None where the token may participate, and not read."""
    try:
        return link.trainings()
    except DeniedError:
        return None


def note(kept: Kept, training: Training) -> None:
    """What became of a training, for the ledger."""
    kept.ledger.add(
        "outcome", id=training.id, state=training.state, reason=training.reason, says=training.says,
        version_after=training.version_after,
    )  # fmt: skip


def became(training: Training) -> str:
    """What became of a training, in a few words."""
    why = training.reason or training.says
    if training.state == "folded" and training.version_after is not None:
        return f"folded into version {training.version_after}"
    return f"{training.state}{why and f' ({why})'}"


def check_agreed(about: About, task: Task) -> None:
    """Raises NotNowError where something else was agreed to, or nothing."""
    again = f"see what it is, and accept it, with: join {about.site}/tasks/{about.number}"
    if task.consent != about.consent:
        raise NotNowError(
            f"the consent text is version {task.consent} by now, version {about.consent} was accepted; {again}"
        )
    for key in AGREED:
        if task.described.get(key) != about.described.get(key):
            raise NotNowError(f"the task's {key} is another than was accepted; {again}")
    if task.me is None or task.me.state != "joined":
        raise NotNowError(f"the site does not have you among those who take part; {again}")
    if task.me.consent != about.consent:
        raise NotNowError(f"the site knows of no acceptance of consent text {about.consent}; {again}")


class Round:
    """One training of a task. `tried` are versions that shall not be trained on again; without it any may be."""

    def __init__(self, kept: Kept, link: Link, how: How, tried: set[int] | None = None) -> None:
        self._kept, self._link, self._how, self._tried = kept, link, how, tried

    def carry_out(self) -> bool:
        """Finish what is pending, then train unless that has been sent just now; whether the site took an update, or a
        person kept it here. Raises ParticipantError.
        """
        kept = self._kept
        self._check_wishes()
        kept.clear_work()
        task, about = self._link.task(), kept.about
        check_agreed(about, task)
        for line in follow(kept, self._link) or ():
            self._how.say(line)
        call = call_of(task.described)
        pending = kept.pending
        if pending and pending.trained:
            if (taken := self._resumed(pending, task, call)) is not None:
                return taken
            pending = None
        self._check_open(task)
        samples = about.examples
        if not about.data or samples < call.limits.examples:
            raise NotNowError(
                f"{samples} examples are prepared here, and the task takes updates of {call.limits.examples} or more"
            )
        self._check_machine(call)
        pending, training = self._begun(pending)
        trained = self._trained(pending, training, call)
        return self._sent(trained, call)

    def _check_wishes(self) -> None:
        if self._kept.is_left:
            raise NotNowError("you have left this task", is_over=True)
        if self._kept.is_paused:
            after = waiting.LEAST if self._tried is not None else 0.0
            raise NotNowError("paused here; resume goes on", after)

    def _check_open(self, task: Task) -> None:
        if task.state in OVER:
            raise NotNowError(f"the task is {task.state}: it takes no updates any more", is_over=True)
        if task.state != "open":
            raise NotNowError(f"the task is {task.state or 'not open'}", 300)
        if task.me and task.me.left == 0:
            raise NotNowError("you have sent as many trainings as the task allows", is_over=True)
        if self._tried is None:
            return
        if task.version in self._tried | {one.get("version") for one in self._kept.ledger.sent()}:
            raise NotNowError(f"version {task.version} is trained on; waiting for the next", waiting.USUAL)

    def _check_machine(self, call: Call) -> None:
        need = machine.need_of(call, _bytes_of_inputs(self._kept))
        found = machine.checks(need, self._kept.folder)
        self._how.say("this machine: " + "; ".join(map(str, found)))
        short = [one for one in found if one.enough is False]
        if short and not self._how.anyway:
            after = 60.0 if self._tried is not None else 0.0
            why = "; ".join(f"{one.what} ({one.there}, {one.needed})" for one in short)
            raise NotNowError(f"not trained: this machine lacks {why}; --anyway trains all the same", after)

    def _begun(self, pending: Pending | None) -> tuple[Pending, Training]:
        """A training that the site knows: the one that was begun before, where it is still to be made."""
        for _ in range(2):
            pending = pending or Pending(str(uuid4()))
            self._kept.await_(pending)
            self._kept.ledger.add("asked", id=pending.id)
            try:
                training = self._link.begin(pending.id)
            except RefusedError as error:
                self._kept.done()
                if error.why:
                    over = error.why in ("closed", "over the limit")
                    raise NotNowError(f"not now: {error.why} ({error})", error.after, over) from None
                raise
            if training.state == "training":
                return pending, training
            self._kept.done()
            pending = None
        raise LinkError(f"the site's answer cannot be used: a new training is {training.state}")

    def _trained(self, pending: Pending, training: Training, call: Call) -> Pending:
        """Train it, and have the update on the disk."""
        import torch

        from utils.calls import weights as travel
        from utils.calls.home import Home
        from utils.nets.build import layout_of

        torch.set_num_threads(1)
        kept, how = self._kept, self._how
        layout = layout_of(call.conf)
        shapes = dict(zip(layout.names, layout.shapes, strict=True))
        try:
            named = travel.read(self._link.weights(training.version, travel.longest(shapes)), shapes)
            travel.norm_of(named)
        except travel.UpdateError as error:
            raise LinkError(f"version {training.version} of the site cannot be used: {error}") from None
        inputs, answers = _examples(kept, call, self._link)
        how.say(f"training from version {training.version} on {len(inputs)} examples")
        try:
            home = Home(call, inputs, answers, kept.work)
            # The seed decides the noise too, so nobody can be able to try all there are.
            trained = home.train(layout.flat(dict(named)), secrets.randbits(128), how.clip, how.noise)
        except FloatingPointError as error:
            raise self._given_up(pending, training, str(error)) from None
        except MemoryError:
            raise self._given_up(pending, training, "there was not enough memory") from None
        except travel.UpdateError as error:
            raise self._given_up(pending, training, str(error)) from None
        finally:
            kept.clear_work()
        most = call.limits.norm
        if most and trained.norm > most:
            advice = "less noise is needed" if how.noise else f"--clip {most:g} makes it fit"
            why = f"its norm is {trained.norm:.4g}, and the task takes at most {most:g}; {advice}"
            raise self._given_up(pending, training, why)
        body = travel.written(trained.difference)
        done = Pending(
            pending.id, True, training.version, trained.samples, trained.steps, trained.loss, trained.norm,
            how.clip, how.noise, len(body), hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        kept.await_(done, body)
        return done

    def _given_up(self, pending: Pending, training: Training, why: str) -> NotNowError:
        """Nothing comes of this version."""
        self._withdraw(pending)
        if self._tried is not None:
            self._tried.add(training.version)
        return NotNowError(f"nothing sent of version {training.version}: {why}", self._later())

    def _later(self) -> float:
        return waiting.USUAL if self._tried is not None else 0.0

    def _withdraw(self, pending: Pending) -> None:
        """Tell the site that no update will come, if it can be told, and forget it here."""
        try:
            note(self._kept, self._link.withdraw(pending.id))
        except ParticipantError as error:  # it lapses by itself
            self._how.say(f"the site was not told that no update comes ({error})")
        self._kept.done()

    def _resumed(self, pending: Pending, task: Task, call: Call) -> bool | None:
        """What becomes of an update that was trained before; None where another training is in order."""
        known = next((one for one in own(self._link) or () if one.id == pending.id), None)
        if known and known.state not in ("training", "lapsed"):
            return self._settled(pending, known) or None
        if not self._is_recent(pending.version, task.version, call.limits.staleness):
            self._how.say(
                f"the update from version {pending.version} is superseded by version {task.version}: not sent"
            )
            self._withdraw(pending)
            return None
        self._how.say(
            f"an update from version {pending.version} was not sent, or the site did not confirm it"
        )
        return self._sent(pending, call) or None

    def _is_recent(self, version: int, latest: int, staleness: int) -> bool:
        """Whether a version is the latest, or one of its last so many forebears."""
        parents = self._link.parents() if version != latest else {}
        place: int | None = latest
        for _ in range(min(staleness, len(parents)) + 1):
            if place == version:
                return True
            place = parents.get(place) if place is not None else None
        return False

    def _sent(self, pending: Pending, call: Call) -> bool:
        """Show it, ask, write it down, send it, and write down what becomes of it."""
        kept, how = self._kept, self._how
        self._check_wishes()
        body = kept.update_of(pending).read_bytes() if kept.update_of(pending).exists() else b""
        if hashlib.sha256(body).hexdigest() != pending.sha256:
            self._withdraw(pending)
            raise ParticipantError(f"{kept.update_of(pending)}: not the update that was trained; train again")
        before = [one for one in kept.ledger.sent() if one["id"] != pending.id]
        agreed = len(before) < len(kept.ledger.sent())
        epsilon, says = ledger.spent([*ledger.clips(before), (pending.clip, pending.noise)])
        how.say(_shown(pending, says))
        if how.ask and not agreed and not how.ask("Send this?"):
            self._withdraw(pending)
            how.say("not sent, and deleted")
            return True
        about, record = kept.about, dataclasses.asdict(pending)
        record.pop("trained")
        kept.ledger.add(
            "sending", site=about.site, task=about.number, name=about.name, **record, epsilon=epsilon,
            epsilon_says=says,
        )  # fmt: skip
        try:
            training = self._link.send(pending.id, body, _about_of(pending))
        except RefusedError as error:
            if error.why in _KEPT_FOR:
                raise NotNowError(
                    f"not taken now: {error.why} ({error}); it is kept here", error.after
                ) from None
            kept.ledger.add("outcome", id=pending.id, state="refused", reason=error.why, says=str(error))
            kept.done()
            raise NotNowError(f"the site takes it not: {error}", self._later()) from None
        return self._settled(pending, training)

    def _settled(self, pending: Pending, training: Training) -> bool:
        """The site has it for certain."""
        note(self._kept, training)
        self._kept.done()
        self._how.say(f"the update from version {pending.version}: {became(training)}")
        return training.state not in ("refused", "withdrawn")


def _about_of(pending: Pending) -> dict[str, float]:
    """What is told of an update. Noise does not cover the mean loss, so it stays at home where there is some."""
    told: dict[str, float] = {"samples": pending.samples, "steps": pending.steps}
    if not pending.noise:
        told["loss"] = pending.loss
    return told | ({"clip": pending.clip, "noise": pending.noise} if pending.clip else {})


def _shown(pending: Pending, says: str) -> str:
    covered = (
        f"clip {pending.clip:g}, noise {pending.noise:g}" if pending.clip else "neither clipped nor noised"
    )
    beside = "with it the numbers of examples and steps"
    if pending.noise:
        beside += f", and no loss, which noise would not cover; so far and with this update, {says}"
    else:
        beside += f", and the mean loss {pending.loss:.4g}"
    return (
        f"to be sent: {pending.bytes:,} bytes, the change to version {pending.version} by {pending.samples} examples, "
        f"norm {pending.norm:.4g}, {covered}; {beside}"
    )


def _bytes_of_inputs(kept: Kept) -> int:
    return sum(path.stat().st_size for path in (kept.folder / kept.about.data).glob("*.npy"))


def _examples(kept: Kept, call: Call, link: Link) -> tuple[NDArray[Any], NDArray[Any]]:
    """What is trained on: the prepared inputs, or what the frozen backbone makes of them (once), and the answers."""
    import numpy as np

    data = kept.folder / kept.about.data
    try:
        inputs, answers = (
            np.load(data / f"{name}.npy", allow_pickle=False) for name in ("inputs", "answers")
        )
        features = data / "features.npy"
        if call.backbone and features.exists():
            return np.load(features, allow_pickle=False), answers
    except (OSError, ValueError):
        raise ParticipantError(
            f"{data}: the prepared examples cannot be read; join again with them"
        ) from None
    if not call.backbone:
        return inputs, answers
    made = _features(inputs, call, link)
    from utils.files import atomic_write

    with atomic_write(features) as file:
        np.save(file, made, allow_pickle=False)
    return made, answers


def _features(pictures: NDArray[Any], call: Call, link: Link) -> NDArray[Any]:
    from safetensors import SafetensorError

    from utils.calls import home

    conf, raw = link.backbone(call.backbone)
    try:
        made = home.features(home.backbone(conf, raw, call), pictures, call.format)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        what = " ".join(str(error).split())[:200]
        raise RefusedError(0, f"the site's backbone {call.backbone} cannot be used: {what}") from None
    if made.shape[1:] != (call.format.features,):
        raise RefusedError(0, f"the site's backbone {call.backbone} makes other features than the task says")
    return made
