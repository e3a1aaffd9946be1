"""``ownerctl grant``, ``provider rotate|forget``, and how ``ledger log`` words what bargaining leaves."""

from __future__ import annotations

from typing import Any

from tests.rigs._cli_agent import TIME
from tests.rigs.cli import Desk

GRANT = {
    "id": "9", "provider": "p1", "name": "shop.example", "claims": ["email", "age_over_18"], "since": TIME,
    "until": "2026-12-23T14:00:00.123Z", "count": 100, "used": 3, "per_hour": 20, "live": True,
}  # fmt: skip
SHOP = {"name": "shop.example", "trust": "pinned", "key": "AbCdEfGhIjKlMnOp"}
BROWSER = {"label": "browser", "confidence": "scope"}


def entry(seq: int, kind: str, facts: dict[str, Any], **values: Any) -> dict[str, Any]:
    shown = {"provider": SHOP, "app": BROWSER, **values}
    return {
        "seq": seq,
        "time": TIME,
        "kind": kind,
        "approval": kind == "grant",
        "facts": facts,
        "values": shown,
    }


def test_grants_are_listed_and_shown(cli_desk: Desk) -> None:
    ran = cli_desk.run("grant", "list")
    assert (ran.code, ran.out, ran.err) == (0, "", "no provider may repeat anything without a touch\n")
    cli_desk.plan(grants=[GRANT, {**GRANT, "id": 12, "live": False}])
    rows = [" ".join(line.split()) for line in cli_desk.run("grant", "list").out.splitlines()[2:]]
    both = "shop.example email, age_over_18 2026-12-23 14:00:00 3 of 100 20"
    assert rows == [f"9 {both} yes", f"12 {both} no"]
    assert cli_desk.run("grant", "list", "--json").json["grants"][0] == GRANT
    assert cli_desk.run("grant", "show", "9", "--json").json == GRANT
    assert "until     2026-12-23 14:00:00\n" in cli_desk.run("grant", "show", "12").out
    assert cli_desk.run("grant", "show", "3").code == 1
    assert cli_desk.called("read message")[-1][1] == {"what": "grants"}


def test_a_grant_is_revoked(cli_desk: Desk) -> None:
    assert cli_desk.run("grant", "revoke", "9").out == "revoked 9 (entry 12)\n"
    assert cli_desk.called("change message") == [["change message", {"change": "grant-revoke", "id": "9"}]]
    ran = cli_desk.run("grant", "revoke", "3")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: no such grant")


def test_a_provider_key_is_rotated_and_the_hand_over_written(cli_desk: Desk) -> None:
    path = cli_desk.home / "handover.jwt"
    ran = cli_desk.run("provider", "rotate", "p1", "--out", str(path))
    assert (ran.code, ran.err) == (0, f"hand-over written to {path}\n")
    assert "did:jwk:new" in ran.out
    assert path.read_text() == "a.hand.over\n"
    before = len(cli_desk.calls())
    assert cli_desk.run("provider", "rotate", "p1", "--out", str(path)).code == 1
    assert len(cli_desk.calls()) == before, "nobody touched for nothing"
    assert cli_desk.run("provider", "rotate", "p1", "--json").json["handover"] == "a.hand.over"
    assert cli_desk.run("provider", "rotate", "p2").code == 1


def test_forgetting_says_what_is_lost_and_asks(cli_desk: Desk) -> None:
    ran = cli_desk.run("provider", "forget", "p1")
    assert (ran.code, ran.err.splitlines()[1]) == (2, "ownerctl: hint: on a terminal, or with --yes")
    terminal = cli_desk.terminal("provider", "forget", "p1")
    terminal.expect("forget it? [y/N]: ")
    assert "its key, its aliases and its grants here are deleted" in terminal.shown
    terminal.type("\n")
    assert terminal.wait() == 2
    assert cli_desk.called("change message") == []
    assert cli_desk.run("provider", "forget", "p1", "--yes").out == "forgot p1 (entry 12)\n"
    assert cli_desk.called("change message") == [
        ["change message", {"change": "provider-forget", "id": "p1"}]
    ]


def log(desk: Desk, *entries: dict[str, Any]) -> list[str]:
    desk.plan(entries=list(entries))
    return [line.split("14:00:00", 1)[1].strip() for line in desk.run("ledger", "log").out.splitlines()[2:]]


def test_the_log_words_what_bargaining_leaves(cli_desk: Desk) -> None:
    claim = {"name": "age_over_18", "value": True, "version": 1, "form": "derived", "of": "birthdate"}
    limits = {"until": "2026-12-23T14:00:00.123Z", "count": 100, "per_hour": 20}
    receipt = {"text": "SECRET", "payload": None, "signature": "good", "accepts_terms": True}
    lines = log(
        cli_desk,
        entry(7, "provider-pinned", {}),
        entry(8, "offer", {}, **{"purpose": None, "claim/0": claim, "statement": {"document": {"round": 2}}}),
        entry(9, "grant", limits, **{"claim/0": claim}),
        entry(10, "disclosure", {"grant": 9}, **{"claim/0": claim}),
        entry(11, "receipt", {"entry": 10}, receipt=receipt),
        entry(12, "grant-ended", {"grant": 9}, reason="revoked"),
        entry(13, "owner-change", {}, statement={"kind": "policy", "text": "SECRET"}),
        entry(14, "key-rotated", {}, statement={"kind": "provider-rotated"}),
    )
    who = "shop.example; browser; "
    age = "age_over_18 instead of birthdate; "
    assert [" ".join(line.split()) for line in lines] == [
        f"provider-pinned {who}key AbCdEfGhIjKl…",
        f"offer {who}{age}round 2",
        f"grant touch {who}{age}until 2026-12-23 14:00:00; at most 100 times, 20 an hour",
        f"disclosure grant 9 {who}{age}under grant 9",
        f"receipt {who}signed by its key; accepts the terms; for entry 10",
        f"grant-ended {who}revoked; grant 9",
        f"owner-change {who}the policy",
        f"key-rotated {who}a new key",
    ]


def test_an_entry_under_a_grant_names_it(cli_desk: Desk) -> None:
    claim = {
        "name": "email",
        "value": "shop+x@example.org",
        "version": 1,
        "form": "alias",
        "of": "phone_number",
    }
    cli_desk.plan(entries=[entry(10, "disclosure", {"grant": 9}, **{"claim/0": claim})])
    lines = [" ".join(line.split()) for line in cli_desk.run("ledger", "show", "10").out.splitlines()]
    assert "approved by grant 9" in lines
    assert "email shop+x@example.org (version 1, instead of phone_number)" in lines
