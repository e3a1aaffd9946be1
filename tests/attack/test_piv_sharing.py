"""Attack: other programs and other cards around a PIV card, behind a real pcscd."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest
from msgspec import structs
from tests.rigs._ctap_nfc import Apdu
from tests.rigs._piv_applet import PIN, SIGN
from tests.rigs._piv_person import CHALLENGE, enrol, salt, typed_pins, typing
from tests.rigs.pcsc import NfcToken, other_program
from tests.rigs.piv import PivRig
from tests.rigs.tokens import FakeUi

from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_card
from ownerd.model.errors import (
    Busy,
    TokenMissing,
)
from ownerd.model.token import SecretHandle
from ownerd.tokens.all_tokens import AllTokens
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc

pytestmark = pytest.mark.in_pcsc_rig

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
            assert credential.id in (await tokens.recognise([credential])).tokens
            assert await tokens.sight(credential) is not None
        with pytest.raises(TokenMissing):
            await tokens.locate([structs.replace(credential, public_key={}, credential_id=b"")])

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
    tokens = AllTokens({"fido2": lambda: fido, "piv": rig.tokens})

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
