"""``ledger export`` as a process: pages of a scripted daemon, files, refusals, and the file alone."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from tests.rigs._cli_agent import TIME
from tests.rigs.cli import Desk
from tests.rigs.ledgers import bad_day_ledger, write_database

from ownerd.model.encoding import parse_b64u

LOG = "0" * 32


def entry(seq: int, kind: str = "disclosure", **more) -> dict:
    values = {"provider": {"name": "=shop", "client_id": "x509_san_dns:shop.example", "trust": "verified"}}
    values["claim/0"] = {"name": "email", "value": f"ada{seq}\x1b[2J@example.org", "version": 1}
    return {"seq": seq, "time": TIME, "kind": kind, "approval": True, "facts": {}, "values": values} | more


def page(*entries: dict, after: int | None = None) -> dict:
    return {"entries": list(entries), "log": LOG, "approved": 9, "next": after}


@pytest.fixture
def paged(cli_desk: Desk) -> Desk:
    """A ledger of three entries in two pages."""
    cli_desk.plan(
        status={"entries": 3},
        pages={"0": page(entry(0), entry(1), after=2), "2": page(entry(2, values=None))},
    )
    return cli_desk


@pytest.fixture
def offline_desk(tmp_path: Path) -> Desk:
    """No bus at all, and a ledger with every kind of bad day."""
    directory = tmp_path / "data" / "ownerd"
    directory.mkdir(parents=True)
    write_database(directory / "ownerd.db", bad_day_ledger().tables)
    return Desk(tmp_path, "unix:path=/nonexistent")


def test_one_question_and_then_pages_with_the_same_key(paged: Desk) -> None:
    ran = paged.run("ledger", "export", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert [one["seq"] for one in ran.json["entries"]] == [0, 1, 2]
    assert ran.json["log"] == LOG
    assert ran.json["entries"][0]["values"]["claim/0"]["value"] == "ada0\x1b[2J@example.org", "exact"
    assert "\x1b" not in ran.out
    assert [call[1] for call in paged.called("read message")] == [
        {"what": "entries", "start": 0, "count": 3},
        {"what": "entries", "approved": 9, "start": 2},
    ]
    assert len({call[1] for call in paged.called("read key")}) == 1


def test_forms_that_look_ahead_read_the_facts_first_and_ask_once(paged: Desk) -> None:
    ran = paged.run("ledger", "export", "--format", "consent")
    assert (ran.code, len(ran.json["dpv:hasRecordOfActivity"])) == (0, 3)
    assert [call[1] for call in paged.called("read message")] == [
        {"what": "entries", "start": 0, "count": 3, "values": False},
        {"what": "entries", "approved": 9, "start": 2, "values": False},
        {"what": "entries", "approved": 9, "start": 0},
        {"what": "entries", "approved": 9, "start": 2},
    ]


def test_a_file_is_private_and_never_replaces_another_unasked(paged: Desk) -> None:
    out = paged.home / "ledger.csv"
    command = ("ledger", "export", "--format", "csv", "--out", str(out))
    ran = paged.run(*command)
    assert (ran.code, ran.out) == (0, "wrote 3 entries\n")
    assert out.stat().st_mode & 0o777 == 0o600
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows[1][4] == "'=shop"
    assert rows[1][11] == "ada0\\u001b[2J@example.org"
    assert rows[3][-1] == "values erased"
    ran = paged.run(*command)
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: the file exists already")
    nowhere = str(paged.home / "none" / "log.csv")
    ran = paged.run(*command[:-1], nowhere)
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: the file cannot be written there")
    assert len(paged.called("read")) == 2, "nobody touched for nothing"
    (paged.home / "link").symlink_to(paged.home / "elsewhere")
    assert paged.run("ledger", "export", "--format", "csv", "--out", str(paged.home / "link")).code == 1
    assert not (paged.home / "elsewhere").exists()
    ran = paged.run(*command, "--force", "--json")
    assert (ran.code, ran.json) == (0, {"entries": 3})
    assert [one.name for one in paged.home.iterdir() if one.name.startswith(".ownerctl")] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"0": page(entry(0), entry(2), after=2)},
        {"0": page(entry(0), entry(1), after=7)},
        {"0": page(entry(0), entry(1), after=2), "2": page(after=2)},
        {"0": page(entry(0, time=None))},
        {"0": {"entries": [], "next": None}},
        {"0": {"entries": "none", "log": LOG, "next": None}},
    ],
)
def test_a_daemon_that_leaves_entries_out_is_caught_and_no_file_stays(cli_desk: Desk, broken: dict) -> None:
    cli_desk.plan(status={"entries": 3}, pages=broken)
    ran = cli_desk.run("ledger", "export", "--format", "json", "--out", "x.json")
    assert ran.code == 1
    assert "do the versions of ownerd and ownerctl match" in ran.err
    assert not (cli_desk.home / "x.json").exists()


def test_a_refused_touch_leaves_no_file(cli_desk: Desk) -> None:
    cli_desk.plan(read={"error": "Dismissed"})
    ran = cli_desk.run("ledger", "export", "--format", "ts10", "--out", "x.json")
    assert ran.code == 3
    assert not (cli_desk.home / "x.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "xml"), "invalid value"),
        ((), "missing option"),
        (("--format", "json", "--file", "x"), "--file needs --offline"),
        (
            ("--format", "json", "--offline", "--provider", "shop"),
            "the file alone does not know the providers",
        ),
        (("--format", "json", "--force"), "--force needs --out"),
        (("--format", "json", "--seal"), "--seal is for ts10"),
        (("--format", "json", "--from", "2026-13-01"), "invalid value"),
        (
            ("--format", "json", "--from", "2026-11-02", "--to", "2026-11-01"),
            "the period ends before it begins",
        ),
        (("--format", "json", "--to", "9999-12-31"), "there is no such day"),
    ],
)
def test_what_makes_no_sense_is_said_before_anybody_is_asked(
    cli_desk: Desk, arguments: tuple[str, ...], says: str
) -> None:
    ran = cli_desk.run("ledger", "export", *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert cli_desk.called("read") == []


def test_a_provider_and_a_period_are_chosen_here(paged: Desk) -> None:
    ran = paged.run("ledger", "export", "--format", "json", "--provider", "X509_san_dns:shop.example")
    assert [one["seq"] for one in ran.json["entries"]] == [0, 1]
    assert "1 entries do not say whose they are" in ran.err
    ran = paged.run("ledger", "export", "--format", "json", "--from", "2026-11-24")
    assert ran.json["entries"] == []
    ran = paged.run("ledger", "export", "--format", "json", "--from", "2026-11-23", "--to", "2026-11-23")
    assert len(ran.json["entries"]) == 3


def test_a_terminal_gets_nothing_that_it_would_obey(paged: Desk) -> None:
    terminal = paged.terminal("ledger", "export", "--format", "csv")
    assert terminal.wait() == 0
    assert "\\u001b[2J" in terminal.shown
    assert "\x1b[2J" not in terminal.shown


def test_ts10_is_sealed_under_a_password_that_is_shown_once(offline_desk: Desk) -> None:
    command = ("ledger", "export", "--format", "ts10", "--offline")
    clear = offline_desk.run(*command).out
    out = offline_desk.home / "log.jwe"
    ran = offline_desk.run(*command, "--seal", "--out", str(out), "--json")
    password = ran.json["password"]
    assert (ran.code, len(password), out.stat().st_mode & 0o777) == (0, 26, 0o600)
    header = json.loads(parse_b64u(out.read_text().split(".")[0]))
    assert (header["alg"], header["enc"]) == ("PBES2-HS256+A128KW", "A128GCM")
    algorithms = [header["alg"], header["enc"]]
    opened = jwe.decrypt_compact(out.read_text().strip(), OctKey.import_key(password), algorithms=algorithms)
    assert opened.plaintext == clear.encode()
    with pytest.raises(JoseError):
        jwe.decrypt_compact(out.read_text().strip(), OctKey.import_key("x" * 26), algorithms=algorithms)
    ran = offline_desk.run(*command, "--seal")
    assert (ran.code, ran.out.count("."), "password: " in ran.err) == (0, 4, True)
    assert password not in ran.err


def test_offline_needs_no_daemon_and_has_no_values(offline_desk: Desk) -> None:
    ran = offline_desk.run("ledger", "export", "--format", "json", "--offline")
    assert ran.code == 0
    assert ran.json["values"] is False
    assert {one["values"] for one in ran.json["entries"]} == {None}
    kinds = [one["kind"] for one in ran.json["entries"]]
    for form in ("consent", "ts10", "csv"):
        ran = offline_desk.run("ledger", "export", "--format", form, "--offline", LC_ALL="C")
        assert ran.code == 0
        assert ran.out
    assert kinds[0] == "genesis"
    ran = offline_desk.run("ledger", "export", "--format", "json", "--offline", "--file", os.devnull)
    assert (ran.code, ran.out) == (1, "")


def test_a_kind_of_the_future_in_the_file_passes_and_garbage_does_not(offline_desk: Desk) -> None:
    path = offline_desk.home / "data" / "ownerd" / "ownerd.db"
    with sqlite3.connect(path) as connection:
        (leaf,) = connection.execute("SELECT leaf FROM entry WHERE seq = 4").fetchone()
        future = json.loads(leaf)
        future["core"] |= {"kind": "teleported", "facts": {"to": "moon"}}
        connection.execute("UPDATE entry SET leaf = ? WHERE seq = 4", (json.dumps(future).encode(),))
    ran = offline_desk.run("ledger", "export", "--format", "json", "--offline")
    found = ran.json["entries"][4]
    assert (found["kind"], found["facts"], found["approved_by"]) == ("teleported", {"to": "moon"}, "touch")
    for garbage in (b"", b"{", b"[]", b'{"core":{"kind":4}}', b'{"core":{},"core":{}}', b"\xff"):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE entry SET leaf = ? WHERE seq = 4", (garbage,))
        ran = offline_desk.run("ledger", "export", "--format", "json", "--offline", "--out", "x.json")
        assert ran.code == 5
        assert not (offline_desk.home / "x.json").exists()
