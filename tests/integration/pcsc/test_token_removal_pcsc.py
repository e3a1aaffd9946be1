"""What a real pcscd shows of a card that opened the vault: whether it stays, and that it was away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.rigs import pcsc
from tests.rigs.pcsc import NfcToken
from tests.rigs.tokens import FakeUi, make_tokens

from ownerd.model.token import TokenCredential
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc
from ownerd.tokens.presence import RemovalWatch, Sight

pytestmark = pytest.mark.in_pcsc_rig

# A USB token that is its own reader, as its maker publishes it.
CONTACT_ATR = bytes.fromhex("3BFD1300008131FE158073C021C057597562694B657940")


@pytest.fixture
def inserted(nfc_tokens, monkeypatch: pytest.MonkeyPatch) -> NfcToken:
    """The rig's card with the ATR of a contact card."""
    monkeypatch.setattr(pcsc, "ATR", CONTACT_ATR)
    token: NfcToken = nfc_tokens()
    token.insert()
    return token


async def enrol(tokens: Fido2Tokens) -> TokenCredential:
    found = await tokens.present()
    return await tokens.enrol(found[0].id, user_verification=False, ui=FakeUi())


async def look_until(tokens: Fido2Tokens, credential: TokenCredential, *, there: bool) -> Sight:
    """pcscd looks at its readers now and then: wait until it has seen that the card came or went."""
    async with asyncio.timeout(5):
        while True:
            seen = await tokens.sight(credential)
            if seen is not None and (seen.trace is not None) is there:
                return seen
            await asyncio.sleep(0.02)


def test_a_contact_card_that_is_taken_out_is_removed(inserted: NfcToken) -> None:
    async def story() -> None:
        tokens = make_tokens(more_finders=[find_pcsc])
        credential = await enrol(tokens)
        seen = await tokens.sight(credential)
        assert seen is not None
        assert seen.stays
        assert await tokens.sight(credential) == seen, "looking changes nothing"
        await tokens.locate([credential])  # our own access powers the card down
        assert await tokens.sight(credential) == seen
        watching = asyncio.ensure_future(RemovalWatch(tokens, interval_seconds=0.05).wait_removed(credential))
        await asyncio.sleep(0.3)
        assert not watching.done()
        await asyncio.to_thread(inserted.remove)
        async with asyncio.timeout(5):
            assert await watching

    asyncio.run(story())


def test_a_card_that_was_out_shows_another_trace_and_is_asked_who_it_is(
    inserted: NfcToken, nfc_tokens
) -> None:
    async def story() -> None:
        tokens = make_tokens(more_finders=[find_pcsc])
        credential = await enrol(tokens)
        before = await tokens.sight(credential)
        await asyncio.to_thread(inserted.remove)
        assert before is not None
        assert await look_until(tokens, credential, there=False) == Sight(None)
        await asyncio.to_thread(inserted.insert)
        assert (await look_until(tokens, credential, there=True)).trace != before.trace
        watch = RemovalWatch(tokens, interval_seconds=0.6)
        watching = asyncio.ensure_future(watch.wait_removed(credential))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(inserted.remove)
        await look_until(tokens, credential, there=False)
        await asyncio.to_thread(nfc_tokens().insert)  # another card in the same reader
        assert (await look_until(tokens, credential, there=True)).stays
        async with asyncio.timeout(5):
            assert await watching

    asyncio.run(story())


def test_a_contact_card_that_is_gone_at_the_first_look_is_removed(inserted: NfcToken) -> None:
    async def story() -> None:
        tokens = make_tokens(more_finders=[find_pcsc])
        credential = await enrol(tokens)
        await asyncio.to_thread(inserted.remove)
        async with asyncio.timeout(5):
            assert await RemovalWatch(tokens, interval_seconds=0.05).wait_removed(credential)

    asyncio.run(story())


@pytest.mark.parametrize("stays", [True, False])
def test_what_a_piv_card_was_is_known_when_it_is_gone_at_the_first_look(
    piv_rigs: Any, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    monkeypatch.setattr(pcsc, "ATR", CONTACT_ATR if stays else pcsc.ATR)
    rig = piv_rigs()
    rig.insert()

    async def story() -> None:
        tokens = rig.tokens()
        (info,) = await tokens.present()
        credential = await tokens.enrol(info.id, user_verification=True, ui=FakeUi())
        await asyncio.to_thread(rig.remove)
        async with asyncio.timeout(5):
            watch = RemovalWatch(tokens, interval_seconds=0.05)
            assert await watch.wait_removed(credential) is stays

    asyncio.run(story())


def test_a_contactless_card_may_be_lifted_off(nfc_token: NfcToken) -> None:
    async def story() -> None:
        tokens = make_tokens(more_finders=[find_pcsc])
        credential = await enrol(tokens)
        seen = await tokens.sight(credential)
        assert seen is not None
        assert not seen.stays
        assert await RemovalWatch(tokens, interval_seconds=0.05).wait_removed(credential) is False
        await asyncio.to_thread(nfc_token.remove)
        assert await RemovalWatch(tokens, interval_seconds=0.05).wait_removed(credential) is False

    asyncio.run(story())


def test_watching_sends_the_card_nothing(inserted: NfcToken, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        tokens = make_tokens(more_finders=[find_pcsc])
        credential = await enrol(tokens)
        calls: list[bytes] = []
        transmit = inserted.applet.transmit

        def noted(apdu: bytes) -> bytes:
            calls.append(apdu)
            return transmit(apdu)

        monkeypatch.setattr(inserted.applet, "transmit", noted)
        watch = RemovalWatch(tokens, interval_seconds=0.02)
        watching = asyncio.ensure_future(watch.wait_removed(credential))
        await asyncio.sleep(0.3)
        watching.cancel()
        assert calls == []
        await tokens.locate([credential])
        assert calls, "the count counts"

    asyncio.run(story())
