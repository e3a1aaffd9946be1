"""The Merkle tree of RFC 6962 section 2.1 (unchanged in RFC 9162): hashes, compact range, proofs.

Leaf: ``SHA-256(0x00 ‖ data)``; node: ``SHA-256(0x01 ‖ left ‖ right)``; the empty tree: ``SHA-256("")``.
Proofs are lists of 32-byte hashes, from the leaves up, as RFC 9162 sections 2.1.3 and 2.1.4 order them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Self

from ownerd.model.errors import InvalidArgument, Malformed, Tampered

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256  # inner loops: a call less counts there
MAX_PROOF_HASHES: Final = 128  # two paths in a tree of 2^63 leaves


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf's bytes (32 bytes)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtree roots (32 bytes)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """Compact range: the roots of the perfect subtrees of a growing tree, largest first.

    Appending and `root` cost O(log size); nothing else of the tree is kept.
    """

    __slots__ = ("_roots", "_size")

    def __init__(self) -> None:
        self._roots: list[bytes] = []
        self._size = 0

    @classmethod
    def from_leaf_hashes(cls, leaf_hashes: Iterable[bytes]) -> Self:
        """Build the frontier of a tree from all its leaf hashes in order."""
        frontier = cls()
        for one in leaf_hashes:
            frontier.append(one)
        return frontier

    @classmethod
    def from_perfect_root(cls, size: int, root: bytes) -> Self:
        """Take over a tree of 2^n leaves by its root alone. Raises `InvalidArgument` for another size."""
        if size < 1 or size & (size - 1) or len(root) != HASH_BYTES:
            raise InvalidArgument("only the root of a perfect tree stands for it")
        frontier = cls()
        frontier._roots, frontier._size = [root], size
        return frontier

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._size

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf by its hash. Raises `InvalidArgument` unless it is 32 bytes."""
        if len(leaf_hash) != HASH_BYTES:
            raise InvalidArgument("a leaf hash has 32 bytes")
        node = leaf_hash
        # As many subtrees are completed as the size has trailing one bits.
        size = self._size
        while size & 1:
            node = _sha256(b"\x01" + self._roots.pop() + node).digest()
            size >>= 1
        self._roots.append(node)
        self._size += 1

    def root(self) -> bytes:
        """Root hash of the tree as it is now."""
        if not self._roots:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in self._roots[-2::-1]:
            node = _sha256(b"\x01" + left + node).digest()
        return node

    def joined(self, right: Frontier) -> bytes:
        """Root of this tree with ``right`` after it, which is smaller than any of this one's subtrees."""
        node = right.root() if right._roots else None
        for left in reversed(self._roots):
            node = left if node is None else node_hash(left, node)
        return EMPTY_ROOT if node is None else node

    def copy(self) -> Self:
        """Return an independent frontier of the same tree."""
        other = self.__class__.__new__(self.__class__)
        other._roots = self._roots.copy()  # noqa: SLF001 - the same class
        other._size = self._size  # noqa: SLF001 - the same class
        return other


def split(size: int) -> int:
    """Return the largest power of two smaller than ``size`` (≥ 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _root(leaf_hashes: Sequence[bytes]) -> bytes:
    return Frontier.from_leaf_hashes(leaf_hashes).root()


def roots_at(leaf_hashes: Iterable[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The tree's roots at those of ``sizes`` that it has had, in one walk."""
    wanted = set(sizes)
    frontier = Frontier()
    roots = {0: EMPTY_ROOT} if 0 in wanted else {}
    for one in islice(leaf_hashes, max(wanted, default=0)):
        frontier.append(one)
        if frontier.size in wanted:
            roots[frontier.size] = frontier.root()
    return roots


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Prove that leaf ``index`` is in the tree of ``leaf_hashes`` (RFC 9162 section 2.1.3.1).

    Raises `InvalidArgument` when there is no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise InvalidArgument("no such leaf in a tree of that size")
    proof: list[bytes] = []
    start, end = 0, len(leaf_hashes)
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            proof.append(_root(leaf_hashes[middle:end]))
            end = middle
        else:
            proof.append(_root(leaf_hashes[start:middle]))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(leaf_hashes: Sequence[bytes], first: int) -> list[bytes]:
    """Prove that the tree of ``leaf_hashes`` extends its own first ``first`` leaves (section 2.1.4.1).

    The proof is empty for ``first`` 0 and for the whole tree. Raises `InvalidArgument` for a size that the
    tree never had.
    """
    second = len(leaf_hashes)
    if not 0 <= first <= second:
        raise InvalidArgument("no tree of that size")
    if first in (0, second):
        return []
    proof: list[bytes] = []
    start, end, whole = 0, second, True
    # SUBPROOF(m, D, b) of the RFC, unrolled; ``first`` stays absolute, ``whole`` is b.
    while first != end:
        middle = start + split(end - start)
        if first <= middle:
            proof.append(_root(leaf_hashes[middle:end]))
            end = middle
        else:
            proof.append(_root(leaf_hashes[start:middle]))
            start, whole = middle, False
    if not whole:
        proof.append(_root(leaf_hashes[start:end]))
    proof.reverse()
    return proof


def _require_hashes(hashes: Iterable[bytes], count: int) -> None:
    if count > MAX_PROOF_HASHES:
        raise Malformed("proof is too long")
    if any(len(one) != HASH_BYTES for one in hashes):
        raise Malformed("a hash in a proof has 32 bytes")


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify an inclusion proof (RFC 9162 section 2.1.3.2).

    Raises `Malformed` for impossible sizes or lengths and `Tampered` when the proof does not yield ``root``.
    """
    if not 0 <= index < size:
        raise Malformed("no such leaf in a tree of that size")
    _require_hashes((leaf_hash, root, *proof), len(proof))
    node_index, last_index = index, size - 1
    node = leaf_hash
    for sibling in proof:
        if last_index == 0:
            raise Malformed("inclusion proof has the wrong length")
        if node_index & 1 or node_index == last_index:
            node = node_hash(sibling, node)
            while not node_index & 1 and node_index:
                node_index >>= 1
                last_index >>= 1
        else:
            node = node_hash(node, sibling)
        node_index >>= 1
        last_index >>= 1
    if last_index:
        raise Malformed("inclusion proof has the wrong length")
    if node != root:
        raise Tampered("the entry is not in that tree")


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Verify that the tree of size ``second`` extends the one of size ``first`` (RFC 9162 section 2.1.4.2).

    Raises `Malformed` for impossible sizes or lengths and `Tampered` when one tree is not the other's start.
    """
    if not 0 <= first <= second:
        raise Malformed("a tree does not shrink")
    _require_hashes((first_root, second_root, *proof), len(proof))
    if first in (0, second):
        if proof:
            raise Malformed("consistency proof has the wrong length")
        if first_root != (EMPTY_ROOT if first == 0 else second_root):
            raise Tampered("two trees of one size differ")
        return
    # Step 1: where the first tree is one perfect subtree, its root is the path's start and is not sent.
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        raise Malformed("consistency proof has the wrong length")
    first_index, second_index = first - 1, second - 1
    while first_index & 1:
        first_index >>= 1
        second_index >>= 1
    first_node = second_node = path[0]
    for sibling in path[1:]:
        if second_index == 0:
            raise Malformed("consistency proof has the wrong length")
        if first_index & 1 or first_index == second_index:
            first_node = node_hash(sibling, first_node)
            second_node = node_hash(sibling, second_node)
            while not first_index & 1 and first_index:
                first_index >>= 1
                second_index >>= 1
        else:
            second_node = node_hash(second_node, sibling)
        first_index >>= 1
        second_index >>= 1
    if second_index:
        raise Malformed("consistency proof has the wrong length")
    if first_node != first_root or second_node != second_root:
        raise Tampered("one tree is not the beginning of the other")
