"""Heads kept elsewhere, with the real daemon, tool and token: yesterday's database stays closed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from demo.stage import Screen
from tests.rigs.system import World

PIN = "2468ace"
SIZES = re.compile(r"signed \d+ entries and here are \d+: this is an older copy of the ledger")


def end(tool: Screen) -> str:
    assert tool.wait() == 0, tool.text
    return tool.text


def lock(world: World) -> None:
    end(world.stage.tool("lock"))
    world.daemon.wait()


class Copies:
    """The database, put away and brought back while no daemon runs."""

    def __init__(self, world: World) -> None:
        self.data = Path(world.stage.env["XDG_DATA_HOME"]) / "ownerd"
        self.kept = world.stage.home / "copies"

    def keep(self, name: str) -> None:
        shutil.copytree(self.data, self.kept / name)

    def bring(self, name: str) -> None:
        shutil.rmtree(self.data)
        shutil.copytree(self.kept / name, self.data)


def refused(world: World, error: str) -> str:
    """Unlock must be refused with exit 5 and recorded, the vault closed; returns what was said."""
    tool = world.stage.tool("unlock")
    world.type_pin(tool)
    world.touch()
    assert tool.wait() == 5, tool.text
    assert world.tool_json("status")["unlocked"] is False
    last = world.tool_json("ledger", "log", "--offline")["entries"][-1]
    assert (last["kind"], last["facts"]) == ("failed", {"error": error})
    lock(world)
    return tool.text


def unlock(world: World) -> None:
    tool = world.stage.tool("unlock")
    world.type_pin(tool)
    world.touch()
    end(tool)


def anchors(world: World) -> dict[str, dict[str, Any]]:
    tool = world.stage.tool("ledger", "anchors", "--json")
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    return {row["kind"]: row for row in World.json(tool)["anchors"]}


def test_the_tokens_own_head_tells_a_database_from_yesterday(world: World) -> None:
    world.set_up()
    lock(world)
    copies = Copies(world)
    copies.keep("yesterday")
    unlock(world)
    world.set("given_name", "Ada")
    assert anchors(world)["token"]["verdict"] == "consistent"
    lock(world)
    copies.keep("today")
    copies.bring("yesterday")
    said = refused(world, "RolledBack")
    assert "the token signed" in said
    assert SIZES.search(said)
    copies.bring("today")
    unlock(world)
    world.verify()


def test_a_head_on_a_stick_tells_it_too_and_a_fork(world: World) -> None:
    # A token with a PIN keeps a head only when asked: here the file alone tells.
    tool = world.stage.tool("token", "pin")
    for _ in range(2):
        tool.wait_for(r"PIN: ?$")
        tool.type(f"{PIN}\n")
    end(tool)
    world.pin = PIN
    world.set_up()
    stick = world.stage.home / "stick"
    stick.mkdir()
    tool = world.stage.tool("ledger", "anchor", "add", "file", str(stick / "ownerd.head"))
    assert str(stick / "ownerd.head") in world.approve(tool)
    assert re.search(r"added [0-9a-f]{8} \(entry \d+\)", end(tool))
    assert (stick / "ownerd.head").stat().st_mode & 0o777 == 0o600
    lock(world)
    copies = Copies(world)
    copies.keep("yesterday")
    unlock(world)
    lock(world)
    today = (stick / "ownerd.head").read_bytes()
    copies.bring("yesterday")
    said = refused(world, "RolledBack")
    assert "the head file signed" in said
    assert SIZES.search(said)
    assert (stick / "ownerd.head").read_bytes() == today, "the evidence stays"

    # Without the stick nothing tells; the copy goes on, and is a fork as soon as the stick is back.
    stick.rename(world.stage.home / "away")
    unlock(world)
    assert anchors(world)["file"]["verdict"] == "unreachable"
    lock(world)
    (world.stage.home / "away").rename(stick)
    assert "another history" in refused(world, "Forked")

    (stick / "ownerd.head").unlink()
    unlock(world)
    found = anchors(world)
    assert found["file"]["verdict"] == "missing"
    assert (found["token"]["verdict"], found["token"]["stale"]) == ("missing", "PinNeeded")
    tool = world.stage.tool("ledger", "anchor", "update")
    world.type_pin(tool)
    end(tool)
    assert {row["verdict"] for row in anchors(world).values()} == {"consistent"}
    lock(world)
    copies.bring("yesterday")
    (stick / "ownerd.head").unlink()
    assert "the token signed" in refused(world, "RolledBack")
    world.verify()
