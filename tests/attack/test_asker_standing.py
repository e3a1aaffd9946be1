"""Who asks, held against what the owner knows: pins, changed keys, downgrades, look-alikes, flat refusals."""

import asyncio
import json

import pytest
from demo import identity_kit, provider_kit
from tests.rigs.core import APP, CoreRig, kinds, make_core, opened_values, seal, set_up, verify
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.model.errors import Dismissed, Downgraded, KeyChanged, NotAllowed, NotSupported
from ownerd.model.request import Trust

ALIASED = """
version = 1
[alias]
mailbox = "ada@example.org"
[[rule]]
claims = ["email"]
do = "substitute"
with = "alias"
"""


async def make(provider_rig: ProviderRig, policy: str = "version = 1") -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    rig.session.attesters = lambda: provider_rig.attesters
    await set_up(rig, given_name="Ada", email="ada@example.org", address__locality="Wien")
    await rig.agent.change(APP, seal(rig, change="policy", text=policy), rig.job())
    rig.owner.shown.clear()
    rig.owner.notified.clear()
    return rig


def test_a_key_that_nobody_vouches_for_is_accepted_once_and_known_again(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        signer = identity_kit.DidJwkSigner()
        text = provider_rig.signed_as(signer)
        await rig.agent.present(APP, text, rig.job())
        assert kinds(rig)[-2:] == ["provider-pinned", "disclosure"]
        accept, disclose = rig.owner.shown
        assert "a key that nobody vouches for" in accept
        assert "by a key you accepted" in disclose
        assert [one.trust for one in rig.session.vault.providers.values()] == [Trust.PINNED]
        await rig.agent.present(APP, provider_rig.signed_as(signer), rig.job())
        assert kinds(rig)[-1] == "disclosure"
        assert len(rig.owner.shown) == 3, "the key is known"
        verify(rig)

    asyncio.run(story())


def test_refusing_the_key_pins_nothing_and_sends_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.present(APP, provider_rig.signed_as(identity_kit.DidJwkSigner()), rig.job())
        assert not rig.session.vault.pins
        assert kinds(rig)[-1] == "refused"

    asyncio.run(story())


def test_another_key_under_a_pinned_name_is_an_alarm(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, did_web(provider_rig), rig.job())
        prompts = len(rig.owner.shown)
        with pytest.raises(KeyChanged):
            await rig.agent.present(APP, did_web(provider_rig), rig.job())
        assert len(rig.owner.shown) == prompts, "the owner is not asked, but told"
        assert "another key" in rig.owner.notified[-1][1]
        assert kinds(rig)[-1] == "refused"
        values = await opened_values(rig, len(rig.store.entries) - 1)
        assert values["error"]["name"] == "KeyChanged"

    asyncio.run(story())


def did_web(provider_rig: ProviderRig, host: str = "shop.example") -> str:
    signer = identity_kit.DidWebSigner(host)
    return provider_rig.signed_as(signer, response_uri=f"https://{host}/answer")


def test_a_provider_that_once_proved_who_it_is_is_not_served_for_less(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        prompts = len(rig.owner.shown)
        for text in (provider_rig.unsigned(), did_web(provider_rig)):
            with pytest.raises(Downgraded):
                await rig.agent.present(APP, text, rig.job())
            assert kinds(rig)[-1] == "refused"
            assert "has proven more before" in rig.owner.notified[-1][1]
        assert len(rig.owner.shown) == prompts
        await rig.agent.present(APP, provider_rig.signed(), rig.job())

    asyncio.run(story())


def test_a_pinned_asker_never_gets_the_key_or_the_alias_of_a_verified_one(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, ALIASED)
        uri = "https://pinned.example/answer"
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        signer = identity_kit.DidJwkSigner()
        second = await rig.agent.present(APP, provider_rig.signed_as(signer, response_uri=uri), rig.job())
        got = []
        for released in (first, second):
            token = provider_kit._decrypt(released.response, provider_rig.answer_key)["vp_token"]["owner"][0]
            payload = provider_kit._decode(token.split(".")[1])
            alias = [
                json.loads(provider_kit.base64.urlsafe_b64decode(one + "=="))
                for one in token.split("~")[1:-1]
            ]
            got.append((payload["iss"], next(value for _, name, value in alias if name == "email")))
        assert got[0][0] != got[1][0]
        assert got[0][1] != got[1][1]
        assert all(one[1].startswith("ada+") for one in got)

    asyncio.run(story())


def test_an_unsigned_asker_gets_no_alias_and_not_the_address_behind_it(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, ALIASED)
        request = provider_rig.claimed()
        released = await rig.agent.present(APP, provider_kit.unsigned_request(request), rig.job())
        disclosed = provider_kit.verify_response(released.response, request, provider_rig.answer_key)
        assert "email" not in disclosed.claims
        assert "ada@example.org" not in rig.owner.shown[-1]

    asyncio.run(story())


def test_an_unsigned_asker_gets_no_login(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        uri = "https://stranger.example/answer"
        request = provider_kit.login_parameters(f"redirect_uri:{uri}", uri, provider_rig.answer_key)
        with pytest.raises(NotAllowed):
            await rig.agent.present(APP, provider_kit.unsigned_request(request), rig.job())
        assert not rig.owner.shown

    asyncio.run(story())


def test_a_name_that_looks_like_a_known_one_is_pointed_out(provider_rig: ProviderRig, provider_ca):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        near = ProviderRig(provider_ca, provider_kit.make_provider(provider_ca, "sh0p.example"))
        text = near.signed(client_id="x509_san_dns:sh0p.example", response_uri="https://sh0p.example/answer")
        await rig.agent.present(APP, text, rig.job())
        assert "CAREFUL" in rig.owner.shown[-1]
        assert "shop.example" in rig.owner.shown[-1]

    asyncio.run(story())


def test_an_attested_provider_is_verified_and_its_issuer_is_a_new_anchor(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, provider_rig.signed_as(provider_rig.attested()), rig.job())
        assert "New trust anchor" in rig.owner.shown[-1]
        assert len(rig.session.vault.anchors) == 1
        await rig.agent.present(APP, provider_rig.signed_as(provider_rig.attested()), rig.job())
        assert "New trust anchor" not in rig.owner.shown[-1]

    asyncio.run(story())


def test_terms_of_an_unknown_kind_are_refused_by_name(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        made = provider_kit.terms(purpose=["dpv:ServiceProvision"], type="payment")
        with pytest.raises(NotSupported, match="transaction_data"):
            await rig.agent.present(APP, provider_rig.signed(transaction_data=[made]), rig.job())
        assert not rig.owner.shown

    asyncio.run(story())
