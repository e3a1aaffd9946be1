"""Canonical JSON the fast way: the very bytes of the library, or the library."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ownerd.ledger.shape import format_canonical, format_plain, parse_canonical
from ownerd.model.errors import Malformed


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.text(max_size=6) | st.floats(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=12,
    )
)
def test_the_fast_way_writes_what_the_library_writes_or_is_not_taken(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (ValueError, RecursionError):
        with pytest.raises(Malformed):
            format_canonical(value)
        return
    assert format_canonical(value) == expected


@pytest.mark.parametrize(
    "value", ['\x00\x1f\x7f\u2028\U0001f600"\\/\b\f\n\r\t', {"b": 1, "a": 2, "A": 3, "": 0}, 1 << 53, -0.0]
)
def test_awkward_values_are_written_as_the_library_writes_them(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)
    except ValueError:
        with pytest.raises(Malformed):
            format_canonical(value)
        return
    assert format_canonical(value) == expected


def test_every_character_is_written_as_the_library_writes_it() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    assert format_canonical({"text": every}) == rfc8785.dumps({"text": every})


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1, "b":2}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1}\n',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":01}',
        b'{"a":-0}',
        b'{"a":1e2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\u0061"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x01"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"a":' + b"[" * 100_000,
        b'{"a":"' + b"x" * 1000 + b'"}',
        b"[1]",
        b'"a"',
        b"",
    ],
)
@pytest.mark.parametrize("encode", [format_canonical, format_plain])
def test_what_is_not_its_own_canonical_form_is_refused(
    data: bytes, encode: Callable[[object], bytes]
) -> None:
    with pytest.raises(Malformed):
        parse_canonical(data, max_bytes=1000, encode=encode)


def test_what_is_its_own_canonical_form_is_read() -> None:
    value = {"a": [1, None, True, {"b": "\U0001f600\x7f"}], "z": -5}
    assert parse_canonical(format_canonical(value), max_bytes=1000) == value
    deep = b'{"a":' + b"[" * 31 + b"]" * 31 + b"}"
    assert parse_canonical(deep, max_bytes=1000) == json.loads(deep)
