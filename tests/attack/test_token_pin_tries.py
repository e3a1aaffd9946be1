"""Attack: spend PIN tries, or get a PIN sent where it does not belong, around a change of PIN (invariant 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.attack.test_token_pin import CHALLENGE, HANDLES, Rig, WatchesRepeats, is_pin, pins_received
from tests.rigs.softtoken import make_authenticator
from tests.rigs.tokens import PIN, FakeUi, candidate, make_tokens, set_pin

from ownerd.model.errors import (
    Busy,
    OwnerdError,
    PinAtRisk,
    PinBlocked,
    PinUnfit,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    Unsupported,
)
from ownerd.softtoken.authenticator import Authenticator

NEW = b"another-pin"


def change(rig: Rig, ui: FakeUi) -> None:
    asyncio.run(rig.tokens.change_pin("software-1", ui=ui))


def tries(rig: Rig) -> int:
    return rig.authenticator.core.state.pin_tries


@pytest.mark.parametrize("left", [1, 2])
def test_no_pin_is_asked_for_with_two_tries_left_but_to_change_it(left: int) -> None:
    rig, ui = Rig(), FakeUi()

    async def use() -> None:
        credential = await rig.enrol()
        rig.authenticator.core.state.pin_tries = left
        with pytest.raises(PinAtRisk) as raised:
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert raised.value.tries_left == left
        with pytest.raises(PinAtRisk):
            await rig.tokens.enrol("software-1", user_verification=True, ui=ui)
        await rig.tokens.present()
        await rig.tokens.locate([credential])
        assert (ui.names, tries(rig), pins_received(rig.device)) == ([], left, 0)
        changing = FakeUi(new_pins=[NEW])
        await rig.tokens.change_pin("software-1", ui=changing)
        assert changing.events[0][1].pin_tries == left, "the owner can be told before typing"
        await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi(pins=[NEW]))

    asyncio.run(use())
    assert tries(rig) == 8


def test_with_three_tries_left_a_pin_is_asked_for() -> None:
    rig, ui = Rig(), FakeUi()

    async def use() -> None:
        credential = await rig.enrol()
        rig.authenticator.core.state.pin_tries = 3
        await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    assert ui.events[0][1].pin_tries == 3


def test_tries_used_up_elsewhere_while_the_owner_types_keep_the_pin_here() -> None:
    rig = Rig()

    def burn() -> None:
        rig.authenticator.core.state.pin_tries = 2

    async def use() -> None:
        credential = await rig.enrol()
        with pytest.raises(PinAtRisk):
            await rig.tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi(while_typing=burn))

    asyncio.run(use())
    assert (pins_received(rig.device), tries(rig)) == (0, 2)


@pytest.mark.parametrize("old", [PIN, b"wrong-pin"])
def test_a_change_sends_the_old_pin_once_and_never_lets_the_transport_repeat_it(old: bytes) -> None:
    rig = Rig()
    rig.device = WatchesRepeats(rig.authenticator)
    rig.tokens = make_tokens(candidate(rig.device))
    try:
        change(rig, FakeUi(pins=[old], new_pins=[NEW]))
        assert old == PIN
    except PinWrong:
        assert old != PIN
    assert pins_received(rig.device) == 1
    assert {r for r in rig.device.requests if is_pin(r)} <= set(rig.device.once)  # type: ignore[attr-defined]
    assert not rig.device.limit.send_once  # type: ignore[attr-defined]


def test_a_blocked_pin_is_not_asked_for_to_change_it() -> None:
    rig, ui = Rig(), FakeUi(new_pins=[NEW])
    rig.authenticator.core.state.pin_tries = 0
    with pytest.raises(PinBlocked):
        change(rig, ui)
    assert ui.names == []


def _impostor(rig: Rig) -> None:
    rig.device.authenticator = make_authenticator(authenticator_type=AnotherModel)
    set_pin(rig.device.authenticator)


def _burn(rig: Rig) -> None:
    rig.authenticator.core.state.pin_tries -= 1


def _forget(rig: Rig) -> None:
    rig.authenticator.core.state.pin_hash = b""


class AnotherModel(Authenticator):
    """Says that it is another model."""

    def info(self) -> dict[int, Any]:
        return {**super().info(), 3: bytes(16)}


@pytest.mark.parametrize(("meanwhile", "error"), [(_impostor, TokenMissing), (_burn, Busy), (_forget, Busy)])
def test_a_token_that_is_another_when_the_pins_are_typed_gets_none(
    meanwhile: Callable[[Rig], None], error: type[OwnerdError]
) -> None:
    rig = Rig()
    ui = FakeUi(pins=[PIN], new_pins=[NEW])
    ui.while_typing = lambda: meanwhile(rig) if ui.names[-1] == "new pin" else None
    with pytest.raises(error):
        change(rig, ui)
    assert pins_received(rig.device) == 0


class WantsLonger(Authenticator):
    """Wants PINs of at least six characters."""

    def info(self) -> dict[int, Any]:
        return {**super().info(), 13: 6}


def test_a_new_pin_shorter_than_the_token_wants_is_not_sent() -> None:
    rig = Rig(WantsLonger)
    with pytest.raises(PinUnfit, match="6 characters"):
        change(rig, FakeUi(new_pins=["пятьь".encode()]))
    change(rig, FakeUi(new_pins=["шестьь".encode()]))
    assert (pins_received(rig.device), tries(rig)) == (1, 8)


class RefusesPolicy(Authenticator):
    """Takes no new PIN: its policy is not one of those that getInfo can tell."""

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        if is_pin(request):
            parameters: Any = cbor.decode(request[1:])
            if parameters[2] in {ClientPin.CMD.SET_PIN, ClientPin.CMD.CHANGE_PIN}:
                return bytes([CtapError.ERR.PIN_POLICY_VIOLATION])
        return super().call(request, cancel, on_keepalive)


def test_a_new_pin_that_the_token_refuses_is_unfit() -> None:
    rig = Rig()
    rig.device.authenticator = make_authenticator(
        state=rig.authenticator.core.state, authenticator_type=RefusesPolicy
    )
    with pytest.raises(PinUnfit):
        change(rig, FakeUi(new_pins=[NEW]))


class Pinless(Authenticator):
    """Has no clientPIN at all."""

    def info(self) -> dict[int, Any]:
        info = super().info()
        return {**info, 4: {key: value for key, value in info[4].items() if key != "clientPin"}}


class Nonsense(Authenticator):
    """Says nonsense about its shortest PIN."""

    def info(self) -> dict[int, Any]:
        return {**super().info(), 13: "four"}


@pytest.mark.parametrize(("kind", "error"), [(Pinless, Unsupported), (Nonsense, ProtocolBroken)])
def test_a_token_without_usable_pin_is_named_and_gets_none(
    kind: type[Authenticator], error: type[OwnerdError]
) -> None:
    rig = Rig()
    rig.device.authenticator = make_authenticator(state=rig.authenticator.core.state, authenticator_type=kind)
    with pytest.raises(error):
        change(rig, FakeUi(new_pins=[NEW]))
    assert pins_received(rig.device) == 0
    assert Ctap2.CMD.RESET not in {request[0] for request in rig.device.requests}
