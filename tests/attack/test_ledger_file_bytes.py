"""Threat: a byte of the database file is another, or a row of it is gone. What is read is the same, or it is found.

Other tests flip bytes of rows; here they are bytes of the SQLite file, with its header, schema, page and cell
headers, record headers and unused room. The file is as small as SQLite makes it: pages of 512 bytes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rigs.ledgers import SCHEMA, LedgerMaker, Tables, TestToken, bad_day_ledger

from ownerctl.ledger_file import open_ledger
from ownerd.ledger.verify import verify_ledger
from ownerd.model.errors import Malformed, StorageError
from ownerd.model.names import Kind

Rows = tuple[list[tuple[int, bytes]], list[tuple[int, bytes]], list[tuple[int, bytes]]]
SAME, FOUND, REFUSED = "read the same", "found", "refused"
SHORT_STEP = 13  # bytes


def three_entries() -> Tables:
    """Genesis, the first token, and one change with an opening."""
    maker, token = LedgerMaker("bytes"), TestToken()
    maker.set_up(token)
    maker.append(Kind.OWNER_CHANGE, {"claim/0": ["email", "a@b.example"]}, token=token)
    return maker.tables


def write_small_pages(path: Path, tables: Tables) -> Path:
    """As `write_database`, with the smallest pages that SQLite has."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 512")
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO entry VALUES (?, ?)", tables.entries)
    connection.executemany("INSERT INTO checkpoint VALUES (?, ?)", tables.checkpoints)
    connection.executemany("INSERT INTO opening VALUES (?, ?, ?)", tables.openings)
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


def read(path: Path) -> Rows:
    """What verification reads: the wrapped keys of openings are outside of the tree (docs/LEDGER.md, section 5)."""
    with open_ledger(path) as file:
        return list(file.entries()), list(file.checkpoints()), list(file.openings())


def verified(path: Path) -> bool:
    with open_ledger(path) as file:
        return verify_ledger(file.entries(), file.checkpoints(), file.openings()).ok


def outcome(path: Path, good: Rows) -> str | None:
    """What becomes of the file; None: its rows are others, and nothing was found."""
    try:
        if read(path) == good:
            return SAME
    except (Malformed, StorageError):
        pass  # verification has to say so, too
    try:
        return None if verified(path) else FOUND
    except (Malformed, StorageError):
        return REFUSED


def flips(data: bytes, *, every: bool) -> Iterator[tuple[int, bytes]]:
    """Places and files: one bit of each 13th byte, or one bit and all bits of each."""
    for place in range(0, len(data), 1 if every else SHORT_STEP):
        for change in (1 << place % 8, 0xFF) if every else (1 << place % 8,):
            yield place, data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def put(path: Path, data: bytes) -> Path:
    """Make ``data`` the whole database: nothing is left beside it from the one before."""
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.timeout(900)
def test_a_flipped_byte_changes_nothing_that_is_read_or_is_found(tmp_path, request):
    tables = three_entries()
    path = write_small_pages(tmp_path / "ownerd.db", tables)
    data, good = path.read_bytes(), read(path)
    assert good[0] == tables.entries
    assert verified(path)
    seen: Counter[str] = Counter()
    for place, flipped in flips(data, every=request.config.getoption("--long")):
        became = outcome(put(path, flipped), good)
        assert became is not None, f"byte {place} makes other rows, and nobody says so"
        seen[became] += 1
    assert min(seen[SAME], seen[FOUND], seen[REFUSED]) > 0, seen
    # Bytes of leaves, notes and ciphertexts are none that may change.
    stored = sum(len(blob) for rows in good for _, blob in rows)
    assert seen[FOUND] + seen[REFUSED] >= stored / len(data) * seen.total() * 0.95, seen


def test_a_byte_of_every_leaf_note_and_ciphertext_is_found(tmp_path):
    """The short mode steps over most places of a row: here it hits each row, wherever it lies."""
    path = write_small_pages(tmp_path / "ownerd.db", three_entries())
    data, good = path.read_bytes(), read(path)
    for rows in good:
        for _, blob in rows:
            pieces = (blob[at : at + 24] for at in range(len(blob) - 24))
            place = data.index(next(piece for piece in pieces if data.count(piece) == 1))
            assert outcome(put(path, data[:place] + b"\x00" + data[place + 1 :]), good) == FOUND


@pytest.mark.parametrize(
    ("tables", "silent"),
    [
        (three_entries(), []),
        # The last entry may have been written while locked: so looks a daemon that was killed.
        (bad_day_ledger().tables, [("checkpoint", 14)]),
    ],
)
def test_every_row_that_is_gone_is_found(tmp_path, tables, silent):
    path = write_small_pages(tmp_path / "ownerd.db", tables)
    data, missed = path.read_bytes(), []
    for table, key, rows in (
        ("entry", "seq", tables.entries),
        ("checkpoint", "size", tables.checkpoints),
        ("opening", "seq", tables.openings),
    ):
        for number, *_ in rows:
            with sqlite3.connect(put(path, data)) as connection:
                gone = connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))
                assert gone.rowcount == 1
            connection.close()
            if verified(path):
                missed.append((table, number))
    assert missed == silent


@pytest.mark.parametrize("table", ["entry", "checkpoint", "opening"])
def test_a_table_that_is_empty_or_gone_is_found(tmp_path, table):
    path = write_small_pages(tmp_path / "ownerd.db", three_entries())
    data = path.read_bytes()
    with sqlite3.connect(path) as connection:
        connection.execute(f"DELETE FROM {table}")
    connection.close()
    assert not verified(path)
    with sqlite3.connect(put(path, data)) as connection:
        connection.execute(f"DROP TABLE {table}")
    connection.close()
    with pytest.raises(Malformed):
        verified(path)
