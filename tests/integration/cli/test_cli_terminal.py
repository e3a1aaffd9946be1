"""On a terminal: the progress line, the prompt's right to be alone there, typed values, Ctrl-C."""

from __future__ import annotations

import re

from tests.rigs.cli import Desk

CLEAR = "\r\x1b[K"


def test_a_touch_is_announced_with_the_time_left_and_wiped_after(cli_desk: Desk) -> None:
    progress = [["waiting-for-touch", {"token": "key", "timeout_seconds": 30}]]
    cli_desk.plan(present={"progress": progress, "do": "wait", "seconds": 2.5})
    terminal = cli_desk.terminal("request", "--claim", "email")
    assert terminal.wait() == 0
    left = re.findall(re.escape(CLEAR) + r"waiting for a touch on key, (\d+) s left", terminal.shown)
    assert left == sorted(left, reverse=True)
    assert "20" < left[-1] <= left[0] < "30"
    assert f"{CLEAR}claim    value\r\n" in terminal.shown


def test_the_prompt_is_alone_on_the_terminal(cli_desk: Desk) -> None:
    cli_desk.plan(present={"progress": [["waiting-for-owner", {}]], "do": "wait", "seconds": 2.5})
    terminal = cli_desk.terminal("request", "--claim", "email")
    cli_desk.wait_called("present")
    assert terminal.read(2) == ""
    assert terminal.wait() == 0
    assert cli_desk.called("present") == [["present", [terminal.name, "xterm", "C.UTF-8"]]]


def test_ctrl_c_on_the_terminal_cancels(cli_desk: Desk) -> None:
    cli_desk.plan(unlock={"do": "wait"}, status={"unlocked": False})
    terminal = cli_desk.terminal("unlock")
    cli_desk.wait_called("unlock")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert terminal.shown.endswith("ownerctl: error: interrupted\r\n")
    assert cli_desk.wait_called("cancelled") == ["cancelled", "unlock"]


def test_a_value_is_typed_with_echo(cli_desk: Desk) -> None:
    terminal = cli_desk.terminal("data", "set", "birthdate")
    terminal.expect("date of birth (birthdate): ")
    terminal.type("1815-12-10\n")
    assert terminal.wait() == 0
    assert terminal.shown.splitlines()[0] == "date of birth (birthdate): 1815-12-10"
    assert cli_desk.called("change message")[0][1]["claims"][0]["value"] == "1815-12-10"


def test_an_empty_answer_changes_nothing(cli_desk: Desk) -> None:
    terminal = cli_desk.terminal("data", "set", "nickname")
    terminal.expect("nickname (nickname): ")
    terminal.type("\n")
    assert terminal.wait() == 2
    assert "ownerctl: error: the value is empty" in terminal.shown
    assert cli_desk.called("change message") == []


def test_a_terminal_is_lent_while_standard_input_is_a_pipe(cli_desk: Desk) -> None:
    """The value is piped in, and standard error still is a terminal: prompts belong there."""
    terminal = cli_desk.terminal("data", "set", "nickname", "-")
    terminal.type("Countess\n\x04")
    assert terminal.wait() == 0
    assert cli_desk.called("change") == [["change", [terminal.name, "xterm", "C.UTF-8"]]]
