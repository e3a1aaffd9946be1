"""The spine on fakes: set-up, change, disclosure, lock, unlock; and the ledger that comes of it."""

import asyncio

import pytest
from demo import provider_kit as kit
from tests.rigs.core import APP, kinds, make_core, seal, set_up, verify
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.model.claim import MAX_VALUE_BYTES
from ownerd.model.errors import InvalidArgument


def test_a_disclosure_is_shown_signed_recorded_and_verifies(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), anchors=provider_rig.anchors)
        answer = await set_up(rig, given_name="Ada", email="ada@example.org", address__locality="Wien")
        request = provider_rig.parameters()
        released = await rig.agent.present(APP, kit.signed_request(request, provider_rig.party), rig.job())
        await rig.agent.delivered(released)
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.claims == {
            "given_name": "Ada",
            "email": "ada@example.org",
            "address": {"locality": "Wien"},
        }
        assert "e-mail: ada@example.org" in rig.owner.shown[-1]
        assert kinds(rig) == ["genesis", "token-enrolled", "owner-change", "disclosure", "delivered"]
        assert verify(rig, answer["verifier_key"]).origin == "proven"

    asyncio.run(story())


@pytest.mark.parametrize("wanted", [["set"], {}, None, 1, "nothing"])
def test_a_change_that_is_none_of_ours_is_a_malformed_message(wanted: object):
    async def story() -> None:
        rig = make_core(FakeStore())
        await set_up(rig, given_name="Ada")
        with pytest.raises(InvalidArgument):
            await rig.agent.change(APP, seal(rig, change=wanted), rig.job())

    asyncio.run(story())


@pytest.mark.parametrize(
    "value", [["a", "b"], [], {"a": "b"}, None, True, 1, "", "x" * (MAX_VALUE_BYTES + 1)]
)
def test_a_claim_is_one_text(value: object):
    """So nothing lies inside it, and no query can ask for a part."""

    async def story() -> None:
        rig = make_core(FakeStore())
        await set_up(rig)
        given = [{"name": "nickname", "value": value, "source": "test"}]
        with pytest.raises(InvalidArgument, match="is not text"):
            await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
        assert not rig.session.vault.claims

    asyncio.run(story())


def test_a_date_of_birth_is_a_date():
    async def story() -> None:
        rig = make_core(FakeStore())
        await set_up(rig)
        given = [{"name": "birthdate", "value": "31.12.1987", "source": "test"}]
        with pytest.raises(InvalidArgument, match="like 1815-12-10"):
            await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
        assert not rig.session.vault.claims

    asyncio.run(story())
