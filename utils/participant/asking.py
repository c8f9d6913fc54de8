"""What a person is asked at the terminal."""

from __future__ import annotations

from utils.participant.refusals import WrongError


def asked(question: str) -> bool:
    """Whether somebody says yes; nobody there is a no."""
    try:
        return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")
    except EOFError:
        return False


def accepts(given: int | None, version: int, text: str) -> bool:
    """Whether the consent text, which is shown, is accepted: it is asked, unless a version was accepted before.

    Raises WrongError where that was another version.
    """
    print(f"\nConsent, version {version}:\n{text.strip() or '(no text)'}\n")
    if given is None:
        return asked(f"Accept version {version}?")
    if given != version:
        raise WrongError(f"--accept {given}: the consent text is version {version}")
    return True
