"""Long reads of the ledger: one touch approves a range, whose pages its tool then fetches (docs/decisions/0017).

An answer has to fit into one message on the bus, and a ledger does not. The first page comes with the touch; every
other one is asked for by naming the entry of that touch, over the same connection and sealed to the key that the
approved statement names. So nobody else can open a page, whatever they ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ownerd.core.records import read_entries
from ownerd.credential.jwe import MAX_PLAINTEXT_BYTES
from ownerd.ledger.shape import format_plain
from ownerd.model.errors import NotFound

if TYPE_CHECKING:
    from ownerd.core.ports import StorePort
    from ownerd.core.vault import Vault
    from ownerd.model.encoding import Json

PAGE_ENTRIES: Final = 500
PAGE_BYTES: Final = MAX_PLAINTEXT_BYTES - 4096  # the rest of the answer
IDLE_MS: Final = 2 * 60 * 1000
LIFE_MS: Final = 30 * 60 * 1000
_STEP: Final = 25


class ApprovedRead(Struct, frozen=True):
    """What a touch approved: entries ``start`` to before ``end``, for one tool's key on one connection."""

    entry: int
    tool: str
    bus_name: str
    start: int
    end: int


class EntryReads:
    """The newest approved read, while its tool goes on with it."""

    def __init__(self) -> None:
        self._newest: ApprovedRead | None = None
        self._since_ms = self._used_ms = 0

    def allow(self, approved: ApprovedRead, now_ms: int) -> None:
        """Let the tool of ``approved`` fetch pages from now on; whoever was at it before has to ask again."""
        self._newest, self._since_ms, self._used_ms = approved, now_ms, now_ms

    def require(self, entry: Json, tool: str, bus_name: str, now_ms: int) -> ApprovedRead:
        """The approved read of ``entry``, `IDLE_MS` after its last page at most. Raises `NotFound`."""
        found = self._newest
        late = not (0 <= now_ms - self._used_ms <= IDLE_MS and now_ms - self._since_ms <= LIFE_MS)
        if found is None or late or type(entry) is not int:
            raise NotFound("no read is approved under that number, or not any more")
        if (found.entry, found.tool, found.bus_name) != (entry, tool, bus_name):
            raise NotFound("no read is approved under that number, or not any more")
        self._used_ms = now_ms
        return found


async def read_page(
    store: StorePort, vault: Vault, approved: ApprovedRead, start: int, *, values: bool
) -> dict[str, Json]:
    """Entries from ``start`` on, as many as fit: ``{"entries", "approved", "next"}``; ``next`` is None at the end.

    Without ``values`` it says what the file alone says. An entry too large for any message comes without its
    values and with ``too_large``. Raises `NotFound` outside of what was approved.
    """
    if not approved.start <= start < approved.end:
        raise NotFound("that entry is not part of what was approved")
    last = min(approved.end, start + PAGE_ENTRIES)
    entries: list[dict[str, Json]] = []
    size = 0
    while start + len(entries) < last:
        first = start + len(entries)
        keys = vault.opening_keys() if values else None
        step = await read_entries(store, keys, first, min(_STEP, last - first))
        for one in step["entries"]:
            size += len(format_plain(one)) + 1
            if size > PAGE_BYTES and entries:
                return _page(entries, approved, first=start)
            if size > PAGE_BYTES:
                one |= {"values": None, "too_large": True}
                size = 0
            entries.append(one)
    return _page(entries, approved, first=start)


def _page(entries: list[dict[str, Json]], approved: ApprovedRead, *, first: int) -> dict[str, Json]:
    after = first + len(entries)
    return {
        "entries": entries,
        "approved": approved.entry,
        "next": after if after < approved.end else None,
    }
