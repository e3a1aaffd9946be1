"""The tour of the README, command by command as it stands there, in a private world; and the app developer's example."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shlex
import threading
import time
from typing import Any

import pytest
from demo.stage import PASSPHRASE, Screen, Stage, StageError
from tests.rigs.bad_days import BadWorld
from tests.rigs.bus import ROOT

from ownerd.dbuslib import Message, MessageBus, Variant

README = (ROOT / "README.md").read_text()
# What a person answers, by what is asked last on the terminal.
ANSWERS = {
    r"\[(\w)r\]\? $": None,
    r"make a recovery code now\? \[Y/n\]: $": "n",
    r"\[y/N\]: $": "y",
    r"type (\w+) to accept that: $": None,
}


def tour() -> list[str]:
    """The commands of the block, without their comments."""
    (block,) = re.findall(r"^## A tour.*?^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0].strip() for line in block.splitlines()]
    return [line for line in lines if line]


def touch_always(token: Screen) -> None:
    def run() -> None:
        while True:
            try:
                token.wait_for("Enter = touch", 3600)
                token.type("\n")
            except (StageError, OSError):
                return

    threading.Thread(target=run, daemon=True).start()


def go_through(tool: Screen) -> None:
    """Answer what is asked until the command has ended, and well."""
    answered, deadline = 0, time.monotonic() + 30
    while tool.process.poll() is None:
        assert time.monotonic() < deadline, tool.text
        for pattern, answer in ANSWERS.items():
            found = re.search(pattern, tool.text[answered:])
            if found:
                answered += found.end()
                tool.type((answer or found[1]) + "\n")
        time.sleep(0.02)
    assert tool.wait() == 0, tool.text


def begin(stage: Stage, token: str, daemon: str) -> None:
    """The first two terminals."""
    first = stage.run("token", *shlex.split(token))
    for _ in range(2):
        first.wait_for(r"(Passphrase of this token|The same again): ")
        first.type(PASSPHRASE + "\n")
    first.wait_for("listening on")
    touch_always(first)
    stage.run("daemon", *shlex.split(daemon)).wait_for("ready, locked")


def test_every_command_of_the_tour_does_what_it_says(stage: Stage) -> None:
    stage.env["EDITOR"] = stage.env["VISUAL"] = "true"
    here = stage.home / "checkout"
    here.mkdir()
    (here / "demo").symlink_to(ROOT / "demo")
    environment, token, daemon, *commands = tour()
    assert environment == "./dev setup && . .venv/bin/activate"
    begin(stage, token, daemon)
    assert commands[0] == "ownerctl setup"
    for command in commands:
        go_through(stage.run("tool", "/bin/sh", "-c", f"cd {here} && exec {command}"))
    assert json.loads((here / "consent.jsonld").read_text())
    assert commands[-1] == "ownerctl lock"


def test_the_example_for_app_developers_gets_its_answer(bad_world: BadWorld) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    body = "".join(f"    {line}\n" for line in example.splitlines())

    async def story() -> None:
        bad_world.start()
        await bad_world.set_up()
        await bad_world.set("given_name", "Ada")
        await bad_world.grant()
        asked = bad_world.request()
        names: dict[str, Any] = {
            "MessageBus": lambda: MessageBus(bad_world.stage.env["DBUS_SESSION_BUS_ADDRESS"])
        }
        names |= {"Message": Message, "Variant": Variant, "asyncio": asyncio, "secrets": secrets}
        names["request"] = asked.text
        exec(f"async def example():\n{body}\n    return code, results", names)
        code, results = await asyncio.wait_for(names["example"](), 20)
        assert code == 0
        assert asked.claims_of({name: one.value for name, one in results.items()}) == {"given_name": "Ada"}
        names["request"] = ""
        with pytest.raises(RuntimeError, match=r"InvalidArgument: the request is empty"):
            await asyncio.wait_for(names["example"](), 20)

    asyncio.run(story())
