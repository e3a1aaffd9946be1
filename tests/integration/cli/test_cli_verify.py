"""``ledger verify``, ``head`` and ``log --offline``: the file alone, no bus, no daemon."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.rigs.cli import Desk
from tests.rigs.ledgers import LedgerMaker, bad_day_ledger, small_ledger, write_database


@pytest.fixture
def offline_desk(tmp_path: Path) -> Desk:
    """No bus at all."""
    return Desk(tmp_path, "unix:path=/nonexistent")


@pytest.fixture
def ledger_path(offline_desk: Desk, ledger_maker: LedgerMaker) -> Path:
    directory = offline_desk.home / "data" / "ownerd"
    directory.mkdir(parents=True)
    return write_database(directory / "ownerd.db", ledger_maker.tables)


def test_a_sound_ledger_holds_and_says_what_is_not_proven(offline_desk: Desk, ledger_path: Path) -> None:
    ran = offline_desk.run("ledger", "verify")
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == [
        "result         holds",
        "origin         self-consistent, origin unproven",
    ]
    assert "give --key with the verifier key" in ran.err


def test_the_key_from_outside_proves_the_origin(
    offline_desk: Desk, ledger_path: Path, ledger_maker: LedgerMaker
) -> None:
    ran = offline_desk.run("ledger", "verify", "--key", ledger_maker.verifier_key, "--json")
    assert (ran.code, ran.json["origin"], ran.json["findings"], ran.err) == (0, "proven", [], "")
    other = small_ledger("another").verifier_key
    ran = offline_desk.run("ledger", "verify", "--key", other, "--json")
    assert ran.code == 5
    assert {one["name"] for one in ran.json["findings"]} >= {"WrongVerifierKey"}
    ran = offline_desk.run("ledger", "verify", "--key", "no key")
    assert ran.code == 2


def test_which_of_several_keys_proves_the_origin_is_said(offline_desk: Desk, tmp_path: Path) -> None:
    day = bad_day_ledger()
    path, first = write_database(tmp_path / "day.db", day.tables), LedgerMaker("bad day").verifier_key
    for key, by in ((first, "the first key"), (day.verifier_key, "the key of entry 12")):
        ran = offline_desk.run("ledger", "verify", "--file", str(path), "--key", key)
        assert (ran.code, ran.out.splitlines()[1]) == (0, f"origin         proven, by {by}")
    ran = offline_desk.run("ledger", "verify", "--file", str(path), "--key", first, "--json")
    assert (ran.json["proven_by"], ran.json["rotations"]) == (0, 2)
    assert ran.json["verifier_key"] == day.verifier_key


def test_a_changed_entry_is_named_and_exits_5(offline_desk: Desk, ledger_path: Path) -> None:
    with sqlite3.connect(ledger_path) as connection:
        (leaf,) = connection.execute("SELECT leaf FROM entry WHERE seq = 4").fetchone()
        connection.execute("UPDATE entry SET leaf = ? WHERE seq = 4", (leaf.replace(b":00:0", b":00:1", 1),))
    ran = offline_desk.run("ledger", "verify")
    assert ran.code == 5
    first = ran.out.splitlines()[0]
    assert "entry 4" in first or "entries 4" in first, ran.out
    assert "TAMPERED OR DAMAGED" in ran.out
    assert ran.err.startswith("ownerctl: error: the ledger is not what it should be\n")


def test_a_head_kept_elsewhere_reveals_a_roll_back(
    offline_desk: Desk, ledger_path: Path, ledger_maker: LedgerMaker
) -> None:
    head = offline_desk.home / "kept.head"
    head.write_text(offline_desk.run("ledger", "head").out)
    assert head.read_bytes() == ledger_maker.tables.checkpoints[-1][1]
    assert offline_desk.run("ledger", "verify", "--head", str(head)).code == 0
    with sqlite3.connect(ledger_path) as connection:
        for table, column in (("entry", "seq"), ("opening", "seq")):
            connection.execute(f"DELETE FROM {table} WHERE {column} > 17")
        connection.execute("DELETE FROM checkpoint WHERE size > 18")
    assert offline_desk.run("ledger", "verify").code == 0  # nothing in the file itself tells
    ran = offline_desk.run("ledger", "verify", "--head", str(head))
    assert ran.code == 5
    assert "RolledBack" in ran.out


def test_a_file_that_is_no_head_is_no_finding(offline_desk: Desk, ledger_path: Path) -> None:
    other = offline_desk.home / "notes"
    other.write_text("buy milk\n")
    ran = offline_desk.run("ledger", "verify", "--head", str(other))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == "ownerctl: error: the head is no checkpoint of ownerd"
    ran = offline_desk.run("ledger", "verify", "--head", str(other.with_name("none")))
    assert ran.err.splitlines()[0] == "ownerctl: error: the head cannot be read: no such file or directory"
    other.write_text(offline_desk.run("ledger", "head").out.replace("\n", "", 1))
    assert "BadHead" in offline_desk.run("ledger", "verify", "--head", str(other)).out


def test_log_offline_has_kinds_and_times(offline_desk: Desk, ledger_path: Path) -> None:
    ran = offline_desk.run("ledger", "log", "--offline", "-n", "2", "--json")
    assert [entry["kind"] for entry in ran.json["entries"]] == ["locked", "request"]
    assert [entry["values"] for entry in ran.json["entries"]] == [None, None]
    ran = offline_desk.run("ledger", "log", "--offline", "-n", "2")
    assert (ran.code, len(ran.out.splitlines())) == (0, 4)


def test_without_a_file_it_says_so(offline_desk: Desk) -> None:
    ran = offline_desk.run("ledger", "verify")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("ownerctl: error: there is no ledger file\nownerctl: hint: ")


def test_it_writes_nothing_beside_the_file(offline_desk: Desk, ledger_path: Path) -> None:
    before = ledger_path.read_bytes()
    offline_desk.run("ledger", "verify")
    assert ledger_path.read_bytes() == before
    assert {path.name for path in ledger_path.parent.iterdir()} <= {
        "ownerd.db",
        "ownerd.db-wal",
        "ownerd.db-shm",
    }
