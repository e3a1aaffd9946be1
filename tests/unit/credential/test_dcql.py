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


def test_defaults_may_be_spelt_out():
    assert parse_dcql(query(multiple=False, require_cryptographic_holder_binding=True)) == parse_dcql(GOOD)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({**GOOD, "credential_sets": [{"options": [["owner"]]}]}, "credential_sets"),
        ({"credentials": [GOOD["credentials"][0], GOOD["credentials"][0]]}, "several credentials"),
        (query(claim_sets=[["e"]]), "claim_sets"),
        (query(trusted_authorities=[{"type": "aki", "values": ["x"]}]), "trusted_authorities"),
        (query(multiple=True), "multiple"),
        (query(require_cryptographic_holder_binding=False), "require_cryptographic_holder_binding"),
        (query(format="mso_mdoc"), "format"),
        (query(meta={"vct_values": ["urn:eudi:pid:1"]}), "vct_values"),
        (query(claims=...), "without claims"),
        (claims({"path": ["email"], "values": ["x"]}), "values"),
        (claims({"path": ["emails", 0]}), "arrays"),
        (claims({"path": ["emails", None]}), "arrays"),
        (claims({"path": ["address"]}), "address"),
        (claims({"path": ["address.locality"]}), "dot"),
    ],
)
def test_what_the_grammar_has_and_we_do_not_is_refused_by_name(value, named):
    with pytest.raises(NotSupported, match=named):
        parse_dcql(value)


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
        query(format=...),
        query(format=7),
        query(meta=...),
        query(meta={}),
        query(meta={"vct_values": []}),
        query(meta={"vct_values": [7]}),
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
            st.sampled_from(["credentials", "id", "format", "meta", "claims", "path", "vct_values"]), inner
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
