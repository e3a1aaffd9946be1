"""Enrol another token, name, test, remove: and what the ledger and old files say of it afterwards."""

import asyncio
import json

import pytest
from demo import provider_kit as kit
from tests.rigs.core import (
    APP,
    TTY,
    CoreRig,
    FakeToken,
    kinds,
    make_core,
    opened_values,
    seal,
    set_up,
    verify,
)
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import InvalidArgument, NotAllowed, NotFound, OwnerdError, TokenMissing

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}


async def make(provider_rig: ProviderRig, *names: str) -> CoreRig:
    tokens = [FakeToken(name) for name in names or ("A", "B")]
    rig = make_core(FakeStore(), *tokens, anchors=provider_rig.anchors)
    rig.made = await set_up(rig, **CLAIMS)
    return rig


async def change(rig: CoreRig, **members: object) -> dict:
    return json.loads(open_jwe(await rig.agent.change(APP, seal(rig, **members), rig.job(TTY)), TOOL_KEY))


async def read(rig: CoreRig, **members: object) -> dict:
    return json.loads(open_jwe(await rig.agent.read(APP, seal(rig, **members), rig.job(TTY)), TOOL_KEY))


async def add(rig: CoreRig, name: str = "B") -> str:
    answer = await change(rig, change="token-add", token=name, user_verification=False, name=f"key {name}")
    return answer["token"]["id"]


async def restart(rig: CoreRig, provider_rig: ProviderRig) -> CoreRig:
    rig.agent.lock("test")
    await rig.agent._ending
    rig.store.closed = False
    again = make_core(rig.store, *rig.tokens.tokens, anchors=provider_rig.anchors)
    again.clock.time, again.made = rig.clock.time, rig.made
    await again.agent.start()
    return again


def test_a_second_token_is_approved_by_the_first_and_opens_the_vault_alone(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        second = await add(rig)
        leaf = json.loads(rig.store.entries[-1].leaf)
        first = rig.tokens.tokens[0].credential.id
        assert leaf["approval"]["token"] == first
        assert leaf["core"]["facts"]["token"]["id"] == second
        listed = await read(rig, what="tokens")
        assert [(one["name"], one["present"]) for one in listed["tokens"]] == [("A", True), ("key B", True)]
        assert [one["present_id"] for one in listed["tokens"]] == ["A", "B"], "as `present` lists them"
        assert listed["busy"] == []
        again = await restart(rig, provider_rig)
        again.tokens.tokens[0].plugged = False
        await again.agent.unlock(APP, again.job(TTY))
        assert again.agent.status().claims == 3
        assert verify(again, rig.made["verifier_key"]).origin == "proven"

    asyncio.run(story())


def test_a_new_token_uses_a_provider_that_was_opened_since(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        first, second = rig.tokens.tokens
        before = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        await add(rig)
        first.plugged = False
        with pytest.raises(TokenMissing, match="does not hold this provider's key yet"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        first.plugged = True
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        first.plugged = False
        second.asked.clear()
        released = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert [len(salts) for salts in second.asked] == [2], "transfer and re-wrap"
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert [len(salts) for salts in second.asked] == [2, 1]
        assert did(before, provider_rig) == did(released, provider_rig)

    asyncio.run(story())


def did(released, rig: ProviderRig) -> str:
    (presentation,) = next(iter(kit._decrypt(released.response, rig.answer_key)["vp_token"].values()))
    return kit._decode(presentation.split(".")[1])["iss"]


def test_removing_a_token_renews_every_key_and_the_log_still_proves_itself(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        await add(rig)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        disclosure = len(rig.store.entries) - 1
        removed = rig.tokens.tokens[0]
        old = dict(rig.store.vault)
        answer = await change(rig, change="token-remove", id=removed.credential.id)
        assert kinds(rig)[-2:] == ["token-removed", "key-rotated"]
        assert answer["verifier_key"] != rig.made["verifier_key"]
        assert {record.generation for record in rig.store.vault.values()} == {2}
        sealed = {key: record.sealed for key, record in rig.store.vault.items()}
        assert not [key for key, record in old.items() if sealed.get(key) == record.sealed]
        assert not any(removed.credential.id in record_id for _, record_id in rig.store.vault)
        assert (await opened_values(rig, disclosure))["statement"]["claims"], "older openings still open"
        verify(rig, rig.made["verifier_key"])
        verify(rig, answer["verifier_key"])

        again = await restart(rig, provider_rig)
        again.tokens.tokens[1].plugged = False
        with pytest.raises(OwnerdError):
            await again.agent.unlock(APP, again.job(TTY))
        again.tokens.tokens[1].plugged = True
        await again.agent.unlock(APP, again.job(TTY))
        released = await again.agent.present(APP, provider_rig.signed(), again.job())
        assert (await opened_values(again, released.entry))["response"] == released.response
        verify(again, rig.made["verifier_key"])

    asyncio.run(story())


def test_the_last_token_cannot_be_removed_and_strangers_are_not_found(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        with pytest.raises(NotAllowed, match="last token"):
            await change(rig, change="token-remove", id=rig.tokens.tokens[0].credential.id)
        for members in (
            {"change": "token-remove", "id": "x"},
            {"change": "token-name", "id": "x", "name": "y"},
            {"change": "token-add", "token": "Z", "user_verification": False, "name": None},
        ):
            with pytest.raises(NotFound):
                await change(rig, **members)
        with pytest.raises(NotAllowed, match="already"):
            await change(rig, change="token-add", token="A", user_verification=False, name=None)
        for members in (
            {"change": "token-remove"},
            {"change": "token-add", "token": "B", "user_verification": 1, "name": None},
            {"change": "token-name", "id": rig.tokens.tokens[0].credential.id, "name": "a\u202eb"},
        ):
            with pytest.raises(InvalidArgument):
                await change(rig, **members)

    asyncio.run(story())


def test_a_token_is_named_and_tested_by_a_touch_on_that_very_token(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        second = await add(rig)
        await change(rig, change="token-name", id=second, name="drawer")
        listed = await read(rig, what="tokens")
        assert listed["tokens"][1]["name"] == "drawer"
        first = rig.tokens.tokens[0]
        first.asked.clear()
        assert await read(rig, what="token", id=second) == {"id": second, "opens": True}
        assert not first.asked
        rig.tokens.tokens[1].secret = b"\1" * 32
        with pytest.raises(OwnerdError) as caught:
            await read(rig, what="token", id=second)
        assert caught.value.id == "WrongKey"

    asyncio.run(story())


def test_refusing_leaves_tokens_as_they_were(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = False
        with pytest.raises(OwnerdError):
            await add(rig)
        assert len(rig.session.vault.keyslots) == 1
        assert kinds(rig)[-1] == "refused"

    asyncio.run(story())
