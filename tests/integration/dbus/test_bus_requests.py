"""Requests end to end over a real bus: path, Progress, Response, Cancel, disconnect."""

from __future__ import annotations

import asyncio

from tests.rigs.bus import Served, client
from tests.rigs.bus_agent import CANARY_JWE

from ownerd.bus.request import request_path
from ownerd.dbuslib import MessageType
from ownerd.model import errors, names


def test_present_yields_the_response_and_then_the_delivered_entry(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            reply = await app.present("a request")
            assert reply.message_type is MessageType.METHOD_RETURN, reply.body
            code, results = await app.response(reply.body[0])
            assert (code, results) == (0, {"response": CANARY_JWE, "entry": 41})
            assert await served.wait_call("delivered") == ["delivered", 41]

    asyncio.run(run())


def test_the_path_is_known_before_the_call(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            reply = await app.present("a request", handle_token="mine_1")
            assert reply.body[0] == request_path(app.name, "mine_1")

    asyncio.run(run())


def test_the_reply_comes_first_then_progress_in_order_then_the_response(served: Served) -> None:
    states = [
        ("waiting-for-owner", {}),
        ("waiting-for-touch", {"token": "key", "timeout": 30}),
        ("recording", {}),
    ]

    async def run() -> None:
        async with client(served.address) as app:
            for _ in range(20):
                app.arrived.clear()
                path = (await app.present({"progress": states})).body[0]
                await app.response(path)
                kinds = [
                    (m.message_type, m.member) for m in app.arrived if m.message_type is not MessageType.ERROR
                ]
                assert kinds == [
                    (MessageType.METHOD_RETURN, None),
                    *[(MessageType.SIGNAL, "Progress")] * 3,
                    (MessageType.SIGNAL, "Response"),
                ]
                seen = [m.body for m in app.arrived if m.member == "Progress"]
                assert [(s, {k: v.value for k, v in d.items()}) for s, d in seen] == states

    asyncio.run(run())


def test_every_error_ends_the_request_by_name(private_bus_service: Served) -> None:
    async def run() -> None:
        async with client(private_bus_service.address) as app:
            for name, error in errors.error_table().items():
                path = (await app.present({"do": "raise", "error": name})).body[0]
                refused = error.exit_code == errors.NotAllowed.exit_code
                assert await app.response(path) == (
                    1 if refused else 2,
                    {"error": name, "message": "told so", "hint": error.hint},
                )

    asyncio.run(run())


def test_cancel_ends_the_request_and_a_second_one_finds_nothing(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            path = (await app.present({"do": "wait"})).body[0]
            await served.wait_call("present")
            assert (await app.cancel(path)).message_type is MessageType.METHOD_RETURN
            code, results = await app.response(path)
            assert (code, results["error"]) == (1, "Cancelled")
            assert await served.wait_call("cancelled") == ["cancelled", "present"]
            assert (await app.cancel(path)).error_name == "org.freedesktop.DBus.Error.UnknownObject"
            await app.settle()
            assert [m.member for m in app.signals] == ["Response"]

    asyncio.run(run())


def test_a_cancel_that_comes_at_once_is_answered_too(served: Served) -> None:
    """The work has not begun then: it must still end with a Response."""

    async def run() -> None:
        async with client(served.address) as app:
            path = request_path(app.name, "t")
            call = asyncio.ensure_future(app.present({"do": "wait"}, handle_token="t"))
            await asyncio.sleep(0)
            app.send_only(path, names.REQUEST_INTERFACE, "Cancel")
            assert (await call).body[0] == path
            assert (await app.response(path))[0] == 1

    asyncio.run(run())


def test_what_was_recorded_before_a_cancel_is_answered(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            path = (await app.present({"do": "hold"})).body[0]
            await served.wait_call("present")
            await app.cancel(path)
            assert (await app.response(path))[0] == 0
            assert await served.wait_call("delivered")

    asyncio.run(run())


def test_a_caller_that_leaves_cancels_its_requests(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            await app.present({"do": "wait"})
            await served.wait_call("present")
        await served.wait_call("cancelled")

    asyncio.run(run())


def test_nothing_is_called_delivered_to_a_caller_that_left(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            await app.present({"do": "hold"})
            await served.wait_call("present")
        await served.wait_call("held")
        async with client(served.address) as other:
            path = (await other.present({"answer": "x"})).body[0]
            await other.response(path)
            await served.wait_call("delivered")
        assert [call[0] for call in served.calls()] == ["present", "held", "present", "delivered"]

    asyncio.run(run())


def test_stopping_answers_what_is_in_flight(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            path = (await app.present({"do": "wait"})).body[0]
            await served.wait_call("present")
            await app.owner("Agent", "Lock")
            code, results = await app.response(path)
            assert (code, results["error"]) == (1, "Cancelled")
        assert await asyncio.to_thread(served.process.wait, 10) == 0

    asyncio.run(run())


def test_losing_the_bus_ends_the_wait_for_it(served: Served) -> None:
    served.bus.process.kill()
    assert served.process.wait(10) == 0, served.log()
