"""The whole product with both D-Bus libraries, as its users use it."""

import json

import pytest
from demo.stage import Stage, touch
from tests.rigs.system import World


@pytest.mark.parametrize("library", ["dbus-next", "dbus-fast"])
def test_from_an_empty_disk_to_a_verified_disclosure(stage: Stage, library: str):
    stage.env["OWNERD_DBUS_LIBRARY"] = library
    world = World(stage, stage.start_daemon(), stage.start_token())
    made = world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    terminal = world.lend()
    app = world.ask()
    prompt = world.approve(terminal)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert json.loads(out)["claims"] == {"given_name": "Ada"}
    assert "given name: Ada" in prompt
    assert "Asked, but not in your vault, or not as they want it: e-mail, town" in prompt
    report = stage.tool("ledger", "verify", "--json", "--key", made["verifier_key"])
    assert report.wait() == 0, report.text
    assert world.json(report)["origin"] == "proven"


def test_a_locked_vault_lets_a_request_wait_and_one_more_touch_serves_it(world: World):
    stage = world.stage
    world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    assert stage.tool("lock").wait() == 0
    assert world.daemon.wait() == 0
    app = world.ask(claims="given_name")  # D-Bus activation brings the daemon back, locked
    waiting: list[dict] = []
    for _ in range(50):
        waiting = world.tool_json("pending")["requests"]
        if waiting and waiting[0]["state"] == "waiting-for-unlock":
            break
    assert [one["state"] for one in waiting] == ["waiting-for-unlock"]
    approve = stage.tool("approve")
    touch(world.token)
    world.approve(approve)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert json.loads(out)["claims"] == {"given_name": "Ada"}
    world.verify()


def test_refusing_gives_the_app_a_refusal_and_the_ledger_an_entry(world: World):
    stage = world.stage
    world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    terminal = stage.tool("watch", "--names-only")
    app = world.ask(claims="given_name")
    assert ": Ada" not in terminal.wait_for(r"\[ar\]\? ")
    terminal.type("r\n")
    out, err = app.communicate(timeout=20)
    assert (app.returncode, out) == (3, ""), err
    assert world.verify()["entries"] == 4


def test_reading_ones_own_data_takes_a_touch_and_leaves_an_entry(world: World):
    world.set_up()
    world.set("email", "ada@example.org")
    tool = world.stage.tool("data", "get", "email")
    prompt = world.approve(tool)
    assert "ada@example.org" not in prompt
    assert tool.wait() == 0
    assert "ada@example.org" in tool.text
    assert world.verify()["entries"] == 4
    log = world.stage.tool("ledger", "log")
    world.approve(log)
    assert log.wait() == 0
    assert "owner-read" in log.text


def test_an_idle_daemon_locks_by_ending(stage: Stage):
    daemon = stage.start_daemon("--idle-seconds", "2")
    world = World(stage, daemon, stage.start_token())
    world.set_up()
    assert daemon.wait(15) == 0
    status = world.tool_json("status")
    assert (status["set_up"], status["unlocked"]) == (True, False)
    assert world.verify()["entries"] == 3


def test_a_second_daemon_fails_and_leaves_the_first_ones_key_alone(world: World):
    key = world.stage.home / "run" / "ownerd" / "session-key.json"
    before = key.read_bytes()
    second = world.stage.run("ownerd", "ownerd")
    assert second.wait() == 1
    assert "another ownerd" in second.text
    assert key.read_bytes() == before
    world.set_up()
