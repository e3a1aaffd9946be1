"""Inner nodes of a long tree, kept so that a proof costs microseconds and not a walk over every leaf.

Of each 64 leaves one hash is kept, and all that stand above it: a byte or two per leaf. Below that, leaves are
asked for again, 64 at a time. A proof is the one of `merkle.inclusion_proof`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ownerd.ledger.merkle import Frontier, node_hash, split
from ownerd.model.errors import InvalidArgument

CHUNK: Final = 64
_CHUNK_BITS: Final = 6

# Leaf hashes from the first to before the second number, at most `CHUNK` of them.
LeafHashes = Callable[[int, int], Sequence[bytes]]


class Nodes:
    """A tree's upper nodes. ``leaf_hashes`` are asked for again when a proof needs them."""

    def __init__(self, hashes: Iterable[bytes], leaf_hashes: LeafHashes) -> None:
        self._read = leaf_hashes
        self._levels: list[list[bytes]] = [[]]
        self.size = 0
        chunk: list[bytes] = []
        for one in hashes:
            chunk.append(one)
            if len(chunk) == CHUNK:
                self._add(Frontier.from_leaf_hashes(chunk).root())
                chunk.clear()
            self.size += 1

    def _add(self, root: bytes) -> None:
        level = self._levels[0]
        level.append(root)
        height = 0
        while len(level) % 2 == 0:
            root = node_hash(level[-2], level[-1])
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            level = self._levels[height]
            level.append(root)

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` leaves, at least one. Raises `InvalidArgument` beyond the tree."""
        self._require(0, size)
        return self._subtree(0, size)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Prove leaf ``index`` in the tree of the first ``size`` leaves. Raises `InvalidArgument`."""
        self._require(index, size)
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > CHUNK:
            middle = start + split(end - start)
            if index < middle:
                proof.append(self._subtree(middle, end))
                end = middle
            else:
                proof.append(self._subtree(start, middle))
                start = middle
        hashes = self._read(start, end)
        low, high = 0, end - start
        while high - low > 1:
            middle = low + split(high - low)
            if index - start < middle:
                proof.append(Frontier.from_leaf_hashes(hashes[middle:high]).root())
                high = middle
            else:
                proof.append(Frontier.from_leaf_hashes(hashes[low:middle]).root())
                low = middle
        proof.reverse()
        return proof

    def _require(self, index: int, size: int) -> None:
        if not 0 <= index < size <= self.size:
            raise InvalidArgument("no such leaf in a tree of that size")

    def _subtree(self, start: int, end: int) -> bytes:
        count = end - start
        if count >= CHUNK and count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self._levels[height - _CHUNK_BITS][start >> height]
        if count < CHUNK:
            return Frontier.from_leaf_hashes(self._read(start, end)).root()
        middle = start + split(count)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))


__all__ = ["CHUNK", "LeafHashes", "Nodes"]
