"""What the forms of an export share: JSON that a terminal may show, and documents written entry by entry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from ownerctl.render import is_unsafe

if TYPE_CHECKING:
    from ownerctl.export_record import Record
    from ownerd.model.encoding import Json


class Document(Protocol):
    """An export that is written as it is read."""

    def begin(self) -> str:
        """What stands before the first entry."""

    def entry(self, record: Record) -> str:
        """The text for one entry; empty where this form has no place for it."""

    def end(self) -> str:
        """What stands after the last entry."""


def line_json(value: Json) -> str:
    r"""One JSON value on one line: exact, with what a terminal would obey as ``\uXXXX`` escapes."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if line.isprintable():
        return line
    return "".join(json.dumps(one)[1:-1] if is_unsafe(one) else one for one in line)


class JsonList:
    """A JSON object whose last member is a list, one element a line; so a torn file is no JSON."""

    def __init__(self, head: dict[str, Json], name: str) -> None:
        self._head = head
        self._name = name
        self.count = 0

    def begin(self) -> str:
        """The members before the list."""
        head = line_json(self._head)[1:-1]
        return f"{{{head}{',' if head else ''}{line_json(self._name)}:["

    def add(self, element: Json) -> str:
        """One element."""
        self.count += 1
        return f"{',' if self.count > 1 else ''}\n{line_json(element)}"

    def end(self) -> str:
        """The end of the list and of the object."""
        return "\n]}\n"
