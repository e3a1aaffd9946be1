"""A backup's life with real processes: made, the machine is lost, restored, unlocked, disclosed from, verified."""

from __future__ import annotations

import json
import re
import shutil

from tests.rigs.system import World


def lock(world: World) -> None:
    """End the daemon and start the next one, as D-Bus activation would."""
    world.stage.tool("lock").wait()
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()


def restore(world: World, *arguments: str) -> str:
    tool = world.stage.tool("restore", *arguments)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    return tool.text


def disclose(world: World) -> dict[str, object]:
    terminal = world.lend()
    app = world.ask(claims="given_name")
    world.approve(terminal)
    out, err = app.communicate(timeout=20)
    terminal.end()
    assert app.returncode == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def test_a_lost_machine_comes_back_with_a_touch_and_an_old_copy_is_known_as_one(world: World) -> None:
    key = world.set_up()["verifier_key"]
    world.set("given_name", "Ada")
    world.make_shop()
    first = disclose(world)
    file = str(world.stage.home / "my.backup")
    tool = world.stage.tool("backup", "make", file)
    assert "It opens with" in world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert world.tool_json("backup", "check", file, "--key", key)["proven"]
    world.set("nickname", "after the backup")
    newer = world.stage.home / "newer.head"
    head = world.tool_json("ledger", "head")
    newer.write_text(head["checkpoint"])

    lock(world)
    shutil.rmtree(world.stage.database.parent)
    world.daemon.process.terminate()
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    text = restore(world, file)
    assert "verifier key" in text
    report = world.verify()
    assert report["rotations"] == 1
    world.unlock()
    again = disclose(world)
    assert again["claims"] == first["claims"]
    assert world.verify()["verifier_key"] != key
    rolled = world.stage.tool("ledger", "verify", "--head", str(newer), "--json")
    assert rolled.wait() == 5
    names = {one["name"] for one in World.json(rolled)["findings"]}
    assert names in ({"RolledBack"}, {"Forked"})

    # Over a vault, only when that is said; a second time the same file is the same ledger in another fork.
    lock(world)
    refused = world.stage.tool("restore", file)
    assert refused.wait() == 3, refused.text
    rolled = world.stage.tool("restore", "--replace", "--yes", file)
    world.approve(rolled)
    assert rolled.wait() == 5, "the token remembers a newer head"
    world.verify()
    tool = world.stage.tool("restore", "--replace", "--older", "--yes", file)
    assert "GIVE WAY" in world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert re.search(r"head on the token +renewed", tool.text)
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()
    assert list(world.stage.database.parent.glob("replaced-*/ownerd.db"))
    world.unlock()
    world.verify()
