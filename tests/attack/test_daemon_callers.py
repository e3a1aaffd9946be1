"""Attack: callers of the real daemon who swap themselves, leave, act on others' requests, or come by hundreds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.rigs.bad_days import BadWorld, Nobody, crowded
from tests.rigs.bus import Client, client
from tests.rigs.memory import proportional

from ownerctl.client import Client as Tool
from ownerd.dbuslib import Message, MessageType, Variant
from ownerd.model import names
from ownerd.model.names import Kind

CONNECTIONS = 200
GROWN_MIB = 24
PER_APP = 8
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
# Connects, says so, becomes another program when told to; its child goes on talking over the same connection.
SWAP = """
import os, sys
from tests.rigs.bus_raw import RawConnection
from ownerd.dbuslib import Message, Variant
raw = RawConnection(sys.argv[1])
raw.socket.set_inheritable(True)
reading, writing = os.pipe()
if os.fork():
    os.close(writing)
    os.execv("/bin/sleep", ["sleep", "30"])
os.close(reading)
while os.path.basename(os.readlink(f"/proc/{os.getppid()}/exe")).startswith("python"):
    pass
call = Message("org.ownerd.Agent1", "/org/ownerd/Agent1", "org.ownerd.Agent1", "Present", signature="sa{sv}",
               body=[open(sys.argv[2]).read(), {}])
raw.send(call)
print("sent", flush=True)
os.read(0, 1)
"""


async def _ready(world: BadWorld) -> None:
    world.start()
    await world.set_up()
    await world.set("given_name", "Ada")


@asynccontextmanager
async def _waiting(world: BadWorld, app: Client) -> AsyncIterator[str]:
    """A request of ``app`` that waits for its owner; yields its handle."""
    reply = await app.present(world.request().text)
    async with world.client() as tool:
        await _pending(tool, 1)
        yield reply.body[0]


async def _pending(tool: Tool, count: int) -> list[dict[str, Any]]:
    """Wait until that many requests wait for the owner."""
    async with asyncio.timeout(20):
        while True:
            (rows,) = await tool.owner_call("Requests", "List")
            if len(rows) == count:
                return list(rows)
            await asyncio.sleep(0.01)


def test_a_process_that_becomes_another_has_that_ones_label_and_no_more(
    bad_world: BadWorld, tmp_path: Path
) -> None:
    """The label is of an executable, and says so: what leaves is sealed to the provider whoever asks."""

    async def story() -> None:
        await _ready(bad_world)
        (tmp_path / "request").write_text(bad_world.request().text)
        arguments = [sys.executable, "-c", SWAP, str(bad_world.stage.home / "bus"), str(tmp_path / "request")]
        swapping = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            async with bad_world.client() as tool:
                (row,) = await _pending(tool, 1)
                assert (row["app"], row["confidence"]) == ("sleep", "executable")
        finally:
            swapping.kill()
            swapping.communicate(b"\n")

    asyncio.run(story())


def test_who_left_before_the_answer_gets_none_and_it_is_recorded(bad_world: BadWorld) -> None:
    async def story() -> None:
        await _ready(bad_world)
        address = bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"]
        before = len(bad_world.verified())
        async with client(address) as app, _waiting(bad_world, app):
            pass
        async with bad_world.client() as tool:
            assert await _pending(tool, 0) == []
        async with asyncio.timeout(5):
            while len(new := bad_world.verified()[before:]) < 1:
                await asyncio.sleep(0.01)
        assert [(leaf.core.kind, leaf.core.facts) for leaf in new] == [(Kind.FAILED, {"error": "Cancelled"})]

    asyncio.run(story())


def test_nobody_acts_on_or_answers_anothers_request(bad_world: BadWorld) -> None:
    async def story() -> None:
        await _ready(bad_world)
        address = bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"]
        async with client(address) as other, bad_world.client() as app, bad_world.client() as tool:
            asked = bad_world.request()
            asking = asyncio.ensure_future(app.present(asked.text, {}, Nobody()))
            await _pending(tool, 1)
            bus = app._bus
            place = names.REQUEST_PATH_PREFIX + "/" + str(bus.unique_name)[1:].replace(".", "_")
            assert app._asking is not None
            handle = app._asking.handle
            assert handle.startswith(place)
            assert (await other.cancel(handle)).error_name == UNKNOWN_OBJECT
            seen = await other.call(handle, "org.freedesktop.DBus.Introspectable", "Introspect")
            assert seen.error_name == UNKNOWN_OBJECT
            forged = Message.new_signal(
                handle,
                names.REQUEST_INTERFACE,
                "Response",
                "ua{sv}",
                [0, {"response": Variant("s", "forged")}],
            )
            forged.destination = bus.unique_name
            await other.bus.send(forged)
            await other.settle()
            assert not asking.done()
            (row,) = await _pending(tool, 1)
            await tool.owner_call(
                "Requests", "Approve", "sa{sv}", row["id"], {"tty": Variant("s", bad_world.person.tty)}
            )
            assert asked.claims_of(await asking) == {"given_name": "Ada"}

    asyncio.run(story())


def test_two_hundred_connections_at_once_do_not_hold_the_owner_up(bad_world: BadWorld) -> None:
    async def story() -> None:
        await _ready(bad_world)
        assert bad_world.daemon is not None
        pid = bad_world.daemon.process.pid
        before = proportional(pid)
        address = bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"]
        async with AsyncExitStack() as stack:
            apps = [await stack.enter_async_context(client(address)) for _ in range(CONNECTIONS)]
            texts = [bad_world.request(signed=False).text for _ in apps]
            asking = [asyncio.ensure_future(app.present(text)) for app, text in zip(apps, texts, strict=True)]
            await asyncio.sleep(0)
            started = time.monotonic()
            await bad_world.set("nickname", "Countess")
            served = time.monotonic() - started
            replies = await asyncio.gather(*asking)
            opened = [reply for reply in replies if reply.message_type is MessageType.METHOD_RETURN]
            busy = [reply for reply in replies if reply.error_name == "org.ownerd.Error.Busy"]
            assert len(opened) + len(busy) == CONNECTIONS
            # Some have ended by the time that others come; those that wait are no more than one app may have.
            async with bad_world.client() as tool, asyncio.timeout(20):
                while len((await tool.owner_call("Requests", "List"))[0]) > PER_APP:
                    await asyncio.sleep(0.01)
            assert served < crowded(), f"the owner waited {served:.1f} s"
            assert proportional(pid) < before + GROWN_MIB
        async with bad_world.client() as tool:
            assert await _pending(tool, 0) == []
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 64
        bad_world.verified()

    asyncio.run(story())


def test_a_daemon_whose_name_is_held_says_who_holds_it_and_ends(bad_world: BadWorld) -> None:
    async def story() -> None:
        address = bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"]
        async with client(address) as squatter:
            await squatter.bus.request_name(names.BUS_NAME)
            daemon = bad_world.stage.run("ownerd", "ownerd")
            assert await asyncio.to_thread(daemon.wait) == 1
            assert f"is held by {squatter.name}, process {os.getpid()}" in daemon.text
            assert "ready" not in daemon.text
        await _ready(bad_world)

    asyncio.run(story())
