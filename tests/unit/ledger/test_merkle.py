"""The tree against the recursive definitions of RFC 6962, at every size up to 100, every proof."""

import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.ledgers import steady

from ownerd.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from ownerd.model.errors import InvalidArgument, LedgerError, Malformed, Tampered

SIZES = 100
LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(SIZES)]


def split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


@cache
def mth(start: int, end: int) -> bytes:
    if end - start == 0:
        return hashlib.sha256(b"").digest()
    if end - start == 1:
        return LEAVES[start]
    k = start + split(end - start)
    return hashlib.sha256(b"\x01" + mth(start, k) + mth(k, end)).digest()


def path(m: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    k = start + split(end - start)
    if m < k:
        return [*path(m, start, k), mth(k, end)]
    return [*path(m, k, end), mth(start, k)]


def subproof(m: int, start: int, end: int, *, whole: bool) -> list[bytes]:
    if m == end:
        return [] if whole else [mth(start, end)]
    k = start + split(end - start)
    if m <= k:
        return [*subproof(m, start, k, whole=whole), mth(k, end)]
    return [*subproof(m, k, end, whole=False), mth(start, k)]


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def refuses(verify, *arguments) -> None:
    with pytest.raises(LedgerError):
        verify(*arguments)


def test_the_root_is_the_rfc_root_at_every_size():
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == mth(0, 0)
    for size, leaf in enumerate(LEAVES, start=1):
        frontier.append(leaf)
        assert (frontier.size, frontier.root()) == (size, mth(0, size))
    assert Frontier.from_leaf_hashes(LEAVES).root() == frontier.root()


def test_a_copy_grows_alone():
    frontier = Frontier.from_leaf_hashes(LEAVES[:5])
    other = frontier.copy()
    other.append(LEAVES[5])
    assert (frontier.size, frontier.root()) == (5, mth(0, 5))
    assert (other.size, other.root()) == (6, mth(0, 6))


@pytest.mark.parametrize("size", [1, 2, 4, 32])
def test_the_root_of_a_perfect_tree_stands_for_it(size):
    frontier = Frontier.from_perfect_root(size, mth(0, size))
    for leaf in LEAVES[size:]:
        frontier.append(leaf)
    assert frontier.root() == mth(0, SIZES)


@pytest.mark.parametrize("size", [0, -1, 3, 12])
def test_no_other_root_stands_for_a_tree(size):
    with pytest.raises(InvalidArgument):
        Frontier.from_perfect_root(size, EMPTY_ROOT)


def test_hashes_of_another_length_are_refused():
    with pytest.raises(InvalidArgument):
        Frontier().append(b"short")
    with pytest.raises(InvalidArgument):
        Frontier.from_perfect_root(1, b"short")


@pytest.mark.parametrize("size", range(1, SIZES + 1))
def test_inclusion_at_every_index(size):
    root, leaves = mth(0, size), LEAVES[:size]
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        assert proof == path(index, 0, size)
        verify_inclusion(LEAVES[index], index, size, proof, root)
        refuses(verify_inclusion, flipped(LEAVES[index]), index, size, proof, root)
        refuses(verify_inclusion, LEAVES[index], index, size, proof, flipped(root))
        refuses(verify_inclusion, LEAVES[index], index, size, [*proof, root], root)
        for place in range(len(proof)):
            spoiled = [*proof[:place], flipped(proof[place]), *proof[place + 1 :]]
            refuses(verify_inclusion, LEAVES[index], index, size, spoiled, root)
            refuses(verify_inclusion, LEAVES[index], index, size, proof[:place] + proof[place + 1 :], root)
        if size > 1:
            refuses(verify_inclusion, LEAVES[index], (index + 1) % size, size, proof, root)


@pytest.mark.parametrize("size", range(1, SIZES + 1))
def test_consistency_with_every_earlier_size(size):
    root, leaves = mth(0, size), LEAVES[:size]
    for first in range(1, size + 1):
        proof, first_root = consistency_proof(leaves, first), mth(0, first)
        assert proof == subproof(first, 0, size, whole=True)
        verify_consistency(first, size, first_root, root, proof)
        refuses(verify_consistency, first, size, flipped(first_root), root, proof)
        refuses(verify_consistency, first, size, first_root, flipped(root), proof)
        refuses(verify_consistency, first, size, first_root, root, [*proof, root])
        for place in range(len(proof)):
            spoiled = [*proof[:place], flipped(proof[place]), *proof[place + 1 :]]
            refuses(verify_consistency, first, size, first_root, root, spoiled)
            shorter = proof[:place] + proof[place + 1 :]
            refuses(verify_consistency, first, size, first_root, root, shorter)


def test_every_tree_extends_the_empty_one():
    assert consistency_proof(LEAVES, 0) == []
    verify_consistency(0, SIZES, EMPTY_ROOT, mth(0, SIZES), [])
    with pytest.raises(Tampered):
        verify_consistency(0, SIZES, mth(0, 1), mth(0, SIZES), [])


def test_impossible_proofs_are_not_made():
    for index in (-1, 5):
        with pytest.raises(InvalidArgument):
            inclusion_proof(LEAVES[:5], index)
    for first in (-1, 6):
        with pytest.raises(InvalidArgument):
            consistency_proof(LEAVES[:5], first)


def test_impossible_sizes_and_lengths_are_malformed():
    root = mth(0, 5)
    for arguments in (
        (LEAVES[0], 5, 5, [], root),
        (LEAVES[0], -1, 5, [], root),
        (LEAVES[0], 0, 5, [b"short"], root),
        (LEAVES[0], 0, 5, [root] * 129, root),
        (LEAVES[0], 0, 5, [], root),
    ):
        with pytest.raises(Malformed):
            verify_inclusion(*arguments)
    for arguments in (
        (6, 5, root, root, []),
        (-1, 5, root, root, []),
        (3, 5, root, root, []),
        (4, 5, root, b"short", []),
        (3, 5, root, root, [root] * 129),
    ):
        with pytest.raises(Malformed):
            verify_consistency(*arguments)


@steady
@given(
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
    st.lists(st.binary(min_size=32, max_size=32), max_size=45),
)
def test_invented_proofs_never_verify_and_never_crash(one, two, proof):
    root = node_hash(b"another", b"tree")
    with pytest.raises(LedgerError):
        verify_inclusion(LEAVES[0], one, two, proof, root)
    if (one, proof) != (0, []) and one != two:
        with pytest.raises(LedgerError):
            verify_consistency(one, two, LEAVES[0], root, proof)
