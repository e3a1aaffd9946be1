"""A rule that says ``ask``: the owner is asked each time, before any offer and beside every grant."""

from __future__ import annotations

import asyncio

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import APP, CoreRig, kinds, make_core, seal, set_up
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.service import CounterOffer, Narrowing, Released, Wishes
from ownerd.model.errors import Dismissed
from ownerd.model.policy import GrantLimits

ASK = """
[[rule]]
claims = ["email"]
do = "ask"
"""
SWAP = """
[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"
"""
OTHER_APP = replace(APP, label="newsstand")  # a refusal makes an app wait
GRANT = """
[[rule]]
provider = "shop.example"
claims = ["given_name", "email"]
do = "grant"
days = 7
count = 9
per_hour = 9
"""


async def make(provider_rig: ProviderRig, policy: str) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org", birthdate="1990-02-03")
    await set_policy(rig, policy)
    return rig


async def set_policy(rig: CoreRig, policy: str) -> None:
    await rig.agent.change(APP, seal(rig, change="policy", text=f"version = 1\n{policy}"), rig.job())
    rig.owner.shown.clear()


def asking(provider_rig: ProviderRig, *claims: str) -> str:
    request = kit.parameters(CLIENT_ID, RESPONSE_URI, claims, provider_rig.answer_key)
    return kit.signed_request(request, provider_rig.party)


def test_no_offer_names_it_before_the_owner_saw_it(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, ASK + SWAP)
        text = asking(provider_rig, "email", "birthdate")
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.present(OTHER_APP, text, rig.job(), Wishes(negotiate=True))
        assert "offer" not in kinds(rig)
        rig.owner.decision = True
        counter = await rig.agent.present(APP, text, rig.job(), Wishes(negotiate=True))
        assert isinstance(counter, CounterOffer)
        assert len(rig.owner.shown) == 2
        accepts = Wishes(negotiation=counter.negotiation, accept=True)
        assert isinstance(await rig.agent.present(APP, text, rig.job(), accepts), Released)
        assert len(rig.owner.shown) == 3, "shown with its values, and touched for"
        await set_policy(rig, SWAP)
        assert isinstance(await rig.agent.present(APP, text, rig.job(), Wishes(negotiate=True)), CounterOffer)
        assert not rig.owner.shown, "without that rule the other one answers by itself"

    asyncio.run(story())


def test_no_grant_that_was_given_before_serves_it(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, GRANT)
        for _ in range(2):
            await rig.agent.present(APP, asking(provider_rig, "given_name", "email"), rig.job())
        assert len(rig.owner.shown) == 1, "the second one goes under the grant"
        await set_policy(rig, ASK + GRANT)
        await rig.agent.present(APP, asking(provider_rig, "given_name", "email"), rig.job())
        assert "without asking you" not in rig.owner.shown[-1], "and the prompt offers no repeats"
        assert len(rig.owner.shown) == 1
        await rig.agent.present(APP, asking(provider_rig, "given_name"), rig.job())
        assert len(rig.owner.shown) == 1, "for the rest the grant still serves"
        assert [kind for kind in kinds(rig) if kind.startswith("grant")] == ["grant"]

    asyncio.run(story())


def test_no_grant_by_hand_covers_it(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, ASK)
        rig.owner.decision = None
        asked = asyncio.ensure_future(rig.agent.present(APP, asking(provider_rig, "email"), rig.job()))
        while not rig.owner.shown:
            await asyncio.sleep(0)
        (waiting,) = rig.agent.pending()
        rig.agent.approve(APP, waiting.id, None, Narrowing(grant=GrantLimits(7, 9, 9)))
        async with asyncio.timeout(5):
            while len(rig.owner.shown) < 2:
                await asyncio.sleep(0)
        assert "a rule asks about it each time" in rig.owner.shown[-1]
        rig.owner.decision = True
        await asked
        assert kinds(rig)[-1] == "disclosure"
        assert "grant" not in kinds(rig)

    asyncio.run(story())
