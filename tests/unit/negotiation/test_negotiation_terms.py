"""Terms: what is within the owner's own, and what goes along where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.negotiating import DELIVERY, MARKETING, credential, offer, policy, request, terms

from ownerd.model.errors import InvalidArgument
from ownerd.model.policy import Policy
from ownerd.model.terms import PURPOSES, Terms
from ownerd.negotiation.own_terms import answer_terms, kept_words, narrowing_words, own_terms

ROSTER = "https://roster.example/1"
RULES = f"""
[[terms]]
purpose = "{DELIVERY}"
retention = "P90D"
recipients = ["Parcel Ltd", "Post"]
agreement = "{ROSTER}"
"""
DEFAULT = '[[terms]]\nretention = "P30D"\nrecipients = ["Post"]\n'


def answer(*asked, rules=RULES, **more):
    return answer_terms(request(credential("email"), asked_terms=asked), policy(rules), **more)


@pytest.mark.parametrize(
    ("asked", "accepted"),
    [
        (terms(DELIVERY, retention_days=90), True),
        (terms(DELIVERY, retention_days=0), True),
        (terms(DELIVERY, retention_days=91), False),
        (terms(DELIVERY), False),
        (terms(DELIVERY, retention_days=1, recipients=["Post"]), True),
        (terms(DELIVERY, retention_days=1, recipients=["Post", "Ads"]), False),
        (terms(DELIVERY, retention_days=1, agreement=ROSTER), True),
        (terms(DELIVERY, retention_days=1, agreement=f"{ROSTER}1"), False),
        (terms(DELIVERY, MARKETING, retention_days=1), False),
        (terms(MARKETING), True),
    ],
)
def test_terms_are_accepted_within_the_owner_s_own(asked, accepted):
    assert answer(asked).accepted is accepted


def test_own_terms_go_along_with_the_purposes_that_are_left():
    own = Terms((DELIVERY,), 90, ("Parcel Ltd", "Post"), ROSTER)
    assert answer(terms(DELIVERY, MARKETING)).own == own
    assert answer(terms(MARKETING)).own is None
    assert answer().own is None
    assert not answer().accepted


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([terms(DELIVERY, retention_days=365)], ["kept 90 days at most, not 365 days at most"]),
        ([terms(DELIVERY)], ["kept 90 days at most, not without a stated end"]),
        ([terms(DELIVERY, retention_days=90)], []),
        (
            [terms(DELIVERY, MARKETING, retention_days=91, recipients=["Post", "Ads"], agreement="urn:x")],
            [
                "not for marketing",
                "kept 90 days at most, not 91 days at most",
                "not passed on to Ads",
                "not under the agreement urn:x",
            ],
        ),
        (
            [terms(DELIVERY, retention_days=1), terms(DELIVERY, retention_days=400, agreement="urn:y")],
            ["kept 90 days at most, not 400 days at most", "not under the agreement urn:y"],
        ),
    ],
)
def test_what_is_narrowed_is_said_from_what_to_what(asked, words):
    found = answer(*asked)
    assert narrowing_words([one.terms for one in asked], found.own) == words
    assert found.accepted is (not words)


def test_days_are_said_in_words():
    assert [kept_words(days) for days in (None, 0, 1, 2)] == [
        "without a stated end",
        "not at all",
        "1 day at most",
        "2 days at most",
    ]


def test_all_terms_have_to_be_within():
    good, bad = terms(DELIVERY, retention_days=1), terms(DELIVERY, retention_days=100)
    assert answer(good, good).accepted
    assert not answer(good, bad).accepted
    assert not answer(bad, good).accepted


def test_terms_for_every_other_purpose():
    assert answer(terms(MARKETING, retention_days=30), rules=RULES + DEFAULT).accepted
    assert not answer(terms(MARKETING, retention_days=31), rules=RULES + DEFAULT).accepted
    assert answer(rules=DEFAULT).own == Terms((), 30, ("Post",))
    together = answer(terms(DELIVERY, MARKETING, retention_days=31), rules=RULES + DEFAULT)
    assert together.own == Terms((DELIVERY, MARKETING), 30, ("Post",), None)
    assert not together.accepted


def test_the_owner_shortens_retention_now():
    asked = terms(DELIVERY, retention_days=60, recipients=["Post"])
    assert answer(asked, retention_days=60).accepted
    shorter = answer(asked, retention_days=7)
    assert not shorter.accepted
    assert shorter.own == Terms((DELIVERY,), 7, ("Parcel Ltd", "Post"), ROSTER)
    assert answer(asked, retention_days=1000).own == Terms((DELIVERY,), 90, ("Parcel Ltd", "Post"), ROSTER)
    without_own = answer(asked, rules="", retention_days=7)
    assert not without_own.accepted
    assert without_own.own == Terms((DELIVERY,), 7, ("Post",))
    assert answer(asked, rules="", retention_days=60).own is None
    assert not answer(terms(DELIVERY), rules="", retention_days=60).accepted
    assert answer(rules="", retention_days=7).own == Terms((), 7, ())
    with pytest.raises(InvalidArgument):
        answer(asked, retention_days=-1)


def test_the_offer_says_that_terms_differ():
    assert offer("email", rules=RULES, asked_terms=[terms(DELIVERY)]).differs
    assert not offer("email", rules=RULES, asked_terms=[terms(DELIVERY, retention_days=9)]).differs
    assert offer("email", asked_terms=[terms(DELIVERY, retention_days=9)], retention_days=8).differs


TERMS = st.builds(
    Terms,
    st.lists(st.sampled_from(list(PURPOSES)[:3]), min_size=1, max_size=3, unique=True).map(tuple),
    st.none() | st.integers(0, 3),
    st.lists(st.sampled_from(["A", "B"]), max_size=2, unique=True).map(tuple),
    st.sampled_from([None, "urn:x", "urn:y"]),
)
OWN = st.dictionaries(st.none() | st.sampled_from(list(PURPOSES)[:3]), TERMS, max_size=3)


@given(OWN, TERMS)
def test_what_is_accepted_is_within_the_terms_for_each_of_its_purposes(own, asked):
    made = Policy(terms=tuple(own.items()))
    found = answer_terms(
        request(credential("email"), asked_terms=[terms(*asked.purposes, **_rest(asked))]), made
    )
    each = [own.get(purpose, own.get(None)) for purpose in asked.purposes]
    if not any(each):
        assert found.accepted
        assert found.own is None
    elif not all(each):
        assert not found.accepted
    if found.accepted:
        for one in filter(None, each):
            assert one.retention_days is None or (
                asked.retention_days is not None and asked.retention_days <= one.retention_days
            )
            assert set(asked.recipients) <= set(one.recipients)
            assert asked.agreement is None or asked.agreement == one.agreement
    assert found.own == own_terms(made, asked.purposes)


def _rest(asked):
    return {
        "retention_days": asked.retention_days,
        "recipients": asked.recipients,
        "agreement": asked.agreement,
    }
