"""Nothing runs that nobody needs, and a daemon that only says "locked" has loaded nothing that it does not need."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from demo.stage import Stage
from tests.rigs.system import World

from ownerctl.client import Client
from ownerd.dbuslib import close_bus, connect_bus

SOON = 20.0
LOOKED_AGAIN = 10.0  # longer than any limit here, and the five seconds after which the daemon looks again
# What the process has loaded when it ends, after all that it did; more than it had when it answered.
LOADED = """
import sys, atexit, json
atexit.register(lambda: print("loaded", json.dumps(sorted(sys.modules)), flush=True))
from ownerd.app.main import main
main()
"""
NOT_NEEDED = ("joserfc", "fido2", "smartcard", "cryptography.x509", "PyKCS11", "html")


def runs(world: World) -> bool:
    return world.daemon.process.poll() is None


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not reached():
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.05)


@pytest.fixture
def brief(stage: Stage) -> World:
    """A daemon that ends after three seconds locked; nothing is set up, and there is no token."""
    daemon = stage.start_daemon("--locked-seconds", "3")
    return World(stage, daemon, daemon)


def test_a_locked_daemon_that_nobody_calls_ends_and_the_next_call_starts_one(brief: World):
    began = time.monotonic()
    assert brief.daemon.wait(SOON) == 0
    assert time.monotonic() - began < 10
    assert brief.tool_json("status")["unlocked"] is False


def test_its_end_leaves_no_entry(world: World):
    world.set_up()
    world.stage.tool("lock").wait()
    assert world.daemon.wait() == 0
    before = world.verify()["entries"]
    again = world.stage.start_daemon("--locked-seconds", "1")
    assert again.wait(SOON) == 0
    assert world.verify()["entries"] == before


@pytest.fixture
def asked(world: World) -> Iterator[tuple[World, subprocess.Popen[str]]]:
    """Set up, locked, and a request of the bookshop waits."""
    world.set_up()
    world.make_shop()
    world.stage.tool("lock").wait()
    assert world.daemon.wait() == 0
    world.daemon = world.stage.start_daemon("--locked-seconds", "4", "--idle-seconds", "4")
    app = world.ask()
    # Looking is calling, so that it lives until something waits.
    until(lambda: bool(world.tool_json("pending")["requests"]))
    yield world, app
    app.kill()
    app.communicate()


def test_what_waits_for_an_unlock_keeps_it_alive(asked: tuple[World, subprocess.Popen[str]]):
    world, app = asked
    time.sleep(LOOKED_AGAIN)
    assert runs(world)
    app.kill()
    app.communicate()
    assert world.daemon.wait(SOON) == 0


def test_a_refusal_keeps_it_alive_so_that_the_pause_is_kept(asked: tuple[World, subprocess.Popen[str]]):
    world, app = asked
    (waiting,) = world.tool_json("pending")["requests"]
    assert world.stage.tool("refuse", waiting["id"]).wait() == 0
    app.communicate()
    assert app.returncode == 3
    time.sleep(LOOKED_AGAIN)
    assert runs(world)


def test_a_caller_that_is_still_there_keeps_it_alive(brief: World):
    async def stay() -> None:
        bus = await connect_bus(brief.stage.env["DBUS_SESSION_BUS_ADDRESS"])
        client = Client(bus)
        await client.session_key()
        await asyncio.sleep(LOOKED_AGAIN)
        await client.session_key()  # of the same daemon: its connection is looked up once
        assert runs(brief)
        await close_bus(bus)

    asyncio.run(stay())
    assert brief.daemon.wait(SOON) == 0


@pytest.mark.parametrize("set_up", [False, True])
def test_a_locked_daemon_that_answered_has_loaded_nothing_for_more(stage: Stage, *, set_up: bool):
    if set_up:
        world = World(stage, stage.start_daemon(), stage.start_token())
        world.set_up()
        stage.tool("lock").wait()
        assert world.daemon.wait() == 0
    daemon = stage.run("ownerd", sys.executable, "-c", LOADED)
    daemon.wait_for("ready, locked")
    status = stage.tool("status", "--json")
    assert status.wait() == 0
    assert World.json(status)["set_up"] is set_up
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    loaded = json.loads("".join(daemon.text[daemon.text.rindex("loaded ") + 7 :].split("\n")))
    assert "ownerd.bus.service" in loaded
    found = [
        name
        for name in loaded
        if name in NOT_NEEDED or name.startswith(tuple(f"{one}." for one in NOT_NEEDED))
    ]
    assert found == []
