"""Threat: somebody edits the database. Every change of a row is found, and the finding names the entry."""

from itertools import combinations, pairwise

import pytest
from tests.rigs.ledgers import LedgerMaker, Tables, TestToken, small_ledger, write_database

from ownerctl.ledger_file import open_ledger
from ownerd.ledger.findings import Damage
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.names import Kind

SMALL = small_ledger()


def tiny_ledger() -> LedgerMaker:
    """Six entries: all that flipping every byte needs, an entry written while locked among them."""
    maker, token = LedgerMaker("tiny"), TestToken()
    maker.set_up(token)
    maker.append(Kind.DELIVERED, facts={"entry": maker.disclose(token)})
    maker.append(Kind.LOCKED, facts={"reason": "idle"}, checkpoint=False)
    maker.append(Kind.UNLOCKED, token=token)
    return maker


TINY = tiny_ledger()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tables:
    """The tiny ledger as it comes back from a real database file."""
    path = write_database(tmp_path_factory.mktemp("tiny") / "ownerd.db", TINY.tables)
    with open_ledger(path) as file:
        ciphertexts = dict(file.openings())
        openings = [(seq, wrapped, ciphertexts[seq]) for seq, wrapped, _ in TINY.tables.openings]
        tables = Tables(list(file.entries()), list(file.checkpoints()), openings)
    assert tables == TINY.tables
    assert tables.verify().ok
    return tables


def flips(data: bytes):
    """Every byte of ``data`` changed once, each time another bit."""
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def names(tables: Tables, seq: int, **options) -> set[Damage]:
    """Names of the findings that concern entry ``seq``."""
    return concerning(tables.verify(**options), seq)


def concerning(report: Report, seq: int) -> set[Damage]:
    return {one.name for one in report.findings if one.first is not None and one.first <= seq <= one.last}


def prefix(tables: Tables, seq: int) -> Tables:
    """The shortest whole ledger that has entry ``seq`` in it, signed: as much as a flip needs, and faster."""
    size = min(size for size, _ in tables.checkpoints if size > seq)
    return Tables(
        *(
            [row for row in rows if row[0] < end]
            for rows, end in ((tables.entries, size), (tables.checkpoints, size + 1), (tables.openings, size))
        )
    )


@pytest.mark.parametrize("seq", range(6))
def test_every_flipped_byte_of_a_leaf(tiny, seq):
    whole = prefix(tiny, seq)
    assert whole.verify().ok
    for spoiled in flips(tiny.entries[seq][1]):
        tables = whole.copy()
        tables.entries[seq] = (seq, spoiled)
        assert names(tables, seq) & {Damage.NOT_CANONICAL, Damage.ROOT_MISMATCH}


def test_every_flipped_byte_of_a_checkpoint(tiny):
    for size, note in tiny.checkpoints:
        whole = prefix(tiny, size - 1)
        for spoiled in flips(note):
            tables = whole.copy()
            tables.checkpoints[-1] = (size, spoiled)
            assert names(tables, size - 1) == {Damage.BAD_CHECKPOINT}


def test_every_flipped_byte_of_a_ciphertext(tiny):
    for index, (seq, wrapped, ciphertext) in enumerate(tiny.openings):
        whole = prefix(tiny, seq)
        for spoiled in flips(ciphertext):
            tables = whole.copy()
            tables.openings[index] = (seq, wrapped, spoiled)
            assert names(tables, seq) == {Damage.BAD_OPENING}


@pytest.mark.parametrize("seq", range(20))
def test_a_dropped_entry_is_a_gap(seq):
    tables = SMALL.tables.copy()
    del tables.entries[seq]
    expected = Damage.TRUNCATED if seq == 19 else Damage.GAP
    if seq == 19:  # never signed, so its opening alone remembers it
        assert [one.name for one in tables.verify().findings] == [Damage.EXTRA_OPENING]
    else:
        assert names(tables, seq) >= {expected}


@pytest.mark.parametrize("seq", range(20))
def test_a_dropped_entry_whose_gap_is_closed_is_found(seq):
    tables = SMALL.tables.copy()
    tables.entries = [(one - (one > seq), leaf) for one, leaf in tables.entries if one != seq]
    found = {one.name for one in tables.verify().findings}
    assert found & ({Damage.EXTRA_OPENING} if seq == 19 else {Damage.REORDERED, Damage.TRUNCATED})


@pytest.mark.parametrize("index", range(len(SMALL.tables.checkpoints)))
def test_a_dropped_checkpoint_is_missed(index):
    tables = SMALL.tables.copy()
    size, _ = tables.checkpoints.pop(index)
    if size == 19:  # a locked entry before an unsigned one: just so looks a daemon that was killed
        report = tables.verify()
        assert (report.ok, report.unsigned_tail) == (True, 2)
    else:
        assert names(tables, size - 1) == {Damage.MISSING_CHECKPOINT}


@pytest.mark.parametrize("index", range(len(SMALL.tables.openings)))
def test_a_dropped_opening_is_missed(index):
    tables = SMALL.tables.copy()
    seq, _, _ = tables.openings.pop(index)
    assert names(tables, seq) == {Damage.MISSING_OPENING}


def test_every_swapped_pair_of_entries():
    for one, other in combinations(range(20), 2):
        tables = SMALL.tables.copy()
        first, second = tables.entries[one][1], tables.entries[other][1]
        tables.entries[one], tables.entries[other] = (one, second), (other, first)
        report = tables.verify()
        assert Damage.REORDERED in concerning(report, one)
        if other != 19 and not {one, other} & {13, 14, 15, 16}:  # those were signed together, as one range
            assert concerning(report, other)


def test_every_swapped_pair_of_checkpoints():
    rows = SMALL.tables.checkpoints
    for one, other in combinations(range(len(rows)), 2):
        tables = SMALL.tables.copy()
        tables.checkpoints[one] = (rows[one][0], rows[other][1])
        tables.checkpoints[other] = (rows[other][0], rows[one][1])
        report = tables.verify()
        assert Damage.BAD_CHECKPOINT in concerning(report, rows[one][0] - 1)
        assert Damage.BAD_CHECKPOINT in concerning(report, rows[other][0] - 1)


def test_every_swapped_pair_of_openings():
    rows = SMALL.tables.openings
    for one, other in combinations(range(len(rows)), 2):
        tables = SMALL.tables.copy()
        tables.openings[one] = (rows[one][0], *rows[other][1:])
        tables.openings[other] = (rows[other][0], *rows[one][1:])
        for index in (one, other):
            assert names(tables, rows[index][0]) == {Damage.BAD_OPENING}


@pytest.mark.parametrize("seq", range(20))
def test_an_inserted_copy_is_found(seq):
    tables = SMALL.tables.copy()
    later = [(one + 1, leaf) for one, leaf in tables.entries[seq:]]
    tables.entries = [*tables.entries[:seq], (seq, tables.entries[0][1]), *later]
    found = {one.name for one in tables.verify().findings}
    assert found & {Damage.REPLAYED, Damage.BAD_GENESIS}
    if seq not in (0, 19):
        assert Damage.ROOT_MISMATCH in found


@pytest.mark.parametrize("size", range(19))
def test_a_truncated_log_is_betrayed_by_its_checkpoints(size):
    tables = SMALL.tables.copy()
    del tables.entries[size:]
    found = [one for one in tables.verify().findings if one.name is Damage.TRUNCATED]
    assert [(one.first, one.last) for one in found] == [(size, 18)]


@pytest.mark.parametrize("size", [2, 5, 13, 18])
def test_a_roll_back_is_betrayed_by_a_head_kept_elsewhere_alone(size):
    tables = SMALL.tables.copy()
    del tables.entries[size:]
    tables.checkpoints = [row for row in tables.checkpoints if row[0] <= size]
    tables.openings = [row for row in tables.openings if row[0] < size]
    alone = {one.name for one in tables.verify(verifier_key=SMALL.verifier_key).findings}
    assert alone <= {Damage.MISSING_OPENING}  # erased later; otherwise an older ledger is a good ledger
    assert Damage.ROLLED_BACK in {one.name for one in tables.verify(heads=[SMALL.head()]).findings}


def forked(at: int) -> tuple[LedgerMaker, LedgerMaker]:
    """Two ledgers of one log key that part ways at entry ``at``."""
    makers = []
    for number in range(2):
        maker, token = LedgerMaker("fork"), TestToken()
        maker.set_up(token)
        for seq in range(2, 12):
            value = number if seq == at else 0
            maker.append(Kind.OWNER_CHANGE, {"claim/0": value}, token=token)
        makers.append(maker)
    return makers[0], makers[1]


@pytest.mark.parametrize("at", [2, 7, 11])
def test_a_fork_is_seen_by_whoever_kept_a_head_of_the_other_side(at):
    one, other = forked(at)
    assert one.tables.verify().ok
    assert other.tables.verify().ok
    found = [(f.name, f.last) for f in one.tables.verify(heads=[other.head()]).findings]
    assert found == [(Damage.FORKED, 11)]


@pytest.mark.parametrize("at", [2, 7, 11])
def test_entries_of_one_side_and_checkpoints_of_the_other(at):
    one, other = forked(at)
    mixed = one.tables.copy()
    mixed.checkpoints = other.tables.checkpoints
    assert Damage.ROOT_MISMATCH in names(mixed, at)


@pytest.mark.parametrize("at", [2, 7, 11])
def test_a_tail_grafted_from_the_other_side(at):
    one, other = forked(at)
    mixed = one.tables.copy()
    for table in ("entries", "checkpoints", "openings"):
        rows, grafts = getattr(mixed, table), getattr(other.tables, table)
        offset = 1 if table == "checkpoints" else 0
        setattr(
            mixed,
            table,
            [*[r for r in rows if r[0] <= at + offset], *[r for r in grafts if r[0] > at + offset]],
        )
    if at == 11:
        assert mixed.verify().ok  # the fork is the last entry: nothing was grafted
    else:
        assert names(mixed, at + 1) >= {Damage.WRONG_HISTORY, Damage.ROOT_MISMATCH}


def test_the_log_key_alone_does_not_rewrite_what_touches_signed():
    """Its thief re-signs every checkpoint over a changed entry 3; the next touch signed the old history."""
    thief, victim = small_ledger(), SMALL.tables
    forged = victim.entries[3][1].replace(b'"generation":1', b'"generation":9')
    thief.tables = Tables(openings=victim.openings)
    thief.frontier = type(thief.frontier)()
    signed = {size for size, _ in victim.checkpoints}
    for seq, leaf in victim.entries:
        thief.append_bytes(forged if seq == 3 else leaf, checkpoint=seq + 1 in signed)
    found = thief.tables.verify(verifier_key=SMALL.verifier_key).findings
    assert {one.name for one in found} == {Damage.WRONG_HISTORY}
    assert found[0].first == 4


def test_the_log_key_alone_does_not_disclose():
    thief = small_ledger()
    thief.append(Kind.UNLOCKED)
    seq = thief.disclose(None)
    assert names(thief.tables, seq) == {Damage.MISSING_APPROVAL}


def test_damage_in_two_places_is_named_in_both():
    tables = SMALL.tables.copy()
    for seq in (2, 9, 17):
        tables.entries[seq] = (seq, b"{}")
    found = tables.verify().findings
    assert [one.first for one in found if one.name is Damage.NOT_CANONICAL] == [2, 9, 17]


def test_a_gap_beyond_all_reason_costs_nothing():
    tables = SMALL.tables.copy()
    tables.entries.append((1 << 62, tables.entries[3][1]))
    assert Damage.GAP in names(tables, 1 << 40)


def test_rows_of_the_wrong_order_never_stop_it():
    tables = SMALL.tables.copy()
    for rows in (tables.entries, tables.checkpoints, tables.openings):
        rows.reverse()
    ciphertexts = [(seq, ciphertext) for seq, _, ciphertext in tables.openings]
    assert not verify_ledger(tables.entries, tables.checkpoints, ciphertexts).ok


def test_the_rig_is_what_it_seems():
    assert SMALL.tables.verify(verifier_key=SMALL.verifier_key).ok
    assert all(second[0] > first[0] for first, second in pairwise(SMALL.tables.entries))
