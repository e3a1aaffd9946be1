"""Threat: the write-ahead log is damaged, cut or taken away. SQLite says nothing about it; verification does."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from demo.stage import BIN
from tests.rigs.ledgers import SCHEMA, small_ledger

from ownerctl.wal import wal_findings
from ownerd.ledger.findings import Damage

SMALL = small_ledger()
HEADER, FRAME, PAGE = 32, 24, 4096


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """What a killed daemon leaves behind: all entries but the first ten in the log alone."""
    live, left = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("left")
    connection = sqlite3.connect(live / "ownerd.db", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("PRAGMA journal_mode=WAL")
    tables = SMALL.tables
    for number, (seq, leaf) in enumerate(tables.entries):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO entry VALUES (?, ?)", (seq, leaf))
        for row in tables.checkpoints:
            if row[0] == seq + 1:
                connection.execute("INSERT INTO checkpoint VALUES (?, ?)", row)
        for row in tables.openings:
            if row[0] == seq:
                connection.execute("INSERT INTO opening VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")
        if number == 9:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("ownerd.db", "ownerd.db-wal", "ownerd.db-shm"):
        shutil.copy(live / name, left / name)
    connection.close()
    return left


@pytest.fixture
def path(killed, tmp_path) -> Path:
    for file in killed.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "ownerd.db"


def names(path: Path) -> list[Damage]:
    return [one.name for one in wal_findings(path)]


def log(path: Path) -> Path:
    return path.with_name("ownerd.db-wal")


def test_what_a_killed_daemon_leaves_is_no_damage(path):
    assert names(path) == []
    assert verified(path)["entries"] == 20


def verified(path: Path) -> dict:
    command = [str(BIN / "ownerctl"), "ledger", "verify", "--file", str(path), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def frames(path: Path) -> int:
    return (log(path).stat().st_size - HEADER) // (FRAME + PAGE)


def test_a_changed_byte_in_any_frame_is_damage(path):
    good = log(path).read_bytes()
    for frame in {0, 1, frames(path) // 2, frames(path) - 1}:
        at = HEADER + frame * (FRAME + PAGE)
        for place in (at, at + 5, at + 9, at + 13, at + 17, at + 22, at + FRAME + 77):
            log(path).write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
            assert names(path) == [Damage.DAMAGED_WAL], (frame, place - at)


@pytest.mark.parametrize("place", range(0, HEADER, 3))
def test_a_changed_byte_in_the_header_is_damage(path, place):
    good = log(path).read_bytes()
    log(path).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    assert names(path) == [Damage.DAMAGED_WAL]


def test_verify_names_it_though_sqlite_reads_an_older_good_ledger(path):
    good = log(path).read_bytes()
    place = HEADER + FRAME + 100
    log(path).write_bytes(good[:place] + b"\xff" + good[place + 1 :])
    said = verified(path)
    assert said["ok"] is False
    assert said["entries"] == 10
    assert "DamagedWal" in [one["name"] for one in said["findings"]]


def test_a_log_that_was_taken_away_is_missed(path):
    log(path).unlink()
    assert names(path) == [Damage.MISSING_WAL]


def test_with_its_index_gone_too_only_a_head_tells(path, tmp_path):
    """What docs/LEDGER.md says cannot be seen in the file alone."""
    log(path).unlink()
    path.with_name("ownerd.db-shm").unlink()
    assert names(path) == []
    head = tmp_path / "head"
    head.write_bytes(SMALL.head())
    command = [str(BIN / "ownerctl"), "ledger", "verify", "--file", str(path), "--head", str(head), "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert "RolledBack" in [one["name"] for one in said["findings"]]


def test_a_log_cut_inside_a_header_is_damage(path):
    log(path).write_bytes(log(path).read_bytes()[:20])
    assert names(path) == [Damage.DAMAGED_WAL]


def test_frames_of_an_earlier_round_are_none(path):
    """A log that was begun anew keeps old frames behind the new ones."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("DELETE FROM entry WHERE seq = 19")
    assert frames(path) > 3
    assert names(path) == []
    connection.close()
