"""Rules for the log's keys: a token puts a new key in force, and from that entry on it alone signs."""

from dataclasses import replace

import pytest
from tests.rigs.ledgers import LedgerMaker, TestRecovery, TestToken, bad_day_ledger, log_key

from ownerd.ledger.entry import origin
from ownerd.ledger.findings import Damage
from ownerd.ledger.note import format_checkpoint, format_verifier_key, sign_note
from ownerd.model.encoding import format_b64u
from ownerd.model.names import Kind

TOKEN, CODE = TestToken("token-1"), TestRecovery()
UNPROVEN = "self-consistent, origin unproven"


@pytest.fixture
def maker() -> LedgerMaker:
    """Genesis, one token, one change: entries 0 to 2."""
    made = LedgerMaker()
    made.set_up(TOKEN)
    made.append(Kind.OWNER_CHANGE, token=TOKEN)
    return made


def found(maker: LedgerMaker, **options) -> list[tuple[str, int | None, int | None]]:
    return [(one.name, one.first, one.last) for one in maker.tables.verify(**options).findings]


def vkey(maker: LedgerMaker, seed: str) -> str:
    return format_verifier_key(origin(maker.log), log_key(seed).public_key())


@pytest.mark.parametrize(("seed", "since"), [("bad day", 0), ("second", 8), ("third", 12)])
def test_any_key_of_the_chain_proves_the_origin_and_is_named(seed, since):
    maker = bad_day_ledger()
    report = maker.tables.verify(verifier_key=vkey(maker, seed))
    assert (report.findings, report.origin, report.proven_by) == ((), "proven", since)
    assert (report.rotations, report.verifier_key) == (2, vkey(maker, "third"))


def test_without_a_key_nothing_is_proven():
    report = bad_day_ledger().tables.verify()
    assert (report.ok, report.origin, report.proven_by) == (True, UNPROVEN, None)


def test_a_key_that_never_came_into_force_is_named():
    maker = bad_day_ledger()
    report = maker.tables.verify(verifier_key=vkey(maker, "stranger"))
    assert [(one.name, one.first) for one in report.findings] == [(Damage.WRONG_VERIFIER_KEY, 0)]
    assert (report.origin, report.proven_by) == (UNPROVEN, None)


def test_naming_a_key_proves_nothing_until_it_signs(maker):
    """The public half is known to all: a ledger that rotates to it and goes on under another key is not its own."""
    theirs = vkey(maker, "theirs")
    maker.append(Kind.KEY_ROTATED, facts={**maker.rotated("mine"), "verifier_key": theirs}, token=TOKEN)
    report = maker.tables.verify(verifier_key=theirs)
    assert (report.origin, report.proven_by) == (UNPROVEN, None)
    assert [(one.name, one.first) for one in report.findings] == [(Damage.BAD_CHECKPOINT, 3)]


def test_the_entry_itself_is_signed_by_the_new_key(maker):
    maker.append(Kind.KEY_ROTATED, facts=maker.rotated("new"), token=TOKEN)
    maker.log_key = log_key("new")
    maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 3, 3)]


def test_the_old_key_signs_nothing_more(maker):
    maker.rotate("new", by=TOKEN)
    maker.append(Kind.OFFER)
    maker.log_key = log_key("ledger")
    seq = maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.BAD_CHECKPOINT, seq, seq)]


def test_the_new_key_signs_nothing_before(maker):
    maker.tables.checkpoints.pop()
    maker.log_key = log_key("new")
    maker.sign()
    maker.rotate("new", by=TOKEN)
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 2, 2)]


def test_a_rotation_has_its_own_checkpoint(maker):
    maker.append(Kind.KEY_ROTATED, facts=maker.rotated("new"), token=TOKEN, checkpoint=False)
    maker.log_key = log_key("new")
    maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.MISSING_CHECKPOINT, 3, 3)]


def test_a_rotation_without_facts_leaves_the_key(maker):
    maker.append(Kind.KEY_ROTATED, token=TOKEN)
    report = maker.tables.verify(verifier_key=maker.verifier_key)
    assert (report.ok, report.rotations, report.verifier_key) == (True, 0, maker.verifier_key)


@pytest.mark.parametrize("by", [None, CODE, TestToken("token-2")], ids=["nobody", "recovery", "stranger"])
def test_only_a_token_rotates(maker, by):
    maker.set_recovery(CODE, by=TOKEN)
    seq = maker.rotate("new", by=by)
    for _ in range(120):
        maker.append(Kind.OFFER)
    damage = Damage.MISSING_APPROVAL if by is None else Damage.BAD_APPROVAL
    # Not followed, and what comes of it is one finding.
    assert found(maker) == [(damage, seq, seq), (Damage.BAD_CHECKPOINT, seq, seq + 120)]
    assert maker.tables.verify(verifier_key=vkey(maker, "new")).proven_by is None


def test_a_rotation_that_is_not_followed_leaves_the_old_key_in_force(maker):
    seq = maker.append(Kind.KEY_ROTATED, facts=maker.rotated("new"))
    maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.MISSING_APPROVAL, seq, seq)]
    assert maker.tables.verify().verifier_key == maker.verifier_key


@pytest.mark.parametrize("seed", ["ledger", "new"], ids=["the first", "the present"])
def test_a_key_never_comes_back(maker, seed):
    maker.rotate("new", by=TOKEN)
    facts = {**maker.rotated("newer"), "verifier_key": vkey(maker, seed)}
    seq = maker.append(Kind.KEY_ROTATED, facts=facts, token=TOKEN)
    assert found(maker) == [(Damage.BAD_ROTATION, seq, seq)]


def test_an_opening_key_never_comes_back(maker):
    first = format_b64u(maker.opening_key.public_key().public_bytes_raw())
    maker.rotate("new", by=TOKEN)
    facts = {**maker.rotated("newer"), "opening_key": first}
    seq = maker.append(Kind.KEY_ROTATED, facts=facts, token=TOKEN)
    assert found(maker) == [(Damage.BAD_ROTATION, seq, seq)]


def test_a_key_of_another_log_is_not_followed(maker):
    other = LedgerMaker("other")
    seq = maker.append(Kind.KEY_ROTATED, facts=other.rotated("new"), token=TOKEN)
    assert found(maker) == [(Damage.BAD_ROTATION, seq, seq)]


def test_after_a_lost_rotation_the_next_one_is_followed():
    """The first rotation is missing: what its key signed is one finding, and the second key holds again."""
    maker = bad_day_ledger()
    del maker.tables.entries[8]
    assert found(maker) == [
        (Damage.GAP, 8, 8),
        (Damage.BAD_CHECKPOINT, 8, 11),
    ]
    report = maker.tables.verify(verifier_key=vkey(maker, "third"))
    assert (report.proven_by, report.rotations) == (12, 1)


def test_a_checkpoint_that_holds_is_never_in_a_range_of_others(maker):
    for seed in ("thief", "ledger", "thief", "thief"):  # entries 3 to 6
        maker.log_key = log_key(seed)
        maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 3, 3), (Damage.BAD_CHECKPOINT, 5, 6)]


def test_after_an_unreadable_entry_the_key_in_force_still_serves():
    maker = bad_day_ledger()
    maker.tables.entries[4] = (4, b"{}")
    assert {(one.name, one.first) for one in maker.tables.verify().findings} == {
        (Damage.NOT_CANONICAL, 4),
        (Damage.ROOT_MISMATCH, 4),
    }


def test_a_forged_checkpoint_after_damage_is_still_named():
    maker = bad_day_ledger()
    maker.tables.entries[3] = (3, b"{}")
    size, note = maker.tables.checkpoints[3]  # entry 4
    maker.tables.checkpoints[2:4] = [(size, note.replace(b"\n5\n", b"\n6\n"))]
    assert (Damage.BAD_CHECKPOINT, 4, 4) in found(maker)


def head_of(maker: LedgerMaker, seed: str, size: int) -> bytes:
    """A head by the key of ``seed``, of the root that the stored checkpoint of ``size`` has."""
    text = dict(maker.tables.checkpoints)[size].split(b"\n\n")[0] + b"\n"
    return sign_note(text, origin(maker.log), log_key(seed))


def test_heads_are_of_the_key_in_force_at_their_size():
    maker = bad_day_ledger()
    keys = {"bad day": range(2, 9), "second": range(9, 13), "third": range(13, 15)}
    for size in dict(maker.tables.checkpoints):
        for seed, sizes in keys.items():
            expected = [] if size in sizes else [(Damage.FORKED, 0, size - 1)]
            assert found(maker, heads=[head_of(maker, seed, size)]) == expected
        assert found(maker, heads=[head_of(maker, "stranger", size)]) == [(Damage.BAD_HEAD, None, None)]


def test_a_head_of_a_key_that_the_log_no_longer_names_shows_the_roll_back():
    """Rolled back to before the rotation: the key that was printed after it, and its head, both say so."""
    maker = bad_day_ledger()
    head, key = maker.head(), vkey(maker, "third")
    cut = replace(
        maker.tables,
        entries=maker.tables.entries[:8],
        checkpoints=[row for row in maker.tables.checkpoints if row[0] <= 8],
        openings=[row for row in maker.tables.openings if row[0] < 8],
    )
    assert cut.verify(verifier_key=vkey(maker, "bad day")).ok
    assert [one.name for one in cut.verify(heads=[head]).findings] == [Damage.BAD_HEAD]
    assert [one.name for one in cut.verify(verifier_key=key, heads=[head]).findings] == [
        Damage.WRONG_VERIFIER_KEY,
        Damage.ROLLED_BACK,
    ]


def test_a_head_of_the_given_key_alone_is_compared_by_its_root():
    maker = bad_day_ledger()
    key = vkey(maker, "elsewhere")
    good, bad = head_of(maker, "elsewhere", 7), format_checkpoint(origin(maker.log), 7, bytes(32))
    forged = sign_note(bad, origin(maker.log), log_key("elsewhere"))
    names = [found(maker, verifier_key=key, heads=[head])[1:] for head in (good, forged)]
    assert names == [[], [(Damage.FORKED, 0, 6)]]


def test_a_head_is_not_held_against_a_chain_that_damage_broke():
    maker = bad_day_ledger()
    head = head_of(maker, "third", 13)
    del maker.tables.entries[8]
    assert Damage.FORKED not in {name for name, _, _ in found(maker, heads=[head])}
