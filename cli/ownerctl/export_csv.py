"""``ledger export --format csv``: one row a claim, for spreadsheets (RFC 4180), and safe in them.

Spreadsheets run a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula, and
some of them the full-width forms of these, or one after spaces. Names, purposes and values come from providers and
other apps, so such a cell gets an apostrophe before it, which a spreadsheet takes for "this is text". Characters that
a terminal or an editor would obey become visible escapes. Neither is undone on reading: the exact form is JSON.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from ownerctl.export_record import members, text
from ownerctl.export_text import line_json
from ownerctl.render import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ownerctl.export_record import Record
    from ownerd.model.encoding import Json

COLUMNS = (
    "entry", "time", "kind", "approved by", "provider", "client id", "trust", "app", "purpose",
    "claim", "version", "value", "instead of", "form", "facts", "note",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: Json) -> str:
    r"""One cell: text as it is, other JSON as JSON; neutralised.

    >>> cell("=1+1"), cell("a\tb"), cell(None), cell(True)
    ("'=1+1", 'a\\u0009b', '', 'true')
    """
    if value is None:
        return ""
    plain = value if isinstance(value, str) else line_json(value)
    shown = clean(plain, lines=True)
    return f"'{shown}" if plain.lstrip(" \n\u00a0").startswith(_FORMULA) else shown


def _line(cells: Iterable[Json]) -> str:
    made = io.StringIO()
    csv.writer(made, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([cell(one) for one in cells])
    return made.getvalue()


class CsvDocument:
    """A header and a row for each claim of an entry, or one for an entry without claims."""

    def __init__(self, *, values: bool) -> None:
        self._values = values

    def begin(self) -> str:
        """The header."""
        return _line(COLUMNS)

    def entry(self, record: Record) -> str:
        """The rows of one entry."""
        values, provider = record.values or {}, record.provider
        purpose = values.get("purpose")
        about: list[Json] = [
            record.seq,
            record.time,
            record.kind,
            record.approved_by,
            provider.get("name"),
            provider.get("client_id"),
            provider.get("trust"),
            text(members(values.get("app")).get("label")),
            purpose if isinstance(purpose, str) else None,
        ]
        rest: list[Json] = [dict(record.facts) if record.facts else None, self._note(record)]
        rows = [
            [one.get("name"), one.get("version"), one.get("value"), one.get("of"), one.get("form")]
            for one in record.claims
        ]
        return "".join(_line([*about, *row, *rest]) for row in rows or [[None] * 5])

    def _note(self, record: Record) -> str | None:
        if record.too_large:
            return "values too large to be read"
        return "values erased" if self._values and record.values is None else None

    def end(self) -> str:
        """Nothing."""
        return ""
