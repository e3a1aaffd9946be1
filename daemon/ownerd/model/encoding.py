"""Strict base64url and strict JSON, the two encodings that every format of ours is made of.

Parsers refuse whatever the matching formatter would not write: padding, stray bits, duplicate members,
NaN, lone surrogates, depth and size without bound.
"""

from __future__ import annotations

import binascii
import json
import math
from typing import Any, Final, NoReturn

from ownerd.model.errors import InvalidArgument

Json = Any  # a JSON value: str, int, float, bool, None, list[Json] or dict[str, Json]

MAX_DEPTH = 32
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# The standard alphabet's own two, and its padding, are made wrong.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/---")


def format_b64u(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515, appendix C)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL, b"=").decode("ascii")


def parse_b64u(text: str) -> bytes:
    """Decode base64url without padding; exact inverse of `format_b64u`.

    Raises `InvalidArgument` for padding, foreign characters and non-canonical trailing bits.
    """
    try:
        raw = text.encode("ascii").translate(_FROM_URL)
        data = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error, AttributeError) as error:
        raise InvalidArgument("not base64url") from error
    rest = len(data) % 3  # whole groups of three bytes have one form; what is left has bits to spare
    if rest and not text.endswith(format_b64u(data[-rest:])):
        raise InvalidArgument("base64url is not canonical")
    return data


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidArgument("JSON object has a duplicate member")
    return members


def _constant(name: str) -> NoReturn:
    raise InvalidArgument(f"JSON has no {name}")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidArgument("a JSON number is out of range")
    return value


def _require_plain(value: Json, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidArgument(f"JSON is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidArgument("JSON text has a lone surrogate") from error
    elif isinstance(value, dict):
        for name, member in value.items():
            _require_plain(name, depth + 1)
            _require_plain(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _require_plain(member, depth + 1)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_constant, parse_float=_number
)  # json.loads would make one at each call


def may_be_odd(raw: bytes) -> bool:
    """Whether a parser has to look closer: without escapes there is no lone surrogate, without brackets no depth."""
    return b"\\u" in raw or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH


def parse_json(text: str | bytes, *, max_bytes: int = 1 << 20) -> Json:
    """Parse one JSON value (RFC 8259) strictly.

    Raises `InvalidArgument` when it is larger than ``max_bytes``, nested deeper than `MAX_DEPTH`, not
    UTF-8, or has duplicate members, NaN, infinities or lone surrogates.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise InvalidArgument(f"JSON is larger than {max_bytes} bytes")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidArgument("not JSON") from error
    if may_be_odd(raw):
        _require_plain(value, 0)
    return value


def parse_json_object(text: str | bytes, *, max_bytes: int = 1 << 20) -> dict[str, Json]:
    """Parse a JSON object; see `parse_json`."""
    value = parse_json(text, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise InvalidArgument("not a JSON object")
    return value
