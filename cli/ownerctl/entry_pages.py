"""Entries of the ledger through the daemon: one touch for a range, then page by page (docs/decisions/0017)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ownerctl.errors import BadAnswer
from ownerctl.owner import members

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerctl.sealed import Channel
    from ownerd.model.encoding import Json


class EntryPages:
    """An approved range. `entries` may be gone through again, with and without values. Made by `read`."""

    def __init__(self, owner: Owner, channel: Channel, start: int, first: dict[str, Json]) -> None:
        self._owner = owner
        self._channel = channel
        self._start = start
        self._first: dict[str, Json] | None = first
        self._approved = first.get("approved")
        self.log = first.get("log")

    @classmethod
    async def read(cls, owner: Owner, start: int, count: int, *, values: bool = True) -> EntryPages:
        """Ask for ``count`` entries from ``start`` on; the touch comes here. ``values``: those of the first page."""
        channel = await owner.channel()
        message: dict[str, Json] = {"what": "entries", "start": start, "count": count}
        if not values:
            message["values"] = False
        return cls(owner, channel, start, await owner.sealed_by(channel, "Data", "Read", message))

    async def entries(self, *, values: bool = True) -> AsyncIterator[dict[str, Json]]:
        """Every entry of the range in order. Raises `BadAnswer` when the daemon leaves one out."""
        # The page that came with the touch is used once: then it is not kept, and it is what was asked for first.
        page, self._first = self._first, None
        if page is None:
            page = await self._page(self._start, values=values)
        expected = self._start
        while True:
            for entry in members(page, "entries"):
                if "next" in page and entry.get("seq") != expected:
                    raise BadAnswer("the daemon left entries out")
                expected += 1
                yield entry
            after = page.get("next")
            if after is None:
                return
            if after != expected or not page["entries"]:
                raise BadAnswer("the daemon left entries out")
            page = await self._page(expected, values=values)

    async def _page(self, start: int, *, values: bool) -> dict[str, Json]:
        message: dict[str, Json] = {"what": "entries", "approved": self._approved, "start": start}
        if not values:
            message["values"] = False
        return await self._owner.sealed_by(self._channel, "Data", "Read", message)
