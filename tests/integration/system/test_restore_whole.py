"""A restore by real processes, the daemon killed at many instants after the touch: the old vault is there or the new one."""

from __future__ import annotations

import time

from tests.rigs.system import World

# Seconds after the touch: before, inside and after opening the chunks, the entry and the rename.
INSTANTS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.5)


def test_a_daemon_killed_in_a_restore_leaves_the_old_vault_or_the_new_one(world: World) -> None:
    world.set_up()
    world.set("given_name", "Ada")
    file = str(world.stage.home / "my.backup")
    tool = world.stage.tool("backup", "make", file)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    world.stage.tool("lock").wait()
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    before = world.verify()["verifier_key"]
    old = new = 0
    for instant in INSTANTS:
        tool = world.stage.tool("restore", "--replace", "--older", "--yes", file)
        tool.wait_for(r"\[yr\]\? ")
        tool.type("y\n")
        world.touch()
        time.sleep(instant)
        world.daemon.process.kill()
        world.daemon.wait()
        tool.end()
        world.daemon = world.stage.start_daemon()
        report = world.verify()
        if report["verifier_key"] == before:
            old += 1
        else:
            new += 1
            assert report["rotations"] == 1
            assert len(list(world.stage.database.parent.glob("replaced-*/ownerd.db"))) == new
            before = report["verifier_key"]
    assert old, "no instant was early enough"
    assert new, "no instant was late enough"
    # The last one was long enough for the token to have got the new head, or it has the one from before: ask again.
    tool = world.stage.tool("restore", "--replace", "--older", "--yes", file)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    world.unlock()
    assert world.tool_json("status")["claims"] == 1
    world.verify()
