"""Threat: a hostile or broken database file. It is refused by name or verified as it is; it never crashes."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys

import pytest
from tests.rigs.ledgers import SCHEMA, Tables, TestToken, small_ledger, write_database

from ownerctl.ledger_file import open_ledger
from ownerd.ledger.findings import Damage
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.errors import Malformed, OwnerdError, StorageError
from ownerd.model.names import Kind

SMALL = small_ledger()


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    return write_database(tmp_path_factory.mktemp("ledger") / "ownerd.db", SMALL.tables)


@pytest.fixture
def path(good_file, tmp_path):
    """A copy of the small ledger's file; `%` and `?` in its path are no URI syntax."""
    folder = tmp_path / "a %41?b#c"
    folder.mkdir()
    return shutil.copy(good_file, folder / "ownerd.db")


def verify(path) -> Report:
    with open_ledger(path) as file:
        return verify_ledger(file.entries(), file.checkpoints(), file.openings())


def execute(path, statements: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(statements)
    connection.close()


def test_the_file_of_a_good_ledger(path):
    with open_ledger(path) as file:
        assert file.count() == 20
        assert list(file.entries()) == SMALL.tables.entries
        assert list(file.checkpoints()) == SMALL.tables.checkpoints
    assert verify(path).ok


def test_it_reads_one_moment_while_the_daemon_appends(path):
    maker = small_ledger()
    maker.append(Kind.UNLOCKED, token=TestToken("token-2", user_verification=True))
    with open_ledger(path) as file:
        entries = file.entries()
        first = next(entries)
        writer = sqlite3.connect(path)
        writer.execute("INSERT INTO entry VALUES (?, ?)", maker.tables.entries[-1])
        writer.execute("INSERT INTO checkpoint VALUES (?, ?)", maker.tables.checkpoints[-1])
        writer.commit()
        assert [first, *entries] == SMALL.tables.entries
        assert file.count() == 20
        assert verify_ledger(file.entries(), file.checkpoints(), file.openings()).ok
        writer.close()
    report = verify(path)
    assert (report.entries, report.ok) == (21, True)


def test_what_is_still_in_the_write_ahead_log_is_read(path):
    writer = sqlite3.connect(path)
    writer.execute("DELETE FROM entry WHERE seq = 19")
    writer.commit()
    with open_ledger(path) as file:
        assert file.count() == 19
    writer.close()


def open_in_frozen_directory(path) -> str:
    """Open the ledger in another process that cannot write beside it; "ok", or the name of the error."""
    program = """
import sys, pathlib
from ownerctl.ledger_file import open_ledger
from ownerd.ledger.verify import verify_ledger
from ownerd.model.errors import OwnerdError
try:
    with open_ledger(pathlib.Path(sys.argv[1])) as file:
        report = verify_ledger(file.entries(), file.checkpoints(), file.openings())
    print("ok" if report.ok else "damaged")
except OwnerdError as error:
    print(error.id)
"""
    # Root writes everywhere, unless this capability is taken away.
    drop = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    path.parent.chmod(0o500)
    try:
        run = subprocess.run(
            [*drop, sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
        )
    finally:
        path.parent.chmod(0o700)
    return run.stdout.strip()


def test_a_file_on_a_medium_that_cannot_be_written_is_read(path):
    assert open_in_frozen_directory(path) == "ok"
    assert list(path.parent.iterdir()) == [path]


def test_there_nothing_is_assumed_with_a_writers_log_beside_it(path):
    path.with_name("ownerd.db-wal").write_bytes(b"x" * 64)
    assert open_in_frozen_directory(path) == "StorageError"


def test_there_another_programs_file_is_refused_too(path):
    execute(path, "PRAGMA application_id = 7")
    assert open_in_frozen_directory(path) == "NotALedger"


def test_there_a_broken_file_is_an_error_of_ours(path):
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)
    assert open_in_frozen_directory(path) == "StorageError"


def test_reading_cannot_write(path):
    with open_ledger(path) as file, pytest.raises(sqlite3.OperationalError):
        file._connection.execute("DELETE FROM entry")


@pytest.mark.parametrize(
    "damage",
    [
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 2",
        "DROP TABLE opening",
        "ALTER TABLE entry ADD COLUMN more BLOB",
        "ALTER TABLE entry RENAME TO other; CREATE VIEW entry AS SELECT * FROM other",
        "DROP TABLE entry; CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL)",
        "DROP TABLE entry; CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB AS (x'00')) STRICT",
        "DROP TABLE entry; CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf TEXT NOT NULL) STRICT",
    ],
)
def test_another_schema_is_refused(path, damage):
    execute(path, damage)
    with pytest.raises(Malformed):
        open_ledger(path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"not a database" * 100, "no database at all"),
        (b"", "is blank"),
        (bytes(8192), "is blank"),
        (b"ownerd backup 1\n" + bytes(100), "is a backup"),
    ],
)
def test_other_files_are_refused_and_named(tmp_path, data, sentence):
    other = tmp_path / "file"
    with pytest.raises(StorageError):
        open_ledger(other)
    other.write_bytes(data)
    with pytest.raises(Malformed, match=sentence) as caught:
        open_ledger(other)
    assert caught.value.given_hint or caught.value.hint
    with pytest.raises(StorageError):
        open_ledger(tmp_path)


def test_a_null_key_or_text_in_a_row_is_no_crash(tmp_path):
    path = tmp_path / "ownerd.db"
    execute(path, SCHEMA + "PRAGMA writable_schema=ON;")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'entry'")
    connection.commit()
    connection.close()
    execute(path, "INSERT INTO entry VALUES (0, 'text')")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'entry'")
    connection.commit()
    connection.close()
    with open_ledger(path) as file, pytest.raises(StorageError):
        list(file.entries())
    assert [one.name for one in verify(path).findings] == [Damage.UNREADABLE, Damage.BAD_GENESIS]


@pytest.mark.parametrize(
    ("statement", "name", "seq"),
    [
        (
            "UPDATE entry SET leaf = replace(leaf, 'owner-change', 'owner-charge') WHERE seq = 2",
            "NotCanonical",
            2,
        ),
        ("DELETE FROM entry WHERE seq = 7", "Gap", 7),
        ("DELETE FROM entry WHERE seq > 9", "Truncated", 10),
        ("UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE seq = 9) WHERE seq = 5", "Reordered", 5),
        (
            "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE size = 5) WHERE size = 6",
            "BadCheckpoint",
            5,
        ),
        ("DELETE FROM checkpoint WHERE size = 10", "MissingCheckpoint", 9),
        ("DELETE FROM opening WHERE seq = 4", "MissingOpening", 4),
        ("UPDATE opening SET ciphertext = zeroblob(60) WHERE seq = 9", "BadOpening", 9),
        ("INSERT INTO opening VALUES (5, x'00', x'00')", "ExtraOpening", 5),
    ],
)
def test_edits_in_sql_are_named(path, statement, name, seq):
    connection = sqlite3.connect(path)
    # replace() makes text of a blob; STRICT wants it back as one.
    statement = statement.replace(
        "replace(leaf, 'owner-change', 'owner-charge')",
        "CAST(replace(CAST(leaf AS TEXT), 'owner-change', 'owner-charge') AS BLOB)",
    )
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert (name, seq) in [(one.name, one.first) for one in verify(path).findings]


def test_random_damage_to_the_file_is_named_or_harmless(good_file, tmp_path):
    """Whole pages of noise, single bytes, cut ends: an error of ours, findings, or the same rows as before."""
    chance, original = random.Random(7), good_file.read_bytes()
    path, outcomes = tmp_path / "ownerd.db", set()
    for _ in range(150):
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 8))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            report = verify(path)
        except OwnerdError as error:
            outcomes.add(error.id)
            continue
        outcomes.add("found" if report.findings else "harmless")
        if report.ok:
            with open_ledger(path) as file:
                assert list(file.entries()) == SMALL.tables.entries
                assert list(file.checkpoints()) == SMALL.tables.checkpoints
                assert list(file.openings()) == [(seq, data) for seq, _, data in SMALL.tables.openings]
        for leftover in tmp_path.glob("ownerd.db-*"):
            leftover.unlink()
    assert outcomes >= {"found", "harmless"}
    assert outcomes & {"Malformed", "NotALedger"}


def test_an_empty_ledger_of_the_right_form(tmp_path):
    report = verify(write_database(tmp_path / "ownerd.db", Tables()))
    assert [one.name for one in report.findings] == [Damage.BAD_GENESIS]
