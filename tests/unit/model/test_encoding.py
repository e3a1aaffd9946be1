"""Strict base64url and JSON: exact inverses, and no second way to write anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.encoding import MAX_DEPTH, format_b64u, parse_b64u, parse_json, parse_json_object
from ownerd.model.errors import InvalidArgument


@given(st.binary(max_size=64))
def test_base64url_round_trips(data: bytes):
    assert parse_b64u(format_b64u(data)) == data


@given(st.text(alphabet="AQgwZ-_=+/ \n", max_size=9))
def test_what_is_decoded_is_what_would_be_written(text: str):
    try:
        data = parse_b64u(text)
    except InvalidArgument:
        return
    assert format_b64u(data) == text


@pytest.mark.parametrize(
    "text", ["AA==", "AAAA=", "AAAA====", "A", "AB", "AA+A", "AA/A", "AA A", "é", None, 7]
)
def test_other_spellings_are_refused(text):
    with pytest.raises(InvalidArgument):
        parse_b64u(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":1,"a":2}',
        "NaN",
        "-Infinity",
        "1e999",
        "-1e999",
        '"\\ud800"',
        '{"\\ud800":1}',
        b"\xff",
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 100_000,
        '"\ud800"',
    ],
)
def test_json_that_has_two_readings_or_none_is_refused(text):
    with pytest.raises(InvalidArgument):
        parse_json(text)


def test_json_is_bounded_and_objects_are_objects():
    assert parse_json('{"a":[1,2.5,null,true,"é"]}') == {"a": [1, 2.5, None, True, "é"]}
    assert parse_json_object(b"{}") == {}
    with pytest.raises(InvalidArgument, match="larger"):
        parse_json('"' + "x" * 20 + '"', max_bytes=10)
    with pytest.raises(InvalidArgument, match="not a JSON object"):
        parse_json_object("[]")
