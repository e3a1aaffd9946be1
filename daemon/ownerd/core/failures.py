"""Refused and failed acts in the ledger, bounded (DESIGN section 4, step 12).

A flood must not fill the disk: at most `PER_MINUTE` such entries a minute; what is over is counted, and the
count stands in the next entry that is written.
"""

from __future__ import annotations

from typing import Final

from ownerd.core.desk import Act
from ownerd.core.journal import Journal
from ownerd.core.ports import Clock
from ownerd.core.statement import app_label
from ownerd.model.encoding import Json
from ownerd.model.errors import Dismissed, Downgraded, KeyChanged, NotAllowed, OwnerdError
from ownerd.model.names import Kind

PER_MINUTE: Final = 30
_REFUSALS: Final = (Dismissed, NotAllowed, Downgraded, KeyChanged)
_MINUTE_MS: Final = 60_000


class Failures:
    """Writer of ``refused`` and ``failed`` entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window_ms = 0
        self._written = 0
        self._left_out = 0

    async def record(self, journal: Journal, act: Act, error: OwnerdError) -> int | None:
        """Append an entry for ``error``; None when it was only counted."""
        now_ms = self._clock.passed_ms()
        if now_ms - self._window_ms >= _MINUTE_MS:
            self._window_ms, self._written = now_ms, 0
        if self._written >= PER_MINUTE:
            self._left_out += 1
            return None
        self._written += 1
        kind = Kind.REFUSED if isinstance(error, _REFUSALS) else Kind.FAILED
        values: dict[str, Json] = {"app": app_label(act.caller), **act.notes}
        values["error"] = {"name": error.id, "act": act.kind, "left_out_before": self._left_out}
        self._left_out = 0
        return await journal.append(journal.draft(kind, values, {"error": error.id}))
