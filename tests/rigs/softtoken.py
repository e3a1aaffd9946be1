"""The software token as a rig: in process behind python-fido2's device class, or as its real process.

In process::

    def test_x(authenticator, in_process_device):
        ctap = Ctap2(in_process_device)

The person is a `Person`: touches at once unless told otherwise, and remembers what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CAPABILITY, CTAPHID

from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.core import Core
from ownerd.softtoken.state import TokenState
from ownerd.softtoken.touch import Answer, Ask


@dataclass
class Person:
    """A `TouchSource`: gives ``answer``, or waits for the cancel when it is None."""

    answer: Answer | None = Answer.TOUCHED
    asked: list[Ask] = field(default_factory=list)

    def __call__(self, ask: Ask, cancel: Event, timeout_seconds: float) -> Answer:
        self.asked.append(ask)
        if self.answer is not None:
            return self.answer
        return Answer.CANCELLED if cancel.wait(timeout_seconds) else Answer.TIMED_OUT


class InProcessDevice(CtapDevice):
    """python-fido2's view of an authenticator in the same process."""

    def __init__(self, authenticator: Authenticator) -> None:
        self.authenticator = authenticator
        self.closed = False

    @property
    def capabilities(self) -> int:
        return CAPABILITY.CBOR

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        if cmd == CTAPHID.PING:
            return data
        if cmd != CTAPHID.CBOR:
            raise CtapError(CtapError.ERR.INVALID_COMMAND)
        return self.authenticator.call(data, event, on_keepalive)

    def close(self) -> None:
        self.closed = True

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


def make_authenticator(
    person: Person | None = None,
    *,
    state: TokenState | None = None,
    authenticator_type: type[Authenticator] = Authenticator,
    saved: list[Any] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    touch_timeout_seconds: float = 30.0,
) -> Authenticator:
    """An authenticator with nothing on disk; each save is noted in ``saved``. One call is one power cycle."""
    return authenticator_type(
        Core(
            state or TokenState(),
            (lambda _state: None) if saved is None else saved.append,
            person or Person(),
            monotonic=monotonic,
            touch_timeout_seconds=touch_timeout_seconds,
        )
    )


@pytest.fixture
def person() -> Person:
    """Who touches the in-process token."""
    return Person()


@pytest.fixture
def authenticator(person: Person) -> Authenticator:
    """A new software token in this process; ``person`` touches it."""
    return make_authenticator(person)


@pytest.fixture
def in_process_device(authenticator: Authenticator) -> InProcessDevice:
    """``authenticator`` behind python-fido2's device class."""
    return InProcessDevice(authenticator)
