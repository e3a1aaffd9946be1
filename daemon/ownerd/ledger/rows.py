"""Rows of a table as verification takes them: in ascending order of their keys, one look ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ownerd.ledger.findings import Damage, Findings
from ownerd.model.errors import StorageError

Row = tuple[int, bytes]


class Rows:
    """One table's rows, checked to ascend, taken by key."""

    def __init__(self, table: str, rows: Iterable[Row], findings: Findings) -> None:
        self._table = table
        self._rows = iter(rows)
        self._findings = findings
        self._next: Row | None = None
        self._last: int | None = None
        self._advance()

    def _advance(self) -> None:
        self._next = None
        try:
            for row in self._rows:
                if self._last is None or row[0] > self._last:
                    self._next, self._last = row, row[0]
                    return
                self._findings.add(Damage.EXTRA_ROW, None, f"table {self._table} has a row out of order")
        except StorageError:
            self._findings.add(Damage.UNREADABLE, None, f"table {self._table} cannot be read to its end")

    def has_before(self, key: int) -> bool:
        """Whether the next row is one before ``key``."""
        return self._next is not None and self._next[0] < key

    def take(self, key: int) -> bytes | None:
        """Return the row of ``key`` if it is the next."""
        if self._next is None or self._next[0] != key:
            return None
        data = self._next[1]
        self._advance()
        return data

    def until(self, key: int | None = None) -> Iterator[Row]:
        """Take all rows before ``key``, or all that are left."""
        while self._next is not None and (key is None or self._next[0] < key):
            row = self._next
            self._advance()
            yield row
