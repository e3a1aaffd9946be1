"""The contract of `TokenPort.change_pin`, on every transport that can be had without hardware."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from tests.rigs.tokens import PIN, FakeUi, Rigged

from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_fido2
from ownerd.model.errors import Dismissed, PinUnfit, PinWrong, TokenMissing
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential, TokenInfo
from ownerd.tokens.fido2_port import Fido2Tokens

CHALLENGE = hashlib.sha256(b"challenge").digest()
SALT = bytes(range(32))
NEW = b"p\xc3\xa4ssw\xc3\xb6rd"
DECOMPOSED = "pa\u0308sswo\u0308rd".encode()  # the same in another Unicode form
assert DECOMPOSED != NEW


async def change(tokens: Fido2Tokens, ui: FakeUi) -> None:
    (info,) = await tokens.present()
    await tokens.change_pin(info.id, ui=ui)


async def opens(tokens: Fido2Tokens, credential: TokenCredential, known: Secret, *pins: bytes) -> list[str]:
    """Whether ``credential`` still signs and still yields the secret ``known``; what the owner was asked."""
    ui = FakeUi(pins=list(pins))
    answer = await tokens.approve(credential, CHALLENGE, [SecretHandle(SALT, key_check(known))], ui=ui)
    verify_fido2(answer.approval, CHALLENGE, credential)
    assert answer.secrets == (known,)
    return ui.names


@pytest.mark.parametrize("user_verification", [False, True])
def test_a_changed_pin_counts_and_opens_the_same_secrets(rigged: Rigged, user_verification: bool) -> None:
    async def use() -> None:
        tokens = rigged.tokens()
        (info,) = await tokens.present()
        credential = await tokens.enrol(info.id, user_verification=user_verification, ui=FakeUi())
        first = await tokens.approve(credential, CHALLENGE, [SecretHandle(SALT)], ui=FakeUi())
        ui = FakeUi(new_pins=[DECOMPOSED])
        await change(tokens, ui)
        assert ui.names == ["pin", "new pin"], "no touch, and the old PIN once"
        asked = await opens(tokens, credential, first.secrets[0], NEW)
        assert asked == (["pin", "touch"] if user_verification else ["touch"])
        before = rigged.tries()
        with pytest.raises(PinWrong):
            await tokens.enrol(info.id, user_verification=True, ui=FakeUi(pins=[PIN]))
        assert rigged.tries() == before - 1, "the old PIN holds no more"

    rigged.set_pin()
    asyncio.run(use())


def test_a_first_pin_leaves_the_keyslot_of_a_token_enrolled_without_open(rigged: Rigged) -> None:
    async def use() -> None:
        tokens = rigged.tokens()
        (info,) = await tokens.present()
        credential = await tokens.enrol(info.id, user_verification=False, ui=FakeUi())
        first = await tokens.approve(credential, CHALLENGE, [SecretHandle(SALT)], ui=FakeUi())
        ui = FakeUi(new_pins=[NEW])
        await change(tokens, ui)
        assert ui.names == ["new pin"]
        (info,) = await tokens.present()
        assert info.has_pin
        assert await opens(tokens, credential, first.secrets[0]) == ["touch"]
        verified = await tokens.enrol(info.id, user_verification=True, ui=FakeUi(pins=[NEW]))
        assert verified.user_verification

    asyncio.run(use())


def test_a_wrong_old_pin_costs_one_try_and_changes_nothing(rigged: Rigged) -> None:
    async def use() -> None:
        tokens = rigged.tokens()
        before = rigged.tries()
        with pytest.raises(PinWrong) as raised:
            await change(tokens, FakeUi(pins=[b"wrong-pin"], new_pins=[NEW]))
        assert raised.value.tries_left == before - 1 == rigged.tries()
        await change(tokens, FakeUi(new_pins=[NEW]))
        assert rigged.tries() == before, "the right PIN brings the tries back"

    rigged.set_pin()
    asyncio.run(use())


@pytest.mark.parametrize("unfit", [b"123", b"x" * 64, b"\xff\xfe\xfd\xfc", b"", b"1234\0", b"ab\0\0"])
@pytest.mark.parametrize("has_pin", [False, True])
def test_a_new_pin_that_no_token_can_have_costs_no_try(rigged: Rigged, unfit: bytes, has_pin: bool) -> None:
    if has_pin:
        rigged.set_pin()
        before = rigged.tries()
    # The old one is wrong: had it been sent, it would have cost a try.
    with pytest.raises(PinUnfit):
        asyncio.run(change(rigged.tokens(), FakeUi(pins=[b"wrong-pin"], new_pins=[unfit])))
    (info,) = asyncio.run(rigged.tokens().present())
    assert info.has_pin is has_pin
    assert not has_pin or rigged.tries() == before


class ClosesThePrompt(FakeUi):
    """A person who types the old PIN and then closes the prompt."""

    async def new_pin(self, token: TokenInfo) -> Secret:
        raise Dismissed("the PIN prompt was closed")


def test_closing_the_prompt_for_the_new_pin_sends_nothing(rigged: Rigged) -> None:
    rigged.set_pin()
    before = rigged.tries()
    with pytest.raises(Dismissed):
        asyncio.run(change(rigged.tokens(), ClosesThePrompt(pins=[b"wrong-pin"])))
    assert rigged.tries() == before


def test_the_pin_of_a_token_that_is_not_there_is_not_asked_for(rigged: Rigged) -> None:
    ui = FakeUi(new_pins=[NEW])
    with pytest.raises(TokenMissing):
        asyncio.run(rigged.tokens().change_pin("usb-hidraw99", ui=ui))
    assert ui.names == []
