"""Why the program cannot go on: one line for a person, and the exit status that goes with it."""

from __future__ import annotations


class ParticipantError(Exception):
    """What failed while running, in one line; the exit status is 1."""

    status = 1


class WrongError(ParticipantError):
    """An argument, or data, that cannot be used; the exit status is 2."""

    status = 2


class LinkError(ParticipantError):
    """The site could not be reached, or answered what cannot be used. Asking again may help, after `after` seconds at
    the earliest.
    """

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class DeniedError(ParticipantError):
    """The site does not take the token, or does not allow this."""


class RefusedError(ParticipantError):
    """What was asked cannot be: the site's `code` (404, 409, 413, ...) and sentence, and for a 409 `why` in one of the
    words of the protocol; it may be otherwise after `after` seconds (0: not by itself).
    """

    def __init__(self, code: int, text: str, why: str = "", after: float = 0.0) -> None:
        super().__init__(text)
        self.code, self.why, self.after = code, why, after


class NotNowError(ParticipantError):
    """No training now, and why; it may be otherwise after `after` seconds (0: not by itself). `is_over`: it is no fault
    either, there is just nothing more to do.
    """

    def __init__(self, text: str, after: float = 0.0, is_over: bool = False) -> None:
        super().__init__(text)
        self.after, self.is_over = after, is_over
