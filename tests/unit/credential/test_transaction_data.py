from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerd.credential.shown_text import is_shown_text
from ownerd.credential.transaction_data import hashes, parse_transaction_data, retention_days
from ownerd.model.encoding import format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, NotSupported, OwnerdError
from ownerd.model.terms import PURPOSES, AskedTerms, Terms

GOOD = {
    "type": "urn:ownerd:terms:1",
    "credential_ids": ["owner"],
    "purpose": ["dpv:DeliveryOfGoods", "dpv:PaymentManagement"],
    "retention": "P90D",
    "recipients": ["Parcel Ltd"],
    "agreement": "https://roster.example/p2b1",
}


def encode(**changes):
    made = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return format_b64u(json.dumps(made).encode())


def parse(*entries, ids=("owner", "other")):
    return parse_transaction_data({"transaction_data": list(entries)}, ids)


def one(**changes):
    return parse(encode(**changes))[0].terms


def test_terms_are_read():
    encoded = encode()
    terms = Terms(
        ("dpv:DeliveryOfGoods", "dpv:PaymentManagement"), 90, ("Parcel Ltd",), "https://roster.example/p2b1"
    )
    assert parse(encoded) == (AskedTerms(terms, ("owner",), encoded),)


def test_what_may_be_left_out():
    assert parse_transaction_data({}, ["owner"]) == ()
    assert one(retention=..., agreement=..., recipients=[]) == Terms(
        ("dpv:DeliveryOfGoods", "dpv:PaymentManagement"), None, ()
    )


def test_each_entry_has_its_credentials():
    asked = parse(encode(), encode(credential_ids=["other", "owner"], purpose=["dpv:Marketing"]))
    assert [entry.credentials for entry in asked] == [("owner",), ("other", "owner")]


def test_the_hash_is_over_the_string_as_received():
    """Appendix B.3.3.1: no decoding before hashing; two encodings of one object have two hashes."""
    plain, spaced = encode(), format_b64u(json.dumps(GOOD, indent=1).encode())
    asked = parse(plain, spaced)
    assert asked[0].terms == asked[1].terms
    assert [parse_b64u(one) for one in hashes(asked)] == [
        hashlib.sha256(one.encode()).digest() for one in (plain, spaced)
    ]
    assert hashes([]) == []


@pytest.mark.parametrize("names", [["sha-256"], ["sha-512", "sha-256"]])
def test_a_hash_that_is_ours_may_be_asked_for(names):
    assert one(transaction_data_hashes_alg=names)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("P0D", 0),
        ("P1D", 1),
        ("P90D", 90),
        ("P2W", 14),
        ("P6M", 186),
        ("P1Y", 366),
        ("P1Y6M", 552),
        ("P1Y1M1D", 398),
        ("P1M15D", 46),
        ("P100Y", 36600),
    ],
)
def test_retention_in_days_is_never_shorter_than_meant(text, days):
    assert retention_days(text) == days
    assert one(retention=text).retention_days == days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT1H",
        "P1DT1H",
        "p90d",
        "90D",
        "P-1D",
        "P+1D",
        "P01D",
        "P0M",
        "P1Y0D",
        "P1D1M",
        "P1W1D",
        "P1.5Y",
        "P1,5Y",
        "P 1D",
        "P1D\n",
        "P\u0661D",
        "P101Y",
        "P99999Y",
        "P100000D",
        "forever",
        90,
        None,
        True,
        ["P1D"],
    ],
)
def test_other_retentions_are_refused(text):
    with pytest.raises(InvalidArgument, match="retention"):
        one(retention=text)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"type": "urn:ownerd:terms:2"}, "type"),
        ({"type": "payment"}, "type"),
        ({"price": 1}, "member"),
        ({"retention_days": 1}, "member"),
        ({"purpose": ["dpv:WorldDomination"]}, "purpose"),
        ({"purpose": ["dpv:Marketing", "Marketing"]}, "purpose"),
        ({"purpose": ["https://w3id.org/dpv#Marketing"]}, "purpose"),
        ({"transaction_data_hashes_alg": ["sha-512"]}, "transaction_data_hashes_alg"),
    ],
)
def test_what_is_not_known_is_refused_by_name(changes, named):
    with pytest.raises(NotSupported, match=named):
        one(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": ...},
        {"type": 1},
        {"credential_ids": ...},
        {"credential_ids": []},
        {"credential_ids": "owner"},
        {"credential_ids": ["stranger"]},
        {"credential_ids": ["owner", "stranger"]},
        {"credential_ids": ["owner", "owner"]},
        {"credential_ids": [None]},
        {"purpose": ...},
        {"purpose": []},
        {"purpose": "dpv:Marketing"},
        {"purpose": [["dpv:Marketing"]]},
        {"purpose": ["dpv:Marketing", "dpv:Marketing"]},
        {"purpose": sorted(PURPOSES)[:9]},
        {"recipients": ...},
        {"recipients": "Parcel Ltd"},
        {"recipients": None},
        {"recipients": [""]},
        {"recipients": [7]},
        {"recipients": ["A", "A"]},
        {"recipients": ["x" * 101]},
        {"recipients": [f"R{number}" for number in range(17)]},
        {"recipients": ["Parcel\u202eLtd"]},
        {"recipients": ["Parcel\u200bLtd"]},
        {"recipients": ["Parcel\x00"]},
        {"recipients": ["Parcel\nLtd"]},
        {"agreement": ""},
        {"agreement": None},
        {"agreement": "p2b1"},
        {"agreement": "http://roster.example/"},
        {"agreement": "javascript:alert(1)"},
        {"agreement": "https://roster.example/<b>"},
        {"agreement": "https://roster.example/a b"},
        {"agreement": "https://rost\u0435r.example/"},
        {"agreement": "https://roster.example/" + "x" * 512},
        {"transaction_data_hashes_alg": []},
        {"transaction_data_hashes_alg": "sha-256"},
        {"transaction_data_hashes_alg": [256]},
    ],
)
def test_malformed_terms_are_refused_by_name(changes):
    with pytest.raises(InvalidArgument, match="transaction_data"):
        one(**changes)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        {},
        None,
        "x",
        [7],
        [""],
        ["?"],
        [encode() + "="],
        [format_b64u(b"[]")],
        [format_b64u(b"{}")],
        [format_b64u(b'{"type":"urn:ownerd:terms:1","type":"urn:ownerd:terms:1"}')],
        [encode(), encode()],
        [encode(retention=f"P{days}D") for days in range(1, 6)],
        [encode(recipients=["x" * 100] * 200)],
    ],
)
def test_malformed_lists_are_refused_by_name(entries):
    with pytest.raises(InvalidArgument, match="transaction_data"):
        parse_transaction_data({"transaction_data": entries}, ["owner"])


def test_no_credential_can_carry_terms():
    with pytest.raises(InvalidArgument):
        parse(encode(), ids=())


def test_terms_of_a_request_are_read(provider_rig):
    asked = encode(credential_ids=[provider_rig.parameters()["dcql_query"]["credentials"][0]["id"]])
    for text in (
        provider_rig.signed(transaction_data=[asked]),
        provider_rig.unsigned(transaction_data=[asked]),
    ):
        assert [entry.encoded for entry in provider_rig.read(text).terms] == [asked]
    assert provider_rig.read(provider_rig.signed()).terms == ()


def test_terms_of_a_credential_without_holder_binding_are_refused(provider_rig):
    """Appendix B.3.3: MUST reject; there is no signature that could carry the hash."""
    query = provider_rig.parameters()["dcql_query"]
    query["credentials"][0]["require_cryptographic_holder_binding"] = False
    asked = encode(credential_ids=[query["credentials"][0]["id"]])
    assert provider_rig.read(provider_rig.signed(dcql_query=query))
    with pytest.raises(InvalidArgument, match="transaction_data"):
        provider_rig.read(provider_rig.signed(dcql_query=query, transaction_data=[asked]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), json_values)
def test_any_member_is_read_or_refused(name, value):
    with contextlib.suppress(OwnerdError):
        terms = one(**{name: value})
        assert set(terms.purposes) <= PURPOSES.keys()
        assert all(is_shown_text(text, max_chars=512) for text in (*terms.recipients, terms.agreement or "x"))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_end_in_an_error_of_the_table(raw):
    with pytest.raises(OwnerdError):
        parse(format_b64u(raw))
