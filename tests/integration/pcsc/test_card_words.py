"""What the owner of a PIV card reads: always a PIN and never a touch, and which of how many."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from tests.rigs._piv_applet import PIN
from tests.rigs.core import APP, TOOL, TTY, CoreRig, make_core, seal
from tests.rigs.piv import PivRig
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe

pytestmark = pytest.mark.in_pcsc_rig

TRIES = "\n5 tries left."


async def start(card: PivRig, store: FakeStore, provider: ProviderRig) -> CoreRig:
    """One start of the daemon's core over the real adapter."""
    store.closed = False
    rig = make_core(store, anchors=provider.anchors, port=card.tokens())
    rig.clock.time = time.time_ns() // 1_000_000
    rig.owner.pins = [PIN] * 20
    await rig.agent.start()
    return rig


def asked(rig: CoreRig) -> list[str]:
    """The PIN prompts since the last call. Nothing at all, prompt, notification or progress, may say touch."""
    texts = [*rig.owner.shown, *(" ".join(pair) for pair in rig.owner.notified)]
    texts += [f"{state} {json.dumps(details)}" for state, details in rig.states]
    for text in texts:
        assert "touch" not in text.lower() or "a PIN" in text, text
    pins = [text for text in rig.owner.shown if text.startswith("PIN of")]
    waited = [details["purpose"] for state, details in rig.states if state == "waiting-for-pin"]
    for text, purpose in zip(pins, waited, strict=True):
        assert f", to {purpose}.\n" in text
    rig.owner.shown.clear()
    rig.states.clear()
    return [text.split(", to ", 1)[1] for text in pins]


async def setup(rig: CoreRig, token_id: str) -> dict[str, Any]:
    sealed = seal(rig, token=token_id, user_verification=True)
    return json.loads(open_jwe(await rig.agent.setup(APP, sealed, rig.job(TTY)), TOOL))


async def change(rig: CoreRig, **members: object) -> dict[str, Any]:
    return json.loads(open_jwe(await rig.agent.change(APP, seal(rig, **members), rig.job(TTY)), TOOL))


def test_every_prompt_of_a_card_says_pin_what_for_and_which_of_how_many(
    piv_rigs: Any, provider_rig: ProviderRig
) -> None:
    first, second = piv_rigs(slot=0), piv_rigs(slot=1)
    first.insert()

    async def story() -> None:
        store = FakeStore()
        rig = await start(first, store, provider_rig)
        (here,) = await rig.agent.tokens()
        made = await setup(rig, here.id)
        assert asked(rig) == [f"set up the vault.{TRIES}"]
        claims = [{"name": "email", "value": "ada@example.org", "source": "test"}]
        await change(rig, change="set", claims=claims)
        assert asked(rig) == [f"change your data.{TRIES}"]
        await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert asked(rig) == [f"approve a disclosure.{TRIES}"]

        await asyncio.to_thread(second.insert)
        (new,) = [info for info in await rig.agent.tokens() if info.id != here.id]
        added = await change(rig, change="token-add", token=new.id, user_verification=True, name="spare")
        assert asked(rig) == [f"enrol another token ({number} of 2).{TRIES}" for number in (1, 2)]
        rig.agent.lock("test")
        await rig.agent._ending

        rig = await start(first, store, provider_rig)
        await rig.agent.unlock(APP, rig.job(TTY))
        assert asked(rig) == [f"unlock the vault.{TRIES}"]
        rig.agent.lock("test")
        await rig.agent._ending

        rig = await start(first, store, provider_rig)
        assert added["token"]["name"] == "spare"
        await change(rig, change="token-remove", id=made["token"]["id"])
        assert asked(rig) == [
            f"unlock the vault.{TRIES}",
            *(f"remove a token and renew the keys ({number} of 2).{TRIES}" for number in (1, 2)),
        ]

    asyncio.run(story())
