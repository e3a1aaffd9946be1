from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerd.credential.dcql import parse_dcql
from ownerd.model.errors import InvalidArgument, NotSupported, OwnerdError
from ownerd.model.query import ClaimQuery, CredentialQuery, Query

GOOD = {
    "credentials": [
        {
            "id": "owner",
            "format": "dc+sd-jwt",
            "meta": {"vct_values": ["urn:other:1", "urn:ownerd:owner:1"]},
            "claims": [{"id": "e", "path": ["email"]}, {"path": ["address", "locality"]}],
        }
    ]
}


def query(**credential):
    made = copy.deepcopy(GOOD)
    for name, value in credential.items():
        if value is ...:
            del made["credentials"][0][name]
        else:
            made["credentials"][0][name] = value
    return made


def claims(*entries):
    return query(claims=list(entries))


def test_one_credential_query_is_read():
    claims = (ClaimQuery("e", ("email",)), ClaimQuery(None, ("address", "locality")))
    assert parse_dcql(GOOD) == Query((CredentialQuery("owner", claims),))


def test_paths_that_are_no_claim_of_ours_are_kept():
    assert parse_dcql(claims({"path": ["iban"]})).credentials[0].claims == (ClaimQuery(None, ("iban",)),)


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("binding", [False, True])
def test_one_bound_credential_is_in_any_case_what_was_asked(multiple, binding):
    asked = query(multiple=multiple, require_cryptographic_holder_binding=binding)
    assert parse_dcql(asked) == parse_dcql(GOOD)


def test_a_dot_in_a_path_is_refused_by_name():
    with pytest.raises(NotSupported, match="dot"):
        parse_dcql(claims({"path": ["address.locality"]}))
    with pytest.raises(NotSupported, match="dot"):
        parse_dcql(query(claims=[{"path": ["a.b"]}], meta={"vct_values": ["urn:eudi:pid:1"]}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"credentials": []},
        {"credentials": {}},
        {"credentials": ["x"]},
        query(id=...),
        query(id=""),
        query(id="a b"),
        query(id="x" * 65),
        query(id=7),
        query(format=""),
        query(format="dc sd-jwt"),
        query(format="x" * 65),
        query(format=...),
        query(format=7),
        query(meta=...),
        query(meta={}),
        query(meta={"vct_values": []}),
        query(meta={"vct_values": [7]}),
        query(meta={"vct_values": [""]}),
        query(meta=[]),
        query(multiple="no"),
        query(require_cryptographic_holder_binding=1),
        claims(),
        query(claims={}),
        claims("email"),
        claims({}),
        claims({"path": []}),
        claims({"path": "email"}),
        claims({"path": [""]}),
        claims({"path": [True]}),
        claims({"path": [-1.5]}),
        claims({"path": ["emails", -1]}),
        claims({"path": ["emails", 1.0]}),
        claims({"path": ["emails", 1 << 31]}),
        claims({"path": ["emails", False]}),
        claims({"path": ["emails", ["x"]]}),
        claims({"path": ["a"] * 9}),
        claims({"path": ["e\u202email"]}),
        claims({"path": ["em\x1b[2Jail"]}),
        claims({"path": ["x" * 65]}),
        claims({"path": ["email"]}, {"path": ["email"]}),
        claims({"id": "e", "path": ["email"]}, {"id": "e", "path": ["name"]}),
        claims({"id": "é", "path": ["email"]}),
        claims(*({"path": [f"c{number}"]} for number in range(65))),
    ],
)
def test_what_is_not_dcql_is_malformed(value):
    with pytest.raises(InvalidArgument):
        parse_dcql(value)


@pytest.mark.parametrize(
    "value",
    [
        {**GOOD, "purpose": "x"},
        query(hint="x"),
        query(meta={"vct_values": ["urn:ownerd:owner:1"], "doctype_value": "x"}),
        claims({"path": ["email"], "intent_to_retain": True}),
    ],
)
def test_members_that_no_version_knows_are_ignored_as_the_standard_demands(value):
    assert parse_dcql(value).credentials[0].claims


def test_members_are_bounded_all_the_same():
    with pytest.raises(InvalidArgument, match="32"):
        parse_dcql(query(**{f"x{number}": 1 for number in range(40)}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "credentials",
                    "id",
                    "format",
                    "meta",
                    "claims",
                    "path",
                    "vct_values",
                    "values",
                    "options",
                    "claim_sets",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_any_json_ends_in_an_error_of_the_table(value):
    with pytest.raises(OwnerdError):
        parse_dcql(value)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_any_claims_query_is_read_or_refused(value):
    with contextlib.suppress(OwnerdError):
        assert parse_dcql(query(claims=value)).credentials[0].claims


@settings(max_examples=100, deadline=None)
@given(json_values, st.sampled_from(["claim_sets", "trusted_authorities", "multiple", "meta", "format"]))
def test_any_member_is_read_or_refused(value, name):
    with contextlib.suppress(OwnerdError):
        assert parse_dcql(query(**{name: value})).credentials[0].id == "owner"
