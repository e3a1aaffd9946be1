"""The tree as verification walks it: its frontier, and what is known of the last few thousand sizes.

After damage the frontier is unknown; it is taken up again at the next signed checkpoint of a perfect tree (2^n
entries), whose root stands for everything before it. In between, signed roots still serve. Memory is flat.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ownerd.ledger.entry import MAX_LAG
from ownerd.ledger.merkle import EMPTY_ROOT, Frontier

_MAX_AWAITED: Final = MAX_LAG
_SLOTS: Final = MAX_LAG + 1


# The tree at one size: the size, its root (None: unknown) and the latest time of any entry in it.
_Point = tuple[int, bytes | None, str]


class _Awaited(Struct):
    """A place whose signed root asks for another leaf than the one that stands there."""

    seq: int
    before: Frontier
    root: bytes


class History:
    """The tree so far."""

    def __init__(self) -> None:
        self.size = 0
        self.signed_size = 0
        self._frontier: Frontier | None = Frontier()
        self._before: Frontier | None = None
        self._awaited: _Awaited | None = None
        self._latest = ""
        # One slot per size within reach of an entry's core, used in turn.
        self._points: list[_Point] = [(0, EMPTY_ROOT, "")] * _SLOTS

    def root(self) -> bytes | None:
        """Root of the tree as it is now; None when damage before it leaves it unknown."""
        return self._points[self.size % _SLOTS][1]

    def root_at(self, size: int) -> bytes | None:
        """Root at a size up to `MAX_LAG` back, signed where it was signed; None: unknown or out of reach."""
        at, root, _ = self._points[size % _SLOTS]
        return root if at == size else None

    def latest_before(self, size: int) -> str:
        """Latest time of the entries before ``size``; empty where that is out of reach."""
        at, _, latest = self._points[size % _SLOTS]
        return latest if at == size else ""

    def append(self, leaf_hash: bytes, time: str | None) -> int | None:
        """Add the next leaf. Returns the sequence number whose place this leaf was signed for, if it moved."""
        frontier = self._frontier
        if frontier is not None:
            self._before = frontier.copy()
            frontier.append(leaf_hash)
        else:
            self._before = None
        if time is not None:
            self._latest = time if time > self._latest else self._latest  # noqa: FURB136 -- each entry comes here
        self._move(self.size + 1)
        return None if self._awaited is None else self._found(leaf_hash, self._awaited)

    def skip_to(self, size: int) -> None:
        """Go over missing entries: from here on the tree is unknown."""
        self._frontier = self._before = None
        self._move(size)

    def sign(self, root: bytes) -> bool:
        """Take a signed root of the present size. False when the entries do not yield it."""
        agreed = self._frontier is None or self.root() == root
        if not agreed and self._before is not None and self.size - self.signed_size == 1:
            self._awaited = _Awaited(self.size - 1, self._before, root)
        self.signed_size = self.size
        self._put(root)
        if self._frontier is None or not agreed:
            perfect = self.size & (self.size - 1) == 0
            self._frontier = Frontier.from_perfect_root(self.size, root) if perfect else None
        return agreed

    def _found(self, leaf_hash: bytes, awaited: _Awaited) -> int | None:
        if self.size - awaited.seq > _MAX_AWAITED:
            self._awaited = None
            return None
        trial = awaited.before.copy()
        trial.append(leaf_hash)
        if trial.root() != awaited.root:
            return None
        self._awaited = None
        return awaited.seq

    def _move(self, size: int) -> None:
        self.size = size
        self._put(None if self._frontier is None else self._frontier.root())

    def _put(self, root: bytes | None) -> None:
        self._points[self.size % _SLOTS] = (self.size, root, self._latest)
