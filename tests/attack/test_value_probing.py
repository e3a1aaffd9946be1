"""An app that asks without the owner: what it hears, or how fast, is the same whatever is in the vault."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from demo import provider_kit as kit
from tests.rigs.core import APP, CoreRig, kinds, make_core, seal, set_up
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.service import CounterOffer, Wishes
from ownerd.model.errors import Dismissed, NotAllowed, NotSupported, OwnerdError

POLICY = """
version = 1
[alias]
mailbox = "ada@example.org"
[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"
[[rule]]
claims = ["email"]
do = "substitute"
with = "alias"
[[rule]]
claims = ["phone_number"]
do = "refuse"
[[terms]]
retention = "P30D"
"""
RICH = {
    "given_name": "Ada",
    "email": "ada@example.org",
    "birthdate": "1990-02-03",
    "nickname": "A.",
    "phone_number": "+49 30 1",
    "address__locality": "Bonn",
    "address__country": "DE",
}
POOR = {"locale": "de"}
ADULT = {"path": ["age_over_18"], "values": [True]}
BONN = {"path": ["address", "locality"], "values": ["Bonn"]}
NAMED = {"path": ["given_name"]}

# What is asked, claims and more of the credential query, so that each answer would tell of a value or a name.
PROBES = {
    "a value": {"claims": [NAMED, BONN, {"path": ["birthdate"]}]},
    "an age": {"claims": [ADULT, {"path": ["birthdate"]}]},
    "what is there": {"claims": [{"path": ["address"]}, {"path": ["nickname"]}, {"path": ["birthdate"]}]},
    "what stands in": {"claims": [{"path": ["birthdate"]}, {"path": ["email"]}, {"path": ["phone_number"]}]},
    "one of two": {
        "claims": [
            {"id": "a", **BONN},
            {"id": "b", "path": ["nickname"]},
            {"id": "c", "path": ["birthdate"]},
        ],
        "claim_sets": [["a", "c"], ["b", "c"]],
    },
}


async def make(provider_rig: ProviderRig, held: dict[str, str], policy: str = POLICY) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, **held)
    await rig.agent.change(APP, seal(rig, change="policy", text=policy), rig.job())
    rig.owner.shown.clear()
    rig.states.clear()
    return rig


def asking(provider_rig: ProviderRig, probe: dict[str, Any], **more: Any) -> str:
    request = kit.parameters(CLIENT_ID, RESPONSE_URI, ["email"], provider_rig.answer_key, **more)
    request["dcql_query"]["credentials"][0] |= probe
    return kit.signed_request(request, provider_rig.party)


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_a_counter_offer_before_the_owner_was_asked_tells_nothing(probe, provider_rig: ProviderRig):
    async def story() -> None:
        heard = []
        for held in (RICH, POOR):
            rig = await make(provider_rig, held)
            counter = await rig.agent.present(
                APP, asking(provider_rig, probe), rig.job(), Wishes(negotiate=True)
            )
            assert isinstance(counter, CounterOffer)
            assert not rig.owner.shown
            offer = json.loads(counter.offer)
            offer.pop("negotiation")
            offer.pop("expires")
            heard.append((offer, [state for state, _ in rig.states]))
        assert heard[0] == heard[1]

    asyncio.run(story())


async def refused_by_the_owner(rig: CoreRig, text: str, wishes: Wishes) -> tuple[object, ...]:
    rig.owner.decision = False
    with pytest.raises(OwnerdError) as caught:
        await rig.agent.present(APP, text, rig.job(), wishes)
    return type(caught.value), str(caught.value), [state for state, _ in rig.states], len(rig.owner.shown)


@pytest.mark.parametrize("negotiate", [False, True])
@pytest.mark.parametrize(
    "probe", [{"claims": [BONN]}, {"claims": [ADULT]}, {"claims": [{"path": ["nickname"]}]}]
)
def test_what_is_not_there_is_asked_about_like_what_is(probe, negotiate, provider_rig: ProviderRig):
    async def story() -> None:
        heard = []
        for held in (RICH, POOR):
            rig = await make(provider_rig, held)
            heard.append(
                await refused_by_the_owner(rig, asking(provider_rig, probe), Wishes(negotiate=negotiate))
            )
        assert heard[0] == heard[1]
        assert heard[0][0] is Dismissed
        assert heard[0][3] == 1, "the owner sees who asks in either case"

    asyncio.run(story())


def test_terms_of_what_is_not_there_are_asked_about_too(provider_rig: ProviderRig):
    """An error at once would tell that the credential of the terms cannot go."""
    terms = kit.terms(purpose=["dpv:ServiceProvision"], retention="P10D", credential_ids=["owner"])

    async def story() -> None:
        heard = []
        for held in (RICH, POOR):
            rig = await make(provider_rig, held)
            text = asking(provider_rig, {"claims": [BONN]}, transaction_data=[terms])
            heard.append(await refused_by_the_owner(rig, text, Wishes()))
        assert heard[0] == heard[1]

    asyncio.run(story())


def test_nothing_is_released_where_the_owner_agrees_to_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, POOR)
        with pytest.raises(NotAllowed, match="nothing is released"):
            await rig.agent.present(APP, asking(provider_rig, {"claims": [BONN]}), rig.job())
        assert "They get nothing, whatever you answer" in rig.owner.shown[-1]
        assert kinds(rig)[-1] == "refused"
        assert not rig.session.vault.providers

    asyncio.run(story())


def test_what_rules_alone_refuse_needs_nobody(provider_rig: ProviderRig):
    async def story() -> None:
        for held in (RICH, POOR):
            rig = await make(provider_rig, held)
            for probe in ({"path": ["phone_number"]}, {"path": ["phone_number"], "values": ["+49 30 1"]}):
                with pytest.raises(NotAllowed, match="nothing is released"):
                    await rig.agent.present(APP, asking(provider_rig, {"claims": [probe]}), rig.job())
            with pytest.raises(NotSupported):
                await rig.agent.present(APP, asking(provider_rig, {"format": "mso_mdoc"}), rig.job())
            assert not rig.owner.shown

    asyncio.run(story())


def test_what_was_offered_and_is_not_there_is_not_offered_anew(provider_rig: ProviderRig):
    """After the owner agreed, the part that is there goes: another offer would be a round for nothing."""

    async def story() -> None:
        rig = await make(provider_rig, {"birthdate": "1990-02-03"})
        text = asking(provider_rig, PROBES["what is there"])
        counter = await rig.agent.present(APP, text, rig.job(), Wishes(negotiate=True))
        accepts = Wishes(negotiation=counter.negotiation, accept=True)
        await rig.agent.present(APP, text, rig.job(), accepts)
        assert kinds(rig)[-1] == "disclosure"
        assert "whether you are 18 or older" in rig.owner.shown[-1]

    asyncio.run(story())
