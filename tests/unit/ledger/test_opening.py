"""Openings: sealed to one key and one entry, and compared with what the entry committed to."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.rigs.ledgers import counting_rng, steady

from ownerd.ledger.entry import Leaf, LeafCore, commit
from ownerd.ledger.merkle import EMPTY_ROOT
from ownerd.ledger.opening import (
    OpeningValue,
    SealedOpening,
    format_opening,
    open_opening,
    parse_opening,
    seal_opening,
    verify_opening,
)
from ownerd.model.errors import LedgerError, Malformed, Tampered
from ownerd.model.names import Kind

KEY = X25519PrivateKey.from_private_bytes(b"k" * 32)
VALUES = {
    "claim/0": OpeningValue(b"0" * 16, ["email", "zoë@example.org", None, True, 1.5]),
    "provider": OpeningValue(b"1" * 16, {"name": "shop"}),
    "response": OpeningValue(b"2" * 16, "eyJ"),
}
CORE = LeafCore(
    log="0" * 32,
    time="2026-11-23T14:00:00.123Z",
    kind=Kind.DISCLOSURE,
    nonce=bytes(16),
    size=0,
    root=EMPTY_ROOT,
    commitments={
        name: commit(name, VALUES[name].salt, VALUES[name].value) for name in ("claim/0", "provider")
    },
    facts={},
)
OUTCOME = {"response": commit("response", VALUES["response"].salt, VALUES["response"].value)}
SEALED = seal_opening(VALUES, CORE, KEY.public_key(), counting_rng(b"opening"))
LEAF = Leaf(CORE, None, OUTCOME, 1, EMPTY_ROOT, SEALED.digest)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53) + 1, (1 << 53) - 1)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
labels = st.from_regex(r"\A(claim/(0|[1-9][0-9]{0,3})|[a-z]{1,9})\Z")
openings = st.dictionaries(
    labels, st.builds(OpeningValue, st.binary(min_size=16, max_size=16), json_values), max_size=4
)


@steady
@given(openings)
def test_openings_read_back(values):
    assert parse_opening(format_opening(values)) == values


@steady
@given(openings)
def test_what_is_sealed_opens_for_its_entry_only(values):
    sealed = seal_opening(values, CORE, KEY.public_key(), counting_rng(b"x"))
    assert open_opening(sealed, CORE, KEY) == values
    with pytest.raises(Tampered):
        open_opening(sealed, replace(CORE, size=1), KEY)


def test_an_opening_holds_no_value_in_clear_and_shows_none():
    assert b"example.org" not in SEALED.ciphertext + SEALED.wrapped_key
    assert "example" not in repr(VALUES)


def test_a_good_opening_is_the_committed_one():
    verify_opening(open_opening(SEALED, CORE, KEY), LEAF)


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
def test_every_flipped_byte_is_noticed(part):
    data = getattr(SEALED, part)
    for place in range(len(data)):
        spoiled = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        with pytest.raises(Tampered):
            open_opening(replace(SEALED, **{part: spoiled}), CORE, KEY)


def test_another_key_does_not_open():
    with pytest.raises(Tampered):
        open_opening(SEALED, CORE, X25519PrivateKey.generate())


@pytest.mark.parametrize(
    "sealed",
    [
        SealedOpening(b"", SEALED.ciphertext),
        SealedOpening(SEALED.wrapped_key + b"x", SEALED.ciphertext),
        SealedOpening(SEALED.wrapped_key, b"x" * 27),
    ],
)
def test_other_lengths_are_malformed(sealed):
    with pytest.raises(Malformed):
        open_opening(sealed, CORE, KEY)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"values":{}}',
        b'{"v":1,"values":[]}',
        b'{"v":1,"values":{"a":{"salt":"AA","value":1}}}',
        b'{"v":1,"values":{"A":{"salt":"AAAAAAAAAAAAAAAAAAAAAA","value":1}}}',
        b'{"v":1,"values":{"a":{"salt":"AAAAAAAAAAAAAAAAAAAAAA"}}}',
        b'{"v":1, "values":{}}',
    ],
)
def test_other_plaintexts_are_malformed(plaintext):
    with pytest.raises(Malformed):
        parse_opening(plaintext)


@pytest.mark.parametrize(
    "values",
    [
        {name: one for name, one in VALUES.items() if name != "response"},
        {**VALUES, "more": VALUES["response"]},
        {**VALUES, "provider": OpeningValue(VALUES["provider"].salt, {"name": "shot"})},
        {**VALUES, "provider": OpeningValue(b"9" * 16, {"name": "shop"})},
        {**VALUES, "provider": VALUES["claim/0"], "claim/0": VALUES["provider"]},
    ],
    ids=["label missing", "label more", "value", "salt", "swapped"],
)
def test_what_was_not_committed_to_is_noticed(values):
    with pytest.raises(Tampered):
        verify_opening(values, LEAF)


def test_what_would_not_read_back_is_not_sealed():
    for values in (
        {"A": VALUES["provider"]},
        {"a": OpeningValue(b"short", 1)},
        {"a": OpeningValue(bytes(16), {1: 2})},
        {"a": OpeningValue(bytes(16), "x" * (1 << 22))},
    ):
        with pytest.raises(LedgerError):
            seal_opening(values, CORE, KEY.public_key(), counting_rng(b"x"))
