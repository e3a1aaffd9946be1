"""Whose log it is: what the given verifier key proves, and heads that were kept elsewhere."""

import pytest
from tests.rigs.ledgers import LedgerMaker, TestToken, small_ledger

from ownerd.ledger.entry import origin
from ownerd.ledger.findings import Damage
from ownerd.ledger.merkle import EMPTY_ROOT
from ownerd.ledger.note import format_checkpoint, sign_note
from ownerd.model.errors import InvalidArgument

TOKEN = TestToken("token-1")


def test_without_the_key_the_origin_is_unproven(ledger_maker):
    report = ledger_maker.tables.verify()
    assert (report.ok, report.origin) == (True, "self-consistent, origin unproven")


def test_another_key_is_named(ledger_maker):
    report = ledger_maker.tables.verify(verifier_key=LedgerMaker("another").verifier_key)
    assert [one.name for one in report.findings] == [Damage.WRONG_VERIFIER_KEY]
    assert report.origin == "self-consistent, origin unproven"


def test_a_key_that_is_none_is_the_callers_mistake(ledger_maker):
    with pytest.raises(InvalidArgument):
        ledger_maker.tables.verify(verifier_key="rubbish")


def test_the_key_in_genesis_proves_nothing_without_a_checkpoint(ledger_maker):
    tables = ledger_maker.tables.copy()
    tables.checkpoints.clear()
    report = tables.verify(verifier_key=ledger_maker.verifier_key)
    assert report.origin == "self-consistent, origin unproven"
    assert report.unsigned_tail == 20
    assert {one.name for one in report.findings} == {Damage.MISSING_CHECKPOINT}


def test_genesis_unreadable_leaves_the_given_key():
    maker = small_ledger()
    tables = maker.tables.copy()
    tables.entries[0] = (0, b"{}")
    without, with_key = tables.verify(), tables.verify(verifier_key=maker.verifier_key)
    assert (without.checkpoints, with_key.checkpoints) == (0, 15)
    for report in (without, with_key):
        assert {(one.name, one.first) for one in report.findings} >= {
            (Damage.NOT_CANONICAL, 0),
            (Damage.BAD_GENESIS, 0),
        }
        assert report.origin == "self-consistent, origin unproven"
    assert not tables.verify(heads=[maker.head()]).ok


def test_a_head_kept_elsewhere_proves_truncation_and_forks(ledger_maker):
    tables, full = ledger_maker.tables.copy(), ledger_maker.head()
    early = tables.checkpoints[3][1]
    assert tables.verify(heads=[full, early]).ok
    del tables.entries[17:], tables.checkpoints[-2:]
    tables.openings = [row for row in tables.openings if row[0] < 17]
    cut = tables.verify(heads=[full, early])
    assert (Damage.ROLLED_BACK, 17, 19) in [(one.name, one.first, one.last) for one in cut.findings]
    fork = LedgerMaker()
    fork.set_up(TestToken("token-9"))
    assert [one.name for one in fork.tables.verify(heads=[tables.checkpoints[0][1]]).findings] == [
        Damage.FORKED
    ]
    assert fork.tables.verify(heads=[fork.head()]).ok


def test_heads_that_prove_nothing_are_named(ledger_maker):
    stranger = LedgerMaker("stranger")
    stranger.set_up(TOKEN)
    misnamed = sign_note(
        format_checkpoint("ownerd/x", 5, EMPTY_ROOT), origin(ledger_maker.log), ledger_maker.log_key
    )
    for head in (b"rubbish", stranger.head(), misnamed):
        report = ledger_maker.tables.verify(heads=[head])
        assert [one.name for one in report.findings] == [Damage.BAD_HEAD]
