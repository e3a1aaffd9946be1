"""A request that is sent again: by whoever saw it, as it stands (OpenID4VP 1.0, section 14.1)."""

from __future__ import annotations

import asyncio
import time

import pytest
from demo import provider_kit as kit
from jwcrypto.jwe import InvalidJWEData
from msgspec.structs import replace
from tests.rigs.core import APP, CoreRig, kinds, make_core, opened_values, seal, set_up
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.service import Released
from ownerd.model.errors import Dismissed, InvalidArgument, NotAllowed

OTHER_APP = replace(APP, bus_name=":1.8", label="newsstand")
GRANT = """
version = 1
[[rule]]
provider = "shop.example"
claims = ["given_name"]
do = "grant"
days = 7
count = 2
per_hour = 2
"""


async def make(provider_rig: ProviderRig, policy: str = "version = 1\n") -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org")
    await rig.agent.change(APP, seal(rig, change="policy", text=policy), rig.job())
    rig.owner.shown.clear()
    return rig


def asking(provider_rig: ProviderRig, **more: object) -> dict:
    return kit.parameters(CLIENT_ID, RESPONSE_URI, ["given_name"], provider_rig.answer_key, **more)


def token_of(released: Released, provider_rig: ProviderRig) -> str:
    opened = kit._decrypt(released.response, provider_rig.answer_key)
    (presentations,) = opened["vp_token"].values()
    return str(presentations[0])


def test_the_owner_is_asked_again_and_both_answers_are_in_the_ledger(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        request = asking(provider_rig)
        text = kit.signed_request(request, provider_rig.party)
        first = await rig.agent.present(APP, text, rig.job())
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.present(OTHER_APP, text, rig.job())
        rig.owner.decision = True
        again = await rig.agent.present(APP, text, rig.job())
        assert len(rig.owner.shown) == 3
        one, other = (token_of(released, provider_rig) for released in (first, again))
        assert not set(one.split("~")) & set(other.split("~")), "no salt, signature or digest comes back"
        said = [(await opened_values(rig, released.entry))["request"] for released in (first, again)]
        assert said[0] == said[1]
        for released in (first, again):  # who sent it finds its nonce in both, and takes it once
            kit.verify_response(released.response, request, provider_rig.answer_key)
        other = request | {"nonce": asking(provider_rig)["nonce"]}
        with pytest.raises(kit.Refused, match="nonce"):
            kit.verify_response(again.response, other, provider_rig.answer_key)

    asyncio.run(story())


def test_an_answer_is_sealed_to_the_key_of_the_request_whoever_sent_it_again(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        text = kit.signed_request(asking(provider_rig), provider_rig.party)
        released = await rig.agent.present(OTHER_APP, text, rig.job())
        with pytest.raises(InvalidJWEData):
            kit._decrypt(released.response, kit.new_encryption_key("thief"))

    asyncio.run(story())


def test_a_grant_counts_what_is_sent_again(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, GRANT)
        text = kit.signed_request(asking(provider_rig), provider_rig.party)
        for _ in range(2):
            await rig.agent.present(APP, text, rig.job())
        assert len(rig.owner.shown) == 1
        await rig.agent.present(APP, text, rig.job())
        assert len(rig.owner.shown) == 2, "its two uses are spent"
        assert kinds(rig).count("disclosure") == 3

    asyncio.run(story())


def test_a_request_that_has_expired_is_not_served_again(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, GRANT)
        now = int(time.time())
        text = kit.signed_request(asking(provider_rig, iat=now, exp=now + 30), provider_rig.party)
        await rig.agent.present(APP, text, rig.job())
        rig.clock.time += 91_000
        with pytest.raises(NotAllowed, match="expired"):
            await rig.agent.present(APP, text, rig.job())
        assert len(rig.owner.shown) == 1

    asyncio.run(story())


def test_a_nonce_that_could_be_guessed_or_met_twice_is_too_short(provider_rig: ProviderRig):
    for nonce in ("n" * 15, "", "n" * 513):
        with pytest.raises(InvalidArgument, match="nonce"):
            provider_rig.read(provider_rig.signed(nonce=nonce))
