"""The contract of `TokenPort` as cards fulfil it: their PIN is the act, their secrets are ECDH."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs.cards import CardRig
from tests.rigs.tokens import FakeUi

from ownerd.core.ports import TokenPort
from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_card
from ownerd.model.errors import (
    InvalidArgument,
    PinAtRisk,
    PinBlocked,
    PinWrong,
    TokenMissing,
    WrongKey,
)
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential

CHALLENGE = hashlib.sha256(b"challenge").digest()


def point() -> bytes:
    """A fresh salt: a point whose private half is thrown away."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


HANDLES = (SecretHandle(point()), SecretHandle(point()))


async def enrol(tokens: TokenPort, rig: CardRig) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=typing(rig))


def typing(rig: CardRig, *pins: bytes) -> FakeUi:
    return FakeUi(pins=list(pins) or [rig.pin])


def test_present_describes_the_card_and_uses_no_try(card_rig: CardRig) -> None:
    before = card_rig.tries()
    for _ in range(3):
        (info,) = asyncio.run(card_rig.tokens().present())
    assert info.has_pin
    assert info.pin_tries == before == card_rig.tries()


def test_a_pin_signs_the_challenge_and_opens_the_same_secrets(card_rig: CardRig) -> None:
    async def use() -> tuple[TokenCredential, TokenAnswer, TokenAnswer, TokenAnswer]:
        tokens = card_rig.tokens()
        credential = await enrol(tokens, card_rig)
        both = await tokens.approve(credential, CHALLENGE, HANDLES, ui=typing(card_rig))
        known = [SecretHandle(HANDLES[1].salt, key_check(both.secrets[1]))]
        again = await card_rig.tokens().approve(credential, CHALLENGE, known, ui=typing(card_rig))
        bare = await tokens.approve(credential, CHALLENGE, (), ui=typing(card_rig))
        return credential, both, again, bare

    credential, both, again, bare = asyncio.run(use())
    assert (credential.type, credential.user_verification, credential.opens) == (card_rig.type, True, True)
    assert [len(secret) for secret in both.secrets] == [32, 32]
    assert both.secrets[0] != both.secrets[1]
    assert again.secrets == (both.secrets[1],)
    assert bare.secrets == ()
    for answer in (both, again, bare):
        verify_card(answer.approval, CHALLENGE, credential)


def test_the_tries_are_told_before_the_pin_is_asked_and_no_touch_is_announced(card_rig: CardRig) -> None:
    ui = typing(card_rig)

    async def use() -> None:
        tokens = card_rig.tokens()
        await tokens.approve(await enrol(tokens, card_rig), CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    ((name, info),) = ui.events
    assert name == "pin"
    assert info.pin_tries == card_rig.tries()


def test_a_wrong_pin_costs_one_try_and_a_right_one_restores_them(card_rig: CardRig) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        credential = await enrol(tokens, card_rig)
        before = card_rig.tries()
        with pytest.raises(PinWrong) as raised:
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=typing(card_rig, b"135790"))
        if before is not None:
            assert raised.value.tries_left == before - 1 == card_rig.tries()
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=typing(card_rig))
        assert card_rig.tries() == before

    asyncio.run(use())


@pytest.mark.parametrize(("left", "error"), [(2, PinAtRisk), (1, PinAtRisk), (0, PinBlocked)])
def test_with_few_tries_left_no_pin_is_asked(card_rig: CardRig, left: int, error: type[Exception]) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        credential = await enrol(tokens, card_rig)
        card_rig.block(left)
        if card_rig.tries() is None:
            pytest.skip("this kind of card does not say so")
        ui = typing(card_rig)
        with pytest.raises(error):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert ui.names == []
        assert card_rig.tries() == left

    asyncio.run(use())


def test_locate_finds_the_first_enrolled_credential_without_pin(card_rig: CardRig) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        credential = await enrol(tokens, card_rig)
        stranger = dataclasses.replace(
            credential, id="0" * 16, credential_id=bytes(32), public_key=credential.agreement_key or {}
        )
        before = card_rig.tries()
        for wanted in ([credential], [stranger, credential], [credential, stranger]):
            assert await card_rig.tokens().locate(wanted) == credential
        for nobody in ([stranger], []):
            with pytest.raises(TokenMissing):
                await tokens.locate(nobody)
        ui = typing(card_rig)
        with pytest.raises(TokenMissing):
            await tokens.approve(stranger, CHALLENGE, (), ui=ui)
        assert ui.names == []
        assert card_rig.tries() == before

    asyncio.run(use())


def test_another_secret_than_the_enrolled_one_is_a_wrong_key(card_rig: CardRig) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        handles = [HANDLES[0], SecretHandle(HANDLES[1].salt, check=bytes(16))]
        with pytest.raises(WrongKey):
            await tokens.approve(await enrol(tokens, card_rig), CHALLENGE, handles, ui=typing(card_rig))

    asyncio.run(use())


@pytest.mark.parametrize("salt", [b"", bytes(32), b"\x04" + bytes(64), b"\x02" + bytes(32)])
def test_what_is_no_point_of_the_cards_curve_is_refused_before_the_pin(
    card_rig: CardRig, salt: bytes
) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        credential, ui = await enrol(tokens, card_rig), typing(card_rig)
        with pytest.raises(InvalidArgument):
            await tokens.approve(credential, CHALLENGE, [SecretHandle(salt)], ui=ui)
        with pytest.raises(InvalidArgument):
            await tokens.approve(credential, CHALLENGE[1:], (), ui=ui)
        assert ui.names == []

    asyncio.run(use())


def test_a_card_that_is_gone_is_missing_and_comes_back(card_rig: CardRig) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        credential = await enrol(tokens, card_rig)
        await asyncio.to_thread(card_rig.remove)
        assert await tokens.present() == []
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, (), ui=typing(card_rig))
        with pytest.raises(TokenMissing):
            await tokens.enrol("piv-00000000", user_verification=True, ui=FakeUi())
        await asyncio.sleep(1)  # pcscd's own poll; a faster change leaves its reader unpowered
        await asyncio.to_thread(card_rig.insert)
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=typing(card_rig))

    asyncio.run(use())
