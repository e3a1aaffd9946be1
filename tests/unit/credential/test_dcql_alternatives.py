"""DCQL where there is something to choose: several credentials, values, claim sets, credential sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerd.credential import dcql, dcql_claims
from ownerd.credential.dcql import OTHER_FORMAT, OTHER_ISSUER, OTHER_TYPE, parse_dcql, unbound_ids
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.query import ClaimQuery, CredentialQuery, CredentialSet, Query

OURS = {"format": "dc+sd-jwt", "meta": {"vct_values": ["urn:ownerd:owner:1"]}}
EMAIL = [{"path": ["email"]}]


def credential(query_id="owner", **changes):
    made = {"id": query_id, **OURS, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def parse(*credentials, **more):
    return parse_dcql({"credentials": list(credentials), **more})


def one(**changes):
    return parse(credential(**changes)).credentials[0]


def test_claims_may_be_left_out():
    assert one() == CredentialQuery("owner", ())


def test_several_credentials_keep_their_order():
    made = parse(credential("b", claims=EMAIL), credential("a"), credential("c", format="mso_mdoc", meta={}))
    claims = (ClaimQuery(None, ("email",)),)
    assert made == Query(
        (CredentialQuery("b", claims), CredentialQuery("a", ()), CredentialQuery("c", (), (), OTHER_FORMAT))
    )


@pytest.mark.parametrize("format_", ["mso_mdoc", "jwt_vc_json", "ldp_vc", "vc+sd-jwt", "dc+SD-JWT", "x"])
def test_another_format_can_never_be_met(format_):
    asked = one(format=format_, meta={"doctype_value": "org.iso.18013.5.1.mDL"})
    assert (asked.unmet, asked.claims) == (OTHER_FORMAT, ())


def test_claims_of_another_format_do_not_pass_for_ours():
    paths = [
        {"path": ["org.iso.18013.5.1", "family_name"]},
        {"path": ["address.locality"]},
        {"path": ["email"]},
    ]
    assert one(format="mso_mdoc", meta={}, claims=paths).claims == ()


def test_another_type_can_never_be_met_and_its_claims_are_known():
    asked = one(meta={"vct_values": ["urn:eudi:pid:1"]}, claims=EMAIL)
    assert (asked.unmet, asked.claims) == (OTHER_TYPE, (ClaimQuery(None, ("email",)),))


@pytest.mark.parametrize(
    "authority",
    [
        {"type": "aki", "values": ["s9tIpPmhxdiuNkHMEWNpYim8S8Y"]},
        {"type": "etsi_tl", "values": ["https://lotl.example.com"]},
        {"type": "openid_federation", "values": ["https://trustanchor.example.com"], "more": 1},
        {"type": "urn:example:unknown", "values": ["x", "y"]},
    ],
)
def test_trusted_authorities_can_never_be_met(authority):
    assert one(trusted_authorities=[authority], claims=EMAIL).unmet == OTHER_ISSUER


@pytest.mark.parametrize(
    "authorities",
    [
        [],
        {},
        None,
        ["aki"],
        [{"type": "aki"}],
        [{"values": ["x"]}],
        [{"type": 7, "values": ["x"]}],
        [{"type": "", "values": ["x"]}],
        [{"type": "a b", "values": ["x"]}],
        [{"type": "aki", "values": []}],
        [{"type": "aki", "values": "s9tI"}],
        [{"type": "aki", "values": ["not base64url!"]}],
        [{"type": "aki", "values": ["s9tI="]}],
        [{"type": "etsi_tl", "values": [7]}],
        [{"type": "etsi_tl", "values": ["https://x\u202e.example"]}],
        [{"type": "etsi_tl", "values": ["x"]}] * 17,
    ],
)
def test_malformed_trusted_authorities_are_refused(authorities):
    with pytest.raises(InvalidArgument):
        one(trusted_authorities=authorities)
    with pytest.raises(InvalidArgument):  # whatever else already rules the credential out
        one(trusted_authorities=authorities, format="mso_mdoc", meta={})


@pytest.mark.parametrize(
    "path",
    [["address"], ["emails", 0], ["emails", None], ["a", None, "b"], [None], [0], ["a", (1 << 31) - 1]],
)
def test_paths_of_the_whole_grammar_are_read(path):
    assert one(claims=[{"path": path}]).claims[0].path == tuple(path)


def test_values_keep_their_type():
    values = one(claims=[{"path": ["age_over_18"], "values": [True, 1, "1", "true"]}]).claims[0].values
    assert [(type(value), value) for value in values] == [(bool, True), (int, 1), (str, "1"), (str, "true")]


@pytest.mark.parametrize(
    "values",
    [
        [],
        "DE",
        {},
        None,
        [None],
        [1.0],
        [["DE"]],
        [{}],
        ["DE", "DE"],
        [1, 1],
        [""],
        ["D\u202eE"],
        ["D\x00E"],
        ["x" * 257],
        [1 << 53],
        [-(1 << 53)],
        list(range(65)),
    ],
)
def test_malformed_values_are_refused(values):
    with pytest.raises(InvalidArgument):
        one(claims=[{"path": ["email"], "values": values}])


AGE = [
    {"id": "a", "path": ["age_over_18"]},
    {"id": "b", "path": ["birthdate"]},
    {"id": "c", "path": ["email"]},
]


def test_claim_sets_keep_the_order_of_preference():
    assert one(claims=AGE, claim_sets=[["c", "b"], ["a"]]).claim_sets == (("c", "b"), ("a",))


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": ...},
        {"claims": AGE[:2]},
        {"claims": [*AGE[:2], {"path": ["email"]}]},
        {"claim_sets": []},
        {"claim_sets": {}},
        {"claim_sets": None},
        {"claim_sets": ["a"]},
        {"claim_sets": [[]]},
        {"claim_sets": [["a", "a"]]},
        {"claim_sets": [["a"], ["a"]]},
        {"claim_sets": [["a", "b"], ["b", "a"]]},
        {"claim_sets": [["d"]]},
        {"claim_sets": [[0]]},
        {"claim_sets": [["a b"]]},
    ],
)
def test_malformed_claim_sets_are_refused(changes):
    with pytest.raises(InvalidArgument):
        one(**{"claims": AGE, "claim_sets": [["a"], ["b", "c"]], **changes})


def test_claim_sets_need_claims_and_each_claim_an_id():
    with pytest.raises(InvalidArgument, match="without claims"):
        one(claim_sets=[["a"]])
    with pytest.raises(InvalidArgument, match="without id"):
        one(claims=[*AGE, {"path": ["name"]}], claim_sets=[["a"]])


def test_claim_sets_are_bounded():
    claims = [{"id": f"c{number}", "path": [f"c{number}"]} for number in range(17)]
    sets = [[claim["id"]] for claim in claims]
    assert len(one(claims=claims, claim_sets=sets[:16]).claim_sets) == 16
    with pytest.raises(InvalidArgument, match="16"):
        one(claims=claims, claim_sets=sets)


def test_credential_sets_are_required_unless_they_say_otherwise():
    sets = [
        {"options": [["a", "b"], ["c"]]},
        {"options": [["b"]], "required": False, "purpose": "for the draft's sake"},
        {"options": [["a"]], "required": True},
    ]
    assert parse(credential("a"), credential("b"), credential("c"), credential_sets=sets).sets == (
        CredentialSet((("a", "b"), ("c",))),
        CredentialSet((("b",),), required=False),
        CredentialSet((("a",),)),
    )


@pytest.mark.parametrize(
    "sets",
    [
        [],
        {},
        None,
        [[["a"]]],
        [{}],
        [{"options": []}],
        [{"options": "a"}],
        [{"options": ["a"]}],
        [{"options": [[]]}],
        [{"options": [["a", "a"]]}],
        [{"options": [["a"], ["a"]]}],
        [{"options": [["x"]]}],
        [{"options": [["a"]], "required": "yes"}],
        [{"options": [["a"]], "required": None}],
        [{"options": [["a"]]}] * 17,
    ],
)
def test_malformed_credential_sets_are_refused(sets):
    with pytest.raises(InvalidArgument):
        parse(credential("a"), credential("b"), credential_sets=sets)


def test_options_are_bounded():
    ids = "abcdefgh"
    options = [[one] for one in ids] + [[one, other] for one, other in zip(ids, ids[1:] + "a", strict=True)]
    credentials = [credential(one) for one in ids]
    assert len(parse(*credentials, credential_sets=[{"options": options}]).sets[0].options) == 16
    with pytest.raises(InvalidArgument, match="16"):
        parse(*credentials, credential_sets=[{"options": [*options, ["a", "c"]]}])


def test_credentials_are_bounded_and_named_once():
    assert len(parse(*(credential(f"c{number}") for number in range(8))).credentials) == 8
    with pytest.raises(InvalidArgument, match="8"):
        parse(*(credential(f"c{number}") for number in range(9)))
    with pytest.raises(InvalidArgument, match="twice"):
        parse(credential("a"), credential("a", format="mso_mdoc", meta={}))


@pytest.mark.parametrize("format_", ["dc+sd-jwt", "mso_mdoc"])
def test_claims_are_bounded_in_all_credentials_together(format_):
    def asked(number):
        return [{"path": [f"c{one}"]} for one in range(number)]

    assert len(parse(credential("a", claims=asked(32)), credential("b", claims=asked(32))).credentials) == 2
    with pytest.raises(InvalidArgument, match="64"):
        parse(credential("a", claims=asked(32)), credential("b", claims=asked(33), format=format_))


def test_credentials_whose_binding_is_not_required_are_known():
    name = "require_cryptographic_holder_binding"
    value = {
        "credentials": [credential("a", **{name: False}), credential("b", **{name: True}), credential("c")]
    }
    parse_dcql(value)
    assert unbound_ids(value) == {"a"}


ids = st.sampled_from("abc")
claims = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.lists(
                st.sampled_from(["email", "address", "a.b"]) | st.integers(-1, 2) | st.none(), max_size=3
            )
        },
        optional={"id": ids, "values": st.lists(st.sampled_from(["x", 1, True, 1.5, None]), max_size=3)},
    ),
    max_size=4,
)
queries = st.fixed_dictionaries(
    {
        "credentials": st.lists(
            st.fixed_dictionaries(
                {
                    "id": ids,
                    "format": st.sampled_from(["dc+sd-jwt", "mso_mdoc"]),
                    "meta": st.sampled_from([OURS["meta"], {"vct_values": ["urn:x"]}]),
                },
                optional={"claims": claims, "claim_sets": st.lists(st.lists(ids, max_size=2), max_size=2)},
            ),
            max_size=3,
        )
    },
    optional={
        "credential_sets": st.lists(
            st.fixed_dictionaries({"options": st.lists(st.lists(ids, max_size=2), max_size=2)}), max_size=2
        )
    },
)


@settings(max_examples=300, deadline=None)
@given(queries)
def test_what_is_read_holds_together(value):
    """Whatever comes out refers only to what is in it, within every bound."""
    try:
        made = parse_dcql(value)
    except (InvalidArgument, NotSupported):
        return
    known = {asked.id for asked in made.credentials}
    assert len(known) == len(made.credentials) == len(value["credentials"])
    assert all(set(option) <= known for sets in made.sets for option in sets.options)
    for asked in made.credentials:
        claim_ids = {claim.id for claim in asked.claims}
        assert all(set(one) <= claim_ids for one in asked.claim_sets)
        assert len({claim.path for claim in asked.claims}) == len(asked.claims)
        assert not any("." in part for claim in asked.claims for part in claim.path if isinstance(part, str))


def test_the_bounds_are_what_they_were_said_to_be():
    assert (dcql.MAX_CREDENTIALS, dcql.MAX_OPTIONS, dcql_claims.MAX_CLAIMS, dcql_claims.MAX_CLAIM_SETS) == (
        8,
        16,
        64,
        16,
    )
