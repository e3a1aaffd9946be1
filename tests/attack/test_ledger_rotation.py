"""Threat: a removed token, an old copy of the vault, or both. The rotation shuts them out, and shows who tries."""

import pytest
from tests.rigs.ledgers import LedgerMaker, Tables, TestCard, TestRecovery, TestToken, bad_day_ledger

from ownerd.ledger.entry import challenge, format_leaf, parse_leaf
from ownerd.ledger.findings import Damage
from ownerd.model.encoding import format_b64u
from ownerd.model.names import Kind

DAY = bad_day_ledger()
LOST, CARD, CODE = TestToken(), TestCard(), TestRecovery()


def names(tables: Tables, **options) -> set[Damage]:
    return {one.name for one in tables.verify(**options).findings}


def cut(maker: LedgerMaker, size: int) -> LedgerMaker:
    """The same day as an old copy had it, with the first log key: what its finder can go on from."""
    thief = LedgerMaker("bad day")
    signed = {one for one, _ in maker.tables.checkpoints}
    for seq, leaf in maker.tables.entries[:size]:
        thief.append_bytes(leaf, checkpoint=seq + 1 in signed)
    thief.tables.openings = [row for row in maker.tables.openings if row[0] < size]
    thief.now_ms = maker.now_ms
    return thief


@pytest.mark.parametrize("seq", [8, 9, 12], ids=["ES256", "recovery", "ES384"])
def test_every_flipped_byte_of_an_approval(seq):
    leaf = DAY.tables.entries[seq][1]
    cut_off = DAY.tables.copy()
    cut_off.entries = cut_off.entries[: seq + 1]
    cut_off.checkpoints = [row for row in cut_off.checkpoints if row[0] <= seq + 1]
    cut_off.openings = [row for row in cut_off.openings if row[0] <= seq]
    assert cut_off.verify().ok
    for place in range(leaf.index(b'"core"')):
        spoiled = leaf[:place] + bytes([leaf[place] ^ 1 << place % 8]) + leaf[place + 1 :]
        cut_off.entries[seq] = (seq, spoiled)
        found = {one.name for one in cut_off.verify().findings if one.first == seq}
        assert found & {Damage.NOT_CANONICAL, Damage.BAD_APPROVAL}


def test_a_removed_token_with_the_old_log_key_does_not_rotate():
    thief = cut(DAY, 8)  # the entry that removed the token is in
    seq = thief.rotate("thief", by=LOST)
    thief.disclose(LOST)
    found = [one for one in thief.tables.verify(verifier_key=DAY.verifier_key).findings if one.first == seq]
    assert {one.name for one in found} == {Damage.BAD_APPROVAL, Damage.BAD_CHECKPOINT}


def test_the_old_log_key_does_not_go_on_after_the_rotation():
    thief = cut(DAY, 8)
    for leaf in [leaf for _, leaf in DAY.tables.entries[8:]]:
        thief.append_bytes(leaf)
    thief.tables.openings = DAY.tables.openings
    assert names(thief.tables) == {Damage.BAD_CHECKPOINT}


def test_an_older_ledger_that_the_thief_goes_on_is_betrayed_by_the_newest_key_alone():
    """Before the removal the lost token was good: its finder makes a ledger that the first key proves."""
    thief = cut(DAY, 7)
    thief.disclose(LOST)
    thief.rotate("thief", by=LOST)
    first, newest = LedgerMaker("bad day").verifier_key, DAY.verifier_key
    assert thief.tables.verify(verifier_key=first).origin == "proven"
    assert names(thief.tables, verifier_key=newest) == {Damage.WRONG_VERIFIER_KEY}
    assert names(thief.tables, heads=[DAY.head()]) == {Damage.BAD_HEAD}


def test_the_finder_of_the_recovery_code_does_not_disclose():
    thief = bad_day_ledger()
    seq = thief.append(Kind.DISCLOSURE, token=CODE)
    assert [(one.name, one.first) for one in thief.tables.verify().findings] == [(Damage.BAD_APPROVAL, seq)]


def test_an_approval_never_moves_to_another_kind_of_entry():
    """A recovery for one entry is put on every other kind, with the log key at hand."""
    for kind in (Kind.UNLOCKED, Kind.TOKEN_REMOVED, Kind.RECOVERY_SET):
        maker = LedgerMaker()
        maker.set_up(LOST)
        maker.set_recovery(CODE, by=LOST)
        approval = CODE.approve(challenge(maker.core(Kind.UNLOCKED)))
        facts = {
            Kind.TOKEN_REMOVED: {"token": "token-1"},
            Kind.RECOVERY_SET: {"public_key": format_b64u(bytes(32))},
        }
        maker.append(kind, facts=facts.get(kind), approval=approval)
        assert names(maker.tables) == {Damage.BAD_APPROVAL}


def test_the_rig_is_what_it_seems():
    assert DAY.tables.verify(verifier_key=DAY.verifier_key).ok
    leaves = [parse_leaf(leaf) for _, leaf in DAY.tables.entries]
    assert [format_leaf(leaf) for leaf in leaves] == [leaf for _, leaf in DAY.tables.entries]
    assert {leaf.approval.type for leaf in leaves if leaf.approval} == {"fido2", "piv", "pkcs11", "recovery"}
    assert cut(DAY, 8).tables.checkpoints == [row for row in DAY.tables.checkpoints if row[0] <= 8]
