"""The whole product as real processes: the demo's stage, with a person who can be scripted.

``world`` gives a private bus, ``ownerd`` and ``ownerd-softtoken``; nothing is set up yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from demo.stage import Screen, Stage, touch
from tests.rigs.bus import ROOT, require_rig

BOOKSHOP = [sys.executable, str(ROOT / "demo" / "bookshop.py")]
ASKED = "given_name,email,address.locality"


@dataclass
class World:
    """One stage, its daemon and its token. ``pin`` is typed whenever a prompt wants it."""

    stage: Stage
    daemon: Screen
    token: Screen
    pin: str | None = None
    # A token makes a credential and then proves it.
    set_up_acts = 2

    def touch(self) -> None:
        """Touch the token."""
        touch(self.token)

    def set_up(self) -> dict[str, Any]:
        """Enrol the token; returns what ``ownerctl setup --json`` says."""
        tool = self.stage.tool("setup", "--json", "--pin" if self.pin else "--no-pin")
        for _ in range(self.set_up_acts):
            self.type_pin(tool)
            self.touch()
        assert tool.wait() == 0, tool.text
        return self.json(tool)

    def type_pin(self, terminal: Screen) -> None:
        if self.pin is not None:
            terminal.wait_for(r"PIN[^\n]*: ?$")
            terminal.type(self.pin + "\n")

    def approve(self, terminal: Screen) -> str:
        """Approve the prompt on ``terminal`` and touch the token; returns the prompt."""
        prompt = terminal.wait_for(r"\[(\w)r\]\? ")
        terminal.type(prompt[prompt.rindex("[") + 1] + "\n")
        self.type_pin(terminal)
        self.touch()
        return prompt

    def lend(self) -> Screen:
        """A terminal that shows prompts with values, after a touch."""
        terminal = self.stage.tool("watch")
        self.approve(terminal)
        terminal.wait_for("prompts appear here")
        return terminal

    def set(self, name: str, value: str) -> None:
        tool = self.stage.tool("data", "set", name)
        tool.wait_for(": ")
        tool.type(value + "\n")
        self.approve(tool)
        assert tool.wait() == 0, tool.text

    def unlock(self) -> None:
        tool = self.stage.tool("unlock")
        self.type_pin(tool)
        self.touch()
        assert tool.wait() == 0, tool.text

    def make_shop(self, host: str = "bookshop.example") -> None:
        """A bookshop whose CA the owner trusts."""
        shop = str(self.stage.home / "shop")
        subprocess.run(
            [*BOOKSHOP, "--ca-dir", shop, "--host", host, "make-ca"],
            check=True,
            env=self.stage.env,
            stderr=subprocess.DEVNULL,
        )
        (self.stage.trust_directory / "shop.pem").write_bytes(
            (self.stage.home / "shop" / "ca.pem").read_bytes()
        )

    def ask(
        self, *arguments: str, host: str = "bookshop.example", claims: str = ASKED
    ) -> subprocess.Popen[str]:
        """The bookshop asks; it prints checked JSON and exits 0, or 3 when refused."""
        shop = str(self.stage.home / "shop")
        return subprocess.Popen(
            [*BOOKSHOP, "--ca-dir", shop, "--host", host, "ask", "--claims", claims, *arguments],
            env=self.stage.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def verify(self) -> dict[str, Any]:
        """``ownerctl ledger verify --json``, which must find nothing."""
        tool = self.stage.tool("ledger", "verify", "--json")
        code = tool.wait()
        assert code == 0, tool.text
        return self.json(tool)

    def tool_json(self, *arguments: str) -> Any:
        tool = self.stage.tool(*arguments, "--json")
        assert tool.wait() == 0, tool.text
        return self.json(tool)

    @staticmethod
    def json(tool: Screen) -> Any:
        return json.JSONDecoder().raw_decode(tool.text, tool.text.index("{"))[0]


class CardWorld(World):
    """As `World`, with a card in place of the software token: its PIN is all there is to do."""

    def __init__(self, stage: Stage, pin: bytes, *, set_up_acts: int) -> None:
        daemon = stage.start_daemon()
        super().__init__(stage, daemon, daemon, pin.decode())
        self.set_up_acts = set_up_acts

    def touch(self) -> None:
        """Nothing blinks on a card."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    require_rig("dbus-daemon", "pinentry-tty")
    with Stage() as made:
        made.start_bus()
        yield made


@pytest.fixture
def world(stage: Stage) -> World:
    """Daemon and token run; the vault is not set up."""
    return World(stage, stage.start_daemon(), stage.start_token())
