"""Attack: spend the owner's PIN tries, or get a PIN that the owner typed for another token (invariant 6)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from threading import Event
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.rigs.softtoken import make_authenticator
from tests.rigs.tokens import PIN, FakeUi, RecordingDevice, candidate, make_tokens, set_pin

from ownerd.model.errors import OwnerdError, PinBlocked, PinNeeded, PinWrong, ProtocolBroken, TokenMissing
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.softtoken.authenticator import Authenticator
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.limit import Limit

CHALLENGE = hashlib.sha256(b"challenge").digest()
HANDLES = [SecretHandle(b"a" * 32)]
PIN_COMMANDS = {
    ClientPin.CMD.GET_TOKEN_USING_PIN,
    ClientPin.CMD.GET_TOKEN_USING_PIN_LEGACY,
    ClientPin.CMD.SET_PIN,
    ClientPin.CMD.CHANGE_PIN,
}


def pins_received(device: RecordingDevice) -> int:
    """How often a PIN reached the authenticator."""
    return sum(is_pin(request) for request in device.requests)


def is_pin(request: bytes) -> bool:
    """Whether a CTAP request carries a PIN."""
    if request[0] != Ctap2.CMD.CLIENT_PIN:
        return False
    parameters: Any = cbor.decode(request[1:])
    return parameters[2] in PIN_COMMANDS


class Rig:
    """One token with PIN, enrolled for use with it."""

    def __init__(self, authenticator_type: type[Authenticator] = Authenticator) -> None:
        self.authenticator = make_authenticator(authenticator_type=authenticator_type)
        set_pin(self.authenticator)
        self.device = RecordingDevice(self.authenticator)
        self.tokens = make_tokens(candidate(self.device))

    async def enrol(self) -> TokenCredential:
        credential = await self.tokens.enrol("software-1", user_verification=True, ui=FakeUi())
        self.device.requests.clear()
        return credential


@pytest.mark.parametrize("pin", [PIN, b"wrong-pin"])
def test_one_typed_pin_reaches_the_token_once(pin: bytes) -> None:
    rig, ui = Rig(), FakeUi(pins=[pin])

    async def use() -> None:
        credential = await rig.enrol()
        if pin == PIN:
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        else:
            with pytest.raises(PinWrong):
                await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    assert (ui.names.count("pin"), pins_received(rig.device)) == (1, 1)


class WatchesRepeats(RecordingDevice):
    """Notes which requests the transport may send again when it finds the channel busy."""

    def opened(self, limit: Limit) -> CtapDevice:
        self.limit, self.once = limit, getattr(self, "once", [])
        return super().opened(limit)

    def call(self, cmd: int, data: bytes = b"", event: Any = None, on_keepalive: Any = None) -> bytes:
        if self.limit.send_once:
            self.once.append(data)
        return super().call(cmd, data, event, on_keepalive)


def test_a_busy_channel_never_makes_the_transport_repeat_a_pin() -> None:
    rig = Rig()
    rig.device = WatchesRepeats(rig.authenticator)
    rig.tokens = make_tokens(candidate(rig.device))

    async def use() -> None:
        credential = await rig.enrol()
        rig.device.once.clear()  # type: ignore[attr-defined]
        await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())
    sent = {bytes(data) for data in rig.device.once}  # type: ignore[attr-defined]
    with_pin = {request for request in rig.device.requests if is_pin(request)}
    assert with_pin
    assert with_pin <= sent
    assert not rig.device.limit.send_once  # type: ignore[attr-defined]


def test_every_pin_in_a_row_is_asked_for_until_the_token_blocks_and_then_none() -> None:
    rig = Rig()

    async def use() -> list[str]:
        credential = await rig.enrol()
        ended = []
        for _ in range(12):
            ui = FakeUi(pins=[b"wrong-pin"])
            before = pins_received(rig.device)
            try:
                await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
            except OwnerdError as error:
                ended.append(error.id)
            assert pins_received(rig.device) - before == ui.names.count("pin")
        return ended

    ended = asyncio.run(use())
    assert ended[:2] == ["PinWrong", "PinWrong"]
    assert set(ended[3:]) == {"PinBlocked"}
    assert pins_received(rig.device) == 3


def test_a_blocked_pin_is_not_asked_for() -> None:
    rig, ui = Rig(), FakeUi()

    async def use() -> None:
        credential = await rig.enrol()
        rig.authenticator.core.state.pin_tries = 0
        with pytest.raises(PinBlocked):
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    assert ui.names == []


def test_finding_a_token_and_describing_it_send_no_pin() -> None:
    rig = Rig()

    async def use() -> None:
        credential = await rig.enrol()
        await rig.tokens.present()
        await rig.tokens.locate([credential])

    asyncio.run(use())
    assert pins_received(rig.device) == 0


def test_a_token_put_in_while_the_owner_types_never_sees_the_pin() -> None:
    rig, impostor = Rig(), Rig()
    device = rig.device

    async def use(tokens: Fido2Tokens) -> None:
        credential = await rig.enrol()

        def swap() -> None:
            device.authenticator = impostor.authenticator

        ui = FakeUi(while_typing=swap)
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert ui.names == ["pin"]

    asyncio.run(use(rig.tokens))
    assert pins_received(device) == 0


class RepeatsWrong(Authenticator):
    """Says OTHER for a wrong PIN, as some tokens do over PC/SC for every error."""

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        answer = super().call(request, cancel, on_keepalive)
        return bytes([CtapError.ERR.OTHER]) if answer[0] == CtapError.ERR.PIN_INVALID else answer


def test_a_wrong_pin_is_known_by_its_try_where_the_token_names_no_error() -> None:
    rig, ui = Rig(RepeatsWrong), FakeUi(pins=[b"wrong-pin"])

    async def use() -> None:
        credential = await rig.enrol()
        with pytest.raises(PinWrong) as raised:
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert raised.value.tries_left == 7

    asyncio.run(use())
    assert pins_received(rig.device) == 1


class AlwaysVerifies(Authenticator):
    """A token with alwaysUv: an assertion without PIN is refused, and it says so in getInfo."""

    def info(self) -> dict[int, Any]:
        info = super().info()
        return {**info, 4: {**info[4], "alwaysUv": True}}

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        if request[0] == Ctap2.CMD.GET_ASSERTION:
            parameters: Any = cbor.decode(request[1:])
            if 6 not in parameters and parameters.get(5, {}).get("up", True):
                return bytes([CtapError.ERR.PUAT_REQUIRED])
        return super().call(request, cancel, on_keepalive)


def test_a_token_that_always_asks_for_its_pin_is_not_enrolled_without() -> None:
    rig, ui = Rig(AlwaysVerifies), FakeUi()
    with pytest.raises(PinNeeded):
        asyncio.run(rig.tokens.enrol("software-1", user_verification=False, ui=ui))
    assert ui.names == []


def test_a_token_that_began_to_ask_for_its_pin_says_so() -> None:
    rig = Rig()

    async def use() -> None:
        credential = await rig.tokens.enrol("software-1", user_verification=False, ui=FakeUi())
        stricter = make_authenticator(state=rig.authenticator.core.state, authenticator_type=AlwaysVerifies)
        rig.device.authenticator = stricter
        with pytest.raises(PinNeeded):
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())


class CountsBadly(Authenticator):
    """Reports a retry counter that is no count."""

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        if request[0] == Ctap2.CMD.CLIENT_PIN and b"\x02\x01" in request:
            return b"\x00" + cbor.encode({3: "many"})
        return super().call(request, cancel, on_keepalive)


def test_a_retry_counter_that_is_no_count_is_refused_before_the_pin_is_asked_for() -> None:
    rig, ui = Rig(), FakeUi()
    rig.device.authenticator = make_authenticator(
        state=rig.authenticator.core.state, authenticator_type=CountsBadly
    )
    with pytest.raises(ProtocolBroken):
        asyncio.run(rig.tokens.enrol("software-1", user_verification=True, ui=ui))
    assert ui.names == []


@pytest.mark.parametrize("name", ["fido2", "fido2.hid", "fido2.pcsc", ""])
def test_no_log_level_shows_the_traffic(name: str, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    logging.getLogger("fido2.hid").setLevel(logging.NOTSET)
    with caplog.at_level(1, logger=name or None):
        asyncio.run(rig.enrol())
        assert not logging.getLogger("fido2.hid").isEnabledFor(5)
        assert not logging.getLogger("fido2.pcsc").isEnabledFor(5)
    assert PIN.decode() not in caplog.text
