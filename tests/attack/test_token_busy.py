"""Attack: another program sits on a card. Lists stay quick, say which card it is, and a slow card is no busy one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.rigs._ctap_nfc import Apdu
from tests.rigs.pcsc import NfcToken, other_program
from tests.rigs.piv import PivRig
from tests.rigs.tokens import FakeUi, wait_until

from ownerd.core.ports import TokenPort
from ownerd.core.seal import key_check
from ownerd.tokens.all_tokens import AllTokens
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import find_pcsc
from ownerd.tokens.piv_port import PivTokens

pytestmark = pytest.mark.in_pcsc_rig

# One second each for the two adapters that share the reader, and what a busy machine adds.
SECONDS = 3.0


def adapters() -> AllTokens:
    """As the daemon puts them together."""
    return AllTokens(
        {
            "fido2": lambda: Fido2Tokens(key_check=key_check, finders=[find_pcsc]),
            "piv": lambda: PivTokens(key_check=key_check),
        }
    )


async def enrolled(tokens: TokenPort) -> tuple[Any, str]:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=info.has_pin, ui=FakeUi()), info.id


async def sat_upon(tokens: TokenPort, credential: Any, where: str, kind: str) -> None:
    assert (await tokens.recognise([credential])).tokens == {credential.id: where}
    with other_program(transaction=True):
        began = time.monotonic()
        assert await tokens.present() == []
        seen = await tokens.recognise([credential])
        assert time.monotonic() - began < SECONDS
        assert seen.tokens == {}
        assert any(text.startswith(kind) for text in seen.busy), seen.busy
    # Both adapters waited for the card; each comes back in its own time, and then none is called busy.
    while not await tokens.present() or (await tokens.recognise([credential])).busy:
        await asyncio.sleep(0.05)
    await tokens.approve(credential, bytes(32), [], ui=FakeUi(pins=[b"246813"]))


def test_a_fido2_card_in_another_programs_transaction_is_named_at_once(nfc_token: NfcToken) -> None:
    async def use() -> None:
        tokens = adapters()
        await sat_upon(tokens, *await enrolled(tokens), "FIDO2 token on ")

    asyncio.run(asyncio.wait_for(use(), 30))


def test_a_piv_card_in_another_programs_transaction_is_named_at_once(piv_card: PivRig) -> None:
    async def use() -> None:
        tokens = adapters()
        await sat_upon(tokens, *await enrolled(tokens), "PIV card in ")

    asyncio.run(asyncio.wait_for(use(), 30))


def test_a_slow_card_is_listed_and_not_called_busy(piv_card: PivRig) -> None:
    asked: list[Apdu] = []

    def slowly(apdu: Apdu) -> None:
        if apdu.ins == 0xCB:
            asked.append(apdu)
            time.sleep(0.5)

    async def use() -> None:
        tokens = piv_card.tokens()
        credential, where = await enrolled(tokens)
        piv_card.applet.intercept = slowly
        began = time.monotonic()
        assert [info.id for info in await tokens.present()] == [where]
        assert time.monotonic() - began > 1.2
        seen = await tokens.recognise([credential])
        assert (seen.tokens, seen.busy) == ({credential.id: where}, ())

    asyncio.run(use())
    wait_until(lambda: len(asked) >= 3)
