"""``ledger export --format json``: every entry with all that is known of it, exact. docs/EXPORTS.md has the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ownerctl.export_text import JsonList

if TYPE_CHECKING:
    from ownerctl.export_record import Record
    from ownerd.model.encoding import Json


class JsonDocument:
    """``{"v":1,"type":"urn:ownerd:export:1","log":…,"values":…,"entries":[…]}``.

    ``values``: whether values were asked for; without them every entry has null.
    """

    def __init__(self, log: str, *, values: bool) -> None:
        self._values = values
        self._list = JsonList(
            {"v": 1, "type": "urn:ownerd:export:1", "log": log, "values": values}, "entries"
        )

    def begin(self) -> str:
        """See `JsonList`."""
        return self._list.begin()

    def entry(self, record: Record) -> str:
        """One entry, as `ledger show --json` has it, and whether its values are erased."""
        element: dict[str, Json] = {
            "seq": record.seq,
            "time": record.time,
            "kind": record.kind,
            "approved_by": record.approved_by or None,
            "facts": dict(record.facts),
            "values": None if record.values is None else dict(record.values),
        }
        if record.too_large:
            element["too_large"] = True
        elif self._values and record.values is None:
            element["erased"] = True
        return self._list.add(element)

    def end(self) -> str:
        """See `JsonList`."""
        return self._list.end()
