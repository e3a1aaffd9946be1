"""Attack: another process acts on, answers for, or poses as somebody else on the bus."""

from __future__ import annotations

import asyncio

from tests.rigs.bus import LIBRARIES, PrivateBus, Served, client, first_line, start_service, stop_service
from tests.rigs.bus_raw import RawConnection

from ownerd.bus.request import request_path
from ownerd.dbuslib import Message, MessageType, NameFlag
from ownerd.model import names

_BUS = "org.freedesktop.DBus"


def test_another_caller_cannot_cancel_and_learns_nothing(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as other:
            path = (await app.present({"do": "wait"})).body[0]
            await served.wait_call("present")
            refused = await other.cancel(path)
            missing = await other.cancel(request_path(app.name, "nothing_here"))
            assert refused.error_name == missing.error_name == _BUS + ".Error.UnknownObject"
            assert refused.body == missing.body
            other.send_only(path, names.REQUEST_INTERFACE, "Cancel")
            await other.settle()
            await app.settle()
            assert app.signals == []
            assert await app.cancel(path)
            assert (await app.response(path))[0] == 1

    asyncio.run(run())


def test_a_forged_departure_cancels_nothing(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as other:
            await app.present({"do": "wait"})
            await served.wait_call("present")
            forged = Message.new_signal(
                "/org/freedesktop/DBus", _BUS, "NameOwnerChanged", "sss", [app.name, app.name, ""]
            )
            forged.destination = names.BUS_NAME
            await other.bus.send(forged)
            await other.settle()
            assert [call[0] for call in served.calls()] == ["present"]

    asyncio.run(run())


def test_forged_replies_do_not_answer_for_the_bus_daemon(served: Served) -> None:
    raw = RawConnection(f"{served.bus.directory}/bus")
    for serial in range(1, 200):
        reply = Message(
            message_type=MessageType.METHOD_RETURN,
            reply_serial=serial,
            destination=names.BUS_NAME,
            signature="s",
            body=["forged"],
        )
        raw.send(reply)

    async def run() -> None:
        async with client(served.address) as app:
            for _ in range(5):
                await app.response((await app.present("x")).body[0])
            assert {call[2] for call in served.calls() if call[0] == "present"} == {app.uid}

    asyncio.run(run())
    raw.close()


def test_the_name_cannot_be_taken_from_the_service(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as other:
            flags = NameFlag.REPLACE_EXISTING | NameFlag.DO_NOT_QUEUE | NameFlag.ALLOW_REPLACEMENT
            reply = await other.call(
                "/org/freedesktop/DBus",
                _BUS,
                "RequestName",
                "su",
                names.BUS_NAME,
                flags.value,
                destination=_BUS,
            )
            assert reply.body == [3]  # exists
            assert (await other.owner("Agent", "Status")).error_name is None

    asyncio.run(run())


def test_a_squatter_is_named_and_not_displaced(private_bus: PrivateBus) -> None:
    async def run(library: str) -> None:
        async with client(private_bus.address) as squatter:
            await squatter.bus.request_name(names.BUS_NAME, NameFlag.ALLOW_REPLACEMENT)
            service = start_service(private_bus, library)
            line = await asyncio.to_thread(first_line, service)
            stop_service(service)
            assert line == (
                f"Busy the bus name {names.BUS_NAME} is held by {squatter.name}, process {squatter.pid}"
            )

    for library in LIBRARIES:
        asyncio.run(run(library))
