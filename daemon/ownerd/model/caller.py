"""Who called on the bus: a label with a confidence, never an authorisation."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Confidence(StrEnum):
    """How an app's label was learnt, best first (DESIGN section 4, step 1)."""

    SANDBOX = "sandbox"
    SCOPE = "scope"
    EXECUTABLE = "executable"
    UNKNOWN = "unknown"


class Caller(Struct, frozen=True):
    """A D-Bus sender: unique bus name, uid from the bus daemon (None: look-up failed), label."""

    bus_name: str
    uid: int | None
    label: str
    confidence: Confidence


class Terminal(Struct, frozen=True):
    """A terminal that its owner lends to the daemon's prompts: checked tty path, TERM and locale."""

    tty: str
    term: str
    locale: str
