"""What an operation is for, and which of how many it is."""

from __future__ import annotations

import asyncio

import pytest
from tests.rigs.core import APP, TTY, CoreRig, FakeToken, make_core, seal, set_up
from tests.rigs.stores import FakeStore

from ownerd.core.token_acts import CHANGES
from ownerd.core.wording import Operations, purpose, risk, tries
from ownerd.model.token import TokenInfo

KEY = TokenInfo("A", "A", "usb", "00", 1, has_pin=True, pin_tries=8, software=False)
CARD = TokenInfo("piv-1", "card", "pcsc", "", 0, has_pin=True, pin_tries=3, software=False)
ADD, REMOVE, SETUP = CHANGES["token-add"], CHANGES["token-remove"], purpose("setup", "", agreed=False)


def counted(what: str, *tokens: TokenInfo) -> list[str]:
    """What is said for one operation after the other, without its purpose."""
    operations, said = Operations(), []
    for token in tokens:
        operations.begin()
        said.append(operations.describe(what, token).removeprefix(what))
    return said


def test_a_single_operation_is_not_counted() -> None:
    assert counted("unlock the vault", KEY, KEY) == ["", ""]


@pytest.mark.parametrize("what", [SETUP, purpose("recover", "", agreed=False)])
def test_making_a_credential_and_proving_it_are_two_and_on_a_card_one(what: str) -> None:
    assert counted(what, KEY, KEY) == [" (1 of 2)", " (2 of 2)"]
    assert counted(what, CARD) == [""]


def test_enrolling_another_ends_with_the_token_that_approves_it() -> None:
    assert counted(ADD, KEY, KEY, CARD) == [" (1 of 3)", " (2 of 3)", " (3 of 3)"]
    assert counted(ADD, CARD, KEY) == [" (1 of 2)", " (2 of 2)"]


def test_a_pin_and_the_touch_after_it_are_one_operation() -> None:
    operations = Operations()
    operations.begin()
    assert [operations.describe(REMOVE, KEY) for _ in range(2)] == [f"{REMOVE} (1 of 2)"] * 2
    operations.begin()
    assert operations.describe(REMOVE, KEY) == f"{REMOVE} (2 of 2)"


def test_what_comes_before_is_counted_apart() -> None:
    operations = Operations()
    operations.begin()
    assert operations.describe("unlock the vault", CARD) == "unlock the vault"
    operations.begin()
    assert operations.describe(REMOVE, CARD) == f"{REMOVE} (1 of 2)"


@pytest.mark.parametrize("kind", ["read", "change", "watch"])
def test_before_the_owner_agreed_to_anything_a_token_only_unlocks(kind: str) -> None:
    assert purpose(kind, "rename a token", agreed=False) == "unlock the vault"
    assert purpose(kind, "rename a token", agreed=True) == "rename a token"


def test_tries_and_the_risk_are_said_in_whole_words() -> None:
    assert [tries(count) for count in (0, 1, 2)] == ["0 tries", "1 try", "2 tries"]
    assert risk("A", 2).startswith("2 tries left for the PIN of A.\n\nA wrong PIN now leaves 1 try;")
    assert "leaves no try: only a reset helps then" in risk("A", 1)


def said(rig: CoreRig) -> list[str]:
    """What each touch was for, as notified; forgotten afterwards."""
    reasons = [reason for _, reason in rig.owner.notified]
    rig.owner.notified.clear()
    return reasons


def test_the_desk_counts_touches_from_set_up_to_removal() -> None:
    async def story() -> None:
        rig = make_core(FakeStore(), FakeToken("A"), FakeToken("B"))
        await set_up(rig)
        assert said(rig) == [f"{SETUP} (1 of 2)", f"{SETUP} (2 of 2)"]
        add = {"change": "token-add", "token": "B", "user_verification": False, "name": "spare"}
        await rig.agent.change(APP, seal(rig, **add), rig.job(TTY))
        assert said(rig) == [f"{ADD} ({number} of 3)" for number in (1, 2, 3)]

        store = rig.store
        store.closed = False
        again = make_core(store, *rig.tokens.tokens)
        await again.agent.start()
        gone = rig.tokens.tokens[0].credential.id
        await again.agent.change(APP, seal(again, change="token-remove", id=gone), again.job(TTY))
        assert said(again) == ["unlock the vault", f"{REMOVE} (1 of 2)", f"{REMOVE} (2 of 2)"]
        purposes = [details["purpose"] for state, details in again.states if state == "waiting-for-touch"]
        assert purposes == ["unlock the vault", f"{REMOVE} (1 of 2)", f"{REMOVE} (2 of 2)"]

    asyncio.run(story())
