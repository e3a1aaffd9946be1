"""Long reads: one touch for a range, pages for its tool alone, and an end to it."""

import asyncio
import json

import pytest
from msgspec.structs import replace
from tests.rigs.core import APP, TOOL, CoreRig, kinds, make_core, seal, set_up
from tests.rigs.stores import FakeStore

from ownerd.core import entry_reads
from ownerd.core.entry_reads import IDLE_MS, LIFE_MS, ApprovedRead, EntryReads
from ownerd.credential.jwe import new_key, open_jwe, public_jwk, seal_jwe
from ownerd.model.errors import InvalidArgument, NotFound


async def made(monkeypatch, page: int = 2) -> CoreRig:
    """Six entries: genesis, token-enrolled, four changes and reads."""
    monkeypatch.setattr(entry_reads, "PAGE_ENTRIES", page)
    rig = make_core(FakeStore())
    await set_up(rig, given_name="Ada", email="ada@example.org")
    for value in ("a", "b", "c"):
        given = [{"name": "email", "value": value, "source": "test"}]
        await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
    return rig


async def read(rig: CoreRig, caller=APP, **members) -> dict:
    sealed = seal(rig, what="entries", **members)
    return json.loads(open_jwe(await rig.agent.read(caller, sealed, rig.job()), TOOL))


async def pages(rig: CoreRig, first: dict, **members) -> list[dict]:
    found = list(first["entries"])
    after = first["next"]
    while after is not None:
        page = await read(rig, approved=first["approved"], start=after, **members)
        found += page["entries"]
        after = page["next"]
    return found


def test_one_touch_reads_the_whole_range_page_by_page(monkeypatch):
    async def run():
        rig = await made(monkeypatch)
        size, shown = len(rig.store.entries), len(rig.owner.shown)
        first = await read(rig, start=0, count=10**9)
        assert [one["seq"] for one in first["entries"]] == [0, 1]
        assert first["approved"] == size
        assert first["log"] == rig.session.journal.log_id
        found = await pages(rig, first)
        assert [one["seq"] for one in found] == list(range(size))
        assert found[-1]["values"]["claim/0"]["value"] == "c"
        assert len(rig.owner.shown) == shown + 1, "asked once"
        assert rig.owner.shown[-1].endswith(f"Which: 0 to {size - 1}")
        assert kinds(rig)[size:] == ["owner-read"], "one entry for all pages"
        again = await read(rig, approved=first["approved"], start=1, values=False)
        assert [one["values"] for one in again["entries"]] == [{}, None], "set-up has no opening at all"
        assert [one["kind"] for one in again["entries"]] == ["token-enrolled", "owner-change"]

    asyncio.run(run())


def test_pages_are_for_the_tool_that_was_approved_and_inside_its_range(monkeypatch):
    async def run():
        rig = await made(monkeypatch)
        first = await read(rig, start=1, count=3)
        number = first["approved"]
        with pytest.raises(NotFound):
            await read(rig, replace(APP, bus_name=":1.99"), approved=number, start=2)
        other = new_key()
        message = {"v": 1, "key": public_jwk(other), "what": "entries", "approved": number, "start": 2}
        sealed = seal_jwe(json.dumps(message).encode(), json.loads(rig.agent.session_key()))
        with pytest.raises(NotFound):
            await rig.agent.read(APP, sealed, rig.job())
        for start in (0, 4, number, 10**9):
            with pytest.raises(NotFound):
                await read(rig, approved=number, start=start)
        for wrong in (number - 1, number + 1, None, True, "1", 1.0):
            with pytest.raises(NotFound):
                await read(rig, approved=wrong, start=2)
        for start in (-1, None, True, "2"):
            with pytest.raises(InvalidArgument):
                await read(rig, approved=number, start=start)
        with pytest.raises(InvalidArgument):
            await read(rig, approved=number, start=2, values=0)
        assert [one["seq"] for one in (await read(rig, approved=number, start=3))["entries"]] == [3]

    asyncio.run(run())


def test_another_approved_read_takes_the_place_of_the_last(monkeypatch):
    async def run():
        rig = await made(monkeypatch)
        first = await read(rig, start=0, count=4)
        second = await read(rig, start=0, count=4)
        with pytest.raises(NotFound):
            await read(rig, approved=first["approved"], start=2)
        assert len(await pages(rig, second)) == 4

    asyncio.run(run())


def test_pages_are_cut_by_size_and_one_too_large_says_so(monkeypatch):
    async def run():
        rig = await made(monkeypatch, page=500)
        for name, length in (("website", 9_000), ("profile", 9_000), ("picture", 14_000)):
            given = [{"name": name, "value": "x" * length, "source": "test"}]
            await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
        monkeypatch.setattr(entry_reads, "PAGE_BYTES", 25_000)
        size = len(rig.store.entries)
        first = await read(rig, start=0, count=size)
        assert first["next"] == size - 2, "one of the two large ones goes into the first page"
        found = await pages(rig, first)
        assert [one["seq"] for one in found] == list(range(size))
        assert [one.get("too_large", False) for one in found] == [False] * (size - 1) + [True]
        assert found[-1]["values"] is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("waits", "alive"),
    [
        ([IDLE_MS], True),
        ([IDLE_MS + 1], False),
        ([IDLE_MS - 1] * (LIFE_MS // (IDLE_MS - 1)), True),
        ([IDLE_MS - 1] * (LIFE_MS // (IDLE_MS - 1) + 1), False),
        ([-1], False),
    ],
)
def test_an_approval_ends(waits, alive):
    reads, now = EntryReads(), 1_000_000_000
    reads.allow(ApprovedRead(7, "tool", ":1.7", 0, 10), now)
    for wait in waits[:-1]:
        now += wait
        reads.require(7, "tool", ":1.7", now)
    now += waits[-1]
    if alive:
        assert reads.require(7, "tool", ":1.7", now).end == 10
    else:
        with pytest.raises(NotFound):
            reads.require(7, "tool", ":1.7", now)


def test_nothing_is_approved_at_first():
    with pytest.raises(NotFound):
        EntryReads().require(0, "", "", 0)
