"""``ownerctl`` against the real daemon and the software token, each a process, on terminals of their own."""

from __future__ import annotations

import re
import signal

from demo.stage import BIN, touch
from tests.rigs.cli import Terminal
from tests.rigs.system import World


def _approved(world: World, *arguments: str) -> str:
    """Run a command, approve its prompt on its own terminal, touch; returns all it showed."""
    tool = world.stage.tool(*arguments)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    return tool.text


def test_a_day_from_setup_to_lock(world: World) -> None:
    stage = world.stage
    tool = stage.tool("setup", "--single-way-in", "--single-way-in")
    touch(world.token)
    touch(world.token)
    assert tool.wait() == 0, tool.text
    assert "it does not protect against a program that runs as you" in tool.text
    key = re.search(r"verifier key +(\S+)", tool.text)
    assert key is not None

    world.set("given_name", "Ada")
    world.set("email", "ada@example.org")
    assert re.search(r"given_name +Ada +owner", _approved(world, "data", "list"))

    shown = _approved(world, "request", "--claim", "given_name", "--claim", "email", "--purpose", "to try it")
    assert re.search(r"email +ada@example.org\s+given_name +Ada\s+recorded as entry 5", shown)
    assert "to try it" in shown  # in the prompt, on this terminal

    shown = _approved(world, "ledger", "log", "-n", "4")
    assert re.search(r"5 +\S+ \S+ +disclosure +touch +ownerctl.invalid", shown)
    assert "ada@example.org" not in shown
    shown = _approved(world, "ledger", "show", "5")
    assert "ada@example.org (version 1)" in shown
    assert "what you were shown:" in shown

    world.make_shop()
    terminal = world.lend()
    app = world.ask(claims="email")
    world.approve(terminal)
    assert app.wait(20) == 0
    # Who only claims a name gets a one-time key, and is no provider that one could know again.
    shown = _approved(world, "provider", "list")
    assert re.search(r"bookshop.example +verified +\S+ \S+ +1\s", shown)
    assert "ownerctl.invalid" not in shown
    provider = re.search(r"^(\S+) +bookshop.example", shown, re.MULTILINE)
    assert provider is not None
    shown = _approved(world, "provider", "show", provider[1])
    assert re.search(r"client_id +x509_san_dns:bookshop.example\s", shown)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 0

    head = stage.tool("ledger", "head")
    assert head.wait() == 0
    (stage.home / "kept.head").write_text(head.text)
    tool = stage.tool("ledger", "verify", "--key", key[1], "--head", str(stage.home / "kept.head"))
    assert tool.wait() == 0, tool.text
    assert re.search(r"result +holds\s+origin +proven", tool.text)

    assert stage.tool("lock").wait() == 0
    assert world.daemon.wait() == 0
    tool = stage.tool("ledger", "log")
    assert tool.wait() == 1
    assert "ownerctl ledger log --offline" in tool.text
    tool = stage.tool("ledger", "log", "--offline", "-n", "1")
    assert tool.wait() == 0
    assert "locked" in tool.text


def test_ctrl_c_at_the_touch_cancels_at_the_token(world: World) -> None:
    world.set_up()
    world.set("given_name", "Ada")
    # The stage's terminals control no process; a key that is a signal needs one that does.
    command = [str(BIN / "ownerctl"), "request", "--claim", "given_name"]
    terminal = Terminal(command, world.stage.env, world.stage.home, None)
    terminal.expect("r]? ")
    terminal.type(terminal.shown[terminal.shown.rindex("[") + 1] + "\n")
    world.token.wait_for("Enter = touch")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert "ownerctl: error: interrupted" in terminal.shown
    # The token is free again: the next act gets its touch, and the ledger says what became of the first.
    world.set("nickname", "Countess")
    offline = world.tool_json("ledger", "log", "--offline")
    cancelled, change = offline["entries"][-2:]
    assert (cancelled["kind"], cancelled["facts"], change["kind"]) == (
        "failed", {"error": "Cancelled"}, "owner-change",
    )  # fmt: skip
    world.verify()


def test_a_refusal_at_the_prompt_exits_3(world: World) -> None:
    world.set_up()
    world.set("given_name", "Ada")
    tool = world.stage.tool("request", "--claim", "given_name")
    tool.wait_for(r"\[\wr\]\? ")
    tool.type("r\n")
    assert tool.wait() == 3
    assert re.search("ownerctl: error: .*\nownerctl: hint: nothing was released", tool.text)
    assert world.verify()["entries"] == 4
