"""Rigs for the tokens adapter: a person at the prompt, finders over in-process devices, recorded traffic."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from fido2.ctap import CtapDevice
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.rigs.pcsc import NfcToken
from tests.rigs.softtoken import InProcessDevice, Person, SoftTokenProcess, make_authenticator

from ownerd.core.seal import key_check
from ownerd.model.errors import Dismissed
from ownerd.model.secret import Secret
from ownerd.model.token import TokenInfo, Transport
from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.touch import Answer
from ownerd.tokens.candidate import Candidate, Finder
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc
from ownerd.tokens.limit import Limit
from ownerd.tokens.softtoken_socket import find_software

PIN = b"2468ace"
ANSWERS = {"touch": Answer.TOUCHED, "refuse": Answer.REFUSED, "absent": None}


@dataclass
class FakeUi:
    """A person who types ``pins`` one after the other; ``events`` keeps the order of what was asked."""

    pins: list[bytes] = field(default_factory=lambda: [PIN] * 9)
    new_pins: list[bytes] = field(default_factory=list)
    management: bytes = b""
    agrees: bool = True
    events: list[tuple[str, Any]] = field(default_factory=list)
    while_typing: Callable[[], None] = lambda: None

    async def pin(self, token: TokenInfo) -> Secret:
        self.events.append(("pin", token))
        await asyncio.sleep(0)
        self.while_typing()
        return Secret(self.pins.pop(0))

    async def new_pin(self, token: TokenInfo) -> Secret:
        self.events.append(("new pin", token))
        await asyncio.sleep(0)
        self.while_typing()
        return Secret(self.new_pins.pop(0))

    async def confirm_new_keys(self, token: TokenInfo, shown: Sequence[str]) -> None:
        self.events.append(("new keys", list(shown)))
        await asyncio.sleep(0)
        if not self.agrees:
            raise Dismissed("the owner refused")

    async def management_key(self, token: TokenInfo) -> Secret:
        self.events.append(("management key", token))
        await asyncio.sleep(0)
        self.while_typing()
        return Secret(self.management)

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


def make_tokens(*candidates: Candidate, more_finders: Sequence[Finder] = (), **options: Any) -> Fido2Tokens:
    """The adapter over fixed candidates."""
    finders = [lambda: list(candidates), *more_finders]
    return Fido2Tokens(key_check=key_check, finders=finders, **options)


def set_pin(authenticator: Authenticator, pin: bytes = PIN) -> None:
    """Set the PIN of an in-process token, as its owner would with any FIDO2 tool."""
    ClientPin(Ctap2(InProcessDevice(authenticator))).set_pin(pin.decode())


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Poll until ``condition`` holds; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition did not become true in time"
        time.sleep(0.005)


class Rigged:
    """One token to run the contract on: what the person does, and a view past the adapter.

    ``person`` is "touch", "refuse" or "absent".
    """

    finder: Finder
    transport: Transport = "software"

    def person(self, does: str) -> None:
        """Choose what the person does from now on."""
        raise NotImplementedError

    def raw(self) -> CtapDevice:
        """The same token through python-fido2 alone."""
        raise NotImplementedError

    def tokens(self, **options: Any) -> Fido2Tokens:
        """A new adapter that finds this token."""
        return Fido2Tokens(key_check=key_check, finders=[self.finder], **options)

    def set_pin(self, pin: bytes = PIN) -> None:
        """Set the first PIN."""
        with self.raw() as device:
            ClientPin(Ctap2(device)).set_pin(pin.decode())

    def tries(self) -> int:
        """PIN tries that are left, as the token says."""
        with self.raw() as device:
            return ClientPin(Ctap2(device)).get_pin_retries()[0]


class RiggedInProcess(Rigged):
    """The authenticator in this process, straight behind python-fido2's device class."""

    def __init__(self) -> None:
        self._person = Person()
        self.device = RecordingDevice(make_authenticator(self._person))
        self.finder = lambda: [candidate(self.device)]

    def person(self, does: str) -> None:
        self._person.answer = ANSWERS[does]

    def raw(self) -> CtapDevice:
        return InProcessDevice(self.device.authenticator)


class RiggedSocket(Rigged):
    """The real software token process, found by its socket."""

    def __init__(self, process: SoftTokenProcess) -> None:
        self.process = process
        self.finder = lambda: find_software(lambda: process.socket_path.parent)
        self._does = "touch"
        self._pressing = threading.Thread(target=self._press, daemon=True)
        self._pressing.start()

    def person(self, does: str) -> None:
        self._does = does

    def raw(self) -> CtapDevice:
        return self.process.connect()

    def _press(self) -> None:
        questions = 0
        with suppress(AssertionError, OSError):
            while self.process.process.poll() is None:
                questions += 1
                self.process.wait_for("Enter = touch", count=questions, timeout_seconds=120)
                if self._does != "absent":
                    self.process.type("\n" if self._does == "touch" else "n\n")


class RiggedCard(Rigged):
    """The authenticator in a virtual reader behind a real pcscd, found by the adapter's own finder."""

    transport = "pcsc"

    def __init__(self, token: NfcToken) -> None:
        self.token = token
        self.finder = find_pcsc

    def person(self, does: str) -> None:
        self.token.person.answer = ANSWERS[does]

    def raw(self) -> CtapDevice:
        device: CtapDevice = self.token.open()
        return device


@pytest.fixture(
    # The card is not the last: pytest tears a module down after a test of this process alone.
    params=["in-process", pytest.param("pcsc", marks=pytest.mark.in_pcsc_rig), "socket"],
)
def rigged(request: pytest.FixtureRequest) -> Rigged:
    """A token without PIN behind every transport that can be had without hardware."""
    if request.param == "in-process":
        return RiggedInProcess()
    if request.param == "pcsc":
        return RiggedCard(request.getfixturevalue("nfc_token"))
    return RiggedSocket(request.getfixturevalue("softtoken_process"))
