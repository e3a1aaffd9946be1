"""``pending``, ``approve``, ``refuse``, ``watch``, ``provider``, ``ledger log|show`` and ``setup``."""

from __future__ import annotations

import signal

from tests.rigs._cli_agent import TIME
from tests.rigs.cli import Desk

ENTRY = {
    "seq": 2,
    "time": TIME,
    "kind": "disclosure",
    "approval": True,
    "facts": {},
    "values": {
        "provider": {"name": "shop.example", "trust": "verified"},
        "app": {"label": "browser", "confidence": "scope"},
        "claim/0": {"name": "email", "value": "ada@example.org", "version": 1},
        "statement": {"v": 1, "rendered": {"version": 1, "text": "shop.example asks\nfor email"}},
    },
}
PROVIDER = {"id": "p1", "name": "shop.example", "trust": "verified", "since": TIME, "disclosures": 2}


def test_pending_lists_and_refuse_takes_the_only_one(cli_desk: Desk) -> None:
    ran = cli_desk.run("pending")
    assert (ran.code, ran.out, ran.err) == (0, "", "no request waits\n")
    ran = cli_desk.run("refuse")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: no request waits")
    cli_desk.plan(pending=["7"])
    assert cli_desk.run("pending").out.splitlines()[2].split()[0] == "7"
    assert cli_desk.run("pending", "--json").json["requests"][0]["state"] == "waiting-for-terminal"
    assert cli_desk.run("refuse").out == "refused 7\n"
    assert cli_desk.called("refuse") == [["refuse", "7"]]


def test_of_several_requests_one_must_be_named(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7", "8"])
    ran = cli_desk.run("approve")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "ownerctl: error: 2 requests wait: 7, 8")
    ran = cli_desk.run("approve", "8", "--without", "birthdate", "--without", "birthdate")
    assert (ran.code, ran.out) == (0, "8 no longer waits\n")
    assert cli_desk.called("approve") == [["approve", "8", None, ["birthdate"]]]
    assert cli_desk.run("approve", "8", "--without", "shoe_size").code == 2


def test_approve_says_how_it_ended(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7", "8", "9"], outcomes={"7": "done", "8": "TouchTimeout", "9": "Dismissed"})
    assert cli_desk.run("approve", "7").out == "7 is answered\n"
    assert cli_desk.run("approve", "7", "--json").json == {"id": "7", "waiting": False, "outcome": "done"}
    ran = cli_desk.run("approve", "8")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[0] == "ownerctl: error: 8 was not answered: TouchTimeout"
    assert "hint: " in ran.err
    assert cli_desk.run("approve", "9").code == 3


def test_approve_lends_the_terminal_and_unlocks_first(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7"], status={"unlocked": False})
    terminal = cli_desk.terminal("approve")
    assert terminal.wait() == 0
    assert cli_desk.called("approve") == [["approve", "7", terminal.name, []]]
    assert cli_desk.called("unlock") == [["unlock", [terminal.name, "xterm", "C.UTF-8"]]]


def test_watch_lends_the_terminal_until_ctrl_c(cli_desk: Desk) -> None:
    assert cli_desk.run("watch").code == 2
    terminal = cli_desk.terminal("watch")
    terminal.expect("prompts appear here until ctrl-c\r\n")
    assert cli_desk.wait_called("watch") == ["watch", terminal.name]
    assert cli_desk.called("show_values") == [["show_values", [terminal.name, "xterm", "C.UTF-8"]]]
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 0
    assert cli_desk.called("watch")[-1] == ["watch", None]


def test_watch_asks_for_no_touch_when_it_shows_names_only(cli_desk: Desk) -> None:
    terminal = cli_desk.terminal("watch", "--names-only")
    terminal.expect("prompts appear here until ctrl-c, without values\r\n")
    assert cli_desk.wait_called("watch") == ["watch", terminal.name]
    assert not cli_desk.called("show_values")
    terminal.type("\x03")
    assert terminal.wait() == 0


def test_watch_outlives_a_lock(cli_desk: Desk) -> None:
    terminal = cli_desk.terminal("watch")
    terminal.expect("prompts appear here")
    cli_desk.stop_agent()
    terminal.expect("ownerd ended; waiting for it to come back")
    before = len(cli_desk.called("watch"))
    cli_desk.start_agent()
    for _ in range(100):
        if len(cli_desk.called("watch")) > before:
            break
        terminal.read(0.1)
    assert cli_desk.called("watch")[-1] == ["watch", terminal.name]
    terminal.type("\x03")
    assert terminal.wait() == 0


def test_providers(cli_desk: Desk) -> None:
    ran = cli_desk.run("provider", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("no provider has a key yet;")
    cli_desk.plan(providers=[PROVIDER])
    assert cli_desk.run("provider", "list", "--json").json == {"providers": [PROVIDER]}
    assert "shop.example  verified  2026-11-23 14:00:00" in cli_desk.run("provider", "list").out
    ran = cli_desk.run("provider", "show", "p1")
    assert "disclosures  2" in ran.out
    assert cli_desk.called("read message")[-1][1] == {"what": "provider", "id": "p1"}


def test_ledger_log_and_show(cli_desk: Desk) -> None:
    cli_desk.plan(entries=[ENTRY])
    ran = cli_desk.run("ledger", "log", "-n", "2")
    assert ran.out.splitlines()[2].split() == [
        "2", "2026-11-23", "14:00:00", "disclosure", "touch", "shop.example;", "browser;", "email",
    ]  # fmt: skip
    assert "ada@example.org" not in ran.out
    assert cli_desk.called("read message")[-1][1] == {"what": "entries", "start": 1, "count": 2}
    ran = cli_desk.run("ledger", "show", "2")
    assert "ada@example.org (version 1)" in ran.out
    assert ran.out.endswith("\nwhat you were shown:\nshop.example asks\nfor email\n")
    assert cli_desk.run("ledger", "show", "2", "--json").json == ENTRY


def test_a_locked_ledger_says_how_to_go_on(cli_desk: Desk) -> None:
    cli_desk.plan(status={"unlocked": False})
    ran = cli_desk.run("ledger", "log")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "ownerctl: error: the vault is locked; entries are shown by the open vault alone",
        "ownerctl: hint: run ownerctl unlock, or ownerctl ledger log --offline for kinds and times",
    ]
    assert cli_desk.called("read") == []
    cli_desk.plan(status={"set_up": False, "unlocked": False})
    assert "no vault yet" in cli_desk.run("ledger", "show", "1").err


NEW = {"set_up": False, "unlocked": False}
ALONE = ["--single-way-in", "--single-way-in"]  # asks nothing once the vault is made


def test_setup_takes_the_only_token_and_says_what_it_is_not(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW)
    ran = cli_desk.run("setup")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "verifier key  ownerd/ab+cd+ef"
    assert "keep the ledger's verifier key elsewhere" in ran.err
    assert "it does not protect against a program that runs as you" in ran.err
    assert cli_desk.called("setup message") == [
        ["setup message", {"token": "soft-1", "user_verification": False}]
    ]


def test_setup_uses_the_pin_where_there_is_one(cli_desk: Desk) -> None:
    key = {"id": "usb-1", "name": "key", "has_pin": True, "software": False}
    cli_desk.plan(status=NEW, tokens=[key])
    assert "software token" not in cli_desk.run("setup", "--json").err
    cli_desk.run("setup", "--no-pin")
    modes = [call[1]["user_verification"] for call in cli_desk.called("setup message")]
    assert modes == [True, False]
    cli_desk.plan(status=NEW)
    ran = cli_desk.run("setup", "--pin")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "ownerctl: error: the token has no PIN")


def test_setup_of_several_tokens_needs_a_choice(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, tokens=[{}, {"id": "soft-2", "name": "other"}])
    ran = cli_desk.run("setup")
    assert (ran.code, ran.err.splitlines()[0]) == (
        2, "ownerctl: error: several tokens are there: soft-1, soft-2",
    )  # fmt: skip
    assert cli_desk.run("setup", "--token", "soft-3").code == 4
    assert cli_desk.run("setup", "--token", "other").code == 0
    terminal = cli_desk.terminal("setup", *ALONE)
    terminal.expect("which token [1-2]: ")
    terminal.type("3\n")
    terminal.read(0.2)
    terminal.type("2\n")
    assert terminal.wait() == 0
    assert [call[1]["token"] for call in cli_desk.called("setup message")] == ["soft-2", "soft-2"]


def test_setup_explains_and_waits_for_a_token(cli_desk: Desk) -> None:
    cli_desk.plan(status=NEW, tokens=[])
    ran = cli_desk.run("setup")
    assert (ran.code, ran.out) == (4, "")
    terminal = cli_desk.terminal("setup", *ALONE)
    terminal.expect("start a software token in another terminal: ownerd-softtoken")
    cli_desk.plan(status=NEW)
    assert terminal.wait() == 0
    assert "ownerd/ab+cd+ef" in terminal.shown


def test_setup_never_makes_a_second_vault(cli_desk: Desk) -> None:
    ran = cli_desk.run("setup")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: there is a vault already")
    assert cli_desk.called("setup") == []
