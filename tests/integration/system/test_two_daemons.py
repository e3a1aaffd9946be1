"""Several daemons at once: one serves, the others end and say why, and the vault is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.rigs.bad_days import BadWorld

from ownerctl.client import Client
from ownerd.dbuslib import close_bus, connect_bus

AT_ONCE, ROUNDS = 3, 3


def test_of_daemons_that_start_at_once_one_serves(bad_world: BadWorld) -> None:
    async def story() -> None:
        for round_ in range(ROUNDS):
            started = [bad_world.stage.run("ownerd", "ownerd") for _ in range(AT_ONCE)]
            async with asyncio.timeout(20):
                while sum(one.process.poll() is not None for one in started) < AT_ONCE - 1:
                    await asyncio.sleep(0.01)
            (serving,) = [one for one in started if one.process.poll() is None]
            await asyncio.to_thread(serving.wait_for, "ready, locked")
            for one in started:
                if one is not serving:
                    assert one.wait() == 1
                    assert "another ownerd" in one.text
            bad_world.daemon = serving
            await (bad_world.unlock() if round_ else bad_world.set_up())
            await bad_world.set("given_name", f"Ada {round_}")
            bad_world.kill()
            bad_world.verified()

    asyncio.run(story())


def test_many_first_calls_activate_one_daemon(bad_world: BadWorld) -> None:
    async def story() -> None:
        address = bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"]
        buses = [await connect_bus(address) for _ in range(20)]
        tools = [Client(bus) for bus in buses]
        try:
            found = await asyncio.gather(*(tool.owner_call("Agent", "Status") for tool in tools))
            assert all(status == found[0] for status in found)
            pids = {await tool.owner_pid() for tool in tools}
            assert len(pids) == 1
            (pid,) = pids
            assert b"ownerd" in Path(f"/proc/{pid}/cmdline").read_bytes()
            await tools[0].owner_call("Agent", "Lock")
            assert await tools[1].wait_gone(10)
        finally:
            for bus in buses:
                await close_bus(bus)

    asyncio.run(story())
