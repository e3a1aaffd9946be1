"""What a touch is asked for, and what came of it: the seam between the authenticator and its person."""

from __future__ import annotations

from enum import Enum
from threading import Event
from typing import Protocol

from msgspec import Struct


class Act(Enum):
    """What a touch does."""

    MAKE_CREDENTIAL = "make a new credential"
    APPROVE = "approve"
    SELECT = "choose this token"
    RESET = "ERASE this token: every credential and the PIN"


class Ask(Struct, frozen=True):
    """One touch that is asked for; ``rp_id`` is as the client sent it, and None where there is none."""

    act: Act
    rp_id: str | None = None


class Answer(Enum):
    """How the wait for a touch ended."""

    TOUCHED = "touched"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class TouchSource(Protocol):
    """Waits for the person. Runs on the authenticator's thread and may block."""

    def __call__(self, ask: Ask, cancel: Event, timeout_seconds: float, /) -> Answer:
        """Return how it ended, at the latest after ``timeout_seconds``, soon after ``cancel`` is set."""
