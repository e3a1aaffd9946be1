"""Openings for a proof: chosen values with their salts, to one tool, after a touch that names the labels."""

import asyncio
import json

import pytest
from tests.rigs.core import APP, CoreRig, FakeToken, kinds, make_core, opened_values, seal, set_up
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe
from ownerd.ledger.entry import commit, parse_leaf
from ownerd.model.encoding import parse_b64u
from ownerd.model.errors import InvalidArgument, NotFound, OwnerdError


async def opening(rig: CoreRig, seq: object, names: object) -> dict:
    sealed = seal(rig, what="opening", seq=seq, names=names)
    return json.loads(open_jwe(await rig.agent.read(APP, sealed, rig.job()), TOOL_KEY))["opened"]


async def shop(provider_rig: ProviderRig) -> tuple[CoreRig, int]:
    rig = make_core(FakeStore(), FakeToken("A"), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org")
    await rig.agent.present(APP, provider_rig.signed(), rig.job())
    return rig, kinds(rig).index("disclosure")


def test_chosen_values_come_with_salts_that_open_their_commitments(provider_rig: ProviderRig):
    async def story() -> None:
        rig, seq = await shop(provider_rig)
        found = await opening(rig, seq, ["provider", "claim/0"])
        assert found.keys() == {"provider", "claim/0"}, "and nothing that was not asked for"
        leaf = parse_leaf(rig.store.entries[seq].leaf)
        for label, one in found.items():
            assert commit(label, parse_b64u(one["salt"]), one["value"]) == leaf.core.commitments[label]

    asyncio.run(story())


def test_the_touch_is_on_the_entry_and_the_labels(provider_rig: ProviderRig):
    async def story() -> None:
        rig, seq = await shop(provider_rig)
        touches = len(rig.store.entries)
        await opening(rig, seq, ["provider"])
        assert kinds(rig)[touches:] == ["owner-read"]
        statement = (await opened_values(rig, touches))["statement"]
        assert statement["detail"] == [f"entry {seq}", "provider"]
        assert "salts that prove them to others" in rig.owner.shown[-1]
        assert f"entry {seq}, provider" in rig.owner.shown[-1]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["claim/9"], NotFound),
        (["Claim/0\n"], NotFound),
        ([], InvalidArgument),
        (["provider", "provider"], InvalidArgument),
        ("provider", InvalidArgument),
        ([7], InvalidArgument),
        (None, InvalidArgument),
        (["x" * 65], InvalidArgument),
        ([f"claim/{n}" for n in range(65)], InvalidArgument),
    ],
)
def test_what_cannot_be_opened_is_refused_before_anybody_is_asked(provider_rig, names, error):
    async def story() -> None:
        rig, seq = await shop(provider_rig)
        shown = len(rig.owner.shown)
        with pytest.raises(error):
            await opening(rig, seq, names)
        assert len(rig.owner.shown) == shown

    asyncio.run(story())


@pytest.mark.parametrize("seq", [-1, 10**6, "1", None, True])
def test_there_has_to_be_such_an_entry(provider_rig, seq):
    async def story() -> None:
        rig, _ = await shop(provider_rig)
        with pytest.raises(OwnerdError):
            await opening(rig, seq, ["provider"])

    asyncio.run(story())


def test_an_erased_entry_opens_no_more(provider_rig: ProviderRig):
    async def story() -> None:
        rig, seq = await shop(provider_rig)
        await rig.agent.change(APP, seal(rig, change="erase", entries=[seq]), rig.job())
        with pytest.raises(NotFound):
            await opening(rig, seq, ["provider"])

    asyncio.run(story())
