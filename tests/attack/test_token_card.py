"""Attack: cards that leave, never end, speak nonsense or are wanted by others, behind a real pcscd."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterable
from threading import Event
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.misbehaving.softtoken import Misbehaving, Misdeed
from tests.rigs._ctap_nfc import OK, CtapNfcApplet
from tests.rigs.pcsc import NfcToken, VpcdCard
from tests.rigs.tokens import FakeUi, wait_until

from ownerd.core.seal import key_check
from ownerd.model.errors import (
    Busy,
    OwnerdError,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    TouchTimeout,
)
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.touch import Answer
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc

pytestmark = pytest.mark.in_pcsc_rig

CHALLENGE = hashlib.sha256(b"challenge").digest()
HANDLES = [SecretHandle(b"a" * 32)]


def make(**options: Any) -> Fido2Tokens:
    return Fido2Tokens(key_check=key_check, finders=[find_pcsc], **options)


def held(tokens: Fido2Tokens) -> Iterable[Any]:
    """What the adapter keeps for each token."""
    return tokens._holds._tokens.values()


async def insert_again(token: NfcToken) -> None:
    """Put the card back, not before pcscd's own poll saw it go: a faster change leaves its reader unpowered."""
    await asyncio.sleep(1)
    await asyncio.to_thread(token.insert)


async def enrol(tokens: Fido2Tokens, *, user_verification: bool = False) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=user_verification, ui=FakeUi())


def test_a_card_that_leaves_while_it_waits_for_the_touch_is_removed(nfc_token: NfcToken) -> None:
    async def use() -> None:
        tokens = make()
        credential = await enrol(tokens)
        nfc_token.person.answer = None
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi()))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(nfc_token.remove)
        with pytest.raises(TokenRemoved):
            await waiting
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
        await insert_again(nfc_token)
        nfc_token.person.answer = Answer.TOUCHED
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())


class Blocks(Misbehaving):
    """Waits for a touch for ever; over PC/SC its reader then blocks in the cancel."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.misdeeds.add(Misdeed.ENDLESS_KEEPALIVE)


class FloodsApplet(CtapNfcApplet):
    """Asks for patience for ever, cancelled or not, once it gets a getAssertion."""

    def transmit(self, raw: bytes) -> bytes:
        asserting = raw[1] == 0x10 and raw[5] == Ctap2.CMD.GET_ASSERTION
        return b"\2\x91\x00" if asserting or raw[1] == 0x11 else super().transmit(raw)


def test_a_card_that_asks_for_patience_for_ever_times_out_and_its_thread_comes_free(nfc_tokens: Any) -> None:
    token = nfc_tokens()
    honest = token.applet
    token.insert()

    async def use() -> None:
        tokens = make(touch_timeout_seconds=0.2, margin_seconds=0.1)
        credential = await enrol(tokens)
        await asyncio.to_thread(token.remove)
        token.applet = FloodsApplet(honest._power_up)
        await insert_again(token)
        for _ in range(2):  # were the thread still held, the second would be Busy
            began = time.monotonic()
            with pytest.raises(TouchTimeout):
                await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
            assert time.monotonic() - began < 3

    asyncio.run(use())


def test_a_reader_that_blocks_times_out_is_busy_and_is_usable_after_the_card_left(nfc_tokens: Any) -> None:
    token = nfc_tokens()
    honest = token.applet._power_up
    token.insert()
    blocking: list[Blocks] = []

    def power_up() -> Authenticator:
        blocking.append(Blocks(honest().core))
        return blocking[-1]

    async def use() -> None:
        tokens = make(touch_timeout_seconds=0.2, margin_seconds=0.1)
        credential = await enrol(tokens)
        token.applet._power_up = power_up
        with pytest.raises(TouchTimeout):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
        with pytest.raises(Busy):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
        for authenticator in blocking:
            authenticator.released.set()
        token.applet._power_up = honest
        await asyncio.to_thread(wait_until, lambda: not any(one.worker.stuck for one in held(tokens)))
        await asyncio.to_thread(token.remove)
        await insert_again(token)
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())


class LoopsApplet(CtapNfcApplet):
    """Answers everything but SELECT with more data to come, for ever."""

    def transmit(self, raw: bytes) -> bytes:
        return super().transmit(raw) if raw[1] == 0xA4 else b"\0" * 16 + b"\x61\x10"


class OtherApplet(CtapNfcApplet):
    """A card without FIDO."""

    def transmit(self, raw: bytes) -> bytes:
        return b"\x6a\x82" if raw[1] == 0xA4 else b"\x6d\x00"


class SilentApplet(CtapNfcApplet):
    """FIDO is selected, and then every answer is empty."""

    def transmit(self, raw: bytes) -> bytes:
        return super().transmit(raw) if raw[1] == 0xA4 else OK


@pytest.mark.parametrize(
    ("applet", "error"),
    [(LoopsApplet, ProtocolBroken), (OtherApplet, TokenMissing), (SilentApplet, ProtocolBroken)],
)
def test_a_card_that_is_no_token_is_left_out_and_named(
    nfc_tokens: Any, applet: type[CtapNfcApplet], error: type[OwnerdError]
) -> None:
    token = nfc_tokens()
    token.applet = applet(token.applet._power_up)
    token.insert()
    stranger = TokenCredential("fido2", "0" * 16, b"c" * 32, {}, False, "", 1, False, "")

    async def use() -> None:
        assert await make().present() == []
        began = time.monotonic()
        with pytest.raises(OwnerdError) as raised:
            await make().locate([stranger])
        assert type(raised.value) is error
        assert time.monotonic() - began < 3

    asyncio.run(use())


def test_another_programs_select_waits_until_our_session_ends(nfc_token: NfcToken) -> None:
    async def use() -> float:
        tokens = make()
        credential = await enrol(tokens)
        nfc_token.person.answer = None
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi()))
        await asyncio.sleep(0.3)
        ended: list[float] = []

        def intrude() -> None:
            nfc_token.open().close()
            ended.append(time.monotonic())

        intruder = threading.Thread(target=intrude)
        intruder.start()
        await asyncio.sleep(0.5)
        assert ended == []
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        released = time.monotonic()
        await asyncio.to_thread(intruder.join, 5)
        return ended[0] - released

    assert asyncio.run(use()) > -0.5


def test_two_cards_in_one_reader_with_two_slots_are_told_apart(nfc_tokens: Any) -> None:
    first, second = nfc_tokens(), nfc_tokens()
    first.insert()
    other_slot = VpcdCard(second.applet, port=0x8C7C)

    async def use() -> None:
        tokens = make()
        for _ in range(50):
            if len(found := await tokens.present()) == 2:
                break
            await asyncio.sleep(0.1)
        assert len({info.id for info in found}) == 2
        made = [await tokens.enrol(info.id, user_verification=False, ui=FakeUi()) for info in found]
        for credential in made:
            assert await make().locate([credential]) == credential
            answer = await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())
            assert answer.approval.credential_id == credential.credential_id
        assert await make().locate([made[1], made[0]]) == made[1]

    try:
        asyncio.run(use())
    finally:
        other_slot.remove()


class Vague(Authenticator):
    """Reports every CTAP error as OTHER, as some tokens do over PC/SC."""

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        answer = super().call(request, cancel, on_keepalive)
        return answer if answer[0] == 0 else bytes([CtapError.ERR.OTHER])


def test_a_token_that_names_no_error_is_located_and_its_wrong_pin_is_known(nfc_tokens: Any) -> None:
    token = nfc_tokens(authenticator_type=Vague)
    token.insert()

    async def use() -> None:
        with token.open() as device:
            ClientPin(Ctap2(device)).set_pin("2468ace")
        tokens = make()
        credential = await enrol(tokens, user_verification=True)
        assert await make().locate([credential]) == credential
        with pytest.raises(PinWrong) as raised:
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi(pins=[b"wrong-pin"]))
        assert raised.value.tries_left == 7
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())
