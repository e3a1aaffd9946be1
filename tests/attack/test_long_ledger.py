"""Threat: every attack of the threat model on a long ledger of every kind of entry; each is found under its own name.

``OWNERD_LEDGER_ENTRIES=100000`` makes it as long as that (some minutes); 2,000 entries otherwise.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import second_verifier
from tests.rigs.ledger_attacks import ATTACKS, Attacked
from tests.rigs.ledgers import Tables, bad_day_ledger, small_ledger
from tests.rigs.long_ledgers import DayMaker, long_ledger

from ownerctl.cores import verify_on_all_cores
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.quick import verify_quickly
from ownerd.ledger.signatures import Check, Settle, holds
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.names import Kind

ENTRIES = int(os.environ.get("OWNERD_LEDGER_ENTRIES", "2000"))
LONG = ENTRIES > 10_000
# The good ledger is made and walked once in full, every attack walks it again.
pytestmark = [pytest.mark.timeout(1800)] if LONG else []
HELD: set[Check] = set()


def once(check: Check) -> bool:
    """As `holds`; what held before is not computed again, since nearly all of an attacked ledger is as it was."""
    if check not in HELD:
        if not holds(check):
            return False
        HELD.add(check)
    return True


@pytest.fixture(scope="module")
def maker() -> DayMaker:
    return long_ledger(ENTRIES)


@pytest.fixture(scope="module")
def short() -> DayMaker:
    """A few days: as much as the second verifier is asked about, which is made to be read and not to be quick."""
    return long_ledger(200, "short")


def verify(tables: Tables, **options: object) -> Report:
    return walker(tables, **options)(once if LONG else holds)


def walker(tables: Tables, **options: object) -> Callable[[Settle], Report]:
    openings = [(seq, cipher) for seq, _, cipher in tables.openings]

    def walk(settle: Settle) -> Report:
        return verify_ledger(tables.entries, tables.checkpoints, openings, settle=settle, **options)

    return walk


def second(
    tables: Tables, *, verifier_key: str | None = None, heads: list[bytes] | None = None
) -> str | None:
    openings = [(seq, cipher) for seq, _, cipher in tables.openings]
    return second_verifier.verify(tables.entries, tables.checkpoints, openings, verifier_key, heads or [])


def test_the_ledger_has_every_kind_and_is_good(maker):
    assert {parse_leaf(leaf).core.kind for _, leaf in maker.tables.entries[:300]} == set(Kind)
    report = verify(maker.tables, verifier_key=maker.verifier_key, heads=[maker.head()])
    assert report.ok, report.findings[:5]
    assert (
        verify_on_all_cores(
            walker(maker.tables, verifier_key=maker.verifier_key, heads=[maker.head()]),
            report.entries,
            workers=2,
        )
        == report
    )
    assert report.entries >= ENTRIES
    assert report.origin == "proven"
    quick = verify_quickly([maker.tables.entries], maker.tables.checkpoints[-1])
    assert (quick.ok, quick.root, quick.signed) == (True, report.root, report.entries)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_found_under_its_own_name(maker, attack):
    done: Attacked = ATTACKS[attack](maker)
    report = verify(done.tables, **done.options)
    named = [one for one in report.findings if one.name is done.name]
    assert named, report.findings[:5]
    if done.entry is not None:
        assert any(one.first is not None and one.first <= done.entry <= one.last for one in named), named


@pytest.mark.parametrize("attack", ["edit", "delete", "reorder", "truncate", "insert", "forge_a_checkpoint"])
def test_the_quick_verification_sees_changed_bytes(maker, attack):
    done = ATTACKS[attack](maker)
    newest = done.tables.checkpoints[-1]
    report = verify_quickly([done.tables.entries], newest)
    if attack == "forge_a_checkpoint":  # an older one, which it does not look at: it says so
        assert report.ok
    else:
        assert not report.ok


def test_the_same_copy_without_a_head_is_a_good_older_ledger(maker):
    """What no ledger can prove of itself, and docs/LEDGER.md says so."""
    assert verify(ATTACKS["roll_back"](maker).tables).ok
    assert verify(ATTACKS["fork"](maker).tables).ok


# -- the second verifier --


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_second_verifier_finds_the_same(short, attack):
    done = ATTACKS[attack](short)
    ours = {one.name.value for one in done.tables.verify(**done.options).findings}
    assert second(done.tables, **done.options) in ours


def test_the_second_verifier_agrees_on_good_ledgers(short):
    for maker in (short, small_ledger(), bad_day_ledger()):
        options = {"verifier_key": maker.verifier_key, "heads": [maker.head()]}
        assert maker.tables.verify(**options).ok
        assert second(maker.tables, **options) is None


@pytest.mark.parametrize("table", ["entries", "checkpoints", "openings"])
def test_the_second_verifier_agrees_on_every_missing_row(table):
    for maker in (small_ledger(), bad_day_ledger()):
        for place in range(len(getattr(maker.tables, table))):
            tables = maker.tables.copy()
            del getattr(tables, table)[place]
            ours = {one.name.value for one in tables.verify().findings}
            name = second(tables)
            assert (name is None) == (not ours), (table, place, name, ours)


def test_the_second_verifier_agrees_on_changed_bytes():
    maker = bad_day_ledger()
    for table in ("entries", "checkpoints"):
        rows = getattr(maker.tables, table)
        for place, (key, data) in enumerate(rows):
            for at in range(place % 61, len(data), 61):
                tables = maker.tables.copy()
                flipped = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
                getattr(tables, table)[place] = (key, flipped)
                ours = tables.verify().ok
                assert (second(tables) is None) == ours, (table, place, at)


def test_the_second_verifier_is_short_and_its_own():
    text = Path(second_verifier.__file__).read_text()
    assert "import ownerd" not in text
    assert "from ownerd" not in text
    assert len(text.splitlines()) <= 150
