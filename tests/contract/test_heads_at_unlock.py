"""The head on a real token at unlock: the core on the real adapters tells yesterday's database, and no PIN try is used."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest
from tests.rigs.anchors import anchors, change, lock, note_something, settle
from tests.rigs.core import APP, TOOL, CoreRig, make_core, seal
from tests.rigs.ports import PortRig, only
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import RolledBack

MANAGEMENT_KEY = bytes(range(24)).hex().encode()


async def set_up(rig: CoreRig, port_rig: PortRig) -> dict[str, str]:
    """Make the vault on the only token that is there; returns the token as answers name it."""
    await rig.agent.start()
    (info,) = await rig.session.tokens.present()
    sealed = seal(rig, token=info.id, user_verification=False not in port_rig.modes)
    answer = json.loads(open_jwe(await rig.agent.setup(APP, sealed, rig.job()), TOOL))
    token: dict[str, str] = answer["token"]
    return token


@only("in-process", "socket", "piv")
def test_the_head_on_the_token_tells_yesterdays_database(port_rig: PortRig) -> None:
    store = FakeStore()

    def start(on: FakeStore) -> CoreRig:
        on.closed = False
        rig = make_core(on, port=port_rig.tokens())
        rig.owner.pins = [port_rig.pin] * 9
        return rig

    async def story() -> None:
        rig = start(store)
        token = await set_up(rig, port_rig)
        await lock(rig)
        yesterday = copy.deepcopy(store)
        rig = start(store)
        await rig.agent.start()
        await rig.agent.unlock(APP, rig.job())
        await settle(rig)
        tries = port_rig.tries()
        if port_rig.type == "piv":
            listed = (await anchors(rig))["token"]
            assert (listed["verdict"], listed["stale"]) == ("missing", "PinNeeded")
            rig.owner.pins = [MANAGEMENT_KEY, *[port_rig.pin] * 9]
            await change(rig, change="anchor-update", id=token["name"])
        assert (await anchors(rig))["token"]["verdict"] == "consistent"
        await note_something(rig)
        await lock(rig)

        rig = start(yesterday)
        await rig.agent.start()
        with pytest.raises(RolledBack, match="the token signed"):
            await rig.agent.unlock(APP, rig.job())
        assert rig.session.vault is None
        rig = start(store)
        await rig.agent.start()
        await rig.agent.unlock(APP, rig.job())
        await settle(rig)
        assert (await anchors(rig))["token"]["seen"] is not None
        await lock(rig)
        assert port_rig.tries() == tries

    asyncio.run(story())
