"""Bargaining with ``ownerctl`` against the real daemon and the software token: policy, offer, grant, new key, end."""

from __future__ import annotations

import re
from pathlib import Path

from tests.rigs.system import World

POLICY = 'version = 1\n\n[[rule]]\nclaims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n'


def _approved(world: World, *arguments: str) -> str:
    """Run a command, approve its prompt on its own terminal, touch; returns all it showed."""
    tool = world.stage.tool(*arguments)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    return tool.text


def _file(world: World, name: str, text: str) -> str:
    path = Path(world.stage.home) / name
    path.write_text(text)
    return str(path)


def test_a_policy_makes_a_counter_offer_that_a_person_accepts(world: World) -> None:
    world.set_up()
    world.set("birthdate", "1815-12-10")

    tool = world.stage.tool(
        "policy", "import", _file(world, "wrong.toml", f'{POLICY}\n[[rule]]\ndo = "dance"\n')
    )
    assert tool.wait() == 2
    assert re.search(r"error: rule 2: do is not allow", tool.text)
    assert "policy changed" in _approved(world, "policy", "import", _file(world, "policy.toml", POLICY))
    assert 'with = "age_over_18"' in _approved(world, "policy", "show")

    tool = world.stage.tool("request", "--claim", "birthdate", "--negotiate")
    tool.wait_for(r"accept this\? \[y/N\]: ")
    assert re.search(r"age_over_18 +goes instead of birthdate", tool.text)
    tool.type("y\n")
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    entry = re.search(r"age_over_18 +True\s+recorded as entry (\d+)", tool.text)
    assert entry is not None, tool.text
    assert "1815-" not in tool.text

    tool = world.stage.tool("request", "--claim", "birthdate", "--negotiate", "--json")
    assert tool.wait() == 6
    assert world.json(tool)["offer"]["credentials"][0]["claims"] == [
        {"path": ["age_over_18"], "instead_of": ["birthdate"]}
    ]

    tool = world.stage.tool("receipt", entry[1], _file(world, "receipt.txt", "thank you"))
    assert tool.wait() == 0, tool.text
    log = _approved(world, "ledger", "log")
    assert re.search(r"offer .*age_over_18 instead of birthdate.*round 1", log)
    assert re.search(rf"receipt .*not signed; for entry {entry[1]}", log)
    world.verify()


def test_a_grant_a_new_key_and_the_end_with_a_provider(world: World) -> None:
    world.set_up()
    world.set("email", "ada@example.org")
    world.make_shop()
    first = world.ask(claims="email")
    while not (rows := world.tool_json("pending")["requests"]):
        pass
    limits = ("--grant-days", "30", "--grant-count", "100", "--grant-per-hour", "20")
    tool = world.stage.tool("approve", rows[0]["id"], *limits)
    prompt = world.approve(tool)
    assert "30 days" in prompt
    assert tool.wait() == 0, tool.text
    assert first.wait(30) == 0

    shown = _approved(world, "grant", "list")
    grant = re.search(r"^(\d+) +bookshop.example +email .* 1 of 100 +20 +yes", shown, re.MULTILINE)
    assert grant is not None, shown
    assert world.ask(claims="email").wait(30) == 0, "nobody is asked"
    shown = _approved(world, "ledger", "log")
    assert re.search(rf"disclosure +grant {grant[1]} .*under grant {grant[1]}", shown)
    tool = world.stage.tool("grant", "revoke", grant[1])
    assert tool.wait() == 0, tool.text

    shown = _approved(world, "provider", "list")
    provider = re.search(r"^(\S+) +bookshop.example", shown, re.MULTILINE)
    assert provider is not None
    out = Path(world.stage.home) / "handover.jwt"
    tool = world.stage.tool("provider", "rotate", provider[1], "--out", str(out))
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert out.read_text().count(".") == 2
    assert "forgot" in _approved(world, "provider", "forget", provider[1], "--yes")
    assert "bookshop.example" not in _approved(world, "provider", "list")
    log = _approved(world, "ledger", "log")
    assert re.search(rf"grant-ended +bookshop.example.*; revoked; grant {grant[1]}\s", log)
    assert re.search(r"key-rotated +touch +bookshop.example.*; a new key\s", log)
    assert re.search(r"owner-change +touch +bookshop.example.*; forgotten\s", log)
    world.verify()
