"""Attack: other programs, other cards and other keys around a PIV card, behind a real pcscd."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs._ctap_nfc import Apdu
from tests.rigs._piv_applet import AGREE, CERTIFICATE_9C, PIN, SIGN, PivApplet
from tests.rigs.pcsc import NfcToken
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
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.all_tokens import AllTokens
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc
from ownerd.tokens.piv_port import PivTokens

pytestmark = pytest.mark.in_pcsc_rig

CHALLENGE = hashlib.sha256(b"challenge").digest()


def salt(curve: Any = P256) -> SecretHandle:
    public = ec.generate_private_key(curve).public_key()
    return SecretHandle(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def typing(**options: Any) -> FakeUi:
    return FakeUi(pins=[PIN], **options)


def typed_pins(rig: PivRig) -> int:
    """How often the card was sent a PIN."""
    return sum(one.ins == 0x20 and bool(one.data) for one in rig.applet.log)


async def enrol(tokens: PivTokens) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=FakeUi(pins=[]))


@contextmanager
def other_program(*, exclusive: bool = False, transaction: bool = False, slot: int = 0) -> Iterator[Any]:
    """Another client of the card; yields what exchanges an APDU."""
    from smartcard import scard

    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _, readers = scard.SCardListReaders(context, [])
    mode = scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED
    result, handle, _ = scard.SCardConnect(context, readers[slot], mode, scard.SCARD_PROTOCOL_T1)
    assert result == 0
    if transaction:
        assert scard.SCardBeginTransaction(handle) == 0

    def transmit(text: str) -> str:
        status, answer = scard.SCardTransmit(handle, scard.SCARD_PCI_T1, list(bytes.fromhex(text)))
        return bytes(answer).hex() if status == 0 else f"error {status & 0xFFFFFFFF:08x}"

    try:
        yield transmit
    finally:
        if transaction:
            scard.SCardEndTransaction(handle, scard.SCARD_LEAVE_CARD)
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(context)


SELECT_FIDO = "00a4040008a0000006472f000100"
SELECT_PIV = "00a404000ba00000030800001000010000"
ASK_TRIES = "0020008000"


# -- other programs --


def test_another_applet_selected_while_the_person_types_does_no_harm(piv_card: PivRig) -> None:
    def intrude() -> None:
        with other_program() as transmit:
            assert transmit(SELECT_FIDO) == "6a82"
            assert transmit(ASK_TRIES) == "6d00"  # PIV is not selected any more

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        ui = typing(while_typing=intrude)
        answer = await tokens.approve(credential, CHALLENGE, [salt()], ui=ui)
        verify_card(answer.approval, CHALLENGE, credential)

    asyncio.run(use())


def test_another_program_waits_for_our_visit_and_inherits_no_verified_pin(piv_card: PivRig) -> None:
    found: list[str] = []
    inside = threading.Event()
    go_on = threading.Event()

    def hold_in_signature(apdu: Apdu) -> None:
        if apdu.ins == 0x87 and apdu.p2 == SIGN:
            inside.set()
            assert go_on.wait(5)

    def intrude() -> None:
        with other_program() as transmit:
            # Told by an error that the card was reset; or it waited, and finds a card that knows no PIN.
            found.append(transmit(SELECT_FIDO))

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        piv_card.applet.intercept = hold_in_signature
        approving = asyncio.create_task(tokens.approve(credential, CHALLENGE, [salt()], ui=typing()))
        await asyncio.to_thread(inside.wait, 5)
        intruder = threading.Thread(target=intrude)
        intruder.start()
        await asyncio.sleep(0.3)
        assert found == []
        go_on.set()
        verify_card((await approving).approval, CHALLENGE, credential)
        await asyncio.to_thread(intruder.join, 5)
        assert found
        assert not piv_card.applet.verified
        with other_program() as transmit:
            assert transmit(SELECT_PIV).endswith("9000")
            assert transmit(ASK_TRIES) == "63c5"

    asyncio.run(use())


def test_a_program_that_shares_the_card_all_the_while_inherits_no_verified_pin(piv_card: PivRig) -> None:
    """Its connection keeps the card powered, so that only our reset takes the PIN back."""

    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        with other_program():
            await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())
            assert typed_pins(piv_card) == 1
            assert not piv_card.applet.verified
            with other_program() as transmit:
                assert transmit(ASK_TRIES) == "6d00"  # not even selected

    asyncio.run(use())


def test_an_exclusive_holder_is_named_and_nothing_is_asked(piv_card: PivRig) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        with other_program(exclusive=True):
            ui = typing()
            with pytest.raises(Busy, match="another program holds the card"):
                await tokens.approve(credential, CHALLENGE, [], ui=ui)
            assert ui.names == []
            assert await tokens.present() == []
        await tokens.approve(credential, CHALLENGE, [], ui=typing())

    asyncio.run(use())


def test_a_program_that_takes_the_card_while_the_person_types_costs_no_try(piv_card: PivRig) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        held = other_program(exclusive=True)
        with pytest.raises(Busy):
            await tokens.approve(
                credential, CHALLENGE, [], ui=typing(while_typing=lambda: held.__enter__() and None)
            )
        held.__exit__(None, None, None)
        assert typed_pins(piv_card) == 0

    asyncio.run(use())


def test_a_pin_is_never_sent_after_we_gave_up_waiting(piv_card: PivRig) -> None:
    """Another's transaction outlasts our patience; when it ends, the abandoned thread must not VERIFY."""

    async def use() -> None:
        tokens = piv_card.tokens(step_timeout_seconds=2.0, work_timeout_seconds=0.3)
        credential = await enrol(tokens)
        held = other_program(transaction=True)
        with pytest.raises(Busy, match="another program holds the card"):
            await tokens.approve(
                credential, CHALLENGE, [], ui=typing(while_typing=lambda: held.__enter__() and None)
            )
        with pytest.raises(Busy):
            await tokens.locate([credential])
        held.__exit__(None, None, None)
        await asyncio.sleep(0.5)
        assert typed_pins(piv_card) == 0
        await piv_card.tokens().approve(credential, CHALLENGE, [], ui=typing())

    asyncio.run(use())


def test_a_pin_that_another_program_verified_hides_the_count_and_is_asked_all_the_same(
    piv_card: PivRig,
) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        piv_card.applet.log.clear()
        ui = typing()
        with other_program() as transmit:
            assert transmit(SELECT_PIV).endswith("9000")
            assert transmit("00200080 08 " + PIN.hex() + "ffff 00") == "9000"
            await tokens.approve(credential, CHALLENGE, [], ui=ui)
        assert ui.events[0][1].pin_tries is None
        assert typed_pins(piv_card) == 2

    asyncio.run(use())


def test_no_background_path_touches_the_pin_counter(piv_card: PivRig) -> None:
    piv_card.block(4)

    async def use() -> None:
        tokens = piv_card.tokens()
        for _ in range(3):
            credential = await enrol(tokens)
            await tokens.locate([credential])
            await asyncio.gather(tokens.present(), tokens.present(), tokens.locate([credential]))
        with pytest.raises(TokenMissing):
            await tokens.locate([dataclasses.replace(credential, public_key={}, credential_id=b"")])

    asyncio.run(use())
    assert piv_card.tries() == 4
    assert typed_pins(piv_card) == 0


# -- other cards --


def test_another_card_in_the_same_reader_never_sees_the_pin(piv_rigs: Any) -> None:
    mine, other = piv_rigs(), piv_rigs()
    mine.insert()

    def swap() -> None:
        mine.remove()
        time.sleep(1)
        other.insert()

    async def use() -> None:
        tokens = mine.tokens()
        credential = await enrol(tokens)
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, [salt()], ui=typing(while_typing=swap))
        ui = typing()
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, [salt()], ui=ui)
        assert ui.names == []
        assert typed_pins(other) == 0

    asyncio.run(use())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_cards_are_told_apart_in_both_orders(piv_rigs: Any, order: tuple[int, int]) -> None:
    rigs = [piv_rigs(slot=0), piv_rigs(slot=1)]
    for number in order:
        rigs[number].insert()

    async def use() -> None:
        tokens = rigs[0].tokens()
        infos = await tokens.present()
        assert len({info.id for info in infos}) == 2
        made = [await tokens.enrol(info.id, user_verification=True, ui=FakeUi()) for info in infos]
        assert made[0].id != made[1].id
        for number in order:
            assert await rigs[0].tokens().locate([made[number]]) == made[number]
            answer = await rigs[0].tokens().approve(made[number], CHALLENGE, [salt()], ui=typing())
            verify_card(answer.approval, CHALLENGE, made[number])
        assert await tokens.locate([made[one] for one in order]) == made[order[0]]
        assert sorted(typed_pins(rig) for rig in rigs) == [1, 1]

    asyncio.run(use())


def test_a_card_that_moved_to_the_other_slot_is_found_there(piv_rigs: Any) -> None:
    rig = piv_rigs()
    rig.insert()

    async def use() -> None:
        tokens = rig.tokens()
        credential = await enrol(tokens)
        await asyncio.to_thread(rig.remove)
        rig.slot = 1
        await asyncio.to_thread(rig.insert)
        await tokens.approve(credential, CHALLENGE, [salt()], ui=typing())

    asyncio.run(use())


def test_a_fido_token_and_a_card_stand_behind_one_port(piv_rigs: Any, nfc_token: NfcToken) -> None:
    rig = piv_rigs(slot=1)
    rig.insert()
    fido = Fido2Tokens(key_check=key_check, finders=[find_pcsc])
    tokens = AllTokens({"fido2": fido, "piv": rig.tokens()})

    async def use() -> None:
        infos = await tokens.present()
        assert [info.id.split("-")[0] for info in infos] == ["pcsc", "piv"]
        made = [await tokens.enrol(info.id, user_verification=False, ui=FakeUi()) for info in infos]
        assert [credential.type for credential in made] == ["fido2", "piv"]
        assert await tokens.locate(made) == made[0]
        assert await tokens.locate(made[::-1]) == made[1]
        handles = {"fido2": SecretHandle(os.urandom(32)), "piv": salt()}
        for credential in made:
            answer = await tokens.approve(credential, CHALLENGE, [handles[credential.type]], ui=typing())
            assert answer.approval.type == credential.type
        await asyncio.to_thread(nfc_token.remove)
        assert await tokens.locate(made) == made[1]

    asyncio.run(use())


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


HOSTILE = {
    "endless": (lambda apdu: bytes(16) + b"\x61\x10" if apdu.ins in {0xCB, 0xC0} else None, ProtocolBroken),
    "silent": (lambda apdu: b"\x90\x00" if apdu.ins != 0xA4 else None, ProtocolBroken),
    "no status": (lambda apdu: b"\x90" if apdu.ins == 0xCB else None, OwnerdError),
    "oversized": (lambda apdu: bytes(60000) + b"\x90\x00" if apdu.ins == 0xCB else None, OwnerdError),
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
