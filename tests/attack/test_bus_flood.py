"""Attack: more requests than a person could ever answer. Most get Busy, and the service still answers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.rigs.bus import PrivateBus, Served, client
from tests.rigs.bus_agent import FakeAgent

from ownerd.bus.request import Limits
from ownerd.bus.service import BusService
from ownerd.dbuslib import MessageType

BUSY = "org.ownerd.Error.Busy"


def test_a_flood_from_one_connection_is_busy_and_others_are_served(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as flood, client(served.address) as tool:
            replies = await asyncio.gather(*(flood.present({"do": "wait"}) for _ in range(500)))
            opened = [reply.body[0] for reply in replies if reply.message_type is MessageType.METHOD_RETURN]
            assert len(opened) == 8
            assert {reply.error_name for reply in replies} == {None, BUSY}
            assert (await tool.owner("Agent", "Status")).error_name is None
            reply = await tool.owner("Agent", "Unlock", "a{sv}", {})
            assert (await tool.response(reply.body[0]))[0] == 0
            await flood.cancel(opened[0])
            await flood.response(opened[0])
            assert (await flood.present({"do": "wait"})).error_name is None

    asyncio.run(run())


def test_many_connections_of_one_app_count_as_one_app(served: Served) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            flood = [await stack.enter_async_context(client(served.address)) for _ in range(4)]
            opened = [(app, (await app.present({"do": "wait"})).body[0]) for app in flood for _ in range(4)]
            waiting = {asyncio.ensure_future(app.response(path)) for app, path in opened}
            ended: list[tuple[int, dict[str, object]]] = []
            while len(ended) < 8:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                ended += [task.result() for task in done]
            for app in flood:
                await app.settle()
            assert not any(task.done() for task in waiting)
            assert [(code, results["error"]) for code, results in ended] == [(2, "Busy")] * 8
            assert [call[0] for call in served.calls()].count("present") == 8
            # The owner's tool looks like the same app here, and is counted apart.
            reply = await flood[0].owner("Agent", "Unlock", "a{sv}", {})
            assert (await flood[0].response(reply.body[0]))[0] == 0

    asyncio.run(run())


def test_a_flood_that_leaves_frees_its_places(served: Served) -> None:
    async def run() -> None:
        for _ in range(3):
            async with client(served.address) as flood:
                replies = await asyncio.gather(*(flood.present({"do": "wait"}) for _ in range(20)))
                assert sum(reply.error_name is None for reply in replies) == 8
        async with client(served.address) as app:
            path = (await app.present("x")).body[0]
            assert (await app.response(path))[0] == 0

    asyncio.run(run())


def test_more_than_the_socket_takes_at_once_does_not_end_the_connection(served: Served) -> None:
    """Both libraries take a full socket buffer for the end of the connection, if they are let."""

    async def run() -> None:
        async with client(served.address) as app:
            path = (await app.present({"burst": 40})).body[0]
            assert (await app.response(path))[0] == 0
            assert [len(m.body[1]["text"].value) for m in app.signals[:-1]] == [300_000] * 40
        assert served.log() == ""

    asyncio.run(run())


def test_all_apps_together_have_a_bound(private_bus: PrivateBus) -> None:
    async def run() -> None:
        service = BusService(FakeAgent(private_bus.directory / "calls"), limits=Limits(total=3, per_app=9))
        await service.start(private_bus.address)
        async with client(private_bus.address) as one, client(private_bus.address) as two:
            replies = [await app.present({"do": "wait"}) for app in (one, two, one, two, one)]
            assert [reply.error_name for reply in replies] == [None, None, None, BUSY, BUSY]
            assert (await two.owner("Agent", "Unlock", "a{sv}", {})).error_name is None
            await service.stop()
            assert (await two.response(replies[1].body[0]))[0] == 1

    asyncio.run(run())
