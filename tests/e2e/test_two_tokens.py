"""Two tokens and a recovery code, with the real daemon: a lost token costs nothing."""

from __future__ import annotations

import re

from demo.stage import Screen, touch
from tests.rigs.system import World

CODE = re.compile(r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){6}")
FIRST = "software token 1 (for trying out)"


def _confirm(tool: Screen) -> str:
    """Agree to the prompt on the tool's terminal; returns what it said."""
    prompt = tool.wait_for(r"\[(\w)\w\]\? ")
    tool.type(prompt[prompt.rindex("[") + 1] + "\n")
    return prompt


def _end(tool: Screen) -> str:
    assert tool.wait() == 0, tool.text
    return tool.text


def _unlocked_by(world: World, token: Screen) -> None:
    tool = world.stage.tool("unlock")
    touch(token)
    _end(tool)


def _lock(world: World) -> None:
    _end(world.stage.tool("lock"))
    world.daemon.wait()


def _origin(world: World, key: str) -> str:
    """What ``ledger verify`` says of the origin, given a verifier key. The rest must hold."""
    shown = _end(world.stage.tool("ledger", "verify", "--key", key))
    found = re.search(r"^result +holds\norigin +([^\n]+)$", shown, re.MULTILINE)
    assert found is not None, shown
    return found[1]


def test_a_second_token_opens_alone_and_the_first_is_removed(world: World) -> None:
    stage = world.stage
    first = world.set_up()
    world.set("given_name", "Ada")
    spare = stage.start_token("2")

    tool = stage.tool("token", "add", "--name", "spare")
    assert "Enrol another token." in _confirm(tool)
    touch(spare)
    touch(spare)
    touch(world.token)
    added = re.search(r"enrolled spare as (\w+)", _end(tool))
    assert added is not None
    tool = stage.tool("token", "test", "spare")
    _confirm(tool)
    touch(spare)
    assert f"{added[1]} opens the vault" in _end(tool)

    _lock(world)
    world.token.end()
    _unlocked_by(world, spare)
    listed = world.tool_json("token", "list")
    assert [(row["name"], row["present"]) for row in listed["tokens"]] == [
        (FIRST, False), ("spare", True),
    ]  # fmt: skip

    tool = stage.tool("token", "remove", first["token"]["id"])
    tool.wait_for("type its name to remove it")
    tool.type(f"{FIRST}\n")
    assert "Copies of the files from before still open with it." in _confirm(tool)
    tool.wait_for("waiting for a touch on spare to remove a token and renew the keys")
    touch(spare)
    touch(spare)
    new_key = re.search(r"verifier key +(\S+)", _end(tool))
    assert new_key is not None
    assert _origin(world, first["verifier_key"]) == "proven, by the first key"
    assert re.fullmatch(r"proven, by the key of entry \d+", _origin(world, new_key[1]))


def _typed_back(tool: Screen) -> str:
    """Take the code off the prompt, and type back the groups that it asks for; returns the code."""
    code = CODE.search(_confirm(tool))
    assert code is not None, tool.text
    asked = re.search(r"groups (\d) and (\d)", tool.wait_for(r"groups \d and \d[^:]*: ?$"))
    assert asked is not None
    groups = code[0].split("-")
    tool.type(f"{groups[int(asked[1]) - 1]} {groups[int(asked[2]) - 1].lower()}\n")
    return code[0]


def test_a_code_on_paper_enrols_a_new_token_when_the_only_one_is_lost(world: World) -> None:
    stage = world.stage
    first = world.set_up()
    world.set("given_name", "Ada")
    tool = stage.tool("recovery", "set")
    _confirm(tool)
    touch(world.token)
    code = _typed_back(tool)
    assert "recovery code set" in _end(tool)
    _lock(world)
    world.token.end()

    spare = stage.start_token("2")
    tool = stage.tool("recovery", "use")
    tool.wait_for(r"recovery code[^:]*: ?$")
    tool.type(code.lower().replace("-", " ") + "\n")
    _confirm(tool)
    touch(spare)
    touch(spare)
    assert "the vault is locked now" in _end(tool)
    assert world.tool_json("status")["unlocked"] is False
    _unlocked_by(world, spare)
    tool = stage.tool("data", "get", "given_name")
    _confirm(tool)
    touch(spare)
    assert "Ada" in _end(tool)
    assert "recovery code set in entry" in _end(stage.tool("recovery", "status"))
    assert _origin(world, first["verifier_key"]) == "proven"
