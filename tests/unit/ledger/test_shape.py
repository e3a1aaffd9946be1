"""Canonical JSON the fast way: the very bytes of the library, or the library."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ownerd.ledger.shape import format_canonical
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
