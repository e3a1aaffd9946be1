"""Counts that live as long as the session: uses of grants, which the ledger decides, and receipts."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from ownerd.model.errors import Busy

if TYPE_CHECKING:
    from ownerd.core.grant_record import Grant

HOUR_MS: Final = 60 * 60 * 1000
MAX_RECEIPTS: Final = 8


class Uses:
    """Counts of uses by grant, and the times of those within the last hour."""

    def __init__(self) -> None:
        self._count: dict[int, int] = {}
        self._recent: dict[int, deque[int]] = {}

    def count(self, grant: int) -> int:
        """Uses so far."""
        return self._count.get(grant, 0)

    def add(self, grant: int, time_ms: int) -> None:
        """Take note of a use."""
        self._count[grant] = self.count(grant) + 1
        self._recent.setdefault(grant, deque()).append(time_ms)

    def take_back(self, grant: int, time_ms: int) -> None:
        """Forget a use that did not come to be."""
        self._count[grant] -= 1
        self._recent[grant].remove(time_ms)

    def allows(self, grant: Grant, now_ms: int) -> bool:
        """Whether one more use is within the limits now."""
        recent = self._recent.setdefault(grant.entry, deque())
        # An hour and a moment: the ledger's verifier counts whole hours by the entries' own times.
        while recent and recent[0] < now_ms - HOUR_MS - 1000:
            recent.popleft()
        within = self.count(grant.entry) < grant.limits.count and len(recent) < grant.limits.per_hour
        return within and now_ms < grant.until_ms

    def end(self, grant: int) -> None:
        """Forget a grant that has ended."""
        self._count.pop(grant, None)
        self._recent.pop(grant, None)


class Receipts(Struct):
    """How many receipts each disclosure has got since the start of the process."""

    _seen: Counter[int] = field(default_factory=Counter)

    def take(self, entry: int) -> None:
        """Take one up. Raises `Busy` for one too many."""
        if self._seen[entry] >= MAX_RECEIPTS:
            raise Busy("this disclosure has as many receipts as it may have")
        self._seen[entry] += 1
