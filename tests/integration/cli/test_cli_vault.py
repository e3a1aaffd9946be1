"""Status, unlock, lock and data, over a real bus."""

from __future__ import annotations

import pytest
from tests.rigs.cli import Desk

from ownerctl.main import run


def test_status_is_a_table_or_json(cli_desk: Desk) -> None:
    ran = cli_desk.run("status")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[:2] == ["vault          unlocked", "claims         2"]
    ran = cli_desk.run("status", "--json")
    assert ran.json["unlocked"] is True
    assert ran.json["entries"] == 3


def test_unlock_asks_only_a_locked_vault(cli_desk: Desk) -> None:
    assert cli_desk.run("unlock").out == "unlocked already\n"
    assert cli_desk.called("unlock") == []
    cli_desk.plan(status={"unlocked": False})
    ran = cli_desk.run("unlock")
    assert (ran.code, ran.out, ran.err) == (0, "unlocked\n", "")
    assert cli_desk.called("unlock") == [["unlock", None]]


def test_lock_ends_the_daemon_and_wakes_none(cli_desk: Desk) -> None:
    assert cli_desk.run("lock").out == "locked\n"
    assert cli_desk.agent is not None
    cli_desk.agent.join(10)
    ran = cli_desk.run("lock")
    assert (ran.code, ran.out) == (0, "locked already, ownerd is not running\n")


def test_a_daemon_that_does_not_end_is_not_called_locked(
    cli_desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli_desk.plan(lock={"do": "ignore"})
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", cli_desk.address)
    monkeypatch.setattr("ownerctl.vault.LOCK_SECONDS", 0.3)
    assert run(["lock"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, cli_desk.called("lock")) == ("", [["lock", "command"]])
    assert shown.err.startswith("ownerctl: error: the daemon has not ended\n")


def test_a_value_is_no_argument(cli_desk: Desk) -> None:
    ran = cli_desk.run("data", "set", "nickname", "Countess")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == "ownerctl: error: a value is no argument: any process could read it"
    assert cli_desk.called("change message") == []


def test_data_set_get_list_remove(cli_desk: Desk) -> None:
    ran = cli_desk.run("data", "set", "nickname", "-", stdin="Countess\n")
    assert (ran.code, ran.out, ran.err) == (0, "set nickname (entry 3)\n", "")
    assert cli_desk.called("change message")[0][1]["claims"] == [
        {"name": "nickname", "value": "Countess", "source": "owner"}
    ]
    assert cli_desk.run("data", "get", "nickname").out == "Countess\n"
    assert cli_desk.run("data", "get", "nickname", "email", "--json").json == {
        "nickname": "Countess",
        "email": "ada@example.org",
    }
    listed = cli_desk.run("data", "list").out
    assert "2026-11-23 14:00:00" in listed
    assert cli_desk.run("data", "remove", "nickname").out == "removed nickname (entry 3)\n"
    ran = cli_desk.run("data", "get", "nickname")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("ownerctl: error: no nickname in the vault\nownerctl: hint: ownerctl data list")


def test_a_value_is_never_an_argument(cli_desk: Desk) -> None:
    ran = cli_desk.run("data", "set", "nickname", "Countess")
    assert ran.code == 2
    assert "Countess" not in ran.out
    assert cli_desk.called("change message") == []
