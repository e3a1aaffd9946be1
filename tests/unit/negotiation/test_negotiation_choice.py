"""The least that satisfies: claim sets and credential sets, held against every other choice there is."""

import itertools

import pytest
from hypothesis import given, settings
from tests.rigs.negotiating import (
    KNOWN,
    TODAY,
    ask,
    catalogue,
    credential,
    names,
    offer,
    policy,
    request,
)
from tests.rigs.negotiation_cases import negotiated, sets_of, situations

from ownerd.model.errors import NotSupported
from ownerd.model.offer import Form
from ownerd.model.policy import Action
from ownerd.model.query import ClaimQuery, CredentialQuery
from ownerd.model.request import Trust
from ownerd.negotiation.negotiate import negotiate
from ownerd.negotiation.sensitivity import COSTS, cost


def chosen(*credentials, sets=(), **more):
    return negotiate(request(*credentials, sets=sets), catalogue(), today=TODAY, **more)


def test_the_cheapest_claim_set_goes_and_the_rest_is_optional():
    one = credential("birthdate", "age_over_18", claim_sets=[("birthdate",), ("age_over_18",)])
    found = chosen(one)
    assert (names(found), found.optional, found.differs) == (["age_over_18"], ("birthdate",), False)
    assert [(one.claim, one.action) for one in found.decisions] == [
        ("birthdate", Action.ASK),
        ("age_over_18", Action.ASK),
    ]


def test_what_is_complete_goes_before_what_is_cheap():
    one = credential("email", "locale", claim_sets=[("locale",), ("email",)])
    assert names(chosen(one)) == ["email"]
    assert chosen(one).missing == ()
    assert chosen(one, without=["email"]).missing == ("locale",)
    two = credential(
        "email", "locale", "gender", "phone_number", claim_sets=[("locale", "gender"), ("email", "locale")]
    )
    assert (names(chosen(two)), chosen(two).missing) == (["email"], ("locale",))


def test_where_the_cost_is_alike_the_provider_s_order_counts():
    a, b = "age_over_18", "address.country"
    assert COSTS[a] == COSTS[b]
    assert names(chosen(credential(a, b, claim_sets=[(a,), (b,)]))) == [a]
    assert names(chosen(credential(a, b, claim_sets=[(b,), (a,)]))) == [b]


def test_what_satisfies_goes_before_a_stand_in_of_the_same_cost():
    rules = '[[rule]]\nclaims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n'
    one = credential("birthdate", "age_over_18", claim_sets=[("birthdate",), ("age_over_18",)])
    found = negotiate(request(one), catalogue(), policy(rules), KNOWN, today=TODAY)
    assert [claim.instead_of for claim in found.claims] == [None]
    assert not found.differs


def test_holding_back_leads_to_another_claim_set():
    one = credential("email", "phone_number", claim_sets=[("email",), ("phone_number",)])
    assert names(chosen(one, without=["email"])) == ["phone_number"]
    assert chosen(one, without=["email", "phone_number"]).withheld == ("email",)


def test_the_cheapest_option_of_a_credential_set_goes():
    a, b = credential("birthdate", query_id="a"), credential("age_over_18", query_id="b")
    found = chosen(a, b, sets=[sets_of("a", "b")])
    assert [one.query_id for one in found.credentials] == ["b"]
    assert found.optional == ("birthdate",)


def test_sets_share_what_goes_anyway():
    a, b = credential("address.country", query_id="a"), credential("email", query_id="b")
    c = credential("address.region", query_id="c")
    assert COSTS["address.country"] + COSTS["address.region"] < COSTS["email"]
    cheap = chosen(a, b, c, sets=[sets_of("a", "b"), sets_of("b", "c")])
    # The region is not there: one credential for both sets lacks nothing.
    assert [one.query_id for one in cheap.credentials] == ["b"]


def test_what_two_credentials_share_is_counted_once():
    for other, shared in (("email", "phone_number"), ("zoneinfo", "locale")):
        a = credential(other, shared, query_id="a", claim_sets=[(other,), (shared,)])
        found = chosen(a, credential(shared, query_id="b"))
        assert [*names(found), *found.missing] == [shared]


def test_optional_sets_and_unnamed_credentials_are_listed_and_do_not_go():
    a, b, c = (credential(name, query_id=name) for name in ("email", "given_name", "nickname"))
    found = chosen(a, b, c, sets=[sets_of(["email"]), sets_of(["given_name"], required=False)])
    assert names(found) == ["email"]
    assert found.optional == ("given_name", "nickname")
    assert chosen(a, sets=[sets_of(["email"], required=False)]).credentials == ()


def test_a_required_credential_that_can_never_be_met_is_refused_with_its_reason():
    a, b = (
        credential("email", query_id="a"),
        credential("email", query_id="b", unmet="its format is mso_mdoc"),
    )
    for made in (request(a, b), request(a, b, sets=[sets_of(["a"]), sets_of(["b"], ["a", "b"])])):
        with pytest.raises(NotSupported, match="never be met: its format is mso_mdoc"):
            negotiate(made, catalogue(), today=TODAY)
    assert [one.query_id for one in chosen(a, b, sets=[sets_of(["b"], ["a"])]).credentials] == ["a"]
    assert chosen(a, b, sets=[sets_of(["a"]), sets_of(["b"], required=False)]).optional == ()


def test_a_query_with_too_many_alternatives_is_refused_soon():
    claims = [f"c{number}" for number in range(16)]
    alternatives = [(one,) for one in claims]
    many = [
        credential(
            *(ask(f"{one}{number}", claim_id=one) for one in claims),
            query_id=str(number),
            claim_sets=alternatives,
        )
        for number in range(8)
    ]
    held = {f"{one}{number}": "x" for one in claims for number in range(8)}
    # All alike: the first is as good as any, and that is soon seen.
    assert len(negotiate(request(*many), catalogue(held), today=TODAY).claims) == 8
    options = [sets_of(*([str(one)] for one in range(8))) for _ in range(8)]
    with pytest.raises(NotSupported, match="more alternatives"):
        negotiate(request(*many, sets=options), catalogue(held), today=TODAY)


@settings(max_examples=50, deadline=None)
@given(situations())
def test_the_same_goes_for_the_same(situation):
    first, second = negotiated(*situation), negotiated(*situation)
    assert first == second


@settings(max_examples=50, deadline=None)
@given(situations())
def test_what_may_not_go_never_goes(situation):
    made, held, _text, without = situation
    found = negotiated(*situation)
    going = set(names(found))
    for not_going in (found.missing, found.withheld, found.refused, found.later, found.optional):
        assert not going & set(not_going)
    for claim in found.claims:
        for name in (claim.name, claim.instead_of or claim.name):
            assert name not in without
            assert name.partition(".")[0] not in without
        asked = {".".join(map(str, one.path)) for each in made.query.credentials for one in each.claims}
        name = claim.instead_of or claim.name
        assert name in asked or name.partition(".")[0] in asked
        assert claim.form is not Form.RAW or held[claim.name] == claim.value
    assert [name for one in found.credentials for name in one.claims if name not in going] == []
    assert {name for one in found.credentials for name in one.claims} == going
    decided = {one.claim: one for one in found.decisions}
    for claim in found.claims:
        decision = decided[claim.instead_of or claim.name]
        assert decision.action is not Action.REFUSE
        assert claim.form is not Form.RAW or claim.instead_of or decision.action is not Action.SUBSTITUTE


@settings(max_examples=50, deadline=None)
@given(situations())
def test_every_asked_claim_is_accounted_for_once(situation):
    found = negotiated(*situation)
    listed = [*found.missing, *found.withheld, *found.refused, *found.later, *found.optional]
    stood_for = [claim.instead_of for claim in found.claims if claim.instead_of]
    assert len(set(listed)) == len(listed)
    assert len(set(names(found))) == len(found.claims)
    for decision in found.decisions:
        places = (decision.claim in listed) + (decision.claim in names(found) or decision.claim in stood_for)
        assert places == 1


@settings(max_examples=50, deadline=None)
@given(situations())
def test_an_unsigned_asker_has_no_benefit_of_a_rule(situation):
    made, _held, text, _without = situation
    found = negotiated(*situation)
    if made.provider.trust is not Trust.CLAIMED:
        return
    assert found.grant is None
    for claim in found.claims:
        assert claim.form is not Form.ALIAS
    numbered = policy(text).rules
    for decision in found.decisions:
        assert decision.rule is None or decision.rule.provider is None or decision.action is Action.REFUSE
        assert decision.rule is None or numbered[decision.rule.number - 1] == decision.rule


def alternatives(made):
    """Every choice of claims queries that satisfies the query, by the letter of the standard."""
    by_id = {one.id: one for one in made.query.credentials}
    required = [one.options for one in made.query.sets if one.required]
    wanted = [{one for option in combined for one in option} for combined in itertools.product(*required)]
    for ids in wanted if made.query.sets else [set(by_id)]:
        each = []
        for query_id in sorted(ids):
            one = by_id[query_id]
            claims = {claim.id: claim for claim in one.claims}
            each.append([[claims[i] for i in chosen] for chosen in one.claim_sets] or [list(one.claims)])
        for combined in itertools.product(*each):
            yield [claim for claims in combined for claim in claims]


@settings(deadline=None)
@given(situations())
def test_nothing_that_satisfies_lacks_less_or_costs_less(situation):
    made, held, text, without = situation

    known = {}

    def alone(claim: ClaimQuery):
        key = (claim.path, repr(claim.values))
        if key not in known:
            known[key] = measured(claim)
        return known[key]

    def measured(claim: ClaimQuery):
        query = CredentialQuery("x", (claim,))
        one = negotiated(request(query, provider=made.provider), held, text, without)
        return {each.name: cost(each) for each in one.claims}

    measures = {}
    for claims in alternatives(made):
        lacks, costs = set(), {}
        for claim in claims:
            going = alone(claim)
            costs |= going
            if not going:
                lacks.add((claim.path, repr(claim.values)))
        measures.setdefault((len(lacks), sum(costs.values())), []).append(set(costs))
    found = negotiated(*situation)
    best = min(measures)
    assert sum(map(cost, found.claims)) == best[1]
    assert set(names(found)) in measures[best]


def test_the_cost_of_a_whole_is_that_of_its_parts_at_least():
    assert min(COSTS.values()) == 1
    assert COSTS["name"] >= COSTS["given_name"] + COSTS["middle_name"] + COSTS["family_name"]
    parts = sum(price for name, price in COSTS.items() if name.startswith("address."))
    assert COSTS["address.formatted"] * 2 >= parts
    assert COSTS["birthdate"] > COSTS["age_birth_year"] > COSTS["age_over_18"]
    assert offer("email").claims[0].name in COSTS
