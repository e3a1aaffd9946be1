"""What is offered: by the policy, what is there and what the owner holds back."""

import pytest
from msgspec.structs import replace
from tests.rigs.negotiating import (
    CLAIMED,
    DELIVERY,
    KNOWN,
    MARKETING,
    PINNED,
    SHOP,
    TODAY,
    VALUES,
    ask,
    catalogue,
    credential,
    names,
    offer,
    policy,
    request,
    terms,
)

from ownerd.model.errors import InvalidArgument
from ownerd.model.offer import Form, KnownAsker, OfferedClaim, OfferedCredential
from ownerd.model.policy import Action, GrantLimits, MailAlias, Policy, Rule, Substitute
from ownerd.negotiation.answering import alias_address
from ownerd.negotiation.negotiate import negotiate

ALIAS = (
    '[alias]\nmailbox = "me@example.org"\n[[rule]]\nclaims = ["email"]\ndo = "substitute"\nwith = "alias"\n'
)
AGE = '[[rule]]\nclaims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n'
GRANT = '[[rule]]\nprovider = "shop.example"\nclaims = ["email", "address.*"]\ndo = "grant"\n'
LIMITS = "days = 30\ncount = 100\nper_hour = 20\n"


def refuse(*claims):
    return f'[[rule]]\nclaims = {list(claims)}\ndo = "refuse"\n'


def test_the_asked_claims_go_in_the_order_of_the_request_each_once():
    found = offer("email", "given_name", "shoe_size", ask("email", "ada@example.org"))
    assert found.claims == (
        OfferedClaim("email", "ada@example.org", 1, "typed"),
        OfferedClaim("given_name", "Ada", 1, "typed"),
    )
    assert found.credentials == (OfferedCredential("owner", ("email", "given_name")),)
    assert found.missing == ("shoe_size",)
    assert not found.differs


def test_the_whole_address_means_every_held_member():
    found = offer("address")
    assert names(found) == ["address.street_address", "address.locality", "address.country"]
    assert offer("address", values={"email": "x"}).missing == ("address",)
    partly = offer("address", rules=refuse("address.street_address"), without=["address.locality"])
    assert names(partly) == ["address.country"]
    assert (partly.refused, partly.withheld) == (("address.street_address",), ("address.locality",))
    assert offer("address", without=["address"]).claims == ()
    assert offer(ask("address", "DE")).claims == ()


def test_derived_claims_are_there_when_their_basis_is():
    found = offer("age_over_18", "age_birth_year")
    assert [(one.value, one.form, one.instead_of) for one in found.claims] == [
        (True, Form.DERIVED, None),
        (1990, Form.DERIVED, None),
    ]
    assert offer("age_over_18", values={"email": "x"}).missing == ("age_over_18",)


@pytest.mark.parametrize(
    ("path", "values", "goes"),
    [
        ("email", ["ada@example.org"], True),
        ("email", ["x", "ada@example.org"], True),
        ("email", ["Ada@example.org"], False),
        ("age_over_18", [True], True),
        ("age_over_18", [1], False),
        ("age_over_18", [False], False),
        ("age_birth_year", [1990], True),
        ("age_birth_year", ["1990"], False),
        (("email", 0), [], False),
        (("email", None), [], False),
        (("email", "x"), [], False),
        (("address", None), [], False),
        ((None,), [], False),
        (("email", 0), ["ada@example.org"], False),
        (("email", None), ["a"], False),
        (("email", "x", None, "y"), [], False),
        (("address", "locality", None), ["Bonn"], False),
        (("address", "locality", 0), [], False),
        (("age_over_18", None), [True], False),
    ],
)
def test_values_and_paths_that_do_not_fit_are_missing_like_what_is_not_there(path, values, goes):
    found = offer(ask(path, *values))
    assert bool(found.claims) is goes
    if not goes:
        absent = offer(ask(path, *values), values={})
        assert (found.missing, found.refused, found.notes) == (absent.missing, (), absent.notes)
        assert [one.why for one in found.decisions] == [one.why for one in absent.decisions]


def test_what_is_asked_twice_goes_if_it_fits_once():
    made = request(credential(ask("email", "no"), query_id="a"), credential("email", query_id="b"))
    found = negotiate(made, catalogue(), today=TODAY)
    assert found.credentials == (OfferedCredential("b", ("email",)),)
    assert found.missing == ()


def test_one_and_true_are_different_questions():
    made = request(
        credential(ask("age_over_18", 1), query_id="a"), credential(ask("age_over_18", True), query_id="b")
    )
    assert negotiate(made, catalogue(), today=TODAY).credentials == (
        OfferedCredential("b", ("age_over_18",)),
    )


def test_a_credential_without_claims_goes_and_one_without_what_it_asks_does_not():
    made = request(credential(query_id="a"), credential("shoe_size", query_id="b"))
    assert negotiate(made, {}, today=TODAY).credentials == (OfferedCredential("a", ()),)


def test_an_alias_goes_in_place_of_the_address():
    found = offer("email", rules=ALIAS)
    assert found.claims == (OfferedClaim("email", "me+k7x2@example.org", 0, "policy", Form.ALIAS),)
    assert not found.differs
    assert offer("email", rules=ALIAS, values={}).claims == found.claims
    assert alias_address(MailAlias(domain="in.example.org"), "k7x2") == "k7x2@in.example.org"
    for tag in ("", "K", "a@b", "a" * 21):
        with pytest.raises(InvalidArgument):
            alias_address(MailAlias(domain="in.example.org"), tag)


@pytest.mark.parametrize(
    ("provider", "asker"),
    [(CLAIMED, KNOWN), (SHOP, KnownAsker()), (SHOP, KnownAsker(tag="")), (CLAIMED, KnownAsker())],
)
def test_where_no_alias_can_be_made_the_address_does_not_go_either(provider, asker):
    found = offer("email", rules=ALIAS, provider=provider, asker=asker)
    assert (found.claims, found.refused, found.differs) == ((), ("email",), True)
    assert "none to make for this asker" in found.decisions[0].why


def test_an_alias_without_a_mailbox_is_refused():
    rule = Rule(1, Action.SUBSTITUTE, claims=("email",), substitute=Substitute.ALIAS)
    found = negotiate(request(credential("email")), catalogue(), Policy(rules=(rule,)), KNOWN, today=TODAY)
    assert found.refused == ("email",)


def test_a_rule_that_says_no_substitute_lets_nothing_through():
    bare = Policy(rules=(Rule(1, Action.SUBSTITUTE),))
    with pytest.raises(InvalidArgument):
        negotiate(request(credential("email")), catalogue(), bare, today=TODAY)


def test_a_value_of_the_owner_goes_in_place():
    found = offer("nickname", rules='[[rule]]\nclaims = ["nickname"]\ndo = "substitute"\nvalue = "Shopper"\n')
    assert found.claims == (OfferedClaim("nickname", "Shopper", 0, "policy", Form.SET),)


def test_later_is_listed_and_does_not_go():
    found = offer(
        "email", "phone_number", rules='[[rule]]\nclaims = ["email"]\ndo = "substitute"\nwith = "later"\n'
    )
    assert (names(found), found.later, found.differs) == (["phone_number"], ("email",), True)


def test_another_claim_stands_in_and_says_so():
    found = offer("birthdate", rules=AGE)
    assert found.claims == (OfferedClaim("age_over_18", True, 1, "typed", Form.DERIVED, "birthdate"),)
    assert found.differs
    both = offer("age_over_18", "birthdate", rules=AGE)
    assert both.claims == found.claims
    assert offer("birthdate", rules=AGE, values={"birthdate": "x"}).refused == ("birthdate",)
    assert offer("birthdate", rules=AGE, without=["age_over_18"]).withheld == ("birthdate",)
    assert offer("birthdate", rules=AGE, without=["birthdate"]).withheld == ("birthdate",)


def test_what_goes_in_place_of_another_is_not_called_missing():
    found = offer(ask("age_over_18", False), "birthdate", rules=AGE)
    assert (names(found), found.missing) == (["age_over_18"], ())


def test_one_claim_stands_in_for_one_other():
    rules = '[[rule]]\nclaims = ["birthdate", "given_name"]\ndo = "substitute"\nwith = "age_over_18"\n'
    found = offer("birthdate", "given_name", rules=rules)
    assert [one.instead_of for one in found.claims] == ["birthdate"]
    assert found.refused == ("given_name",)


@pytest.mark.parametrize(
    "about_the_other",
    [
        refuse("email"),
        '[[rule]]\nclaims = ["email"]\ndo = "substitute"\nwith = "later"\n',
        '[[rule]]\nclaims = ["email"]\ndo = "substitute"\nwith = "nickname"\n',
    ],
)
def test_what_stands_in_obeys_the_rules_about_itself(about_the_other):
    stand_in = '[[rule]]\nclaims = ["phone_number"]\ndo = "substitute"\nwith = "email"\n'
    found = offer("phone_number", rules=stand_in + about_the_other)
    assert (found.claims, found.refused) == ((), ("phone_number",))
    assert found.decisions[0].why.endswith("in place of phone number, and a rule about that one forbids it")
    aliased = offer("phone_number", rules=ALIAS + stand_in)
    assert [one.value for one in aliased.claims] == ["me+k7x2@example.org"]


def test_withheld_and_refused_claims_do_not_go():
    found = offer("email", "given_name", "birthdate", rules=refuse("given_name"), without=["email"])
    assert (names(found), found.withheld, found.refused) == (["birthdate"], ("email",), ("given_name",))
    # Whether there was anything to refuse is not said.
    assert offer("email", rules=refuse("email"), values={}).refused == ("email",)


@pytest.mark.parametrize("provider", [SHOP, PINNED])
def test_a_grant_is_offered_where_every_claim_may_go_under_one(provider):
    rules = GRANT + LIMITS
    found = offer("email", "address.country", rules=rules, provider=provider)
    assert found.grant == GrantLimits(30, 100, 20)
    assert offer("email", "nickname", rules=rules, provider=provider).grant is None
    assert offer("shoe_size", rules=rules, provider=provider).grant is None
    assert offer("email", rules=rules, provider=CLAIMED).grant is None
    login = replace(request(credential("email"), provider=provider), login=True)
    assert negotiate(login, catalogue(), policy(rules), KNOWN, today=TODAY).grant is None


def test_the_narrowest_of_the_grants_holds():
    more = '[[rule]]\nprovider = "shop.example"\nclaims = ["nickname"]\ndo = "grant"\ndays = 60\n'
    more = more.replace("60", "7") + "count = 500\nper_hour = 1\n"
    assert offer("email", "nickname", rules=GRANT + LIMITS + more).grant == GrantLimits(7, 100, 1)


def test_what_stands_in_may_go_under_a_grant_where_its_rule_says_so():
    scope = '[[rule]]\nprovider = "shop.example"\ndo = "substitute"\n'
    alias = f'[alias]\ndomain = "in.example.org"\n{scope}claims = ["email"]\nwith = "alias"\n'
    age = f'{scope}claims = ["birthdate"]\nwith = "age_over_18"\n'
    assert offer("email", rules=alias).grant is None
    assert offer("email", rules=alias + LIMITS).grant == GrantLimits(30, 100, 20)
    assert offer("birthdate", rules=age + LIMITS).grant == GrantLimits(30, 100, 20)
    asked = '[[rule]]\nclaims = ["age_over_18"]\ndo = "ask"\n'
    assert offer("birthdate", rules=age + LIMITS + asked).grant is None


def test_what_a_rule_asks_about_each_time_is_known_of_the_offer():
    asked = '[[rule]]\nclaims = ["email", "age_over_18"]\ndo = "ask"\n'
    age = '[[rule]]\nclaims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n'
    assert offer("email", "nickname", rules=asked).each_time == ("email",)
    assert offer("birthdate", rules=age + asked).each_time == ("age_over_18",)
    assert offer("nickname", "shoe_size", "birthdate", rules=asked).each_time == ()
    assert offer("email", rules=asked, without=["email"]).each_time == ()
    assert offer("email").each_time == (), "no rule is no such rule"
    bought = '[[rule]]\npurpose = "dpv:DeliveryOfGoods"\nclaims = ["email"]\ndo = "allow"\n'
    for_both = [terms(DELIVERY, MARKETING)]
    assert offer("email", rules=bought + asked, asked_terms=for_both).each_time == ("email",)
    assert offer("email", rules=bought + asked, asked_terms=[terms(DELIVERY)]).each_time == ()


def test_no_grant_on_terms_that_are_narrowed():
    rules = GRANT + LIMITS + f'[[terms]]\npurpose = "{DELIVERY}"\nretention = "P30D"\n'
    assert offer("email", rules=rules, asked_terms=[terms(DELIVERY, retention_days=30)]).grant is not None
    assert offer("email", rules=rules, asked_terms=[terms(DELIVERY, retention_days=31)]).grant is None


def test_over_asking_against_the_purpose_is_pointed_out():
    found = offer("email", "birthdate", "shoe_size", asked_terms=[terms(DELIVERY)])
    assert found.notes[0] == (
        "More than is usual for this purpose (deliver goods to you): date of birth, shoe_size"
    )
    unjudged = offer("email", "birthdate", asked_terms=[terms(DELIVERY, "dpv:ServiceProvision")])
    assert not any("usual" in note for note in unjudged.notes)
    assert offer("email", asked_terms=[terms(DELIVERY, MARKETING)], asker=KnownAsker()).notes == ()


def test_what_they_got_before_is_pointed_out():
    asker = replace(KNOWN, got={"given_name": 1, "email": 2, "nickname": 0})
    made = request(credential("given_name", "email", "nickname", "birthdate", "shoe_size"))
    found = negotiate(made, catalogue(version=2), policy(""), asker, today=TODAY)
    assert found.notes == (
        "First time they ask for: date of birth",
        "They hold an older value of: given name",
    )
    assert negotiate(made, catalogue(), asker=KnownAsker(), today=TODAY).notes == ()


def test_no_values_stand_in_notes_and_reasons():
    found = offer(*VALUES, rules=AGE + ALIAS, asked_terms=[terms(DELIVERY)])
    text = repr((found.notes, [one.why for one in found.decisions]))
    assert not any(value in text for value in [*VALUES.values(), "k7x2"])
