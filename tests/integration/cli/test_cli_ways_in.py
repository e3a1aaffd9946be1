"""Set-up does not end with one single way in, unless the owner says so twice."""

from __future__ import annotations

import pytest
from tests.rigs.cli import Desk, Terminal

NEW = {"set_up": False, "unlocked": False}
OTHER = {"id": "soft-2", "name": "software token 2"}
ONE_WAY = "the vault has one single way in: software token 1"
CODE = "make a recovery code now? [Y/n]: "
GO_ON = "go on with one single way in? [y/N]: "
ACCEPT = "type single to accept that: "


def _answer(terminal: Terminal, *steps: tuple[str, str]) -> None:
    for question, answer in steps:
        terminal.expect(question)
        terminal.shown = ""
        terminal.type(answer + "\n")


def _changes(desk: Desk) -> list[str]:
    return [call[1]["change"] for call in desk.called("change message")]


def test_one_way_in_takes_two_answers(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup")
    terminal.expect(ONE_WAY)
    _answer(terminal, (CODE, "n"), (GO_ON, "y"), (ACCEPT, "single"))
    assert terminal.wait() == 0
    assert _changes(cli_desk) == []


@pytest.mark.parametrize("second", [[(GO_ON, "")], [(GO_ON, "y"), (ACCEPT, "yes")]])
def test_anything_else_than_two_answers_offers_again(cli_desk: Desk, second: list[tuple[str, str]]) -> None:
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup")
    _answer(terminal, (CODE, "n"), *second, (CODE, ""))
    assert terminal.wait() == 0
    assert "the recovery code is set" in terminal.shown
    assert _changes(cli_desk) == ["recovery-set"]


def test_a_second_token_is_offered_and_then_no_code_is_needed(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, tokens=[{}, OTHER])
    terminal = cli_desk.terminal("setup", "--token", "soft-1")
    _answer(
        terminal,
        ("enrol software token 2 (software, without a PIN) as a second way in? [Y/n]: ", ""),
        ("make a recovery code now? [y/N]: ", ""),
    )
    assert terminal.wait() == 0
    message = {"change": "token-add", "token": "soft-2", "user_verification": False, "name": OTHER["name"]}
    assert cli_desk.called("change message") == [["change message", message]]


def test_a_token_plugged_in_between_is_offered(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup")
    terminal.expect("to enrol one as well, plug it in now")
    terminal.expect(CODE)
    cli_desk.plan(status=NEW, tokens=[{}, OTHER, {**OTHER, "id": "soft-3"}])
    _answer(terminal, (CODE, "n"), (GO_ON, "n"))
    _answer(terminal, ("enrol which as a second way in [1-2, enter for none]: ", "2"), ("[y/N]: ", "n"))
    assert terminal.wait() == 0
    assert cli_desk.called("change message")[0][1]["token"] == "soft-3"


def test_a_second_way_that_fails_is_offered_again(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, change={"error": "Dismissed", "message": "not written down"})
    terminal = cli_desk.terminal("setup")
    _answer(terminal, (CODE, "y"))
    terminal.expect("ownerctl: error: not written down")
    cli_desk.plan(status=NEW)
    _answer(terminal, (GO_ON, ""), (CODE, "y"))
    assert terminal.wait() == 0
    assert _changes(cli_desk) == ["recovery-set"] * 2


def test_who_leaves_the_questions_is_told_what_is_missing(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup")
    terminal.expect(CODE)
    terminal.shown = ""
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert "the vault is made" in terminal.shown
    assert ONE_WAY in terminal.shown


def test_each_single_way_in_is_one_answer(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup", "--single-way-in")
    _answer(terminal, (ACCEPT, "single"))
    assert terminal.wait() == 0
    assert ONE_WAY in cli_desk.run("setup", "--single-way-in").err
    for arguments in (["--json"], []):
        ran = cli_desk.run("setup", "--single-way-in", "--single-way-in", *arguments)
        assert ran.code == 0
        assert ONE_WAY not in ran.err


def test_json_asks_nothing_on_a_terminal_and_says_what_is_missing(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, tokens=[{}, OTHER])
    terminal = cli_desk.terminal("setup", "--json")
    assert terminal.wait() == 2  # which token is not asked either
    cli_desk.plan(status=NEW)
    terminal = cli_desk.terminal("setup", "--json")
    assert terminal.wait() == 0
    assert ONE_WAY in terminal.shown
    assert "--single-way-in, given twice" in terminal.shown


def test_recovery_makes_the_code_without_asking(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    ran = cli_desk.run("setup", "--recovery", "--json")
    assert (ran.code, ran.json["recovery"]) == (0, {"entry": 6})
    assert ONE_WAY not in ran.err
    assert cli_desk.run("setup", "--recovery", "--single-way-in").code == 2


def test_the_verifier_key_is_printed_although_the_code_failed(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, change={"error": "Dismissed", "message": "not written down"})
    ran = cli_desk.run("setup", "--recovery", "--json")
    assert (ran.code, ran.json["verifier_key"]) == (3, "ownerd/ab+cd+ef")
    assert ran.err.endswith("ownerctl: error: not written down\nownerctl: hint: nothing was released\n")


def test_a_code_that_was_never_set_is_told_before_a_token_is_asked_for(cli_desk: Desk) -> None:
    cli_desk.plan(status={"unlocked": False, "recovery": False}, tokens=[])
    ran = cli_desk.run("recovery", "use")
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "ownerctl: error: no recovery code is set"
    assert "not set" in cli_desk.run("status").out
