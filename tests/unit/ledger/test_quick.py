"""The quick verification: bytes, root, newest checkpoint; it claims no more than that."""

import pytest
from tests.rigs.ledgers import Tables, TestToken, bad_day_ledger, small_ledger
from tests.rigs.long_ledgers import long_ledger

from ownerd.ledger.findings import Damage
from ownerd.ledger.merkle import Frontier, leaf_hash
from ownerd.ledger.quick import QuickReport, verify_quickly
from ownerd.model.errors import InvalidArgument, StorageError
from ownerd.model.names import Kind

LONG = long_ledger(2200, "quick")


def quick(tables: Tables, step: int = 700, **options: str) -> QuickReport:
    rows = tables.entries
    chunks = [rows[start : start + step] for start in range(0, len(rows), step)]
    return verify_quickly(chunks, tables.checkpoints[-1] if tables.checkpoints else None, **options)


def names(report: QuickReport) -> set[Damage]:
    return {one.name for one in report.findings}


@pytest.mark.parametrize("step", [1, 7, 1024, 1025, 5000])
def test_chunks_of_any_length_yield_the_one_root(step):
    report = quick(LONG.tables, step)
    assert report.ok
    assert report.root == LONG.frontier.root()
    assert report.signed == report.entries == len(LONG.tables.entries)
    assert report.verifier_key == LONG.verifier_key


@pytest.mark.parametrize("signed", [2, 3, 1000, 1023, 1024, 1025, 2047, 2048, 2049])
def test_a_tail_may_be_unsigned_at_any_place(signed):
    tables = LONG.tables.copy()
    newest = max(row for row in tables.checkpoints if row[0] <= signed)
    tables.checkpoints = [row for row in tables.checkpoints if row[0] <= newest[0]]
    report = quick(tables)
    assert (report.ok, report.signed) == (True, newest[0])
    assert report.root == Frontier.from_leaf_hashes(leaf_hash(leaf) for _, leaf in tables.entries).root()


@pytest.mark.parametrize("place", [0, 1, 1023, 1024, 1700, -1])
def test_one_changed_byte_anywhere_is_seen(place):
    tables = LONG.tables.copy()
    seq, leaf = tables.entries[place]
    tables.entries[place] = (seq, leaf[:-2] + b"!" + leaf[-1:])
    assert Damage.ROOT_MISMATCH in names(quick(tables, verifier_key=LONG.verifier_key))


@pytest.mark.parametrize("first", [1, 7, 1023, 1025])
def test_a_full_chunk_after_a_short_one_keeps_its_place(first):
    rows = LONG.tables.entries
    chunks = [rows[:first], rows[first : first + 1024], rows[first + 1024 :]]
    assert verify_quickly(chunks, LONG.tables.checkpoints[-1]).root == LONG.frontier.root()


def test_a_damaged_leaf_names_no_key():
    tables = small_ledger().tables
    tables.entries[0] = (0, tables.entries[0][1].replace(b'"v":1', b'"v":7'))
    report = quick(tables)
    assert names(report) == {Damage.BAD_CHECKPOINT}
    assert (report.signed, report.verifier_key) == (0, None), "nobody vouches for any entry"


def test_missing_rows_are_seen():
    tables = LONG.tables.copy()
    del tables.entries[1500]
    assert [one.name for one in quick(tables).findings].count(Damage.GAP) == 1, "said once"
    assert Damage.TRUNCATED in names(quick(Tables(LONG.tables.entries[:-1], LONG.tables.checkpoints)))
    assert names(quick(Tables([], LONG.tables.checkpoints))) == {Damage.MISSING_CHECKPOINT}
    assert names(quick(Tables(LONG.tables.entries))) == {Damage.MISSING_CHECKPOINT}


def test_the_key_is_one_that_the_log_names_or_the_given_one():
    maker = bad_day_ledger()
    report = quick(maker.tables)
    assert (report.ok, report.verifier_key, report.key_was_given) == (True, maker.verifier_key, False)
    assert quick(maker.tables, verifier_key=maker.verifier_key).key_was_given
    assert names(quick(maker.tables, verifier_key=small_ledger().verifier_key)) == {Damage.BAD_CHECKPOINT}
    with pytest.raises(InvalidArgument):
        quick(maker.tables, verifier_key="none")


def test_it_looks_at_no_approval():
    """What it cannot see, so that nobody takes it for the whole verification."""
    maker = small_ledger()
    maker.disclose(None)
    assert quick(maker.tables).ok
    assert not maker.tables.verify().ok


def test_a_table_that_breaks_off_is_named():
    def broken():
        yield LONG.tables.entries[:500]
        raise StorageError("the database cannot be read")

    assert Damage.UNREADABLE in names(verify_quickly(broken(), LONG.tables.checkpoints[-1]))


def test_a_forged_checkpoint_is_no_checkpoint():
    tables = small_ledger().tables
    size, note = tables.checkpoints[-1]
    tables.checkpoints[-1] = (size - 1, note)
    assert names(quick(tables)) == {Damage.BAD_CHECKPOINT}
    maker = small_ledger()
    maker.append(Kind.UNLOCKED, token=TestToken("token-2", user_verification=True))
    tables = Tables(maker.tables.entries, small_ledger("other").tables.checkpoints)
    assert names(quick(tables)) == {Damage.BAD_CHECKPOINT}
