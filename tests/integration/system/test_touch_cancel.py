"""Giving up while a token waits for its touch reaches the token, through the real bus, daemon and token process."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.rigs.bus import Client, client
from tests.rigs.system import World

from ownerd.dbuslib import MessageType

SECONDS = 1.0
CANCELLED = "cancelled by the client"


async def waiting_for_touch(tool: Client, path: str) -> dict[str, Any]:
    """Details of the Progress signal that announces the touch."""
    async with asyncio.timeout(20):
        while True:
            for signalled in tool.signals:
                if (signalled.path, signalled.member) == (path, "Progress") and (
                    signalled.body[0] == "waiting-for-touch"
                ):
                    return {key: value.value for key, value in signalled.body[1].items()}
            await asyncio.sleep(0.01)


async def begin_unlock(tool: Client, world: World) -> tuple[str, dict[str, Any]]:
    """Call Unlock; return its request once the token asks."""
    path = (await tool.owner("Agent", "Unlock", "a{sv}", {})).body[0]
    details = await waiting_for_touch(tool, path)
    await asyncio.to_thread(world.token.wait_for, "Enter = touch")
    return path, details


async def cancel(tool: Client, path: str, _details: dict[str, Any]) -> None:
    assert (await tool.cancel(path)).message_type is MessageType.METHOD_RETURN


async def refuse(tool: Client, _path: str, details: dict[str, Any]) -> None:
    reply = await tool.owner("Requests", "Refuse", "s", details["id"])
    assert reply.message_type is MessageType.METHOD_RETURN


async def lock(tool: Client, _path: str, _details: dict[str, Any]) -> None:
    await tool.owner("Agent", "Lock")


@pytest.mark.parametrize(
    ("give_up", "error"), [(cancel, "Cancelled"), (refuse, "Dismissed"), (lock, "Cancelled")]
)
def test_the_token_stops_asking_within_a_second(
    world: World, give_up: Callable[[Client, str, dict[str, Any]], Awaitable[None]], error: str
) -> None:
    async def story() -> None:
        async with client(world.stage.env["DBUS_SESSION_BUS_ADDRESS"]) as tool:
            path, details = await begin_unlock(tool, world)
            assert details["purpose"] == "unlock the vault"
            assert details["timeout_seconds"] > 0
            assert details["token"]
            assert CANCELLED not in world.token.text
            began = time.monotonic()
            await give_up(tool, path, details)
            await asyncio.to_thread(world.token.wait_for, CANCELLED)
            assert time.monotonic() - began < SECONDS
            code, results = await tool.response(path)
            assert (code, results["error"]) == (1, error)

    _set_up_and_lock(world)
    asyncio.run(story())
    if give_up is not lock:
        world.unlock()


def test_a_tool_that_leaves_the_bus_or_is_interrupted_stops_the_token(world: World) -> None:
    async def leave() -> None:
        async with client(world.stage.env["DBUS_SESSION_BUS_ADDRESS"]) as tool:
            await begin_unlock(tool, world)

    _set_up_and_lock(world)
    asyncio.run(leave())
    world.token.wait_for(CANCELLED, SECONDS)
    tool = world.stage.tool("unlock")
    world.token.wait_for("Enter = touch")
    tool.process.send_signal(signal.SIGINT)
    world.token.wait_for(CANCELLED, SECONDS)
    assert tool.wait() != 0
    world.unlock()


def _set_up_and_lock(world: World) -> None:
    world.set_up()
    assert world.stage.tool("lock").wait() == 0
