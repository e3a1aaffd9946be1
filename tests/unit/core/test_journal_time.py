"""Time never runs back along the ledger, whatever the clock does and whichever draft is written first."""

from __future__ import annotations

import asyncio

from tests.rigs.core import make_core, set_up
from tests.rigs.stores import FakeStore

from ownerd.core.journal import Journal
from ownerd.ledger.entry import parse_leaf
from ownerd.model.clock import parse_time
from ownerd.model.names import Kind

HOUR_MS = 3_600_000


def test_a_clock_set_back_after_an_entry_overtook_anothers_draft() -> None:
    async def story() -> None:
        store = FakeStore()
        rig = make_core(store)
        await set_up(rig)
        journal = rig.session.require_journal()
        early = journal.draft(Kind.FAILED, {}, {"error": "Cancelled"})
        rig.clock.time += HOUR_MS
        late = journal.draft(Kind.FAILED, {}, {"error": "TimedOut"})
        noted = asyncio.ensure_future(journal.append_soon(late))
        await asyncio.sleep(0)
        await journal.append(early)
        await noted
        last = parse_leaf((await store.leaves(journal.size - 1, 1))[0])
        assert last.core.time == early.core.time
        rig.clock.time -= 2 * HOUR_MS
        assert journal.now_ms() == parse_time(late.core.time)
        loaded = await Journal.load(store, rig.clock, rig.session.rng)
        assert loaded.now_ms() == parse_time(late.core.time)
        await journal.append(journal.draft(Kind.FAILED, {}, {"error": "Busy"}))
        leaves = list(enumerate(await store.leaves(0, 100)))
        assert parse_leaf(leaves[-1][1]).core.time == late.core.time

    asyncio.run(story())
