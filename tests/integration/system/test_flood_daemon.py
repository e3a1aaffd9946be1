"""Ten thousand requests over two hundred connections: the owner's own next request is served at once all the same."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time

from tests.rigs.bad_days import BadWorld, crowded
from tests.rigs.bus import ROOT
from tests.rigs.memory import proportional

CALLS, CONNECTIONS = 10_000, 200
OWNER_SECONDS = 1.0
GROWN_MIB = 24


def test_the_owner_is_served_under_a_flood_of_ten_thousand_requests(bad_world: BadWorld) -> None:
    world = bad_world

    async def serve() -> float:
        started = time.monotonic()
        await world.set("nickname", "Countess")
        return time.monotonic() - started

    async def story() -> None:
        world.start()
        await world.set_up()
        await world.set("given_name", "Ada")
        assert world.daemon is not None
        pid = world.daemon.process.pid
        before = proportional(pid)
        flood = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs._flood", str(CALLS), str(CONNECTIONS), "stranger.example"],
            cwd=ROOT,
            env=world.stage.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert flood.stdout is not None
            assert await asyncio.to_thread(flood.stdout.readline) == "flooding\n"
            result = asyncio.ensure_future(asyncio.to_thread(flood.stdout.readline))
            served, most = [], 0.0
            while not result.done():
                taken = await serve()
                if not result.done():
                    served.append(taken)
                most = max(most, proportional(pid))
                await asyncio.sleep(0.2)
            answers = json.loads(await result)
            print(f"{answers}; served after {served} s; PSS {before:.1f} MiB, then at most {most:.1f}")
            # What is opened before its connection is full gets Busy in its Response, by the app's budget.
            assert answers["Busy"] + answers["opened"] == sum(answers.values()) == CALLS
            assert answers["Busy"] > CALLS / 2
            # A second on two cores that are the flood's, the bus's and ours; longer where others work there, too.
            assert statistics.median(served) < OWNER_SECONDS * crowded()
            assert max(most, proportional(pid)) < before + GROWN_MIB
        finally:
            flood.kill()
            flood.wait()
            flood.stdout.close()
        async with world.client() as tool, asyncio.timeout(20):
            while (await tool.owner_call("Agent", "Status"))[0]["pending"]:
                await asyncio.sleep(0.01)
        assert len(world.verified()) < 200, "a flood is counted and not written"

    asyncio.run(story())
