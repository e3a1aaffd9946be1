"""Attack: other processes of the same user listen. They get no signal, and a monitor sees ciphertext only."""

from __future__ import annotations

import asyncio

from tests.rigs.bus import Served, client
from tests.rigs.bus_agent import CANARY_JWE

from ownerd.dbuslib import Message, MessageType
from ownerd.model import names

_BUS = "org.freedesktop.DBus"


def test_a_second_client_that_subscribes_to_everything_gets_nothing(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as spy:
            await spy.listen()
            path = (await app.present({"progress": [["waiting-for-touch", {}]]})).body[0]
            await app.response(path)
            await served.wait_call("delivered")
            await spy.settle()
            assert [m.member for m in app.signals] == ["Progress", "Response"]
            assert [m for m in spy.arrived if m.message_type is MessageType.SIGNAL] == []

    asyncio.run(run())


def test_an_eavesdropping_match_rule_gets_ciphertext_only_and_a_monitor_too(served: Served) -> None:
    plan = {"progress": [["waiting-for-touch", {"timeout": 30}]]}

    async def run() -> tuple[str, str, list[Message]]:
        async with client(served.address) as app, client(served.address) as spy:
            heard: list[Message] = []
            spy.bus.add_message_handler(lambda message: heard.append(message) or True)
            become = spy.call(
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus.Monitoring",
                "BecomeMonitor",
                "asu",
                [],
                0,
                destination=_BUS,
            )
            # A monitor's own reply is handled as heard, so it is not waited for.
            asking = asyncio.ensure_future(become)
            while not any(m.member == "NameLost" for m in heard):
                await asyncio.sleep(0.01)
            path = (await app.present(plan)).body[0]
            await app.response(path)
            await served.wait_call("delivered")
            await app.owner("Agent", "Status")
            while not any(m.member == "Status" for m in heard):
                await asyncio.sleep(0.01)
            asking.cancel()
            return app.name, path, heard

    name, path, heard = asyncio.run(run())
    service = next(m.sender for m in heard if m.member == "Response")
    said = [m for m in heard if m.sender == service]
    # The monitor is a good one: it has the whole exchange, the sealed answer included.
    assert [(m.path, m.body[1]["response"].value) for m in said if m.member == "Response"] == [
        (path, CANARY_JWE)
    ]
    # And what the service said went to the bus and to the app; nothing of it was for everybody.
    assert {m.destination for m in said} <= {name, _BUS}
    words = [key for m in said if m.member == "Response" for key in m.body[1]]
    assert sorted(words) == ["entry", "response"]
    assert {m.member for m in said if m.message_type is MessageType.SIGNAL} == {"Progress", "Response"}


def test_requests_are_neither_listed_nor_introspected_by_others(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as spy:
            path = (await app.present({"do": "wait"}, handle_token="secret_token")).body[0]
            await served.wait_call("present")
            for at in ("/", "/org", names.AGENT_PATH, names.REQUEST_PATH_PREFIX):
                managed = await spy.call(at, _BUS + ".ObjectManager", "GetManagedObjects")
                seen = await spy.call(at, _BUS + ".Introspectable", "Introspect")
                assert "secret_token" not in str(managed.body) + str(seen.body)
            hidden = await spy.call(path, _BUS + ".Introspectable", "Introspect")
            assert hidden.error_name == _BUS + ".Error.UnknownObject"

    asyncio.run(run())
