"""What the policy does, said claim by claim and without values."""

import json

from hypothesis import given, settings
from tests.rigs.negotiating import CLAIMED, DELIVERY, VALUES, offer, terms
from tests.rigs.negotiation_cases import negotiated, situations

from ownerd.negotiation.explain import explain, explain_terms

RULES = """
[alias]
mailbox = "me@example.org"
[[rule]]
claims = ["email"]
do = "substitute"
with = "alias"
[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"
[[rule]]
claims = ["phone_number"]
do = "substitute"
with = "later"
[[rule]]
provider = "shop.example"
claims = ["given_name"]
do = "grant"
days = 1
count = 1
per_hour = 1
[[rule]]
claims = ["nickname"]
do = "refuse"
"""


def test_every_asked_claim_has_its_line():
    found = explain(
        offer(
            "email", "birthdate", "phone_number", "given_name", "nickname", "gender", "address", rules=RULES
        )
    )
    lines = [
        (one["claim"], one["outcome"], one["goes"], one["action"], one["rule"], one["grant"]) for one in found
    ]
    assert lines == [
        ("email", "goes", "email", "substitute", 1, False),
        ("birthdate", "goes", "age_over_18", "substitute", 2, False),
        ("phone_number", "later", None, "substitute", 3, False),
        ("given_name", "goes", "given_name", "grant", 4, True),
        ("nickname", "refused", None, "refuse", 5, False),
        ("gender", "missing", None, None, None, False),
        ("address.street_address", "goes", "address.street_address", None, None, False),
        ("address.locality", "goes", "address.locality", None, None, False),
        ("address.country", "goes", "address.country", None, None, False),
    ]
    assert found[1] == {
        "claim": "birthdate",
        "label": "date of birth",
        "outcome": "goes",
        "what": "whether you are 18 or older goes in its place",
        "goes": "age_over_18",
        "action": "substitute",
        "rule": 2,
        "why": "rule 2 puts whether you are 18 or older in place of date of birth",
        "grant": False,
        "each_time": False,
    }


def test_allow_grant_and_ask_are_told_apart():
    scope = '[[rule]]\nprovider = "shop.example"\n'
    rules = [
        f'{scope}claims = ["email"]\ndo = "allow"\n',
        f'{scope}claims = ["given_name"]\ndo = "grant"\ndays = 1\ncount = 1\nper_hour = 1\n',
        f'{scope}claims = ["nickname", "age_over_18"]\ndo = "ask"\n',
        f'{scope}claims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n',
    ]
    asked = ("email", "given_name", "nickname", "birthdate", "phone_number")
    found = explain(offer(*asked, rules="".join(rules)))
    assert [(one["action"], one["what"], one["why"], one["each_time"]) for one in found] == [
        ("allow", "goes as it is", "rule 1 lets e-mail go when you touch", False),
        (
            "grant",
            "goes as it is, or again under a grant",
            "rule 2 lets given name go when you touch, and again under a grant",
            False,
        ),
        ("ask", "goes as it is, asked each time", "rule 3 asks you about nickname each time", True),
        (
            "substitute",
            "whether you are 18 or older goes in its place, asked each time",
            "rule 4 puts whether you are 18 or older in place of date of birth",
            True,
        ),
        (None, "goes as it is", "no rule is about phone number, so you are asked", False),
    ]


def test_terms_have_their_sentence():
    own = f'[[terms]]\npurpose = "{DELIVERY}"\nretention = "P90D"\n'
    year, month = terms(DELIVERY, retention_days=365), terms(DELIVERY, retention_days=30)
    said = {
        "theirs are narrowed: kept 90 days at most, not 365 days at most": offer(
            "email", rules=own, asked_terms=[year]
        ),
        "theirs are within yours, and are accepted": offer("email", rules=own, asked_terms=[month]),
        "you have none for this: you decide": offer("email", asked_terms=[year]),
        "yours go along": offer("email", rules='[[terms]]\nretention = "P90D"\n'),
        "": offer("email"),
    }
    for sentence, made in said.items():
        assert explain_terms(made) == sentence


def test_an_unsigned_asker_is_told_apart():
    found = explain(offer("email", "given_name", rules=RULES, provider=CLAIMED))
    assert [(one["outcome"], one["rule"]) for one in found] == [("refused", 1), ("goes", None)]
    assert found[0]["why"] == (
        "rule 1 puts an alias in place of e-mail, and there is none to make for this asker"
    )


def test_asked_itself_and_in_place_of_another():
    found = explain(offer("age_over_18", "birthdate", rules=RULES))
    assert [(one["claim"], one["goes"]) for one in found] == [
        ("age_over_18", "age_over_18"),
        ("birthdate", "age_over_18"),
    ]


@settings(max_examples=50, deadline=None)
@given(situations())
def test_explanations_agree_with_the_offer_and_hold_no_value(situation):
    made = negotiated(*situation)
    found = explain(made)
    assert [one["claim"] for one in found] == [one.claim for one in made.decisions]
    going = {claim.name for claim in made.claims}
    for one in found:
        assert (one["outcome"] == "goes") is (one["goes"] in going)
        if one["outcome"] != "goes":
            assert one["claim"] in getattr(made, one["outcome"])
    text = json.dumps(found)
    assert not any(value in text for value in VALUES.values() if len(value) > 4)
