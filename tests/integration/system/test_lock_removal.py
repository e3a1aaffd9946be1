"""Taking the token out locks: the real daemon, and the real software token in its own process."""

from __future__ import annotations

import signal
import time

from demo.stage import PASSPHRASE, Stage
from tests.rigs._logind import newest_entry
from tests.rigs.system import World


def next_token(stage: Stage):
    """The same token in a second process, which waits for its passphrase."""
    token = stage.run("token", "ownerd-softtoken", "--name", "1")
    token.wait_for("Passphrase of this token: ")
    return token


def test_taking_out_the_token_that_opened_the_vault_locks_within_five_seconds(world: World):
    world.set_up()
    world.token.end(signal.SIGKILL)  # its socket's file stays behind
    began = time.monotonic()
    assert world.daemon.wait(10) == 0
    assert time.monotonic() - began < 5
    newest = newest_entry(world.stage.database)
    assert newest == {"kind": "locked", "facts": {"reason": "token removed"}}
    world.verify()


def test_a_token_that_comes_back_at_once_does_not_lock_and_is_watched_again(world: World):
    world.set_up()
    second = next_token(world.stage)
    world.token.end(signal.SIGKILL)
    second.type(PASSPHRASE + "\n")
    second.wait_for("listening on")
    time.sleep(5)
    assert world.tool_json("status")["unlocked"]
    second.end(signal.SIGTERM)
    assert world.daemon.wait(10) == 0
    newest = newest_entry(world.stage.database)
    assert newest == {"kind": "locked", "facts": {"reason": "token removed"}}


def test_another_token_in_the_same_place_locks(world: World):
    world.set_up()
    other = world.stage.run(
        "token", "ownerd-softtoken", "--new", "--name", "1", "--state", str(world.stage.home / "other.token")
    )
    other.wait_for("Passphrase of this token: ")
    other.type(PASSPHRASE + "\n")
    other.wait_for("The same again: ")
    world.token.end(signal.SIGKILL)
    other.type(PASSPHRASE + "\n")
    other.wait_for("listening on")
    assert world.daemon.wait(10) == 0
    newest = newest_entry(world.stage.database)
    assert newest == {"kind": "locked", "facts": {"reason": "token removed"}}


def test_an_unlock_with_one_token_does_not_mind_the_others(world: World):
    world.set_up()
    other = world.stage.start_token("2")
    time.sleep(2)
    other.end(signal.SIGKILL)
    time.sleep(5)
    assert world.tool_json("status")["unlocked"]


def test_the_owner_may_turn_it_off(stage: Stage):
    directory = stage.home / "config" / "ownerd"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "config.toml").write_text("lock_on_removal = false\n")
    world = World(stage, stage.start_daemon(), stage.start_token())
    world.set_up()
    world.token.end(signal.SIGKILL)
    time.sleep(5)
    assert world.tool_json("status")["unlocked"]
