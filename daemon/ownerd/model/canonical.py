"""Canonical JSON (RFC 8785): what is hashed, signed and sealed has one form only.

The bytes are msgspec's where values are as plain as ours are, which is many times faster, and rfc8785's for all others.
Tests hold both against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import rfc8785
from msgspec.json import Decoder, Encoder

from ownerd.model.encoding import Json, may_be_odd, parse_json_object
from ownerd.model.errors import InvalidArgument

MAX_INT: Final = (1 << 53) - 1
_MAX_SIMPLE: Final = 1 << 20
_SORTED: Final = Encoder(order="sorted")
_QUICK: Final = Decoder(dict)


def format_canonical(value: Json) -> bytes:
    """Encode JSON canonically (RFC 8785). Raises `InvalidArgument` for what JSON cannot hold."""
    if _is_simple(value):
        return format_plain(value)
    try:
        return bytes(rfc8785.dumps(value))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("value has no canonical JSON") from error


def format_plain(value: Json) -> bytes:
    """Encode JSON whose member names are ASCII and whose numbers are integers: the same bytes, many times faster.

    Under these two conditions sorting by code point is RFC 8785's order, and there is no number to format.
    Raises `InvalidArgument` for what JSON cannot hold.
    """
    try:
        return _SORTED.encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidArgument("value has no canonical JSON") from error


def parse_canonical(
    data: bytes, *, max_bytes: int, encode: Callable[[Json], bytes] = format_canonical
) -> dict[str, Json]:
    """Parse a JSON object that is its own canonical form, as ``encode`` writes it. Raises `InvalidArgument`.

    With `format_plain` the caller must refuse names that are not ASCII and numbers that are not integers.
    """
    if may_be_odd(data) or len(data) > max_bytes:
        members = parse_json_object(data, max_bytes=max_bytes)
    else:
        # As strict as the other one, because what was read must come out as the same bytes.
        try:
            members = _QUICK.decode(data)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("not a JSON object") from error
    if encode(members) != data:
        raise InvalidArgument("JSON is not canonical")
    return members


def _is_simple(value: Json) -> bool:
    """Whether `format_plain` writes the same bytes: ASCII names, no number but small integers, nothing that is not JSON."""
    found = [value]
    for one in found:  # grows while it is walked
        kind = type(one)
        if kind is dict:
            try:
                names = "".join(one)
            except TypeError:
                return False
            if not names.isascii():
                return False
            found.extend(one.values())
        elif kind is list:
            found.extend(one)
        elif kind is int:
            if not -MAX_INT <= one <= MAX_INT:
                return False
        elif kind is not str and kind is not bool and one is not None:
            return False
        if len(found) > _MAX_SIMPLE:
            return False
    return True
