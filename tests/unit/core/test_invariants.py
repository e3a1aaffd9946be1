"""The invariants of DESIGN section 9 that the core holds, each by its number."""

import asyncio
import json

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import APP, CoreRig, FakeToken, kinds, make_core, opened_values, set_up, verify
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core import disclosure
from ownerd.model.errors import InternalError, NotAllowed, StorageError
from ownerd.model.request import Trust

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}


async def make(provider_rig: ProviderRig, *tokens: FakeToken) -> CoreRig:
    rig = make_core(FakeStore(), *tokens, anchors=provider_rig.anchors)
    await set_up(rig, **CLAIMS)
    return rig


def payload(released, provider_rig) -> dict:
    """The issuer-signed JWT's payload, decrypted with the provider's library."""
    vp = kit._decrypt(released.response, provider_rig.answer_key)["vp_token"]
    (presentation,) = next(iter(vp.values()))
    return kit._decode(presentation.split(".")[1])


def test_1_nothing_is_released_when_its_entry_is_not_durable(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        before = len(rig.store.entries)

        def fail() -> None:
            rig.store.fail = StorageError("no space left")

        rig.tokens.before_touch = fail
        with pytest.raises(StorageError):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert len(rig.store.entries) == before
        rig.store.fail = None
        assert not rig.session.vault.providers

    asyncio.run(story())


def test_1_the_entry_is_committed_before_present_returns(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        released = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert kinds(rig)[released.entry] == "disclosure"
        assert rig.store.batches[-1].entries[0].seq == released.entry
        opened = json.loads(json.dumps(await opened_values(rig, released.entry)))
        assert opened["response"] == released.response

    asyncio.run(story())


def test_2_a_disclosure_carries_the_approval_of_its_own_statement(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        released = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        leaf = json.loads(rig.store.entries[released.entry].leaf)
        assert leaf["approval"]["type"] == "fido2"
        assert "statement" in leaf["core"]["commitments"]
        assert verify(rig).approvals == 3  # set-up, change, disclosure

    asyncio.run(story())


def test_3_a_touch_asks_for_the_secret_of_one_provider_at_most(provider_rig: ProviderRig, provider_ca):
    async def story() -> None:
        rig = await make(provider_rig)
        other = ProviderRig(provider_ca, kit.make_provider(provider_ca, "other.example"))
        for _ in range(2):
            for one, host in ((provider_rig, "shop.example"), (other, "other.example")):
                request = one.signed(client_id=f"x509_san_dns:{host}", response_uri=f"https://{host}/answer")
                await rig.agent.present(APP, request, rig.job())
        asked = rig.tokens.tokens[0].asked[2:]  # after set-up (two handles of its own) and the change
        assert [len(salts) for salts in asked] == [1, 1, 1, 1]
        assert asked[0] == asked[2]
        assert asked[1] == asked[3]
        assert asked[0] != asked[1]

    asyncio.run(story())


def test_3_the_secret_of_one_provider_does_not_open_another(provider_rig: ProviderRig, provider_ca):
    async def story() -> None:
        rig = await make(provider_rig)
        other = ProviderRig(provider_ca, kit.make_provider(provider_ca, "other.example"))
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        await rig.agent.present(
            APP,
            other.signed(client_id="x509_san_dns:other.example", response_uri="https://other.example/answer"),
            rig.job(),
        )
        vault = rig.session.vault
        first, second = sorted(vault.copies)
        mixed = replace(vault.copies[first], handle=vault.copies[second].handle)
        vault.copies[first] = mixed
        victim = vault.providers[first.split("/")[0]]
        owner_of_first = provider_rig if victim.client_id.endswith("shop.example") else other
        host = victim.client_id.removeprefix("x509_san_dns:")
        with pytest.raises(StorageError):
            await rig.agent.present(
                APP,
                owner_of_first.signed(client_id=victim.client_id, response_uri=f"https://{host}/answer"),
                rig.job(),
            )

    asyncio.run(story())


def test_4_each_provider_and_each_level_gets_its_own_key_and_salts(provider_rig: ProviderRig, provider_ca):
    async def story() -> None:
        rig = await make(provider_rig)
        other = ProviderRig(provider_ca, kit.make_provider(provider_ca, "other.example"))
        other_request = {"client_id": "x509_san_dns:other.example", "response_uri": "https://other.example/a"}
        first = payload(await rig.agent.present(APP, provider_rig.signed(), rig.job()), provider_rig)
        again = payload(await rig.agent.present(APP, provider_rig.signed(), rig.job()), provider_rig)
        foreign = payload(await rig.agent.present(APP, other.signed(**other_request), rig.job()), other)
        uri = "https://stranger.example/answer"
        strangers = [
            provider_rig.unsigned(client_id=f"redirect_uri:{uri}", response_uri=uri) for _ in range(2)
        ]
        claimed = [
            payload(await rig.agent.present(APP, stranger, rig.job()), provider_rig) for stranger in strangers
        ]
        assert first["iss"] == again["iss"]
        dids = [first["iss"], foreign["iss"], claimed[0]["iss"], claimed[1]["iss"]]
        assert len(set(dids)) == 4
        digests = [digest for one in (first, again, foreign, *claimed) for digest in one["_sd"]]
        assert len(set(digests)) == len(digests)
        assert {one.trust for one in rig.session.vault.providers.values()} == {Trust.VERIFIED}

    asyncio.run(story())


def test_7_a_request_that_does_not_parse_is_denied_and_recorded(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        tampered = provider_rig.signed()[:-4] + "AAAA"
        with pytest.raises(NotAllowed):
            await rig.agent.present(APP, tampered, rig.job())
        assert kinds(rig)[-1] in {"refused", "failed"}
        assert not rig.tokens.tokens[0].asked[2:]

    asyncio.run(story())


def test_8_what_is_rendered_is_in_the_signed_statement_and_what_leaves_is_too(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        released = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        values = await opened_values(rig, released.entry)
        statement = values["statement"]
        assert statement["rendered"]["text"] == rig.owner.shown[-1]
        vp = kit._decrypt(released.response, provider_rig.answer_key)["vp_token"]
        (presentation,) = next(iter(vp.values()))
        issuer, *disclosures, kb = presentation.split("~")
        (credential,) = statement["credentials"].values()
        assert credential["issuer_signing_input"] == issuer.rpartition(".")[0]
        assert credential["disclosures"] == disclosures
        kb_payload = kit._decode(kb.split(".")[1])
        kb_payload.pop("sd_hash")
        assert credential["kb_payload"] == kb_payload

    asyncio.run(story())


def test_8_a_release_that_differs_from_the_statement_is_stopped(provider_rig: ProviderRig, monkeypatch):
    async def story() -> None:
        rig = await make(provider_rig)
        finish = disclosure.finish

        def swap(prepared, key):
            other = replace(prepared, disclosures=prepared.disclosures[:-1])
            return finish(prepared, key) if other is None else finish_other(prepared, other, key)

        def finish_other(prepared, other, key):
            from ownerd.credential.presentation import require_as_stated

            presentation = finish(other, key)
            require_as_stated(presentation, prepared)
            return presentation

        monkeypatch.setattr(disclosure, "finish", swap)
        with pytest.raises(InternalError):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert "disclosure" not in kinds(rig)

    asyncio.run(story())
