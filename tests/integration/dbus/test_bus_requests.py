"""Requests end to end over a real bus: path, Progress, Response, Cancel, disconnect."""

from __future__ import annotations

import asyncio

from tests.rigs.bus import Served, client
from tests.rigs.bus_agent import CANARY_JWE

from ownerd.bus.request import request_path
from ownerd.dbuslib import MessageType


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
