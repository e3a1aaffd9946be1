"""Attack: FIDO2 cards that are shared, exchanged, pulled or lie, behind a real pcscd."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.attack.test_token_answers import APPROVALS
from tests.misbehaving.softtoken import Misbehaving, Misdeed
from tests.rigs._ctap_nfc import CtapNfcApplet
from tests.rigs.pcsc import NfcToken, other_program
from tests.rigs.tokens import PIN, FakeUi

from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, OwnerdError, TokenMissing, TokenRemoved
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc

pytestmark = pytest.mark.in_pcsc_rig

CHALLENGE = hashlib.sha256(b"challenge").digest()
HANDLES = [SecretHandle(b"a" * 32)]
SELECT_PIV = "00a404000ba00000030800001000010000"


def make(**options: Any) -> Fido2Tokens:
    return Fido2Tokens(key_check=key_check, finders=[find_pcsc], **options)


def set_pin(token: NfcToken) -> None:
    with token.open() as device:
        ClientPin(Ctap2(device)).set_pin(PIN.decode())


def tries(token: NfcToken) -> int:
    """The counter itself, read past the adapter and past pcscd."""
    return token.state.pin_tries


async def enrol(tokens: Fido2Tokens, *, user_verification: bool) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=user_verification, ui=FakeUi())


def swap(out: NfcToken, new: NfcToken) -> None:
    """Exchange the card, not faster than pcscd's own poll sees it."""
    out.remove()
    time.sleep(1)
    new.insert()


# -- other programs --


def test_an_applet_selected_on_a_fido2_card_while_the_person_types_does_no_harm(nfc_token: NfcToken) -> None:
    def intrude() -> None:
        with other_program() as transmit:
            assert transmit(SELECT_PIV) == "6a82"
            assert transmit("80100000010400") == "6d00"  # FIDO is not selected any more

    async def use() -> None:
        set_pin(nfc_token)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        ui = FakeUi(while_typing=intrude)
        answer = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert answer.approval.credential_id == credential.credential_id
        assert ui.names == ["pin", "touch"]

    asyncio.run(use())


def test_an_exclusive_holder_of_a_fido2_card_is_named_and_nothing_is_asked(nfc_token: NfcToken) -> None:
    async def use() -> None:
        set_pin(nfc_token)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        ui = FakeUi()
        with other_program(exclusive=True):
            with pytest.raises(Busy, match="another program uses the token"):
                await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
            with pytest.raises(Busy):
                await make().locate([credential])
        assert ui.names == []
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())


def test_a_program_that_takes_a_fido2_card_while_the_person_types_costs_no_try(nfc_token: NfcToken) -> None:
    async def use() -> None:
        set_pin(nfc_token)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        held = other_program(exclusive=True)
        ui = FakeUi(pins=[b"wrong-pin"], while_typing=lambda: held.__enter__() and None)
        with pytest.raises(Busy):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        held.__exit__(None, None, None)
        assert tries(nfc_token) == 8

    asyncio.run(use())


def test_no_background_path_of_a_fido2_card_touches_the_pin_counter(nfc_token: NfcToken) -> None:
    async def use() -> None:
        set_pin(nfc_token)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        nfc_token.state.pin_tries = 5
        for adapter in (tokens, make()):
            for _ in range(3):
                (info,) = await adapter.present()
                assert info.pin_tries == 5
                await adapter.locate([credential])
                await asyncio.gather(adapter.present(), adapter.present(), adapter.locate([credential]))
                assert (await adapter.recognise([credential])).tokens == {credential.id: info.id}
                assert await adapter.sight(credential) is not None
        assert tries(nfc_token) == 5

    asyncio.run(use())


# -- other cards, and none --


def test_another_fido2_card_in_the_same_reader_never_sees_the_pin(nfc_tokens: Any) -> None:
    mine, other = nfc_tokens(), nfc_tokens()
    mine.insert()

    async def use() -> None:
        set_pin(mine)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        await asyncio.to_thread(swap, mine, other)
        set_pin(other)
        await asyncio.to_thread(swap, other, mine)
        ui = FakeUi(pins=[b"wrong-pin"], while_typing=lambda: swap(mine, other))
        with pytest.raises((TokenMissing, TokenRemoved)):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        ui = FakeUi(pins=[b"wrong-pin"])
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert ui.names == []
        assert (tries(mine), tries(other)) == (8, 8)

    asyncio.run(use())


class Leaves(CtapNfcApplet):
    """A card that is pulled when ``phase`` says so, once it is ``armed``."""

    def __init__(self, honest: CtapNfcApplet, phase: Callable[[bytes], bool], *, armed: bool) -> None:
        super().__init__(honest._power_up)
        self.phase, self.armed = phase, armed
        self.token: NfcToken | None = None

    def transmit(self, raw: bytes) -> bytes:
        if self.armed and self.phase(raw):
            assert self.token is not None
            assert self.token.card is not None
            self.token.card._socket.shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        return super().transmit(raw)


def _asks(command: int, sub_command: int | None = None) -> Callable[[bytes], bool]:
    def phase(raw: bytes) -> bool:
        data = raw[5:] if raw[4] else raw[7:]
        if raw[1] != 0x10 or data[:1] != bytes([command]):
            return False
        return sub_command is None or bytes([2, sub_command]) in data[:6]

    return phase


PHASES = {
    "select": (lambda raw: raw[1] == 0xA4, False),
    "info": (_asks(Ctap2.CMD.GET_INFO), False),
    "silent question": (_asks(Ctap2.CMD.GET_ASSERTION), False),
    "tries": (_asks(Ctap2.CMD.CLIENT_PIN, 1), False),
    "key agreement": (_asks(Ctap2.CMD.CLIENT_PIN, 2), True),
    "pin": (_asks(Ctap2.CMD.CLIENT_PIN, 9), True),
    "assertion": (_asks(Ctap2.CMD.GET_ASSERTION), True),
    "select again": (lambda raw: raw[1] == 0xA4, True),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_fido2_card_that_is_yanked_is_removed_in_every_phase(nfc_tokens: Any, phase: str) -> None:
    """Before the PIN is asked for the card may also just be missing; nothing is asked then."""
    token = nfc_tokens()
    matches, typed = PHASES[phase]
    token.applet = leaves = Leaves(token.applet, matches, armed=False)
    leaves.token = token
    token.insert()

    async def use() -> None:
        set_pin(token)
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        leaves.armed = not typed
        ui = FakeUi(while_typing=lambda: setattr(leaves, "armed", True))
        with pytest.raises(TokenRemoved if typed else (TokenRemoved, TokenMissing)):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert ui.names[:1] == (["pin"] if typed else [])
        leaves.armed = False
        await asyncio.to_thread(token.remove)
        await asyncio.sleep(1)
        await asyncio.to_thread(token.insert)
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
        assert tries(token) == 8

    asyncio.run(use())


# -- lies --


@pytest.mark.parametrize(("misdeed", "user_verification", "error"), APPROVALS)
def test_a_lying_card_is_refused_by_name(
    nfc_tokens: Any, misdeed: Misdeed, user_verification: bool, error: type[OwnerdError]
) -> None:
    token, misdeeds = nfc_tokens(authenticator_type=Misbehaving), set()
    honest = token.applet._power_up

    def power_up() -> Misbehaving:
        made = honest()
        made.misdeeds = misdeeds  # the same set through every power cycle
        return made

    token.applet._power_up = power_up
    token.insert()

    async def use() -> None:
        if user_verification:
            set_pin(token)
        tokens = make()
        credential = await enrol(tokens, user_verification=user_verification)
        salts = [SecretHandle(os.urandom(32)) for _ in range(2)]
        first = await tokens.approve(credential, CHALLENGE, salts, ui=FakeUi())
        known = [
            SecretHandle(handle.salt, key_check(secret))
            for handle, secret in zip(salts, first.secrets, strict=True)
        ]
        misdeeds.add(misdeed)
        with pytest.raises(OwnerdError) as raised:
            await tokens.approve(credential, CHALLENGE, known, ui=FakeUi())
        assert type(raised.value) is error

    asyncio.run(use())


def test_a_counter_that_goes_back_is_no_finding_on_a_card_either(
    nfc_tokens: Any,
) -> None:
    token = nfc_tokens(authenticator_type=Misbehaving)
    token.insert()

    async def use() -> None:
        tokens = make()
        credential = await enrol(tokens, user_verification=False)
        honest = token.applet._power_up

        def power_up() -> Misbehaving:
            made = honest()
            made.misdeeds.add(Misdeed.COUNTER_BACK)
            return made

        token.applet._power_up = power_up
        answer = await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
        assert answer.approval.authenticator_data[33:37] == bytes(4)

    asyncio.run(use())
