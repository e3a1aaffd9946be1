"""Content lines of a vCard: the lexical half of RFC 6350 (4.0) and RFC 2426 (3.0), sections 3.2 to 3.4 and 4.

`vobject` splits a line into name, parameters and value; its values, dates and components are not used. Nothing here knows what a
property means. Errors name the line and the property, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from ownerd.model.errors import InvalidArgument

MAX_BYTES: Final = 1 << 20
MAX_PROPERTIES: Final = 500
_FOLD_OCTETS: Final = 75  # RFC 6350, section 3.2

# vobject's own expression for a line needs exponential time on some malformed ones, so it only sees lines that
# match this one, where no two parts can take the same character.
_LINE = re.compile(
    r"(?:[A-Za-z0-9_-]+\.)?[A-Za-z0-9_-]+"
    r'(?:;[A-Za-z0-9_-]+(?:=(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)?)*:',
)
# Every control character (Cc) but tab and the line ends of the two forms LF and CRLF.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
# A name that a message may repeat.
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)?([A-Za-z0-9_-]{1,40})[;:]")


class ContentLine(Struct, frozen=True):
    """One unfolded line: upper-case name, parameters by upper-case name, raw value, first line's number."""

    number: int
    name: str
    parameters: dict[str, list[str]]
    value: str

    def types(self) -> set[str]:
        """TYPE parameter values in lower case."""
        return {kind.lower() for value in self.parameters.get("TYPE", []) for kind in value.split(",")}

    def value_type(self) -> str:
        """VALUE parameter in lower case, or ""."""
        return next(iter(self.parameters.get("VALUE", [])), "").lower()

    def refuse(self, reason: str) -> InvalidArgument:
        """Return the error that names this line."""
        return InvalidArgument(f"line {self.number}: {self.name[:40]} {reason}")


def decode_card(card: str | bytes) -> str:
    """Return the text of a card. Raises `InvalidArgument` unless it is UTF-8 of bounded size."""
    try:
        raw = card.encode("utf-8") if isinstance(card, str) else card
        text = raw.decode("utf-8")
    except UnicodeError as error:
        raise InvalidArgument("the vCard is not UTF-8 text") from error
    if len(raw) > MAX_BYTES:
        raise InvalidArgument(f"the vCard is larger than {MAX_BYTES} bytes")
    return text.removeprefix("\ufeff")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Unfold (section 3.2): number of the first line, and the whole. Empty lines are passed over.

    Not vobject's: it counts lines twice, and joins what ends in "=" as quoted-printable.
    """
    start, pieces = 0, list[str]()
    for number, ended in enumerate(text.split("\n"), 1):
        line = ended.removesuffix("\r")
        if pieces and line[:1] in {" ", "\t"}:
            pieces.append(line[1:])
            continue
        if pieces:
            yield start, "".join(pieces)
        start, pieces = number, [line] if line else []
    if pieces:
        yield start, "".join(pieces)


def parse_lines(card: str | bytes) -> Iterator[ContentLine]:
    """Unfold and split a card. Raises `InvalidArgument` with the line's number."""
    from vobject.base import parseLine

    text = decode_card(card)
    control = _CONTROL.search(text)
    if control:
        raise InvalidArgument(f"line {text.count(chr(10), 0, control.start()) + 1} has a control character")
    for count, (number, line) in enumerate(_logical_lines(text), 1):
        if count > MAX_PROPERTIES:
            raise InvalidArgument(f"the vCard has more than {MAX_PROPERTIES} properties")
        if not _LINE.match(line):
            named = _NAME.match(line)
            raise InvalidArgument(
                f"line {number}: {named[1].upper() if named else 'this'} is not a content line"
            )
        name, parameters, value, _group = parseLine(line, number)
        found: dict[str, list[str]] = {}
        for parameter, *values in parameters:
            # A bare "PREF" is how 2.1, and some 3.0 writers after it, put a type.
            key, entries = (parameter.upper(), values) if values else ("TYPE", [parameter])
            found.setdefault(key, []).extend(entries)
        yield ContentLine(number, name.upper(), found, value)


def split_value(value: str, separator: str) -> list[str]:
    r"""Split at separators that no backslash escapes; escapes stay. Inverse of joining."""
    parts, start = [], 0
    for match in re.finditer(r"\\.|" + re.escape(separator), value, re.DOTALL):
        if match[0] == separator:
            parts.append(value[start : match.start()])
            start = match.end()
    return [*parts, value[start:]]


def parse_text(value: str) -> str:
    r"""Undo the escapes of TEXT (section 3.4): ``\n \, \; \\``, and ``\:`` of some writers; others stay."""

    def plain(match: re.Match[str]) -> str:
        return "\n" if match[1] in "nN" else match[1]

    return re.sub(r"\\([nN,;:\\])", plain, value)


def format_text(value: str) -> str:
    """Escape TEXT, for a place in a list or a structure, too; exact inverse of `parse_text`."""
    for plain, escaped in (("\\", "\\\\"), (",", "\\,"), (";", "\\;"), ("\n", "\\n")):
        value = value.replace(plain, escaped)
    return value


def parse_parameter(value: str) -> str:
    r"""Undo RFC 6868 (``^n ^' ^^``) and then the text escapes that RFC 6350 shows for LABEL."""
    decoded = re.sub(r"\^([n'^])", lambda match: {"n": "\n", "'": '"', "^": "^"}[match[1]], value)
    return parse_text(decoded)


def format_parameter(value: str) -> str:
    """Quote a parameter's text; `parse_parameter` of what stands in the quotes gives it back."""
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("^", "^^").replace('"', "^'")
    return f'"{value}"'


def fold(line: str) -> str:
    """Fold one content line at 75 octets, never inside a character, and end it with CRLF (section 3.2)."""
    pieces, octets = [""], 0
    for character in line:
        size = len(character.encode("utf-8"))
        if octets + size > _FOLD_OCTETS:
            pieces.append("")
            octets = 1  # the space that starts a continuation
        pieces[-1] += character
        octets += size
    return "\r\n ".join(pieces) + "\r\n"
