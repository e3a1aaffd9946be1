"""Attack: a token that lies. Whatever it answers ends in its own error, and nothing of the answer is used."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time

import pytest
from tests.misbehaving.softtoken import Misbehaving, Misdeed
from tests.rigs.softtoken import make_authenticator
from tests.rigs.tokens import FakeUi, RecordingDevice, candidate, make_tokens, set_pin

from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, OwnerdError, ProtocolBroken, TouchTimeout, WrongKey
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential

CHALLENGE = hashlib.sha256(b"challenge").digest()
SALTS = (b"a" * 32, b"b" * 32)


class Liar:
    """An enrolled token that begins to lie when told to."""

    def __init__(self, *, user_verification: bool = False, **options: float) -> None:
        self.authenticator = make_authenticator(authenticator_type=Misbehaving)
        assert isinstance(self.authenticator, Misbehaving)
        if user_verification:
            set_pin(self.authenticator)
        self.device = RecordingDevice(self.authenticator)
        self.tokens = make_tokens(candidate(self.device), **options)
        self.user_verification = user_verification
        self.ui = FakeUi()

    async def enrol(self) -> TokenCredential:
        return await self.tokens.enrol("software-1", user_verification=self.user_verification, ui=self.ui)

    async def approve_lying(self, *misdeeds: Misdeed) -> TokenAnswer:
        credential = await self.enrol()
        honest = await self.approve(credential, [SecretHandle(salt) for salt in SALTS])
        known = [
            SecretHandle(salt, key_check(secret)) for salt, secret in zip(SALTS, honest.secrets, strict=True)
        ]
        self.authenticator.misdeeds.update(misdeeds)
        return await self.approve(credential, known)

    async def approve(self, credential: TokenCredential, handles: list[SecretHandle]) -> TokenAnswer:
        return await self.tokens.approve(credential, CHALLENGE, handles, ui=self.ui)


APPROVALS: list[tuple[Misdeed, bool, type[OwnerdError]]] = [
    (Misdeed.UP_CLEAR, False, ProtocolBroken),
    (Misdeed.UV_CLEAR, True, ProtocolBroken),
    (Misdeed.UV_SET, False, ProtocolBroken),
    (Misdeed.WRONG_RP, False, ProtocolBroken),
    (Misdeed.OTHER_CREDENTIAL, False, WrongKey),
    (Misdeed.WRONG_SIGNATURE, False, ProtocolBroken),
    (Misdeed.OTHER_SECRET, False, WrongKey),
    (Misdeed.OTHER_SECRET, True, WrongKey),
    (Misdeed.SHORT_SECRET, False, ProtocolBroken),
    (Misdeed.NO_SECRET, False, ProtocolBroken),
    (Misdeed.TRUNCATED, False, ProtocolBroken),
    (Misdeed.OVERSIZED, False, ProtocolBroken),
    (Misdeed.NESTED_CBOR, False, ProtocolBroken),
    (Misdeed.SAYS_OTHER, False, ProtocolBroken),
    (Misdeed.SAYS_OTHER, True, ProtocolBroken),
]


@pytest.mark.parametrize(("misdeed", "user_verification", "error"), APPROVALS)
def test_a_lying_approval_is_refused_by_name(
    misdeed: Misdeed, user_verification: bool, error: type[OwnerdError]
) -> None:
    with pytest.raises(OwnerdError) as raised:
        asyncio.run(Liar(user_verification=user_verification).approve_lying(misdeed))
    assert type(raised.value) is error


def test_every_misdeed_is_tried_here() -> None:
    elsewhere = {Misdeed.COUNTER_BACK, Misdeed.ENDLESS_KEEPALIVE, Misdeed.ANSWERS_AFTER_CANCEL}
    assert {misdeed for misdeed, _, _ in APPROVALS} | elsewhere == set(Misdeed)


def test_a_counter_that_goes_back_is_no_finding_because_honest_tokens_keep_it_at_zero() -> None:
    answer = asyncio.run(Liar().approve_lying(Misdeed.COUNTER_BACK))
    assert answer.approval.authenticator_data[33:37] == bytes(4)


@pytest.mark.parametrize(
    ("misdeed", "user_verification"),
    [
        (Misdeed.UP_CLEAR, False),
        (Misdeed.UV_CLEAR, True),
        (Misdeed.WRONG_RP, False),
        (Misdeed.TRUNCATED, False),
        (Misdeed.OVERSIZED, False),
        (Misdeed.NESTED_CBOR, False),
        (Misdeed.SAYS_OTHER, False),
    ],
)
def test_a_lying_enrolment_is_refused(misdeed: Misdeed, user_verification: bool) -> None:
    liar = Liar(user_verification=user_verification)
    liar.authenticator.misdeeds.add(misdeed)
    with pytest.raises(ProtocolBroken):
        asyncio.run(liar.enrol())


@pytest.mark.parametrize("misdeed", [Misdeed.WRONG_SIGNATURE, Misdeed.OTHER_CREDENTIAL, Misdeed.WRONG_RP])
def test_a_token_that_only_claims_a_credential_never_gets_the_pin(misdeed: Misdeed) -> None:
    liar = Liar(user_verification=True)

    async def use() -> None:
        credential = await liar.enrol()
        liar.authenticator.misdeeds.add(misdeed)
        liar.ui.events.clear()
        with pytest.raises(ProtocolBroken):
            await liar.approve(credential, [])
        with pytest.raises(ProtocolBroken):
            await liar.tokens.locate([credential])

    asyncio.run(use())
    assert liar.ui.names == []


def test_an_endless_keepalive_times_out_and_the_token_is_busy_until_it_comes_back() -> None:
    liar = Liar(touch_timeout_seconds=0.1, margin_seconds=0.1, step_timeout_seconds=0.5)

    async def use() -> None:
        credential = await liar.enrol()
        liar.authenticator.misdeeds.add(Misdeed.ENDLESS_KEEPALIVE)
        began = time.monotonic()
        with pytest.raises(TouchTimeout):
            await liar.approve(credential, [])
        assert time.monotonic() - began < 3
        began = time.monotonic()
        with pytest.raises(Busy):
            await liar.approve(credential, [])
        assert time.monotonic() - began < 0.4  # at once, and not after another wait
        liar.authenticator.misdeeds.clear()
        liar.authenticator.released.set()
        await asyncio.sleep(0.2)
        assert len((await liar.approve(credential, [])).approval.signature) > 60

    try:
        asyncio.run(use())
    finally:
        liar.authenticator.released.set()


def test_an_answer_after_the_timeout_is_dropped() -> None:
    liar = Liar(touch_timeout_seconds=0.1, margin_seconds=0.1)

    async def use() -> None:
        credential = await liar.enrol()
        liar.authenticator.misdeeds.add(Misdeed.ANSWERS_AFTER_CANCEL)
        with pytest.raises(TouchTimeout):
            await liar.approve(credential, [])

    asyncio.run(use())


def test_an_answer_after_the_cancel_is_dropped() -> None:
    liar = Liar()

    async def use() -> None:
        credential = await liar.enrol()
        liar.authenticator.misdeeds.add(Misdeed.ANSWERS_AFTER_CANCEL)
        waiting = asyncio.create_task(liar.approve(credential, []))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(use())


def test_a_hanging_token_cannot_hold_up_the_end_of_the_process() -> None:
    liar = Liar()
    asyncio.run(liar.enrol())
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("ownerd-")]
    assert ours
    assert all(thread.daemon for thread in ours)
