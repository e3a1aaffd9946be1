"""Rigs for the tokens adapter: a person at the prompt, finders over in-process devices, recorded traffic."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fido2.ctap import CtapDevice

from ownerd.core.seal import key_check
from ownerd.model.secret import Secret
from ownerd.model.token import TokenInfo, Transport
from ownerd.softtoken.authenticator import Authenticator
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.limit import Limit
from tests.rigs.softtoken import InProcessDevice

PIN = b"2468ace"


@dataclass
class FakeUi:
    """A person who types ``pins`` one after the other; ``events`` keeps the order of what was asked."""

    pins: list[bytes] = field(default_factory=lambda: [PIN] * 9)
    events: list[tuple[str, Any]] = field(default_factory=list)
    while_typing: Callable[[], None] = lambda: None

    async def pin(self, token: TokenInfo) -> Secret:
        self.events.append(("pin", token))
        await asyncio.sleep(0)
        self.while_typing()
        return Secret(self.pins.pop(0))

    def touch_needed(self, token: TokenInfo, timeout_seconds: float) -> None:
        self.events.append(("touch", timeout_seconds))

    @property
    def names(self) -> list[str]:
        """Only the kinds of events."""
        return [name for name, _ in self.events]


class RecordingDevice(InProcessDevice):
    """An in-process device that notes every CTAP request and the thread that made it."""

    def __init__(self, authenticator: Authenticator, ui: FakeUi | None = None) -> None:
        super().__init__(authenticator)
        self.requests: list[bytes] = []
        self.threads: set[str] = set()
        self.open_count = 0
        self._ui = ui

    def call(self, cmd: int, data: bytes = b"", event: Any = None, on_keepalive: Any = None) -> bytes:
        self.requests.append(data)
        self.threads.add(threading.current_thread().name)
        if self._ui is not None:
            self._ui.events.append(("ctap", data[0]))
        return super().call(cmd, data, event, on_keepalive)

    def close(self) -> None:
        self.open_count -= 1
        super().close()

    def opened(self, _limit: Limit) -> CtapDevice:
        """What a candidate's ``open`` does."""
        self.open_count += 1
        return self


def candidate(
    device: RecordingDevice, token_id: str = "software-1", transport: Transport = "software"
) -> Candidate:
    """A candidate that opens ``device``."""
    return Candidate(token_id, transport, "software token (for trying out)", device.opened)


def make_tokens(*candidates: Candidate, **options: Any) -> Fido2Tokens:
    """The adapter over fixed candidates."""
    return Fido2Tokens(key_check=key_check, finders=[lambda: list(candidates)], **options)


def set_pin(authenticator: Authenticator, pin: bytes = PIN) -> None:
    """Set the PIN of an in-process token, as its owner would with any FIDO2 tool."""
    from fido2.ctap2.base import Ctap2
    from fido2.ctap2.pin import ClientPin

    ClientPin(Ctap2(InProcessDevice(authenticator))).set_pin(pin.decode())


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Poll until ``condition`` holds; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition did not become true in time"
        time.sleep(0.005)
