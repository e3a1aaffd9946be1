"""An empty PIV card, the real daemon and the real tool: from new keys to a vault that opens again and discloses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from demo.stage import Screen, Stage
from tests.rigs._piv_applet import PIN, PivApplet
from tests.rigs.system import World

pytestmark = pytest.mark.in_pcsc_rig

KEY = bytes(range(32)).hex()


@dataclass
class CardWorld(World):
    """A world whose token is a card: approved by its PIN, without a touch."""

    def approve(self, terminal: Screen) -> str:
        prompt = agree(terminal)
        self.type_pin(terminal)
        return prompt


def agree(terminal: Screen) -> str:
    """Agree to the prompt on a terminal; returns what it said."""
    prompt = terminal.wait_for(r"\[(\w)r\]\? ")
    terminal.type(prompt[prompt.rindex("[") + 1] + "\n")
    return prompt


def test_an_empty_card_becomes_the_way_in(stage: Stage, piv_rigs: Any) -> None:
    card = piv_rigs(PivApplet())
    card.applet.management = (0x0C, bytes.fromhex(KEY))
    card.insert()
    daemon = stage.start_daemon()
    world = CardWorld(stage, daemon, daemon, pin=PIN.decode())

    tool = stage.tool("setup", "--single-way-in", "--single-way-in")
    assert tool.wait() == 4
    assert "ownerctl setup --make-keys" in tool.text

    tool = stage.tool("setup", "--make-keys", "--single-way-in", "--single-way-in")
    assert "9C (signature) and 9D (key management) are replaced" in agree(tool)
    tool.wait_for(r"Management key of PIV card in [^\n]*, in hexadecimal")
    tool.wait_for(r"Key: ?$")
    tool.type(KEY[:-2] + "ff\n")
    assert tool.wait() == 4
    assert "the management key is wrong" in tool.text
    assert card.applet.keys == {}

    tool = stage.tool("setup", "--make-keys", "P-384", "--single-way-in", "--single-way-in")
    agree(tool)
    tool.wait_for(r"Management key of [^\n]*, in hexadecimal")
    tool.wait_for(r"Key: ?$")
    tool.type(KEY.upper() + "\n")
    world.type_pin(tool)
    assert tool.wait() == 0, tool.text
    assert KEY not in tool.text.lower()

    world.set("given_name", "Ada")
    assert stage.tool("lock").wait() == 0
    daemon.wait()
    tool = stage.tool("unlock")
    world.type_pin(tool)
    assert tool.wait() == 0, tool.text
    tool = stage.tool("request", "--claim", "given_name")
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert "Ada" in tool.text
    world.verify()
