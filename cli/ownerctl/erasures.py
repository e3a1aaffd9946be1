"""What the ledger says was erased: which entries, when, under whose approval. Read along while it is verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ownerctl import render
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.rows import Row
from ownerd.model.encoding import Json
from ownerd.model.errors import LedgerError
from ownerd.model.names import Kind

if TYPE_CHECKING:
    from ownerd.ledger.entry import Leaf

_MARK: Final = b'"kind":"erased"'
_MAX_SHOWN: Final = 1000


class Erasures:
    """Takes note of ``erased`` entries among rows that pass by; verifying them is the verifier's."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Json]] = []

    def watch(self, entries: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for seq, data in entries:
            # Parsing is a hundred times dearer than looking; what merely looks alike is sorted out by parsing.
            if isinstance(data, bytes) and _MARK in data and len(self.rows) < _MAX_SHOWN:
                self._note(seq, data)
            yield seq, data

    def _note(self, seq: int, data: bytes) -> None:
        try:
            leaf = parse_leaf(data)
        except LedgerError:
            return  # the verifier names it
        if leaf.core.kind is Kind.ERASED:
            self.rows.append(
                {
                    "entry": seq,
                    "time": leaf.core.time,
                    "entries": leaf.core.facts["entries"],
                    "approved_by": _approved_by(leaf),
                }
            )

    def show(self) -> None:
        """One line each, for people."""
        for row in self.rows:
            count = len(row["entries"])
            render.emit_line(
                f"entry {row['entry']} erased what {count} {'entry' if count == 1 else 'entries'} said, "
                f"{render.local_time(str(row['time']))}, approved by token {row['approved_by'] or '(none)'}"
            )


def _approved_by(leaf: Leaf) -> str | None:
    return getattr(leaf.approval, "token", None)
