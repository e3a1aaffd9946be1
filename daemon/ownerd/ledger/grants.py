"""Grants as the verifier follows them: what a touch allowed for later, and how often it was used since.

A grant serves from its entry on until its time is over, its uses are used up or it is ended. Of each grant a few
numbers are kept; of one that may still serve also the times of its newest uses, at most ``per_hour`` of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json

HOUR_MS: Final = 3_600_000
MAX_LIFE_MS: Final = (30 * 24 + 1) * HOUR_MS  # an hour more: no owner counts days by the minute


class _Grant(Struct):
    until: str
    count: int
    per_hour: int
    uses: int = 0
    ended: bool = False
    # Times of the newest uses in milliseconds, a ring; None once nothing can use the grant any more.
    times: array[int] | None = field(default_factory=lambda: array("q"))

    def too_fast(self, now_ms: int) -> bool:
        """Take note of one use; whether it comes within an hour of the one ``per_hour`` uses before it."""
        if self.times is None:
            return False
        if len(self.times) < self.per_hour:
            self.times.append(now_ms)
            return False
        place = self.uses % self.per_hour
        before, self.times[place] = self.times[place], now_ms
        return now_ms - before < HOUR_MS


class Grants:
    """The grants of a log. Sentences that come back say what is wrong; None: nothing."""

    def __init__(self) -> None:
        self._grants: dict[int, _Grant] = {}
        self._open: set[int] = set()

    def add(self, seq: int, facts: Mapping[str, Json], time: str, *, latest: str) -> str | None:
        """Take up an approved grant of entry ``seq``, made at ``time``.

        ``latest`` is a time before which no later entry can be: what is over by then needs no times any more.
        """
        life = parse_time(facts["until"]) - parse_time(time)
        if life <= 0:
            return "the grant is over before it begins"
        if life > MAX_LIFE_MS:
            return "the grant lasts longer than 30 days and an hour"
        for one in [one for one in self._open if self._grants[one].until < latest]:
            self._close(one)
        self._grants[seq] = _Grant(facts["until"], facts["count"], facts["per_hour"])
        self._open.add(seq)
        return None

    def use(self, seq: int, time: str) -> str | None:
        """Judge one disclosure at ``time`` under the grant of entry ``seq``. Every one counts as a use."""
        grant = self._grants.get(seq)
        if grant is None:
            return "the disclosure names no grant that holds"
        if grant.ended:
            return "the disclosure names a grant that had ended"
        fast = grant.too_fast(parse_time(time))
        grant.uses += 1
        if time > grant.until:
            return "the disclosure names a grant whose time was over"
        if grant.uses > grant.count:
            self._close(seq)
            return "the disclosure names a grant that was used up"
        return "the disclosure comes sooner than its grant allows in an hour" if fast else None

    def end(self, seq: int) -> str | None:
        """End the grant of entry ``seq``, once."""
        grant = self._grants.get(seq)
        if grant is None:
            return "the grant that ends was never live"
        if grant.ended:
            return "the grant that ends had ended before"
        grant.ended = True
        self._close(seq)
        return None

    def _close(self, seq: int) -> None:
        self._grants[seq].times = None
        self._open.discard(seq)


__all__ = ["HOUR_MS", "MAX_LIFE_MS", "Grants"]
