"""``ownerctl token`` and ``recovery``, over a real bus."""

from __future__ import annotations

import pytest
from tests.rigs.cli import Desk

FIRST = "00000000000000aa"
SPARE = {"id": "00000000000000bb", "name": "spare", "present": False, "present_id": None}
TWO_HERE = [{}, {"id": "soft-2", "name": "software token 2"}]


def test_list_shows_what_is_enrolled_and_what_is_here(cli_desk: Desk) -> None:
    cli_desk.plan(enrolled=[{}, SPARE], tokens=TWO_HERE, recovery={"since_entry": 6, "providers": 1, "of": 2})
    ran = cli_desk.run("token", "list")
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert f"{FIRST} software token 1 fido2, software touch 1 yes soft-1" in lines
    assert "00000000000000bb spare fido2, software touch 1 yes -" in lines
    assert "soft-1 software token 1 software no - software token 1" in lines
    assert "soft-2 software token 2 software no - -" in lines
    assert lines[-1] == "recovery code set in entry 6, brings back 1 of 2 provider keys"
    found = cli_desk.run("token", "list", "--json").json
    assert [row["id"] for row in found["tokens"]] == [FIRST, SPARE["id"]]
    assert [row["id"] for row in found["present"]] == ["soft-1", "soft-2"]
    assert found["recovery"]["of"] == 2


def test_list_tells_twins_apart_and_names_what_is_busy(cli_desk: Desk) -> None:
    twins = [{"id": "usb-1", "name": "key"}, {"id": "usb-2", "name": "key"}]
    rows = [{"name": "blue", "present_id": "usb-2"}, {**SPARE, "name": "red", "present_id": "usb-1"}]
    cli_desk.plan(enrolled=rows, tokens=twins, busy=["FIDO2 token on Reader: another program uses the token"])
    ran = cli_desk.run("token", "list")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "usb-1 key software no - red" in lines
    assert "usb-2 key software no - blue" in lines
    assert ran.err == "cannot be asked now: FIDO2 token on Reader: another program uses the token\n"
    assert len(cli_desk.run("token", "list", "--json").json["busy"]) == 1


def test_list_says_when_there_is_one_single_way_in(cli_desk: Desk) -> None:
    assert "the vault has one single way in" in cli_desk.run("token", "list").err
    sign_only = {"id": "00000000000000bb", "opens": False}
    cli_desk.plan(enrolled=[{}, sign_only])
    assert "the vault has one single way in" in cli_desk.run("token", "list").err
    cli_desk.plan(status={"set_up": False})
    ran = cli_desk.run("token", "list")
    assert (ran.code, ran.err) == (0, "there is no vault yet; ownerctl setup makes it\n")
    assert len(cli_desk.called("read message")) == 2  # nothing is asked where there is no vault


def test_add_takes_the_token_that_is_not_enrolled(cli_desk: Desk) -> None:
    cli_desk.plan(tokens=TWO_HERE)
    ran = cli_desk.run("token", "add", "--name", "blue key")
    assert (ran.code, ran.out) == (0, "enrolled blue key as 00000000000000bb (entry 5)\n")
    assert "enrolling software token 2 (software, without a PIN)" in ran.err
    message = {"change": "token-add", "token": "soft-2", "user_verification": False, "name": "blue key"}
    assert cli_desk.called("change message") == [["change message", message]]
    assert cli_desk.run("token", "add", "soft-1").code == 0  # who names one is believed; the daemon checks


def test_add_of_twins_needs_a_choice_with_their_ids(cli_desk: Desk) -> None:
    twins = [{"id": "usb-1", "name": "key"}, {"id": "usb-2", "name": "key"}]
    cli_desk.plan(enrolled=[{"name": "key"}], tokens=twins)
    ran = cli_desk.run("token", "add")
    assert (ran.code, ran.err.splitlines()) == (
        2,
        [
            "ownerctl: error: several tokens are there: usb-1, usb-2",
            "ownerctl: hint: ownerctl token add ID",
        ],
    )
    assert "usb-1, usb-2" in cli_desk.run("token", "add", "key").err
    terminal = cli_desk.terminal("token", "add")
    terminal.expect("  2  key (software, without a PIN)  usb-2")
    terminal.expect("which token [1-2]: ")
    terminal.type("2\n")
    assert terminal.wait() == 0
    message = cli_desk.called("change message")[0][1]
    assert (message["token"], message["name"]) == ("usb-2", "key 2")


def test_add_waits_for_a_new_token_at_a_terminal_only(cli_desk: Desk) -> None:
    ran = cli_desk.run("token", "add")
    assert (ran.code, ran.err.splitlines()[0]) == (
        4, "ownerctl: error: no token is there that is not enrolled already",
    )  # fmt: skip
    terminal = cli_desk.terminal("token", "add")
    terminal.expect("plug in the new token")
    cli_desk.plan(tokens=TWO_HERE)
    assert terminal.wait() == 0
    assert cli_desk.called("change message")[0][1]["token"] == "soft-2"


@pytest.mark.parametrize("wanted", [FIRST, "software token 1"])
def test_an_enrolled_token_is_named_by_id_or_name(cli_desk: Desk, wanted: str) -> None:
    ran = cli_desk.run("token", "name", wanted, "blue key")
    assert (ran.code, ran.out) == (0, f"{FIRST} is called blue key (entry 7)\n")
    assert cli_desk.called("change message")[0][1] == {
        "change": "token-name", "id": FIRST, "name": "blue key",
    }  # fmt: skip
    assert cli_desk.run("token", "test", wanted).out == f"{FIRST} opens the vault\n"


def test_a_token_that_is_not_enrolled_or_not_alone_is_none(cli_desk: Desk) -> None:
    ran = cli_desk.run("token", "test", "soft-1")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: no such token is enrolled")
    cli_desk.plan(enrolled=[{}, {**SPARE, "name": "software token 1"}])
    ran = cli_desk.run("token", "test", "software token 1")
    assert (ran.code, ran.out) == (2, "")
    assert "several tokens have that name" in ran.err


def test_remove_needs_the_name_typed_or_a_clear_yes(cli_desk: Desk) -> None:
    cli_desk.plan(enrolled=[{}, SPARE])
    for arguments in (["remove", "spare"], ["remove", "spare", "--json"]):
        ran = cli_desk.run("token", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "removing a token needs a person who says so" in ran.err
    terminal = cli_desk.terminal("token", "remove", "spare")
    terminal.expect("older copies of the files, such as backups, still open with it")
    terminal.expect("type its name to remove it (spare): ")
    terminal.type("spar\n")
    assert terminal.wait() == 2
    assert "nothing was removed" in terminal.shown
    assert cli_desk.called("change message") == []


def test_remove_prints_the_new_verifier_key_and_advice(cli_desk: Desk) -> None:
    cli_desk.plan(enrolled=[{}, SPARE])
    terminal = cli_desk.terminal("token", "remove", "spare")
    terminal.expect("type its name to remove it (spare): ")
    terminal.type("spare\n")
    assert terminal.wait() == 0
    assert "verifier key  ownerd/new+12+34" in terminal.shown
    assert "the ledger has a new verifier key" in terminal.shown
    ran = cli_desk.run("token", "remove", SPARE["id"], "--yes", "--json")
    assert (ran.code, ran.json["rotated"]) == (0, True)
    assert "still open with the removed token" in ran.err
    message = {"change": "token-remove", "id": SPARE["id"]}
    assert cli_desk.called("change message") == [["change message", message]] * 2


def test_a_pin_is_changed_on_the_token_that_is_meant(cli_desk: Desk) -> None:
    cli_desk.plan(tokens=TWO_HERE)
    assert cli_desk.run("token", "pin").code == 2
    ran = cli_desk.run("token", "pin", "software token 2")
    assert (ran.code, ran.out, ran.err) == (0, "changed the PIN of software token 2\n", "")
    assert cli_desk.called("pin of") == [["pin of", "soft-2"]]
    cli_desk.plan(change_pin={"error": "PinAtRisk", "message": "two tries are left"})
    ran = cli_desk.run("token", "pin")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("ownerctl: error: two tries are left\nownerctl: hint: ")


SIGNER = {"id": "00000000000000bb", "name": "office card", "type": "piv", "opens": False}


def test_a_token_that_only_signs_is_shown_tested_and_removed_as_what_it_is(cli_desk: Desk) -> None:
    cli_desk.plan(enrolled=[{}, SIGNER], tokens=TWO_HERE, opens=False)
    assert "no, approves only" in cli_desk.run("token", "list").out
    ran = cli_desk.run("token", "test", "office card")
    assert (ran.code, ran.out) == (0, "00000000000000bb approves, and opens nothing\n")
    ran = cli_desk.run("token", "add", "soft-2")
    assert (ran.code, "is no way in" in ran.err) == (0, True)
    assert "is added to it when an older token" not in ran.err
    ran = cli_desk.run("token", "remove", "office card", "--yes")
    assert (ran.code, "verifier key" in ran.out + ran.err) == (0, False)
    assert "no key is made anew" in ran.err
    ran = cli_desk.run("token", "remove", "office card", "--yes", "--json")
    assert ran.json == {"entry": 8, "rotated": False}


@pytest.mark.parametrize(
    ("flags", "curve"), [(["--make-keys"], "P-256"), (["--make-keys", "P-384"], "P-384"), ([], None)]
)
def test_keys_are_made_only_where_that_was_asked(cli_desk: Desk, flags: list[str], curve: str | None) -> None:
    asked = {} if curve is None else {"make_keys": curve}
    cli_desk.plan(tokens=TWO_HERE)
    assert cli_desk.run("token", "add", "soft-2", *flags).code == 0
    message = {"change": "token-add", "token": "soft-2", "user_verification": False, **asked}
    assert cli_desk.called("change message")[0][1] == {**message, "name": "software token 2"}
    cli_desk.plan(status={"unlocked": False})
    assert cli_desk.run("recovery", "use", "soft-1", *flags).code == 0
    message = {"token": "soft-1", "user_verification": False, **asked}
    assert cli_desk.called("recover message") == [["recover message", message]]
    cli_desk.plan(status={"set_up": False})
    assert cli_desk.run("setup", "--token", "soft-1", "--single-way-in", *flags).code == 0
    assert cli_desk.called("setup message") == [["setup message", message]]


def test_an_empty_card_leads_to_the_command_that_makes_its_keys(cli_desk: Desk) -> None:
    error = {"error": "KeysMissing", "message": "the card shows no signing key that ownerd can use"}
    cli_desk.plan(status={"set_up": False}, setup=error)
    ran = cli_desk.run("setup")
    assert ran.code == 4
    assert "ownerctl setup --make-keys or ownerctl token add --make-keys" in ran.err
    assert cli_desk.run("setup", "--make-keys", "P-521").code == 2


def test_the_shell_completes_the_curves(cli_desk: Desk) -> None:
    ran = cli_desk.run(
        _OWNERCTL_COMPLETE="bash_complete", COMP_WORDS="ownerctl setup --make-keys ", COMP_CWORD="3"
    )
    assert ran.out.split() == ["plain,P-256", "plain,P-384"]


def test_recovery_set_and_status(cli_desk: Desk) -> None:
    ran = cli_desk.run("recovery", "status")
    assert (ran.out, ran.err) == ("no recovery code\n", "ownerctl recovery set makes one\n")
    ran = cli_desk.run("recovery", "set")
    assert (ran.code, ran.out) == (0, "recovery code set (entry 6)\n")
    assert "nobody can show it again" in ran.err
    cli_desk.plan(recovery={"since_entry": 6, "providers": 0, "of": 0})
    ran = cli_desk.run("recovery", "status")
    assert (ran.out, ran.err) == ("recovery code set in entry 6, no provider keys yet\n", "")
    cli_desk.plan(recovery={"since_entry": 6, "providers": 1, "of": 3})
    assert "when they are next used" in cli_desk.run("recovery", "status").err
    assert cli_desk.run("recovery", "status", "--json").json == {
        "recovery": {"since_entry": 6, "providers": 1, "of": 3}
    }


def test_recovery_use_enrols_the_token_that_is_there(cli_desk: Desk) -> None:
    cli_desk.plan(status={"unlocked": False})
    ran = cli_desk.run("recovery", "use")
    assert (ran.code, ran.out) == (0, "enrolled software token 1 (entry 9)\n")
    assert "the vault is locked now" in ran.err
    message = {"token": "soft-1", "user_verification": False}
    assert cli_desk.called("recover message") == [["recover message", message]]


@pytest.mark.parametrize(
    ("status", "error"),
    [({}, "the vault is open, so no recovery is needed"), ({"set_up": False}, "there is no vault yet")],
)
def test_recovery_use_is_for_a_vault_that_nobody_can_open(
    cli_desk: Desk, status: dict[str, bool], error: str
) -> None:
    cli_desk.plan(status=status)
    ran = cli_desk.run("recovery", "use")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"ownerctl: error: {error}\nownerctl: hint: ")
    assert cli_desk.called("recover message") == []
