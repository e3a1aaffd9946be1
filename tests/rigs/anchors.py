"""A ledger with heads kept elsewhere on fakes: go back to yesterday, go on twice, and see what unlock says."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

from tests.rigs.core import APP, TOOL, CoreRig, FakeToken, MemoryHeads, make_core, seal, set_up
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe

PATH = "/media/stick/ownerd.head"


async def change(rig: CoreRig, **members: object) -> dict[str, Any]:
    """One change as the owner's tool asks for it; returns the opened answer."""
    found: dict[str, Any] = json.loads(
        open_jwe(await rig.agent.change(APP, seal(rig, **members), rig.job()), TOOL)
    )
    return found


async def anchors(rig: CoreRig) -> dict[str, dict[str, Any]]:
    """What ``ownerctl ledger anchors`` lists, by kind."""
    answer = await rig.agent.read(APP, seal(rig, what="anchors"), rig.job())
    return {row["kind"]: row for row in json.loads(open_jwe(answer, TOOL))["anchors"]}


async def settle(rig: CoreRig) -> None:
    """Wait until heads were renewed."""
    if rig.session.renewing is not None:
        await rig.session.renewing


async def lock(rig: CoreRig) -> None:
    """Lock, as the end of the process does."""
    rig.agent.lock("test")
    assert rig.agent._ending is not None
    await rig.agent._ending


async def note_something(rig: CoreRig, value: str = "Ada") -> None:
    """Let the ledger grow by one entry."""
    claims = [{"name": "given_name", "value": value, "source": "test"}]
    await change(rig, change="set", claims=claims)


class Desk:
    """One owner's ledger over several starts of the daemon; the token and the files outlive them."""

    def __init__(self, *, token_keeps_heads: bool = False) -> None:
        self.token = FakeToken("A")
        self.token.keeps_heads = token_keeps_heads
        self.heads = MemoryHeads()
        self.store = FakeStore()

    def start(self) -> CoreRig:
        """A fresh, locked daemon on the store as it is now."""
        self.store.closed = False
        return make_core(self.store, self.token, heads=self.heads)

    async def set_up(self) -> CoreRig:
        """Make the vault; it is open."""
        rig = self.start()
        await set_up(rig, given_name="Ada")
        return rig

    async def unlocked(self) -> CoreRig:
        """A fresh start, unlocked and settled."""
        rig = self.start()
        await rig.agent.start()
        await rig.agent.unlock(APP, rig.job())
        await settle(rig)
        return rig

    def copied(self) -> FakeStore:
        """A copy of the database as it is now."""
        return copy.deepcopy(self.store)


def story(work: Callable[[], Any]) -> None:
    """Run one story."""
    asyncio.run(work())
