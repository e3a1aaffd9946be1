"""BER-TLV of a card's answers."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.tokens.piv_tlv import format_tlv, parse_only, parse_tlv


def run(data: bytes) -> None:
    found = parse_tlv(data)
    written = b"".join(format_tlv(tag, value) for tag, value in found.items())
    assert len(written) <= len(data)  # a card may write a length longer than it has to be
    assert parse_tlv(written) == found
    for tag, value in found.items():
        assert parse_only(format_tlv(tag, value), tag) == value


TARGET = Target(
    "tlv", run, words=(b"\x53\x82", b"\x70\x81", b"\x5f\x2f", b"\x7f\x49", b"\x1f\x81\x00", b"\x84\0\0\0\0")
)
