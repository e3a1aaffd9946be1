"""``ownerctl request --negotiate``, ``receipt``, and what ``approve`` and ``refuse`` change from elsewhere."""

from __future__ import annotations

import pytest
from tests.rigs.cli import Desk

OFFER = {
    "credentials": [
        {
            "id": "owner",
            "claims": [{"path": ["given_name"]}, {"path": ["age_over_18"], "instead_of": ["birthdate"]}],
        }
    ],
    "refused": [["phone_number"]],
    "withheld": [["address", "locality"]],
    "later": [["email"]],
    "terms": {"purpose": ["dpv:DeliveryOfGoods"], "retention_days": 30, "recipients": [], "agreement": None},
}
ASK = ("request", "--claim", "given_name")


def wishes(desk: Desk) -> list[list[object]]:
    return [call[1:] for call in desk.called("wishes")]


def test_an_app_that_does_not_bargain_says_so(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    assert cli_desk.run(*ASK).code == 0
    assert cli_desk.run(*ASK, "--ask").code == 0
    assert wishes(cli_desk) == [[False, None, False, False], [False, None, False, True]]


def test_a_counter_offer_that_nobody_accepts_is_shown_and_ends_with_6(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    ran = cli_desk.run(*ASK, "--negotiate")
    assert ran.code == 6
    assert [line.split("  ")[0] for line in ran.out.splitlines()[2:7]] == [
        "given_name", "age_over_18", "phone_number", "address.locality", "email",
    ]  # fmt: skip
    assert [line.split("  ")[-1].strip() for line in ran.out.splitlines()[2:7]] == [
        "as asked", "goes instead of birthdate", "refused", "held back", "later: ask again when it is needed",
    ]  # fmt: skip
    assert ran.out.splitlines()[8:] == [
        "under these terms:",
        "purpose    deliver goods to you",
        "kept       30 days at most",
        "passed on  to nobody",
    ]
    assert ran.err.splitlines() == [
        "the owner offers something else (round 1, entry 8):",
        "ownerctl: error: the owner offers something else than was asked",
        "ownerctl: hint: ownerctl request --accept takes whatever is offered",
    ]
    assert cli_desk.called("ended") == [["ended", "n-1"]]


def test_json_is_the_offer_as_it_came(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    ran = cli_desk.run(*ASK, "--negotiate", "--json")
    assert ran.code == 6
    assert ran.json["entry"] == 8
    assert {name: ran.json["offer"][name] for name in OFFER} == OFFER
    assert ran.json["offer"]["negotiation"] == "n-1"


def test_a_script_accepts_with_the_same_request(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    ran = cli_desk.run(*ASK, "--accept", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["claims"] == {"given_name": "Ada"}
    assert wishes(cli_desk) == [[True, None, False, False], [True, "n-1", True, False]]
    assert cli_desk.called("ended") == []


def test_a_person_is_asked_about_a_counter_offer(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    terminal = cli_desk.terminal(*ASK, "--negotiate")
    terminal.expect("accept this? [y/N]: ")
    assert "goes instead of birthdate" in terminal.shown
    terminal.type("y\n")
    assert terminal.wait() == 0
    assert "recorded as entry 4" in terminal.shown
    terminal = cli_desk.terminal(*ASK, "--negotiate")
    terminal.expect("accept this? [y/N]: ")
    terminal.type("\n")
    assert terminal.wait() == 6
    assert cli_desk.called("ended") == [["ended", "n-1"]]


def test_ctrl_c_at_the_question_ends_the_negotiation(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER])
    terminal = cli_desk.terminal(*ASK, "--negotiate")
    terminal.expect("accept this? [y/N]: ")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert cli_desk.called("ended") == [["ended", "n-1"]]
    assert len(wishes(cli_desk)) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"credentials": 7},
        {"credentials": [7]},
        {"credentials": [{"claims": "x"}]},
        {"later": 7},
        {"terms": {"purpose": 7}},
        {"terms": {"recipients": "x"}},
    ],
)
def test_an_offer_of_another_form_is_not_guessed_at(cli_desk: Desk, odd: dict[str, object]) -> None:
    cli_desk.plan(offers=[{**OFFER, **odd}])
    ran = cli_desk.run(*ASK, "--negotiate")
    assert ran.code == 1
    assert "not of its form" in ran.err
    assert cli_desk.called("ended") == [["ended", "n-1"]]


def test_a_counter_offer_that_was_not_asked_for_is_no_answer(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER], offers_forever=True)
    ran = cli_desk.run(*ASK)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("ownerctl: error: the daemon failed")


def test_offers_without_end_are_not_accepted_without_end(cli_desk: Desk) -> None:
    cli_desk.plan(offers=[OFFER], offers_forever=True)
    ran = cli_desk.run(*ASK, "--accept")
    assert (ran.code, ran.out) == (1, "")
    assert "without end" in ran.err
    assert len(wishes(cli_desk)) == 6


def test_an_offer_cannot_write_on_the_terminal(cli_desk: Desk) -> None:
    evil = [{"id": "owner", "claims": [{"path": ["x\x1b[2J\u202e"], "instead_of": ["y\nz"]}]}]
    terms = {**OFFER["terms"], "recipients": ["a\x1b]0;b"]}  # type: ignore[dict-item]
    cli_desk.plan(offers=[{**OFFER, "credentials": evil, "terms": terms}])
    ran = cli_desk.run(*ASK, "--negotiate")
    assert "\x1b" not in ran.out + ran.err
    assert "\u202e" not in ran.out
    assert "goes instead of y↵z" in ran.out


def test_a_receipt_goes_sealed_to_the_session_key(cli_desk: Desk) -> None:
    path = cli_desk.home / "receipt.jws"
    path.write_text("a.b.c\n")
    assert cli_desk.run("receipt", "4", str(path)).out == "recorded as entry 10, beside entry 4\n"
    ran = cli_desk.run("receipt", "4", "-", "--json", stdin='{"ok":"ä"}')
    assert ran.json == {"entry": 10, "answers": 4}
    assert [call[1] for call in cli_desk.called("receipt")] == [
        {"v": 1, "entry": 4, "receipt": "a.b.c"},
        {"v": 1, "entry": 4, "receipt": '{"ok":"ä"}'},
    ]


def test_a_receipt_is_bounded_and_goes_to_the_daemon_alone(cli_desk: Desk) -> None:
    most = "x" * (64 * 1024)
    assert cli_desk.run("receipt", "4", "-", stdin=most).code == 0
    for odd in (most + "x", "", " \n", b"\xff\xfe"):
        ran = cli_desk.run("receipt", "4", "-", stdin=odd)
        assert (ran.code, ran.out) == (1, ""), odd[:10]
    assert cli_desk.run("receipt", "4", "nowhere").code == 1
    assert cli_desk.run("receipt", "-1", "-").code == 2
    (cli_desk.home / "run/ownerd/session-key.json").unlink()
    ran = cli_desk.run("receipt", "4", "-", stdin="x")
    assert ran.code == 1
    assert "holds the name on the bus" in ran.err
    assert len(cli_desk.called("receipt")) == 1


def test_approve_narrows_terms_and_allows_repeats(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7", "8"])
    limits = ("--grant-days", "30", "--grant-count", "100", "--grant-per-hour", "20")
    ran = cli_desk.run("approve", "7", "--without", "email", "--retention", "P30D", *limits)
    assert (ran.code, ran.out) == (0, "7 no longer waits\n"), ran.err
    assert cli_desk.run("approve", "8", "--retention", "P0D").code == 0
    assert cli_desk.called("approve") == [
        ["approve", "7", None, ["email"], 30, [30, 100, 20]],
        ["approve", "8", None, [], 0],
    ]


def test_approve_explains_what_a_grant_and_a_time_are(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7"])
    ran = cli_desk.run("approve", "7", "--grant-days", "30", "--grant-count", "100")
    assert (ran.code, ran.err.splitlines()[1]) == (
        2, "ownerctl: hint: --grant-days 30 --grant-count 100 --grant-per-hour 20",
    )  # fmt: skip
    for odd in ("30", "P", "PT1H", "-P1D", "P200Y"):
        ran = cli_desk.run("approve", "7", "--retention", odd)
        assert (ran.code, ran.err.splitlines()[0]) == (2, "ownerctl: error: --retention is not a time"), odd
    days = ("--grant-days", "31", "--grant-count", "100", "--grant-per-hour", "20")
    ran = cli_desk.run("approve", "7", *days)
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "ownerctl: error: option grant_days is not from 1 to 30",
    )
    assert cli_desk.called("approve") == []


def test_an_app_is_refused_for_today(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["7"])
    assert cli_desk.run("refuse", "--today").out == "refused 7, and its app until midnight\n"
    assert cli_desk.called("refuse") == [["refuse", "7", "today"]]


def test_the_shell_completes_what_waits(cli_desk: Desk) -> None:
    cli_desk.plan(pending=["17", "18", "2"])
    words = {"COMP_WORDS": "ownerctl approve 1", "COMP_CWORD": "2", "_OWNERCTL_COMPLETE": "bash_complete"}
    assert cli_desk.run(**words).out.splitlines() == ["plain,17", "plain,18"]
    cli_desk.stop_agent()
    assert cli_desk.run(**words).out.strip() == ""
