"""Attack: PIV cards that leave, changed behind our back, hang or lie, behind a real pcscd."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.rigs._ctap_nfc import Apdu
from tests.rigs._piv_applet import AGREE, CERTIFICATE_9C, SIGN, PivApplet, tlv
from tests.rigs._piv_person import CHALLENGE, enrol, salt, typed_pins, typing
from tests.rigs.piv import P256, P384, PivRig, rsa_key
from tests.rigs.tokens import FakeUi

from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_card
from ownerd.model.errors import (
    Busy,
    KeysMissing,
    OwnerdError,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    Unsupported,
    WrongKey,
)
from ownerd.model.token import SecretHandle

pytestmark = pytest.mark.in_pcsc_rig

# -- cards that leave --

PHASES = {
    "select": lambda apdu: apdu.ins == 0xA4,
    "certificate": lambda apdu: apdu.ins == 0xCB,
    "long answer": lambda apdu: apdu.ins == 0xC0,
    "tries": lambda apdu: apdu.ins == 0x20 and not apdu.data,
    "pin": lambda apdu: apdu.ins == 0x20 and apdu.data,
    "signature": lambda apdu: apdu.ins == 0x87 and apdu.p2 == SIGN,
    "agreement": lambda apdu: apdu.ins == 0x87 and apdu.p2 == AGREE,
}
YANKS = [(phase, typed) for phase in PHASES for typed in (False, True) if typed or phase in list(PHASES)[:4]]


@pytest.mark.parametrize(("phase", "typed"), YANKS)
def test_a_card_that_is_yanked_is_removed_in_every_phase(piv_card: PivRig, phase: str, typed: bool) -> None:
    """Before the PIN is asked for the card may also just be missing; nothing is asked then."""
    armed = [not typed]

    def leave(apdu: Apdu) -> None:
        if armed[0] and PHASES[phase](apdu):
            assert piv_card.card is not None
            piv_card.card._socket.shutdown(socket.SHUT_RDWR)
            raise ConnectionError

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        piv_card.applet.intercept = leave
        ui = typing(while_typing=lambda: armed.__setitem__(0, True))
        with pytest.raises(TokenRemoved if typed else (TokenRemoved, TokenMissing)):
            await tokens.approve(credential, CHALLENGE, [salt()], ui=ui)
        assert ui.names == (["pin"] if typed else [])
        with pytest.raises((TokenRemoved, TokenMissing)):
            await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())
        if phase == "signature":
            piv_card.applet.intercept = lambda _: None
            await asyncio.to_thread(piv_card.remove)
            await asyncio.to_thread(piv_card.insert)
            await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())

    asyncio.run(use())


# -- other keys, odd cards --


def test_keys_that_were_replaced_behind_our_back_are_named(piv_card: PivRig) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        fresh = ec.generate_private_key(P256)
        piv_card.applet.certify(CERTIFICATE_9C, fresh)
        ui = typing()
        with pytest.raises(WrongKey, match="replaced"):
            await tokens.approve(credential, CHALLENGE, [], ui=ui)
        assert ui.names == []
        piv_card.applet.certify(CERTIFICATE_9C, piv_card.applet.keys[SIGN])
        piv_card.applet.keys[SIGN] = fresh
        with pytest.raises(WrongKey, match="another key"):
            await tokens.approve(credential, CHALLENGE, [], ui=typing())

    asyncio.run(use())


def test_p384_cards_open_and_rsa_cards_only_sign(piv_rigs: Any) -> None:
    big, signer = piv_rigs(slot=0, curve=P384), piv_rigs(PivApplet(signing=rsa_key()), slot=1)
    big.insert()
    signer.insert()

    async def use() -> None:
        tokens = big.tokens()
        infos = await tokens.present()
        made = [await tokens.enrol(info.id, user_verification=True, ui=FakeUi()) for info in infos]
        answers = [
            await tokens.approve(one, CHALLENGE, [salt(P384)] if one.opens else [], ui=typing())
            for one in made
        ]
        for credential, answer in zip(made, answers, strict=True):
            verify_card(answer.approval, CHALLENGE, credential)
        assert [answer.approval.algorithm for answer in answers] == ["ES384", "RS256"]
        assert [[len(secret) for secret in answer.secrets] for answer in answers] == [[48], []]

    asyncio.run(use())


def test_an_empty_card_gets_keys_with_its_management_key_and_needs_no_certificate(piv_rigs: Any) -> None:
    rig = piv_rigs(PivApplet())
    rig.insert()

    async def use() -> None:
        tokens = rig.tokens()
        (info,) = await tokens.present()
        with pytest.raises(KeysMissing):
            await tokens.enrol(info.id, user_verification=True, ui=FakeUi())
        ui = FakeUi(management=rig.applet.management[1])
        await tokens.make_keys(info.id, "P-256", keep=[], ui=ui)
        assert ui.names == ["new keys", "management key"]
        credential = await tokens.enrol(info.id, user_verification=True, ui=FakeUi())
        answer = await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())
        verify_card(answer.approval, CHALLENGE, credential)
        # A new daemon knows the keys from the credential alone.
        assert await rig.tokens().locate([credential]) == credential
        await rig.tokens().approve(credential, CHALLENGE, [salt()], ui=typing())

    asyncio.run(use())


def answering(ins: int, answer: bytes, p2: int | None = None) -> Any:
    """An interceptor that gives ``answer`` to one instruction."""
    return lambda apdu: answer if apdu.ins == ins and p2 in {None, apdu.p2} else None


HOSTILE = {
    "endless": (lambda apdu: bytes(16) + b"\x61\x10" if apdu.ins in {0xCB, 0xC0} else None, ProtocolBroken),
    "silent": (lambda apdu: b"\x90\x00" if apdu.ins != 0xA4 else None, ProtocolBroken),
    "no status": (lambda apdu: b"\x90" if apdu.ins == 0xCB else None, OwnerdError),
    "oversized": (lambda apdu: bytes(60000) + b"\x90\x00" if apdu.ins == 0xCB else None, OwnerdError),
    "truncated": (answering(0xCB, b"\x53\x82\x10\x00ab\x90\x00"), ProtocolBroken),
    "nested": (answering(0xCB, b"\x7c\x80" * 60 + b"\x90\x00"), ProtocolBroken),
    "no PIV": (lambda apdu: b"\x6a\x82" if apdu.ins == 0xA4 else b"\x6d\x00", TokenMissing),
    "no tries": (lambda apdu: b"\x6d\x00" if apdu.ins == 0x20 else None, Unsupported),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_card_is_left_out_in_bounded_time(piv_card: PivRig, case: str) -> None:
    intercept, error = HOSTILE[case]

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        piv_card.applet.intercept = intercept
        began, ui = time.monotonic(), typing()
        assert await tokens.present() == []
        with pytest.raises(OwnerdError) as raised:
            await tokens.approve(credential, CHALLENGE, [salt()], ui=ui)
        assert isinstance(raised.value, error | TokenMissing)
        assert ui.names == []
        assert time.monotonic() - began < 5

    asyncio.run(use())


OTHER_KEY = ec.generate_private_key(P256)
OTHER_SIGNATURE = OTHER_KEY.sign(b"other", ec.ECDSA(hashes.SHA256()))
LIES = {
    "wrong signature": (SIGN, tlv(0x7C, tlv(0x82, OTHER_SIGNATURE)), WrongKey),
    "truncated signature": (SIGN, tlv(0x7C, tlv(0x82, OTHER_SIGNATURE))[:-9], ProtocolBroken),
    "nested signature": (SIGN, tlv(0x7C, tlv(0x7C, tlv(0x82, OTHER_SIGNATURE))), ProtocolBroken),
    "oversized signature": (SIGN, tlv(0x7C, tlv(0x82, bytes(30000))), ProtocolBroken),
    "other secret": (AGREE, tlv(0x7C, tlv(0x82, bytes(32))), WrongKey),
    "truncated secret": (AGREE, tlv(0x7C, tlv(0x82, bytes(31))), ProtocolBroken),
}


@pytest.mark.parametrize("case", LIES)
def test_a_card_that_lies_after_its_pin_yields_nothing_and_gets_it_once(piv_card: PivRig, case: str) -> None:
    slot, answer, error = LIES[case]

    async def use() -> None:
        tokens = piv_card.tokens()
        credential, handle = await enrol(tokens), salt()
        honest = await tokens.approve(credential, CHALLENGE, [handle], ui=typing())
        known = SecretHandle(handle.salt, key_check(honest.secrets[0]))
        piv_card.applet.log.clear()
        piv_card.applet.intercept = answering(0x87, answer + b"\x90\x00", slot)
        with pytest.raises(error):
            await tokens.approve(credential, CHALLENGE, [known], ui=typing())
        assert typed_pins(piv_card) == 1
        piv_card.applet.intercept = lambda _: None
        await tokens.approve(credential, CHALLENGE, [known], ui=typing())

    asyncio.run(use())


def test_a_card_that_hangs_is_busy_and_a_cancelled_approval_ends_at_once(piv_card: PivRig) -> None:
    released = threading.Event()

    def hang(apdu: Apdu) -> None:
        if apdu.ins == 0x87:
            released.wait(10)

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        piv_card.applet.intercept = hang
        approving = asyncio.create_task(tokens.approve(credential, CHALLENGE, [salt()], ui=typing()))
        await asyncio.sleep(0.5)
        approving.cancel()
        began = time.monotonic()
        with suppress(asyncio.CancelledError):
            await approving
        assert time.monotonic() - began < 2
        with pytest.raises(Busy):
            await tokens.approve(credential, CHALLENGE, [], ui=typing())
        released.set()
        piv_card.applet.intercept = lambda _: None
        await asyncio.sleep(0.3)
        await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())
        with pytest.raises(PinWrong):
            await tokens.approve(credential, CHALLENGE, [], ui=FakeUi(pins=[b"654321"]))

    asyncio.run(use())
