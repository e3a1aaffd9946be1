"""Invariant 9: after locking no process holds a key or a value. Memory is read, not assumed."""

from __future__ import annotations

import json
import sqlite3

from tests.rigs._logind import newest_entry
from tests.rigs.logind import Logind
from tests.rigs.memory import require_root, search, stage_processes, vault_keys
from tests.rigs.system import World

CANARY = "Canary-Memory-4b7e91d0c3"
NEEDED = {"the vault's sealing key", "the log key", "the opening key", "the value"}


def secrets_of(world: World) -> dict[str, bytes]:
    return {**vault_keys(world.stage), "the value": CANARY.encode()}


def found_in(pid: int, secrets: dict[str, bytes]) -> set[str]:
    found = search(pid, secrets.values())
    return {name for name, value in secrets.items() if value in found}


def test_9_locking_leaves_no_key_and_no_value_in_any_process(open_world: World, logind: Logind):
    require_root()
    world, stage = open_world, open_world.stage
    world.set("given_name", CANARY)
    world.make_shop()
    waiting = world.lend()  # it lives on after the lock, and brings up a fresh daemon
    app = world.ask(claims="given_name")
    waiting.wait_for(CANARY + r"[^[]*\[ar\]\? ")
    secrets = secrets_of(world)
    in_daemon = found_in(world.daemon.process.pid, secrets)
    assert in_daemon >= NEEDED, "the search finds what is there"

    logind.order("lock")
    assert world.daemon.wait(10) == 0
    out, err = app.communicate(timeout=20)
    assert (app.returncode, out) == (3, ""), err
    left = stage_processes(stage)
    assert {"dbus-daemon"} <= set(left.values())
    assert any("ownerd-softtok" in name for name in left.values()), left
    # The slot secret is the token's own to make; it keeps nothing of it after its answer.
    for pid, name in left.items():
        assert found_in(pid, secrets) == set(), f"{name} still has it"
    assert newest_entry(stage.database) == {"kind": "locked", "facts": {"reason": "screen locked"}}


def test_what_was_in_flight_when_the_screen_locked_fails_by_name_and_is_recorded(
    open_world: World, logind: Logind
):
    world = open_world
    world.set("given_name", "Ada")
    world.make_shop()
    terminal = world.lend()
    app = world.ask(claims="given_name")
    terminal.wait_for(r"Ada[^[]*\[ar\]\? ")
    logind.order("lock")
    out, err = app.communicate(timeout=20)
    assert (app.returncode, out) == (3, "")
    assert "Cancelled" in err
    assert world.daemon.wait(10) == 0
    terminal.end()
    world.verify()
    assert last_kinds(world, 2) == [("failed", "Cancelled"), ("locked", None)]


def last_kinds(world: World, count: int) -> list[tuple[str, str | None]]:
    connection = sqlite3.connect(world.stage.database)
    rows = connection.execute("SELECT leaf FROM entry ORDER BY seq DESC LIMIT ?", (count,)).fetchall()
    connection.close()
    cores = [json.loads(leaf)["core"] for (leaf,) in reversed(rows)]
    return [(core["kind"], core["facts"].get("error")) for core in cores]
