"""BER-TLV as PIV uses it (ISO 7816-4 section 5.2.2): one level at a time, definite lengths, bounded.

Cards and their tools write lengths in more bytes than needed, so that is accepted; indefinite lengths, truncated or
trailing bytes and repeated tags are not.
"""

from __future__ import annotations

from typing import Final

from ownerd.model.errors import ProtocolBroken

MAX_TAG_BYTES: Final = 3
MAX_LENGTH_BYTES: Final = 3
_MORE_TAG: Final = 0x1F


def format_tlv(tag: int, value: bytes = b"") -> bytes:
    """Write one data object with the shortest length."""
    size = len(value)
    if size < 0x80:
        length = bytes([size])
    else:
        width = (size.bit_length() + 7) // 8
        length = bytes([0x80 | width]) + size.to_bytes(width, "big")
    return tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big") + length + value


def parse_tlv(data: bytes) -> dict[int, bytes]:
    """Read the data objects of one level, by tag. Raises `ProtocolBroken`."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        size, at = _length(data, at)
        if size > len(data) - at:
            raise ProtocolBroken("the card's answer is truncated")
        if tag in found:
            raise ProtocolBroken("the card's answer repeats a data object")
        found[tag] = data[at : at + size]
        at += size
    return found


def parse_only(data: bytes, tag: int) -> bytes:
    """Return the value of the one data object that ``data`` is. Raises `ProtocolBroken` for anything else."""
    found = parse_tlv(data)
    if list(found) != [tag]:
        raise ProtocolBroken("the card's answer is another data object")
    return found[tag]


def _tag(data: bytes, at: int) -> tuple[int, int]:
    end = at + 1
    if data[at] & _MORE_TAG == _MORE_TAG:
        while True:
            if end >= len(data) or end - at >= MAX_TAG_BYTES:
                raise ProtocolBroken("the card's answer has a malformed tag")
            end += 1
            if not data[end - 1] & 0x80:
                break
    return int.from_bytes(data[at:end], "big"), end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ProtocolBroken("the card's answer is truncated")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    end = at + 1 + (first & 0x7F)
    if not 1 <= first & 0x7F <= MAX_LENGTH_BYTES or end > len(data):
        raise ProtocolBroken("the card's answer has a malformed length")
    return int.from_bytes(data[at + 1 : end], "big"), end
