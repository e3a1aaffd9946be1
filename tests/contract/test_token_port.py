"""The contract of `TokenPort`, on every transport that can be had without hardware."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import time

import pytest
from tests.rigs.tokens import FakeUi, Rigged

from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_fido2
from ownerd.model.errors import PinWrong, TokenMissing, TouchDenied, TouchTimeout, Unsupported, WrongKey
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential
from ownerd.tokens.fido2_port import Fido2Tokens

CHALLENGE = hashlib.sha256(b"challenge").digest()
SALTS = (bytes(range(32)), bytes(range(32, 64)))
HANDLES = tuple(SecretHandle(salt) for salt in SALTS)


async def enrol(tokens: Fido2Tokens, ui: FakeUi, *, user_verification: bool = False) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=user_verification, ui=ui)


def test_present_describes_the_token_without_touch_or_try(rigged: Rigged) -> None:
    rigged.person("absent")
    (info,) = asyncio.run(rigged.tokens().present())
    assert (info.has_pin, info.pin_tries, info.software) == (False, None, True)
    assert info.transport == rigged.transport
    rigged.set_pin()
    before = rigged.tries()
    (info,) = asyncio.run(rigged.tokens().present())
    assert (info.has_pin, info.pin_tries) == (True, before)
    assert rigged.tries() == before


@pytest.mark.parametrize("user_verification", [False, True])
def test_a_touch_signs_the_challenge_and_opens_the_same_secrets(
    rigged: Rigged, user_verification: bool
) -> None:
    async def use() -> tuple[TokenCredential, TokenAnswer, TokenAnswer, TokenAnswer]:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui, user_verification=user_verification)
        both = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        known = [SecretHandle(SALTS[1], key_check(both.secrets[1]))]
        again = await rigged.tokens().approve(credential, CHALLENGE, known, ui=ui)
        bare = await tokens.approve(credential, CHALLENGE, (), ui=ui)
        return credential, both, again, bare

    if user_verification:
        rigged.set_pin()
    credential, both, again, bare = asyncio.run(use())
    assert credential.user_verification is user_verification
    assert credential.id == hashlib.sha256(credential.credential_id).hexdigest()[:16]
    assert [len(secret) for secret in both.secrets] == [32, 32]
    assert both.secrets[0] != both.secrets[1]
    assert again.secrets == (both.secrets[1],)
    assert bare.secrets == ()
    for answer in (both, again, bare):
        verify_fido2(answer.approval, CHALLENGE, credential)
        assert answer.approval.token == credential.id


def test_a_token_with_a_pin_can_be_enrolled_for_use_without(rigged: Rigged) -> None:
    async def use() -> tuple[list[str], TokenAnswer, TokenCredential]:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        answer = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        return ui.names, answer, credential

    rigged.set_pin()
    names, answer, credential = asyncio.run(use())
    assert names == ["pin", "touch", "touch"]
    verify_fido2(answer.approval, CHALLENGE, credential)


def test_enrolling_with_a_pin_that_is_not_set_is_unsupported(rigged: Rigged) -> None:
    ui = FakeUi()
    with pytest.raises(Unsupported):
        asyncio.run(enrol(rigged.tokens(), ui, user_verification=True))
    assert ui.names == []


def test_locate_finds_the_first_enrolled_credential_without_touch_or_try(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        first = await enrol(tokens, ui, user_verification=True)
        second = await enrol(tokens, ui)
        stranger = dataclasses.replace(first, id="0" * 16, credential_id=os.urandom(32))
        rigged.person("absent")
        before = rigged.tries()
        for wanted in ([first], [second], [stranger, second], [second, first], [stranger] * 40 + [first]):
            expected = next(item for item in wanted if item is not stranger)
            assert await rigged.tokens().locate(wanted) == expected
        with pytest.raises(TokenMissing):
            await tokens.locate([stranger])
        with pytest.raises(TokenMissing):
            await tokens.locate([])
        assert rigged.tries() == before

    rigged.set_pin()
    asyncio.run(use())


def test_a_credential_of_another_token_is_missing_and_costs_no_try(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui, user_verification=True)
        stranger = dataclasses.replace(credential, id="0" * 16, credential_id=os.urandom(32))
        ui.events.clear()
        with pytest.raises(TokenMissing):
            await tokens.approve(stranger, CHALLENGE, HANDLES, ui=ui)
        assert ui.names == []

    rigged.set_pin()
    asyncio.run(use())


def test_a_wrong_pin_costs_one_try_and_no_touch(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui, user_verification=True)
        before = rigged.tries()
        wrong = FakeUi(pins=[b"wrong-pin"])
        with pytest.raises(PinWrong) as raised:
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=wrong)
        assert raised.value.tries_left == before - 1 == rigged.tries()
        assert wrong.names == ["pin"]
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert rigged.tries() == before

    rigged.set_pin()
    asyncio.run(use())


@pytest.mark.parametrize("impossible", [b"123", b"x" * 64, b"\xff\xfe\xfd\xfc", b""])
def test_a_pin_that_no_token_can_have_is_not_sent(rigged: Rigged, impossible: bytes) -> None:
    rigged.set_pin()
    before = rigged.tries()
    with pytest.raises(PinWrong) as raised:
        asyncio.run(enrol(rigged.tokens(), FakeUi(pins=[impossible]), user_verification=True))
    assert raised.value.tries_left == before == rigged.tries()


def test_a_refused_touch_is_denied(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        rigged.person("refuse")
        with pytest.raises(TouchDenied):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())


def test_a_touch_that_does_not_come_times_out_and_the_token_stays_usable(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(touch_timeout_seconds=0.2, margin_seconds=0.1), FakeUi()
        credential = await enrol(tokens, ui)
        rigged.person("absent")
        began = time.monotonic()
        with pytest.raises(TouchTimeout):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert 0.3 <= time.monotonic() - began < 2
        rigged.person("touch")
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())


def test_cancelling_ends_the_wait_at_the_token_and_leaves_it_usable(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        rigged.person("absent")
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, HANDLES, ui=ui))
        await asyncio.sleep(0.3)
        waiting.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert time.monotonic() - began < 1
        rigged.person("touch")
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())


def test_the_event_loop_runs_on_while_the_token_waits(rigged: Rigged) -> None:
    async def use() -> float:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        rigged.person("absent")
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, HANDLES, ui=ui))
        longest = 0.0
        for _ in range(40):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return longest

    assert asyncio.run(use()) < 0.25


def test_another_secret_than_the_enrolled_one_is_a_wrong_key(rigged: Rigged) -> None:
    async def use() -> None:
        tokens, ui = rigged.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        handles = [HANDLES[0], SecretHandle(SALTS[1], check=bytes(16))]
        with pytest.raises(WrongKey):
            await tokens.approve(credential, CHALLENGE, handles, ui=ui)

    asyncio.run(use())


def test_enrolling_a_token_that_is_not_there_is_missing(rigged: Rigged) -> None:
    with pytest.raises(TokenMissing):
        asyncio.run(rigged.tokens().enrol("usb-hidraw99", user_verification=False, ui=FakeUi()))
