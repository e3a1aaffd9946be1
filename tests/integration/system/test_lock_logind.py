"""Locking with the system: real daemon and tools, and a stand-in for logind on a private system bus."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from demo.stage import Stage, touch
from tests.rigs._logind import LOGIN1, MANAGER_PATH, OTHER, OURS, PROPERTIES, newest_entry
from tests.rigs.bus import LIBRARIES, PrivateBus
from tests.rigs.logind import Logind
from tests.rigs.system import World

from ownerd.dbuslib import BUS_DAEMON, BUS_DAEMON_PATH, Message, Variant, call_bus_daemon, connect_bus


def locked_because(world: World) -> str:
    """Wait for the daemon's end; the reason in its last entry."""
    assert world.daemon.wait(10) == 0, world.daemon.text
    newest = newest_entry(world.stage.database)
    assert newest is not None
    assert newest["kind"] == "locked"
    world.verify()
    return str(newest["facts"]["reason"])


def is_open(world: World) -> bool:
    return bool(world.tool_json("status")["unlocked"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_lock_signal_locks(stage: Stage, logind: Logind, library: str) -> None:
    stage.env["OWNERD_DBUS_LIBRARY"] = library
    world = World(stage, stage.start_daemon(), stage.start_token())
    asked = logind.wait_subscribed()["arguments"]
    assert asked == ["sleep:shutdown", "ownerd", asked[2], "delay"]
    world.set_up()
    logind.order("lock")
    assert locked_because(world) == "screen locked"


def test_the_locked_hint_locks_when_it_comes_and_not_when_it_goes(open_world: World, logind: Logind) -> None:
    logind.order("hint", value=False)
    assert is_open(open_world)
    logind.order("hint", value=True)
    assert locked_because(open_world) == "screen locked"


@pytest.mark.parametrize(
    ("member", "reason"), [("PrepareForSleep", "suspend"), ("PrepareForShutdown", "shutdown")]
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_sleep_and_shutdown_wait_until_the_lock_is_recorded_and_the_memory_is_gone(
    stage: Stage, logind: Logind, library: str, member: str, reason: str
) -> None:
    stage.env["OWNERD_DBUS_LIBRARY"] = library
    world = World(stage, stage.start_daemon(), stage.start_token())
    logind.wait_subscribed()
    world.set_up()
    logind.before(member)
    released = logind.wait_for("released", 5)
    assert released["newest"] == {"kind": "locked", "facts": {"reason": reason}}
    assert released["pages"] == 0, "the machine may sleep while the keys are still in memory"
    assert locked_because(world) == reason


def test_a_locked_vault_lets_the_machine_sleep_at_once_and_what_waits_goes_on_waiting(
    logind: Logind, world: World
) -> None:
    logind.wait_subscribed()
    world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    assert world.stage.tool("lock").wait() == 0
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    logind.wait_subscribed()
    app = world.ask(claims="given_name")
    deadline = time.monotonic() + 10
    while [one["state"] for one in world.tool_json("pending")["requests"]] != ["waiting-for-unlock"]:
        assert time.monotonic() < deadline
    logind.before("PrepareForSleep")
    assert logind.wait_for("released", 5)["pages"] > 0
    logind.before("PrepareForSleep", False)
    logind.wait_for("inhibited", 5)  # awake again, it asks anew
    approve = world.stage.tool("approve")
    touch(world.token)
    world.approve(approve)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert "Ada" in out
    logind.before("PrepareForSleep")
    assert logind.wait_for("released", 5)["newest"]["kind"] == "locked"


def test_other_sessions_are_not_ours(open_world: World, logind: Logind) -> None:
    logind.order("lock", path=OTHER)
    logind.order("hint", path=OTHER, value=True)
    logind.order("removed", path=OTHER)
    assert is_open(open_world)
    logind.order("removed")
    assert locked_because(open_world) == "session ended"


def test_outside_a_session_the_users_display_is_it_and_the_display_may_change(
    stage: Stage, private_bus: PrivateBus
) -> None:
    stage.env["DBUS_SYSTEM_BUS_ADDRESS"] = private_bus.address
    logind = Logind(private_bus, stage.database, by_pid=False)
    try:
        world = World(stage, stage.start_daemon(), stage.start_token())
        logind.wait_subscribed()
        world.set_up()
        logind.order("display", path=OTHER)
        logind.wait_for("asked LockedHint")
        logind.order("lock", path=OURS)
        assert is_open(world)
        logind.order("lock", path=OTHER)
        assert locked_because(world) == "screen locked"
    finally:
        logind.end()


def test_a_restarted_logind_is_followed_and_a_lock_that_was_missed_is_made_up_for(
    open_world: World, logind: Logind, private_bus: PrivateBus
) -> None:
    logind.end()
    again = Logind(private_bus, open_world.stage.database)
    try:
        again.wait_subscribed()
        assert is_open(open_world)
        again.end()
        again = Logind(private_bus, open_world.stage.database, hint=True)
        assert locked_because(open_world) == "screen locked"
    finally:
        again.end()


def test_after_a_restart_sleep_waits_as_before(
    open_world: World, logind: Logind, private_bus: PrivateBus
) -> None:
    logind.end()
    again = Logind(private_bus, open_world.stage.database)
    try:
        again.wait_subscribed()
        again.before("PrepareForSleep")
        assert again.wait_for("released", 5)["pages"] == 0
        assert locked_because(open_world) == "suspend"
    finally:
        again.end()


def forged() -> list[tuple[str, str, str, str, list[Any]]]:
    """Everything that would lock, or make the sender logind."""
    hint = {"LockedHint": Variant("b", True)}
    return [
        (OURS, f"{LOGIN1}.Session", "Lock", "", []),
        (OURS, PROPERTIES, "PropertiesChanged", "sa{sv}as", [f"{LOGIN1}.Session", hint, []]),
        (MANAGER_PATH, f"{LOGIN1}.Manager", "PrepareForSleep", "b", [True]),
        (MANAGER_PATH, f"{LOGIN1}.Manager", "PrepareForShutdown", "b", [True]),
        (MANAGER_PATH, f"{LOGIN1}.Manager", "SessionRemoved", "so", ["1", OURS]),
    ]


def test_signals_of_anybody_else_do_nothing(logind: Logind, world: World, private_bus: PrivateBus) -> None:
    daemon = logind.wait_subscribed()["sender"]
    world.set_up()

    async def forge() -> None:
        bus = await connect_bus(private_bus.address)
        changed = [LOGIN1, ":1.0", bus.unique_name]
        taken = (BUS_DAEMON_PATH, BUS_DAEMON, "NameOwnerChanged", "sss", changed)
        for destination in (daemon, None):
            for path, interface, member, signature, body in (taken, *forged()):
                message = Message.new_signal(path, interface, member, signature, body)
                message.destination = destination
                await bus.send(message)
        await call_bus_daemon(bus, "GetId")
        bus.disconnect()

    asyncio.run(forge())
    assert is_open(world)
    assert not logind.has("released")
    logind.order("lock")  # it still hears the real one
    assert locked_because(world) == "screen locked"


@pytest.mark.parametrize("there", ["no bus", "no logind"])
def test_without_logind_it_says_so_once_and_works(stage: Stage, private_bus: PrivateBus, there: str) -> None:
    nowhere = f"unix:path={stage.home}/nowhere"
    stage.env["DBUS_SYSTEM_BUS_ADDRESS"] = nowhere if there == "no bus" else private_bus.address
    world = World(stage, stage.start_daemon(), stage.start_token())
    world.set_up()
    assert is_open(world)
    assert world.daemon.text.count("locking with the screen and before sleep is off") == 1
    if there == "no logind":  # it may come later
        logind = Logind(private_bus, stage.database)
        logind.wait_subscribed()
        logind.order("lock")
        assert locked_because(world) == "screen locked"
        logind.end()
