"""Erasure: what is chosen goes and nothing else, under a touch; the ledger says so and still verifies."""

import asyncio
import json
import re

import pytest
from tests.rigs.core import APP, CoreRig, FakeToken, kinds, make_core, opened_values, seal, set_up, verify
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core import erasing
from ownerd.core.erasing import Selection
from ownerd.core.render_keeping import ranges
from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import Dismissed, InvalidArgument, NotFound, StorageError


async def erase(rig: CoreRig, **chosen: object) -> dict:
    answer = await rig.agent.change(APP, seal(rig, change="erase", **chosen), rig.job())
    return json.loads(open_jwe(answer, TOOL_KEY))


async def erasable(rig: CoreRig, **chosen: object) -> list[int]:
    answer = await rig.agent.read(APP, seal(rig, what="erasable", **chosen), rig.job())
    return [one["seq"] for one in json.loads(open_jwe(answer, TOOL_KEY))["entries"]]


def present(rig: CoreRig) -> list[int]:
    return [row.seq for row in rig.store.entries if row.ciphertext is not None]


async def shop(provider_rig: ProviderRig, **claims: str) -> CoreRig:
    rig = make_core(FakeStore(), FakeToken("A"), anchors=provider_rig.anchors)
    await set_up(rig, **(claims or {"given_name": "Ada", "email": "ada@example.org"}))
    await rig.agent.present(APP, provider_rig.signed(), rig.job())
    return rig


def test_named_entries_lose_their_openings_and_nothing_else(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        seq = kinds(rig).index("disclosure")
        before = present(rig)
        answer = await erase(rig, entries=[seq])
        (said,) = answer["entries"]
        assert answer == {"entries": [said], "erased": 1}
        assert present(rig) == [*(one for one in before if one != seq), said]
        assert json.loads(rig.store.entries[said].leaf)["core"]["facts"] == {"entries": [seq]}
        assert verify(rig).erased == 1
        found = json.loads(
            open_jwe(await rig.agent.read(APP, seal(rig, what="entry", seq=seq), rig.job()), TOOL_KEY)
        )
        assert found["entries"][0]["values"] is None
        assert rig.session.vault.claims["given_name"].value == "Ada", "the present data stays"

    asyncio.run(story())


def test_the_prompt_and_its_entry_say_what_goes_and_name_no_value(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        (said,) = (await erase(rig, claim="given_name"))["entries"]
        text = rig.owner.shown[-1]
        assert "claim given_name" in text
        for promise in ("Goes: ", "Stays: ", "Not reached: ", "backups", "a provider"):
            assert promise in text
        values = await opened_values(rig, said)
        assert values["statement"]["rendered"]["text"] == text
        # Whole words: the approval's base64url has every three letters now and then.
        assert re.search(r"\bAda\b", json.dumps(values)) is None
        assert "bookshop.example" not in json.dumps(values)

    asyncio.run(story())


def test_a_claim_is_found_wherever_its_value_lies(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig, given_name="Ada", email="ada@example.org")
        named = await erasable(rig, claim="given_name")
        # Written at the start, and disclosed.
        assert [kinds(rig)[one] for one in named] == ["owner-change", "disclosure"]
        with pytest.raises(NotFound):
            await erasable(rig, claim="phone_number")
        await erase(rig, claim="given_name")
        with pytest.raises(NotFound):
            await erase(rig, claim="given_name")
        assert verify(rig).erased == len(named)

    asyncio.run(story())


def test_a_provider_a_date_and_a_claim_narrow_each_other(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        (provider,) = rig.session.vault.providers.values()
        seq = kinds(rig).index("disclosure")
        assert seq in await erasable(rig, provider=provider.id)
        assert await erasable(rig, provider=provider.id) == await erasable(rig, provider=provider.client_id)
        assert await erasable(rig, provider=provider.id, claim="given_name") == [seq]
        time = json.loads(rig.store.entries[seq].leaf)["core"]["time"]
        with pytest.raises(NotFound):
            await erasable(rig, provider=provider.id, claim="given_name", before=time)
        early = await erasable(rig, before=time)
        assert early
        assert max(early) < seq

    asyncio.run(story())


def test_a_refusal_erases_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        before = present(rig)
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await erase(rig, entries=[before[0]])
        assert set(before) <= set(present(rig))
        assert "erased" not in kinds(rig)

    asyncio.run(story())


def test_a_failed_commit_erases_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        before = present(rig)
        rig.tokens.before_touch = lambda: setattr(rig.store, "fail", StorageError("full"))
        with pytest.raises(StorageError):
            await erase(rig, entries=[before[0]])
        assert present(rig) == before
        rig.store.fail = None
        verify(rig)

    asyncio.run(story())


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"entries": []},
        {"entries": [1], "claim": "email"},
        {"entries": [-1]},
        {"entries": [True]},
        {"entries": ["1"]},
        {"entries": "1"},
        {"claim": "no such name!"},
        {"claim": 7},
        {"provider": ""},
        {"provider": "x" * 2000},
        {"before": "yesterday"},
        {"entries": list(range(erasing.MAX_PARTS * 4096 + 1))},
    ],
)
def test_a_bad_choice_is_refused_before_anybody_is_asked(provider_rig: ProviderRig, chosen: dict):
    async def story() -> None:
        rig = await shop(provider_rig)
        asked = len(rig.owner.shown)
        for ask in (erase, erasable):
            with pytest.raises(InvalidArgument):
                await ask(rig, **chosen)
        assert len(rig.owner.shown) == asked

    asyncio.run(story())


def test_what_has_nothing_to_erase_is_named(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        for seq in (0, 10_000):
            with pytest.raises(NotFound, match=str(seq)):
                await erase(rig, entries=[seq])
        await erase(rig, entries=[present(rig)[0]])
        with pytest.raises(NotFound):
            await erase(rig, entries=[2])

    asyncio.run(story())


def test_more_than_one_entry_can_name_is_erased_in_parts(provider_rig: ProviderRig, monkeypatch):
    async def story() -> None:
        rig = await shop(provider_rig)
        await erasable(rig, claim="given_name")  # an entry more
        monkeypatch.setattr(erasing, "MAX_ERASED", 2)
        wanted = present(rig)
        answer = await erase(rig, entries=wanted)
        assert len(answer["entries"]) == (len(wanted) + 1) // 2 > 1
        assert f"{len(answer['entries'])} touches" in rig.owner.shown[-1]
        assert present(rig) == answer["entries"]
        assert verify(rig).erased == len(wanted)

    asyncio.run(story())


def test_a_receipt_goes_with_what_it_answers_and_can_still_come_for_what_is_gone(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await shop(provider_rig)
        seq = kinds(rig).index("disclosure")

        async def receive() -> int:
            return await rig.agent.receive(
                APP, seal_for(rig, {"v": 1, "entry": seq, "receipt": "thanks Ada"}), rig.job()
            )

        receipt = await receive()
        assert await erasable(rig, claim="given_name") == [2, seq, receipt]
        await erase(rig, entries=[seq])
        late = await receive()
        assert (await opened_values(rig, late))["receipt"]["signature"] == "none"
        verify(rig)

    asyncio.run(story())


def seal_for(rig: CoreRig, message: dict) -> str:
    from ownerd.credential.jwe import seal_jwe

    return seal_jwe(json.dumps(message).encode(), json.loads(rig.agent.session_key()))


def test_numbers_are_written_as_ranges():
    assert ranges([3]) == "3"
    assert ranges([3, 4, 5, 9]) == "3 to 5, 9"
    assert ranges(list(range(0, 100, 2))).endswith(" and 26 more")


def test_a_selection_says_how_it_was_made():
    assert Selection(entries=(1,)).members() == {}
    assert Selection(claim="email", before="2026-01-01T00:00:00.000Z").members() == {
        "claim": "email",
        "before": "2026-01-01T00:00:00.000Z",
    }
