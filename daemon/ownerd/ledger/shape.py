"""Reading JSON members by exact shape: no member missing, none unknown, every type and size as written.

Every refusal is `Malformed`. JSON numbers that are not integers are refused: leaves have none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ownerd.model import canonical
from ownerd.model.canonical import MAX_INT
from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, Malformed


def format_canonical(value: Json) -> bytes:
    """Encode JSON canonically (RFC 8785). Raises `Malformed` for what JSON cannot hold."""
    try:
        return canonical.format_canonical(value)
    except InvalidArgument as error:
        raise Malformed(str(error)) from error


def format_plain(value: Json) -> bytes:
    """As `format_canonical`, where names are known to be ASCII and numbers to be integers."""
    try:
        return canonical.format_plain(value)
    except InvalidArgument as error:
        raise Malformed(str(error)) from error


def parse_canonical(
    data: bytes, *, max_bytes: int, encode: Callable[[Json], bytes] = format_canonical
) -> dict[str, Json]:
    """Decode a JSON object that is its own canonical form, as ``encode`` writes it. Raises `Malformed`.

    With `format_plain` the caller must refuse names that are not ASCII and numbers that are not integers.
    """
    try:
        return canonical.parse_canonical(data, max_bytes=max_bytes, encode=encode)
    except InvalidArgument as error:
        raise Malformed(str(error)) from error


class Members:
    """One JSON object whose member names are exactly ``names`` (plus any of ``optional``)."""

    __slots__ = ("_members",)

    def __init__(self, value: Json, names: Collection[str], optional: Collection[str] = ()) -> None:
        if not isinstance(value, dict):
            raise Malformed("a JSON object is wanted")
        if not set(names) <= set(value) <= {*names, *optional}:
            raise Malformed("a member is missing or unknown")
        self._members: dict[str, Json] = value

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def value(self, name: str) -> Json:
        """Return the member as it is."""
        return self._members[name]

    def text(self, name: str, *, max_chars: int = 256) -> str:
        """Return a string of 1 … ``max_chars`` characters."""
        value = self._members[name]
        if not isinstance(value, str) or not 1 <= len(value) <= max_chars:
            raise Malformed("a member is not text of that length")
        return value

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._members[name]
        if not isinstance(value, bool):
            raise Malformed("a member is not a boolean")
        return value

    def count(self, name: str) -> int:
        """Return an integer of 0 … 2^53 - 1."""
        return require_count(self._members[name])

    def data(self, name: str, size: int | None = None, *, max_bytes: int = 4096) -> bytes:
        """Return base64url bytes: exactly ``size``, or 1 … ``max_bytes``."""
        return require_data(self._members[name], size, max_bytes=max_bytes)


def require_count(value: Any) -> int:
    """Return ``value`` if it is an integer of 0 … 2^53 - 1. Raises `Malformed`."""
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise Malformed("a member is not a whole number in range")
    return value


def require_data(value: Any, size: int | None = None, *, max_bytes: int = 4096) -> bytes:
    """Decode strict base64url of exactly ``size`` or 1 … ``max_bytes`` bytes. Raises `Malformed`."""
    if not isinstance(value, str):
        raise Malformed("a member is not base64url")
    try:
        data = parse_b64u(value)
    except InvalidArgument as error:
        raise Malformed("a member is not base64url") from error
    if not (len(data) == size if size is not None else 1 <= len(data) <= max_bytes):
        raise Malformed("a member has the wrong number of bytes")
    return data


__all__ = [
    "MAX_INT",
    "Members",
    "format_b64u",
    "format_canonical",
    "format_plain",
    "parse_canonical",
    "require_count",
    "require_data",
]
