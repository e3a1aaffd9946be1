"""Data objects of cards: what is read is what was written, and nothing malformed is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.errors import ProtocolBroken
from ownerd.tokens.piv_tlv import format_tlv, parse_only, parse_tlv

TAGS = st.sampled_from([0x53, 0x70, 0x7C, 0x82, 0x5FC10A, 0x5F2F, 0x7F49])


@given(st.dictionaries(TAGS, st.binary(max_size=300)))
def test_parsing_reads_what_formatting_wrote(objects: dict[int, bytes]) -> None:
    assert parse_tlv(b"".join(format_tlv(tag, value) for tag, value in objects.items())) == objects


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_every_length_form_is_read(size: int) -> None:
    assert parse_only(format_tlv(0x53, bytes(size)), 0x53) == bytes(size)


@given(st.binary(max_size=40))
def test_bytes_are_read_or_refused_by_name(data: bytes) -> None:
    try:
        found = parse_tlv(data)
    except ProtocolBroken:
        return
    assert sum(len(value) for value in found.values()) <= len(data)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_is_cut_off_is_refused(value: bytes, data: st.DataObject) -> None:
    whole = format_tlv(0x53, value)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ProtocolBroken):
        parse_tlv(whole[:cut])


@pytest.mark.parametrize(
    "data", ["5380", "5384000000 01", "53", "5fc1", "5fffffff00", "53005300", "530000", "5301"]
)
def test_malformed_objects_are_refused(data: str) -> None:
    with pytest.raises(ProtocolBroken):
        parse_tlv(bytes.fromhex(data))
