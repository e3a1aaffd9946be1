"""A provider and an owner come to terms: counter-offer, acceptance, receipt, grant, repeats, renewal, end."""

import asyncio
import json
import re

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import APP, TOOL, CoreRig, kinds, make_core, opened_values, seal, set_up, verify
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.service import CounterOffer, Narrowing, Released, Wishes
from ownerd.credential.jwe import open_jwe, seal_jwe
from ownerd.model.caller import Confidence
from ownerd.model.errors import Busy, Dismissed, InvalidArgument, NotAllowed, NotFound
from ownerd.model.policy import GrantLimits

POLICY = """
version = 1

[alias]
mailbox = "ada@example.org"

[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"

[[rule]]
provider = "shop.example"
claims = ["email"]
do = "substitute"
with = "alias"

[[terms]]
retention = "P30D"
recipients = []
"""
GRANTED = """
version = 1

[[rule]]
provider = "shop.example"
claims = ["given_name", "email"]
do = "grant"
days = 7
count = 4
per_hour = 4
"""


async def make(provider_rig: ProviderRig, policy: str = POLICY) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org", birthdate="1990-02-03")
    await change(rig, change="policy", text=policy)
    rig.owner.shown.clear()
    return rig


async def change(rig: CoreRig, **members) -> dict:
    return json.loads(open_jwe(await rig.agent.change(APP, seal(rig, **members), rig.job()), TOOL))


async def read(rig: CoreRig, **members) -> dict:
    return json.loads(open_jwe(await rig.agent.read(APP, seal(rig, **members), rig.job()), TOOL))


def asking(provider_rig: ProviderRig, *claims: str, **more) -> dict:
    return kit.parameters(CLIENT_ID, RESPONSE_URI, claims, provider_rig.answer_key, **more)


def signed(provider_rig: ProviderRig, request: dict) -> str:
    return kit.signed_request(request, provider_rig.party)


async def present(rig: CoreRig, text: str, wishes: Wishes = Wishes()):  # noqa: B008 -- frozen
    return await rig.agent.present(APP, text, rig.job(), wishes)


def test_a_rule_answers_with_an_offer_and_what_was_accepted_is_sent(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        request = asking(provider_rig, "given_name", "email", "birthdate")
        text = signed(provider_rig, request)
        counter = await present(rig, text, Wishes(negotiate=True))
        assert isinstance(counter, CounterOffer)
        offer = json.loads(counter.offer)
        assert offer["round"] == 1
        assert offer["credentials"] == [
            {
                "id": "owner",
                "claims": [
                    {"path": ["given_name"]},
                    {"path": ["email"]},
                    {"path": ["age_over_18"], "instead_of": ["birthdate"]},
                ],
            }
        ]
        assert re.search(r"\bada\b", counter.offer.lower()) is None, "an offer holds no value"
        assert kinds(rig)[-1] == "offer"
        assert not rig.owner.shown, "a rule of the owner's has answered"

        released = await present(rig, text, Wishes(negotiation=counter.negotiation, accept=True))
        assert isinstance(released, Released)
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        alias = disclosed.claims.pop("email")
        assert alias.startswith("ada+")
        assert alias.endswith("@example.org")
        assert disclosed.claims == {"given_name": "Ada", "age_over_18": True}
        values = await opened_values(rig, released.entry)
        assert values["statement"]["rounds"] == [counter.entry]
        assert "instead of date of birth" in rig.owner.shown[-1]
        with pytest.raises(NotFound):
            await present(rig, text, Wishes(negotiation=counter.negotiation, accept=True))
        verify(rig)

    asyncio.run(story())


def test_explaining_says_what_a_new_provider_would_get(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        text = signed(provider_rig, asking(provider_rig, "email", "birthdate"))
        found = await read(rig, what="explain", request=text)
        assert [(one["outcome"], one["goes"]) for one in found["decisions"]] == [
            ("goes", "email"),
            ("goes", "age_over_18"),
        ]
        assert found["terms"] == "yours go along"
        uri = "https://stranger.example/answer"
        asked = kit.parameters(f"redirect_uri:{uri}", uri, ["given_name"], provider_rig.answer_key)
        found = await read(rig, what="explain", request=kit.unsigned_request(asked))
        assert [one["goes"] for one in found["decisions"]] == ["given_name"]

    asyncio.run(story())


@pytest.mark.parametrize("do", ['do = "refuse"', 'do = "substitute"\nwith = "later"'])
def test_where_nothing_would_go_an_app_that_bargains_hears_why(do, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, f"version = 1\n[[rule]]\n{do}\n")
        text = signed(provider_rig, asking(provider_rig, "email"))
        offer = json.loads((await present(rig, text, Wishes(negotiate=True))).offer)
        assert offer["credentials"] == []
        assert offer["later" if "later" in do else "refused"] == [["email"]]
        with pytest.raises(NotAllowed, match="nothing is released"):
            await present(rig, text, Wishes(negotiation=offer["negotiation"], accept=True))
        assert not rig.owner.shown

    asyncio.run(story())


def test_rounds_are_bounded_and_belong_to_their_caller_and_their_asker(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        texts = [signed(provider_rig, asking(provider_rig, "birthdate")) for _ in range(6)]
        counter = await present(rig, texts[0], Wishes(negotiate=True))
        for text in texts[1:5]:
            again = await present(rig, text, Wishes(negotiation=counter.negotiation))
            assert again.negotiation == counter.negotiation
        with pytest.raises(Busy):
            await present(rig, texts[5], Wishes(negotiation=counter.negotiation))
        other = await present(rig, texts[0], Wishes(negotiate=True))
        stranger = replace(APP, bus_name=":1.99")
        goes_on = Wishes(negotiation=other.negotiation, accept=True)
        with pytest.raises(NotFound):
            await rig.agent.present(stranger, texts[0], rig.job(), goes_on)
        with pytest.raises(NotFound):
            await rig.agent.end_negotiation(stranger, other.negotiation)
        with pytest.raises(InvalidArgument):
            await present(rig, texts[1], goes_on)
        await rig.agent.end_negotiation(APP, other.negotiation)
        with pytest.raises(NotFound):
            await present(rig, texts[0], goes_on)
        assert kinds(rig).count("offer") == 6
        verify(rig)

    asyncio.run(story())


def test_a_negotiation_ends_after_ten_minutes(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        texts = [signed(provider_rig, asking(provider_rig, "birthdate")) for _ in range(3)]
        counter = await present(rig, texts[0], Wishes(negotiate=True))
        rig.clock.time += 10 * 60_000 - 1000
        goes_on = Wishes(negotiation=counter.negotiation)
        assert (await present(rig, texts[1], goes_on)).negotiation == counter.negotiation
        rig.clock.time += 1000
        with pytest.raises(NotFound):
            await present(rig, texts[2], goes_on)

    asyncio.run(story())


def test_an_app_that_does_not_bargain_gets_a_part(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(
            provider_rig, POLICY.replace('do = "substitute"\nwith = "age_over_18"', 'do = "refuse"')
        )
        request = asking(provider_rig, "given_name", "birthdate")
        released = await present(rig, signed(provider_rig, request))
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.claims == {"given_name": "Ada"}
        assert "a rule of yours refuses it: date of birth" in rig.owner.shown[-1]

    asyncio.run(story())


def test_an_app_that_does_not_bargain_gets_nothing_that_it_did_not_ask(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        request = asking(provider_rig, "given_name", "birthdate")
        released = await present(rig, signed(provider_rig, request))
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.claims == {"given_name": "Ada"}
        with pytest.raises(NotAllowed, match="nothing is released"):
            await present(rig, signed(provider_rig, asking(provider_rig, "birthdate")))

    asyncio.run(story())


def test_terms_within_the_owners_are_signed_and_others_get_an_offer(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        good = kit.terms(purpose=["dpv:DeliveryOfGoods"], retention="P14D")
        request = asking(provider_rig, "given_name", transaction_data=[good])
        released = await present(rig, signed(provider_rig, request), Wishes(negotiate=True))
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.accepted == [kit.terms_hash(good)]
        assert "deliver goods to you" in rig.owner.shown[-1]

        long = kit.terms(purpose=["dpv:DeliveryOfGoods"], retention="P400D", recipients=["Ads Ltd"])
        request = asking(provider_rig, "given_name", transaction_data=[long])
        text = signed(provider_rig, request)
        counter = await present(rig, text, Wishes(negotiate=True))
        assert json.loads(counter.offer)["terms"]["retention_days"] == 30
        released = await present(rig, text, Wishes(negotiation=counter.negotiation, accept=True))
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.accepted == []
        sent = kit._decrypt(released.response, provider_rig.answer_key)["owner_terms"]
        assert sent["retention_days"] == 30

        accepted = kit.receipt(provider_rig.party, owner_terms=disclosed.owner_terms)
        entry = await receive(rig, released.entry, accepted)
        values = await opened_values(rig, entry)
        assert values["receipt"]["signature"] == "good"
        assert values["receipt"]["accepts_terms"] is True
        verify(rig)

    asyncio.run(story())


async def receive(rig: CoreRig, entry: int, text: str) -> int:
    message = json.dumps({"v": 1, "entry": entry, "receipt": text}).encode()
    return await rig.agent.receive(APP, seal_jwe(message, json.loads(rig.agent.session_key())), rig.job())


def test_a_grant_repeats_until_a_value_changes_and_ends_when_revoked(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, GRANTED)
        token = rig.tokens.tokens[0]

        async def once() -> kit.Disclosed:
            request = asking(provider_rig, "given_name", "email")
            released = await present(rig, signed(provider_rig, request))
            await rig.agent.delivered(released)
            return kit.verify_response(released.response, request, provider_rig.answer_key)

        first = await once()
        assert first.repeats
        (known,) = (await read(rig, what="providers"))["providers"]
        assert known["disclosures"] == 1
        assert kinds(rig)[-4:-1] == ["grant", "disclosure", "delivered"]
        assert "For 7 days they may get exactly this again" in rig.owner.shown[-2]
        touches, prompts = len(token.asked), len(rig.owner.shown)
        for _ in range(2):
            again = await once()
            assert (again.did, again.claims) == (first.did, first.claims)
        assert (len(token.asked), len(rig.owner.shown)) == (touches, prompts), "nobody was asked"

        await change(rig, change="set", claims=[{"name": "email", "value": "new@example.org", "source": "t"}])
        touches, prompts = len(token.asked), len(rig.owner.shown)
        renewed = await once()
        assert renewed.claims["email"] == "new@example.org"
        assert (len(token.asked), len(rig.owner.shown)) == (touches + 1, prompts + 1)
        assert kinds(rig)[-4:] == ["grant", "grant-ended", "disclosure", "delivered"]
        for _ in range(3):
            await once()
        touches = len(token.asked)
        await once()
        assert len(token.asked) == touches + 1, "the fifth use is over the count"

        (known,) = (await read(rig, what="providers"))["providers"]
        assert known["holds"] == ["email", "given_name"]
        (grant,) = (await read(rig, what="grants"))["grants"]
        assert (grant["used"], grant["count"], grant["live"]) == (1, 4, True)
        await change(rig, change="grant-revoke", id=grant["id"])
        assert (await read(rig, what="grants"))["grants"] == []
        verify(rig)

    asyncio.run(story())


def test_a_grant_serves_no_unknown_app_and_nothing_that_the_web_hands_over(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, GRANTED)
        text = signed(provider_rig, asking(provider_rig, "given_name", "email"))
        await present(rig, text)
        prompts = len(rig.owner.shown)
        unknown = replace(APP, label="?", confidence=Confidence.UNKNOWN)
        await rig.agent.present(unknown, text, rig.job())
        assert len(rig.owner.shown) == prompts + 1
        assert "may get exactly this again" not in rig.owner.shown[-1]
        await present(rig, text, Wishes(ask=True))
        assert len(rig.owner.shown) == prompts + 2
        other = signed(provider_rig, asking(provider_rig, "given_name", "email", purpose="something else"))
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await present(rig, other)
        verify(rig)

    asyncio.run(story())


def test_the_owner_grants_from_elsewhere_and_unsigned_askers_get_none(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "version = 1")
        for text, fails in (
            (signed(provider_rig, asking(provider_rig, "email")), False),
            (stranger(provider_rig), True),
        ):
            rig.owner.decision = None
            rig.owner.shown.clear()
            call = asyncio.ensure_future(present(rig, text))
            while not rig.owner.shown:
                await asyncio.sleep(0)
            (waiting,) = rig.agent.pending()
            rig.agent.approve(APP, waiting.id, None, Narrowing(grant=GrantLimits(1, 2, 2)))
            async with asyncio.timeout(5):
                while len(rig.owner.shown) < 2:
                    await asyncio.sleep(0)
            assert ("Note: no grant can be given" in rig.owner.shown[-1]) is fails
            assert ("without asking you" in rig.owner.shown[-1]) is not fails
            rig.owner.decision = True
            await call
        assert kinds(rig).count("grant") == 1
        verify(rig)

    asyncio.run(story())


def stranger(provider_rig: ProviderRig) -> str:
    uri = "https://stranger.example/answer"
    return provider_rig.unsigned(client_id=f"redirect_uri:{uri}", response_uri=uri)


def test_login_rotation_and_forgetting_keep_one_did_until_it_is_handed_over(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "version = 1")
        request = kit.login_parameters(CLIENT_ID, RESPONSE_URI, provider_rig.answer_key)
        released = await present(rig, signed(provider_rig, request))
        did = kit.verify_login(released.response, request, provider_rig.answer_key)
        data = asking(provider_rig, "given_name")
        released = await present(rig, signed(provider_rig, data))
        assert kit.verify_response(released.response, data, provider_rig.answer_key).did == did
        assert kit.verify_handover(released.response, provider_rig.answer_key, CLIENT_ID) is None

        (known,) = (await read(rig, what="providers"))["providers"]
        rotated = await change(rig, change="provider-rotate", id=known["id"])
        assert rotated["did"] != did
        data = asking(provider_rig, "given_name")
        released = await present(rig, signed(provider_rig, data))
        new = kit.verify_response(released.response, data, provider_rig.answer_key).did
        assert new == rotated["did"]
        assert kit.verify_handover(released.response, provider_rig.answer_key, CLIENT_ID) == (did, new)

        await change(rig, change="provider-forget", id=known["id"])
        data = asking(provider_rig, "given_name")
        released = await present(rig, signed(provider_rig, data))
        assert kit.verify_response(released.response, data, provider_rig.answer_key).did not in (did, new)
        verify(rig)

    asyncio.run(story())
