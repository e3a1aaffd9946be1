"""Erasure by real processes: no byte of an erased opening is left in the files, whenever the daemon is killed."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

from demo.stage import Screen
from tests.rigs.system import World

# Seconds after the touch: before, inside and after the commit and the truncation of the log.
INSTANTS = (0.0, 0.004, 0.008, 0.012, 0.02, 0.05)
SLICE = 16


def openings(database: Path) -> dict[int, list[bytes]]:
    """The openings by entry, in slices that lie whole on one page or another."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reader:
        rows = reader.execute("SELECT seq, wrapped_key, ciphertext FROM opening").fetchall()
    reader.close()
    return {
        seq: [blob[at : at + SLICE] for blob in (key, text) for at in range(0, len(blob) - SLICE, SLICE)]
        for seq, key, text in rows
    }


def left_of(database: Path, slices: list[bytes]) -> int:
    raw = b"".join(path.read_bytes() for path in sorted(database.parent.iterdir()))
    return sum(one in raw for one in slices)


def erase(world: World, *arguments: str) -> Screen:
    """Start an erasure and approve it; the token is not touched yet."""
    tool = world.stage.tool("ledger", "erase", "--yes", *arguments)
    tool.wait_for(r"\[er\]\? ")
    tool.type("e\n")
    return tool


def test_erased_values_are_in_no_file_and_the_ledger_says_who_when_and_what(world: World) -> None:
    token_id = world.set_up()["token"]["id"]
    world.set("given_name", "Ada")
    world.set("email", "ada@example.org")
    database = world.stage.database
    before = openings(database)
    assert left_of(database, before[2]) == len(before[2])
    listed = world.stage.tool("ledger", "erase", "--claim", "given_name", "--dry-run")
    world.approve(listed)
    assert listed.wait() == 0, listed.text
    assert re.search(r"^ *2 .*owner-change", listed.text, re.MULTILINE)
    tool = erase(world, "--claim", "given_name")
    world.touch()
    assert tool.wait() == 0, tool.text
    assert left_of(database, before[2]) == 0
    assert left_of(database, before[3]) == len(before[3])
    report = world.verify()
    assert report["erased"] == 1
    (said,) = report["erasures"]
    assert (said["entries"], said["approved_by"]) == ([2], token_id)
    shown = world.stage.tool("ledger", "verify")
    assert shown.wait() == 0
    assert f"approved by token {token_id}" in shown.text
    log = world.stage.tool("ledger", "show", "2")
    world.approve(log)
    assert log.wait() == 0
    assert "its values were erased" in log.text


def test_a_daemon_killed_around_an_erasure_leaves_it_done_or_undone(world: World) -> None:
    world.set_up()
    database = world.stage.database
    for number in range(len(INSTANTS)):
        world.set("nickname", f"name {number}")
    done = 0
    for seq, instant in enumerate(INSTANTS, 2):
        before = openings(database)[seq]
        tool = erase(world, str(seq))
        world.touch()
        time.sleep(instant)
        world.daemon.process.kill()
        world.daemon.wait()
        tool.end()
        world.daemon = world.stage.start_daemon()
        world.unlock()
        left, there = left_of(database, before), seq in openings(database)
        assert left == (len(before) if there else 0), f"{left} slices at {instant}"
        assert (seq in [one for said in world.verify()["erasures"] for one in said["entries"]]) is not there
        done += not there
    assert done, "no instant was late enough"
