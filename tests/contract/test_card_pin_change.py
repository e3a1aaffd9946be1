"""The contract of `TokenPort.change_pin` as cards fulfil it."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from tests.rigs.cards import CardRig
from tests.rigs.tokens import FakeUi

from ownerd.ledger.approval import verify_card
from ownerd.model.errors import PinBlocked, PinUnfit, PinWrong, TokenMissing

CHALLENGE = hashlib.sha256(b"challenge").digest()
NEW = b"975310"


async def change(rig: CardRig, old: bytes, new: bytes) -> FakeUi:
    tokens, ui = rig.tokens(), FakeUi(pins=[old], new_pins=[new])
    (info,) = await tokens.present()
    await tokens.change_pin(info.id, ui=ui)
    return ui


def test_a_changed_pin_counts_and_the_old_one_does_not(card_rig: CardRig) -> None:
    async def use() -> None:
        tokens = card_rig.tokens()
        (info,) = await tokens.present()
        credential = await tokens.enrol(info.id, user_verification=True, ui=FakeUi())
        ui = await change(card_rig, card_rig.pin, NEW)
        assert ui.names == ["pin", "new pin"]
        answer = await tokens.approve(credential, CHALLENGE, [], ui=FakeUi(pins=[NEW]))
        verify_card(answer.approval, CHALLENGE, credential)
        with pytest.raises(PinWrong):
            await tokens.approve(credential, CHALLENGE, [], ui=FakeUi(pins=[card_rig.pin]))

    asyncio.run(use())


def test_a_wrong_old_pin_costs_one_try_and_changes_nothing(card_rig: CardRig) -> None:
    before = card_rig.tries()
    with pytest.raises(PinWrong):
        asyncio.run(change(card_rig, b"111111", NEW))
    if before is not None:
        assert card_rig.tries() == before - 1
    asyncio.run(change(card_rig, card_rig.pin, NEW))


def test_a_new_pin_that_no_card_can_have_costs_nothing(card_rig: CardRig) -> None:
    before = card_rig.tries()
    with pytest.raises(PinUnfit):
        asyncio.run(change(card_rig, card_rig.pin, b"1"))
    assert card_rig.tries() == before


def test_a_blocked_pin_is_not_asked_for(card_rig: CardRig) -> None:
    if card_rig.tries() is None:
        pytest.skip("this kind of card does not count down")
    card_rig.block(0)
    ui = FakeUi(pins=[], new_pins=[])

    async def use() -> None:
        tokens = card_rig.tokens()
        found = await tokens.present()
        with pytest.raises(PinBlocked):
            await tokens.change_pin(found[0].id, ui=ui)

    asyncio.run(use())
    assert ui.names == []


def test_an_absent_card_is_missing(card_rig: CardRig) -> None:
    with pytest.raises(TokenMissing):
        asyncio.run(card_rig.tokens().change_pin(f"{card_rig.type}-00000000", ui=FakeUi()))
