"""Each rule of verification alone: a ledger whose keys are all good, and one thing in it that may not be."""

import pytest
from msgspec.structs import replace
from tests.rigs.ledgers import LedgerMaker, TestToken, small_ledger

from ownerd.ledger.entry import MAX_LAG, challenge, origin, parse_leaf
from ownerd.ledger.facts import NEEDS_APPROVAL, format_token
from ownerd.ledger.findings import MAX_PER_NAME, Damage
from ownerd.ledger.note import format_checkpoint, sign_note
from ownerd.ledger.verify import verify_ledger
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import StorageError
from ownerd.model.names import Kind

TOKEN, OTHER = TestToken("token-1"), TestToken("token-2")


@pytest.fixture
def maker() -> LedgerMaker:
    """Genesis, one token, one change: entries 0 to 2."""
    made = LedgerMaker()
    made.set_up(TOKEN)
    made.append(Kind.OWNER_CHANGE, {"claim/0": 1}, token=TOKEN)
    return made


def found(maker: LedgerMaker, **options) -> list[tuple[str, int | None, int | None]]:
    return [(one.name, one.first, one.last) for one in maker.tables.verify(**options).findings]


def test_a_good_ledger_has_no_findings(ledger_maker):
    report = ledger_maker.tables.verify(verifier_key=ledger_maker.verifier_key)
    assert (report.ok, report.origin, report.entries, report.checkpoints) == (True, "proven", 20, 15)
    assert (report.approvals, report.unsigned_tail, report.erased) == (8, 1, 2)
    assert (report.log_id, report.verifier_key) == (ledger_maker.log, ledger_maker.verifier_key)
    assert report.root == ledger_maker.frontier.root()
    assert (report.first_time, report.last_time) == ("2026-11-23T14:00:01.000Z", "2026-11-23T14:00:20.000Z")


def test_progress_is_told():
    maker = LedgerMaker()
    maker.set_up(TOKEN)
    for _ in range(300):
        maker.append(Kind.OFFER)
    seen = []
    assert maker.tables.verify(progress=seen.append).ok
    assert seen == [256, 302]


def test_an_empty_ledger_is_none():
    report = verify_ledger([], [], [])
    assert [(one.name, one.first) for one in report.findings] == [(Damage.BAD_GENESIS, None)]
    assert str(report.findings[0]) == "BadGenesis: the log has no entry"


def test_a_log_begins_with_genesis():
    maker = LedgerMaker()
    maker.append(Kind.OFFER)
    assert found(maker)[0] == (Damage.BAD_GENESIS, 0, 0)


def test_genesis_alone_needs_a_checkpoint(maker):
    tables = maker.tables.copy()
    del tables.entries[1:], tables.openings[:]
    tables.checkpoints.clear()
    assert [one.name for one in tables.verify().findings] == [Damage.MISSING_CHECKPOINT]


@pytest.mark.parametrize("how", ["name of the key", "approval"])
def test_genesis_does_not_contradict_itself(how):
    maker = LedgerMaker()
    facts = {"verifier_key": maker.verifier_key, "opening_key": "A" * 43}
    if how == "approval":
        maker.append(Kind.GENESIS, facts=facts, token=TOKEN)
    else:
        maker.append(Kind.GENESIS, facts={**facts, "verifier_key": LedgerMaker("other").verifier_key})
    assert (Damage.BAD_GENESIS, 0, 0) in found(maker)


def test_genesis_stands_nowhere_else(maker):
    facts = {"verifier_key": maker.verifier_key, "opening_key": "A" * 43}
    seq = maker.append(Kind.GENESIS, facts=facts)
    assert found(maker) == [(Damage.BAD_GENESIS, seq, seq)]


def test_an_entry_of_another_log_is_named(maker):
    core = replace(maker.core(Kind.OFFER), log="f" * 32)
    seq = maker.append(Kind.OFFER, core=core)
    assert found(maker) == [(Damage.WRONG_LOG, seq, seq)]


def test_time_does_not_run_backwards(maker):
    maker.now_ms -= 5000
    seq = maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.TIME_BACKWARDS, seq, seq)]


def test_equal_times_are_no_finding(maker):
    maker.now_ms -= 1000
    maker.append(Kind.OFFER)
    assert found(maker) == []


def test_an_entry_may_land_a_little_after_its_touch(maker):
    core = maker.core(Kind.OWNER_READ)
    maker.append(Kind.REQUEST)
    maker.append(Kind.REFUSED, facts={"error": "Dismissed"})
    maker.append(Kind.OWNER_READ, core=core, token=TOKEN)
    assert found(maker) == []


def test_an_entry_made_for_a_later_place_is_named(maker):
    core = replace(maker.core(Kind.OFFER), size=4)
    assert maker.append(Kind.OFFER, core=core) == 3
    assert found(maker) == [(Damage.REORDERED, 3, 3)]


def test_an_entry_made_over_another_history_is_named(maker):
    core = replace(maker.core(Kind.OWNER_READ), root=bytes(32))
    seq = maker.append(Kind.OWNER_READ, core=core, token=TOKEN)
    assert found(maker) == [(Damage.WRONG_HISTORY, seq, seq)]


def test_an_entry_lands_within_reach_of_its_touch():
    maker = LedgerMaker()
    maker.set_up(TOKEN)
    farthest = maker.core(Kind.OWNER_READ)
    maker.append(Kind.REQUEST, checkpoint=False)
    wrong, late = replace(maker.core(Kind.OWNER_READ), root=bytes(32)), maker.core(Kind.OWNER_READ)
    for _ in range(MAX_LAG - 2):
        maker.append(Kind.REQUEST, checkpoint=False)
    maker.append(Kind.UNLOCKED, token=TOKEN)
    seqs = [maker.append(Kind.OWNER_READ, core=core, token=TOKEN) for core in (farthest, wrong, late)]
    assert [seqs[0] - farthest.size, seqs[1] - wrong.size, seqs[2] - late.size] == [
        MAX_LAG,
        MAX_LAG,
        MAX_LAG + 1,
    ]
    assert found(maker) == [(Damage.WRONG_HISTORY, seqs[1], seqs[1]), (Damage.TOO_LATE, seqs[2], seqs[2])]


def test_one_touch_serves_once(maker):
    core = maker.core(Kind.DISCLOSURE)
    approval = TOKEN.approve(challenge(core))
    maker.append(Kind.DISCLOSURE, core=core, approval=approval, outcome={"response": "first"})
    seq = maker.append(Kind.DISCLOSURE, core=core, approval=approval, outcome={"response": "second"})
    assert found(maker) == [(Damage.REPLAYED, seq, seq)]


@pytest.mark.parametrize("kind", sorted(NEEDS_APPROVAL))
def test_kinds_that_need_an_approval(maker, kind):
    facts = {
        Kind.TOKEN_ENROLLED: {"token": format_token(OTHER.enrolled)},
        Kind.RECOVERY_SET: {"public_key": format_b64u(bytes(32))},
        Kind.TOKEN_REMOVED: {"token": "token-1"},
        Kind.ERASED: {"entries": [2]},
        Kind.GRANT: maker.grant_facts(),
        Kind.RESTORED: maker.rotated("restored"),
    }
    maker.tables.openings.clear()  # entry 2 is the one that is erased
    seq = maker.append(kind, facts=facts.get(kind))
    names = [name for name, first, _ in found(maker) if first == seq]
    assert names == [Damage.MISSING_APPROVAL]


def test_an_approval_by_a_stranger_is_named(maker):
    seq = maker.append(Kind.OWNER_READ, token=OTHER)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq, seq)]


def test_an_approval_of_something_else_is_named(maker):
    seq = maker.append(Kind.OWNER_READ, approval=TOKEN.approve(bytes(32)))
    assert found(maker) == [(Damage.BAD_APPROVAL, seq, seq)]
    assert "challenge" in maker.tables.verify().findings[0].sentence


def test_an_approval_where_none_is_needed_is_still_verified(maker):
    seq = maker.append(Kind.REQUEST, approval=TOKEN.approve(bytes(32)))
    assert found(maker) == [(Damage.BAD_APPROVAL, seq, seq)]


def test_only_the_first_token_vouches_for_itself(maker):
    seq = maker.enrol(OTHER, by=OTHER)
    after = maker.append(Kind.OWNER_READ, token=OTHER)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq, seq), (Damage.BAD_APPROVAL, after, after)]


def test_the_first_token_must_vouch_for_itself():
    maker = LedgerMaker()
    facts = {"verifier_key": maker.verifier_key, "opening_key": "A" * 43}
    maker.append(Kind.GENESIS, facts=facts)
    maker.enrol(TOKEN, by=None)
    maker.append(Kind.OWNER_READ, token=TOKEN)
    maker.enrol(OTHER, by=OTHER)  # second, though no first one stands
    assert found(maker) == [
        (Damage.MISSING_APPROVAL, 1, 1),
        (Damage.BAD_APPROVAL, 2, 2),
        (Damage.BAD_APPROVAL, 3, 3),
    ]


def test_a_removed_token_approves_nothing_more(maker):
    maker.enrol(OTHER, by=TOKEN)
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-1"}, token=OTHER)
    seq = maker.append(Kind.OWNER_READ, token=TOKEN)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq, seq)]


def test_tokens_come_and_go_once(maker):
    again = maker.enrol(TOKEN, by=TOKEN)
    gone = maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-2"}, token=TOKEN)
    assert found(maker) == [(Damage.BAD_TOKEN, again, again), (Damage.BAD_TOKEN, gone, gone)]


def test_a_delivery_follows_a_disclosure_once(maker):
    seq = maker.disclose(TOKEN)
    maker.append(Kind.DELIVERED, facts={"entry": seq})
    bad = [maker.append(Kind.DELIVERED, facts={"entry": one}) for one in (seq, 1, 99)]
    assert found(maker) == [(Damage.BAD_DELIVERY, one, one) for one in bad]


@pytest.mark.parametrize("kind", [Kind.OFFER, Kind.UNLOCKED, Kind.DELIVERED])
def test_what_needs_the_vault_has_its_own_checkpoint(maker, kind):
    disclosure = maker.disclose(TOKEN)
    facts = {"entry": disclosure} if kind is Kind.DELIVERED else None
    seq = maker.append(kind, facts=facts, token=TOKEN, checkpoint=False)
    maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.MISSING_CHECKPOINT, seq, seq)]


def test_an_open_vault_never_writes_without_a_checkpoint(maker):
    seq = maker.append(Kind.REQUEST, checkpoint=False)
    maker.append(Kind.REQUEST)
    maker.append(Kind.OFFER)
    assert found(maker) == [(Damage.MISSING_CHECKPOINT, seq, seq)]


def test_a_locked_vault_writes_without_and_the_next_unlock_signs_over_it(maker):
    maker.append(Kind.REQUEST, checkpoint=False)  # the daemon was killed before: no locked entry
    maker.append(Kind.REFUSED, facts={"error": "Dismissed"})
    maker.append(Kind.UNLOCKED, token=TOKEN)
    assert maker.tables.verify().ok


def test_an_opening_without_a_place_is_named(maker):
    maker.tables.openings = [(-1, b"", b"x"), (1, b"", b"x"), *maker.tables.openings, (77, b"", b"x")]
    names = found(maker)
    assert names == [
        (Damage.EXTRA_OPENING, None, None),
        (Damage.EXTRA_OPENING, 1, 1),
        (Damage.EXTRA_OPENING, None, None),
    ]


def test_a_missing_opening_is_explained_by_a_later_erasure_only(maker):
    early = maker.append(Kind.ERASED, facts={"entries": [1, 2, 4]}, token=TOKEN)
    later = maker.append(Kind.OWNER_CHANGE, {"claim/0": 2}, token=TOKEN)
    maker.tables.openings.clear()
    assert found(maker) == [
        (Damage.BAD_ERASURE, early, early),
        (Damage.BAD_ERASURE, early, early),
        (Damage.MISSING_OPENING, later, later),
    ]


def test_an_erasure_that_did_not_happen_is_named(maker):
    seq = maker.append(Kind.ERASED, facts={"entries": [2]}, token=TOKEN)
    assert found(maker) == [(Damage.BAD_ERASURE, seq, seq)]


def test_a_checkpoint_of_no_size_is_named(maker):
    maker.tables.checkpoints.insert(0, (0, maker.tables.checkpoints[0][1]))
    assert found(maker) == [(Damage.BAD_CHECKPOINT, None, None)]


def test_a_checkpoint_of_another_size_is_named(maker):
    maker.tables.checkpoints[-1] = (3, maker.tables.checkpoints[0][1])
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 2, 2)]


def test_a_checkpoint_of_another_origin_is_named_though_signed(maker):
    text = format_checkpoint("ownerd/x", 3, maker.frontier.root())
    maker.tables.checkpoints[-1] = (3, sign_note(text, origin(maker.log), maker.log_key))
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 2, 2)]


def test_a_checkpoint_with_a_second_signature_is_named(maker):
    size, note = maker.tables.checkpoints[-1]
    maker.tables.checkpoints[-1] = (size, note + note.split(b"\n\n")[1])
    assert found(maker) == [(Damage.BAD_CHECKPOINT, 2, 2)]


def test_rows_out_of_order_are_named(maker):
    maker.tables.entries.append(maker.tables.entries[0])
    maker.tables.entries.insert(0, (-3, b""))
    assert found(maker) == [(Damage.EXTRA_ROW, None, None), (Damage.EXTRA_ROW, None, None)]


def test_a_table_that_breaks_off_is_named(maker):
    def broken():
        yield from maker.tables.entries[:2]
        raise StorageError("the database cannot be read")

    report = verify_ledger(broken(), maker.tables.checkpoints, [])
    assert [one.name for one in report.findings] == [Damage.UNREADABLE, Damage.TRUNCATED]


def test_findings_of_one_name_are_bounded():
    maker = LedgerMaker()
    maker.set_up(TOKEN)
    for _ in range(MAX_PER_NAME + 20):
        maker.append(Kind.OFFER, checkpoint=False)
    report = maker.tables.verify()
    assert (len(report.findings), report.findings_left_off) == (MAX_PER_NAME, 20)


def test_damage_ends_at_the_next_perfect_tree():
    """After damage in entry 5 the tree is unknown until 8 entries are signed; then a second one is named."""
    tables = small_ledger().tables.copy()
    for seq in (5, 10):
        leaf = tables.entries[seq][1]
        tables.entries[seq] = (seq, leaf.replace(b'"generation":1', b'"generation":2'))
    assert [(one.name, one.first) for one in tables.verify().findings] == [
        (Damage.ROOT_MISMATCH, 5),
        (Damage.ROOT_MISMATCH, 10),
    ]


def test_where_a_moved_entry_went_is_named(ledger_maker):
    tables = ledger_maker.tables.copy()
    tables.entries[5], tables.entries[9] = (5, tables.entries[9][1]), (9, tables.entries[5][1])
    assert "Reordered: entry 9: here stands what was signed as entry 5" in map(str, tables.verify().findings)


def test_leaves_of_the_rig_are_real(ledger_maker):
    assert {parse_leaf(leaf).core.kind for _, leaf in ledger_maker.tables.entries} >= {
        Kind.DISCLOSURE,
        Kind.ERASED,
    }
