"""Locking with the system: real daemon and tools, and a stand-in for logind on a private system bus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from demo.stage import Stage
from tests.rigs.bus import PrivateBus
from tests.rigs.logind import Logind, newest_entry
from tests.rigs.system import World


@pytest.fixture
def logind(stage: Stage, private_bus: PrivateBus) -> Iterator[Logind]:
    stage.env["DBUS_SYSTEM_BUS_ADDRESS"] = private_bus.address
    made = Logind(private_bus, stage.database)
    yield made
    made.end()


@pytest.fixture
def open_world(logind: Logind, world: World) -> World:
    """The vault is set up and open, and the daemon has found logind."""
    logind.wait_subscribed()
    world.set_up()
    return world


def locked_because(world: World) -> str:
    """Wait for the daemon's end; the reason in its last entry."""
    assert world.daemon.wait(10) == 0, world.daemon.text
    newest = newest_entry(world.stage.database)
    assert newest is not None
    assert newest["kind"] == "locked"
    world.verify()
    return str(newest["facts"]["reason"])


def test_the_lock_signal_locks(open_world: World, logind: Logind) -> None:
    logind.order("lock")
    assert locked_because(open_world) == "screen locked"


def test_sleep_waits_until_the_lock_is_recorded_and_the_memory_is_gone(
    open_world: World, logind: Logind
) -> None:
    logind.before("PrepareForSleep")
    released = logind.wait_for("released", 5)
    assert released["newest"] == {"kind": "locked", "facts": {"reason": "suspend"}}
    assert released["pages"] == 0, "the machine may sleep while the keys are still in memory"
    assert locked_because(open_world) == "suspend"
