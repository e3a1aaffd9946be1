"""Whoever proved who it is under a client id that names no host is not asked for without a signature either."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from demo import identity_kit, provider_kit
from demo.provider_kit import Party
from msgspec.structs import replace
from tests.rigs.core import APP, TOOL, CoreRig, kinds, make_core, opened_values, seal, set_up
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import Dismissed, Downgraded

ANSWERS_AT = "pay.books.example"
OTHER_APP = replace(APP, label="newsstand")  # a refusal makes an app wait


def by_certificate_hash(rig: ProviderRig, ca: Party) -> str:
    party = provider_kit.make_provider(ca, ANSWERS_AT)
    client_id, uri = party.hash_client_id(), f"https://{ANSWERS_AT}/answer"
    return provider_kit.signed_request(rig.parameters(client_id=client_id, response_uri=uri), party)


def by_attested_words(rig: ProviderRig, _ca: Party) -> str:
    return rig.signed_as(rig.attested("Buch & Co"), response_uri=f"https://{ANSWERS_AT}/answer")


def by_did_jwk(rig: ProviderRig, _ca: Party) -> str:
    return rig.signed_as(identity_kit.DidJwkSigner(), response_uri=f"https://{ANSWERS_AT}/answer")


Signed = Callable[[ProviderRig, Party], str]
each_signed = pytest.mark.parametrize("signed", [by_certificate_hash, by_attested_words, by_did_jwk])


async def sealed(rig: CoreRig, call: Callable[..., Any], **members: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(open_jwe(await call(APP, seal(rig, **members), rig.job()), TOOL))
    return found


async def make(provider_rig: ProviderRig) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    rig.session.attesters = lambda: provider_rig.attesters
    await set_up(rig, given_name="Ada", email="ada@example.org")
    rig.owner.notified.clear()
    return rig


def unsigned(rig: ProviderRig, host: str) -> str:
    uri = f"https://{host}/cb"
    return rig.unsigned(client_id=f"redirect_uri:{uri}", response_uri=uri)


async def assert_refused_with_an_alarm(rig: CoreRig, text: str) -> None:
    prompts, alarms = len(rig.owner.shown), len(rig.owner.notified)
    with pytest.raises(Downgraded):
        await rig.agent.present(APP, text, rig.job())
    assert len(rig.owner.shown) == prompts, "nobody is asked"
    assert len(rig.owner.notified) == alarms + 1
    assert "has proven more before" in rig.owner.notified[-1][1]
    assert kinds(rig)[-1] == "refused"
    values = await opened_values(rig, len(rig.store.entries) - 1)
    assert values["error"]["name"] == "Downgraded"


@each_signed
def test_where_its_answers_went_nobody_asks_without_a_signature(
    signed: Signed, provider_rig: ProviderRig, provider_ca: Party
):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, signed(provider_rig, provider_ca), rig.job())
        for host in (ANSWERS_AT, "books.example", "www.books.example", f"a.{ANSWERS_AT}"):
            await assert_refused_with_an_alarm(rig, unsigned(provider_rig, host))
        for host in ("nobooks.example", "books.example.evil.test"):
            await rig.agent.present(APP, unsigned(provider_rig, host), rig.job())
            assert "NOT PROVEN" in rig.owner.shown[-1]

    asyncio.run(story())


def test_a_key_that_was_accepted_counts_though_nothing_was_given(
    provider_rig: ProviderRig, provider_ca: Party
):
    async def story() -> None:
        rig = await make(provider_rig)
        confirm = rig.owner.confirm

        async def accept_alone(*given: object, **named: object) -> object:
            rig.owner.decision = not rig.session.vault.pins
            return await confirm(*given, **named)

        rig.owner.confirm = accept_alone
        with pytest.raises(Dismissed):
            await rig.agent.present(APP, by_did_jwk(provider_rig, provider_ca), rig.job())
        assert not rig.session.vault.providers
        await assert_refused_with_an_alarm(rig, unsigned(provider_rig, ANSWERS_AT))
        rig.owner.confirm = confirm
        rig.owner.decision = True
        listed = await sealed(rig, rig.agent.read, what="providers")
        (row,) = listed["providers"]
        assert (row["trust"], row["disclosures"], row["holds"]) == ("pinned", 0, [])
        await sealed(rig, rig.agent.change, change="provider-forget", id=row["id"])
        assert not rig.session.vault.pins
        await rig.agent.present(OTHER_APP, unsigned(provider_rig, ANSWERS_AT), rig.job())

    asyncio.run(story())


def test_a_key_that_nobody_vouches_for_does_not_answer_where_a_verified_one_did(
    provider_rig: ProviderRig, provider_ca: Party
):
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.present(APP, by_certificate_hash(provider_rig, provider_ca), rig.job())
        await assert_refused_with_an_alarm(rig, by_did_jwk(provider_rig, provider_ca))
        assert not rig.session.vault.pins

    asyncio.run(story())


def test_every_host_that_answers_went_to_counts_by_login_too(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        signer = provider_rig.attested("Buch & Co")
        for host in ("one.example", "two.example"):
            uri = f"https://{host}/answer"
            asked = provider_kit.login_parameters(signer.client_id, uri, provider_rig.answer_key)
            await rig.agent.present(APP, signer.sign(asked), rig.job())
        (known,) = rig.session.vault.providers.values()
        assert known.hosts == ("one.example", "two.example")
        for host in known.hosts:
            await assert_refused_with_an_alarm(rig, unsigned(provider_rig, host))

    asyncio.run(story())
