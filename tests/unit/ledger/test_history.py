"""The tree as verification walks it: what is known after damage, and for how long."""

from ownerd.ledger.entry import MAX_LAG
from ownerd.ledger.findings import Damage, Finding
from ownerd.ledger.history import History
from ownerd.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash

LEAVES = [leaf_hash(b"%d" % number) for number in range(MAX_LAG + 20)]


def root_of(size: int) -> bytes:
    return Frontier.from_leaf_hashes(LEAVES[:size]).root()


def walk(*leaves: bytes) -> History:
    history = History()
    for leaf in leaves:
        history.append(leaf, None)
    return history


def test_roots_are_known_as_far_back_as_an_entry_may_reach():
    history = walk(*LEAVES[: MAX_LAG + 5])
    assert history.root_at(5) == root_of(5)
    assert history.root_at(4) is None
    assert history.root() == root_of(MAX_LAG + 5)
    assert walk().root_at(0) == EMPTY_ROOT


def test_the_latest_time_is_the_latest_so_far():
    history = History()
    for time in ("b", "c", "a", None):
        history.append(LEAVES[0], time)
    assert [history.latest_before(size) for size in range(5)] == ["", "b", "c", "c", "c"]
    assert history.latest_before(9) == ""


def test_after_a_gap_only_signed_roots_are_known_until_a_perfect_tree():
    history = walk(*LEAVES[:5])
    history.skip_to(6)
    assert history.root() is None
    assert history.sign(b"6" * 32)
    assert history.root_at(6) == b"6" * 32
    history.append(LEAVES[6], None)
    assert history.root() is None
    history.append(LEAVES[7], None)
    assert history.sign(root_of(8))
    history.append(LEAVES[8], None)
    assert history.root() == root_of(9)
    assert not history.sign(b"9" * 32)


def test_a_leaf_that_moved_is_recognised_where_it_stands():
    history = walk(*LEAVES[:2])
    assert history.sign(root_of(2))
    assert history.append(LEAVES[5], None) is None
    assert not history.sign(root_of(3))
    assert history.append(LEAVES[7], None) is None
    assert history.append(LEAVES[2], None) == 2
    assert history.append(LEAVES[2], None) is None


def test_a_leaf_that_moved_far_is_no_longer_looked_for():
    history = walk(*LEAVES[:2])
    history.sign(root_of(2))
    history.append(LEAVES[5], None)
    history.sign(root_of(3))
    for leaf in LEAVES[6 : MAX_LAG + 6]:
        assert history.append(leaf, None) is None
    assert history.append(LEAVES[2], None) is None


def test_findings_read_as_sentences():
    assert str(Finding(Damage.GAP, 3, 5, "no such rows")) == "Gap: entries 3 to 5: no such rows"
    assert str(Finding(Damage.GAP, 3, 3, "no such rows")) == "Gap: entry 3: no such rows"
