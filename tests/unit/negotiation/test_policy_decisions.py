"""Which rule decides, for whom, and why."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.rigs.negotiating import CLAIMED, DELIVERY, MARKETING, PINNED, SHOP, policy

from ownerd.model.policy import Action, GrantLimits, Policy, Rule
from ownerd.model.request import Provider, Trust
from ownerd.negotiation.policy import applicable, narrowest

GRANT = 'do = "grant"\ndays = 30\ncount = 9\nper_hour = 3\n'


def rule(provider="shop.example", *lines, do='do = "allow"'):
    scope = f'provider = "{provider}"\n' if provider else ""
    return "\n".join(["[[rule]]", scope + do, *lines, ""])


def action(text, provider=SHOP, purposes=(), claim="email"):
    return applicable(policy(text), provider, purposes).decide(claim).action


def named(name, trust=Trust.VERIFIED, client_id="x509_hash:abc"):
    return Provider(trust, client_id, name, None, None)


def test_the_first_rule_that_matches_decides_and_says_so():
    text = rule(None, 'claims = ["name"]') + rule(None, do='do = "refuse"') + rule(None)
    found = applicable(policy(text), SHOP, ()).decide("email")
    assert (found.action, found.rule and found.rule.number) == (Action.REFUSE, 2)
    assert found.why == "rule 2 refuses e-mail"


def test_a_claim_without_a_rule_is_asked_about():
    found = applicable(policy(rule(None, 'claims = ["name"]')), SHOP, ()).decide("email")
    assert (found.action, found.rule) == (Action.ASK, None)
    assert found.why == "no rule is about e-mail, so you are asked"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "a.shop.example", False),
        ("shop.example", "xshop.example", False),
        ("*.shop.example", "a.shop.example", True),
        ("*.shop.example", "b.a.shop.example", True),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", "xshop.example", False),
        ("x509_hash:abc", "anything", True),
        ("x509_hash:xyz", "anything", False),
        ("shop.example", "shop.example/path", False),
        ("*.shop.example", "evil.example/x.shop.example", False),
        ("*.shop.example", "a friend of x.shop.example", False),
        ("x509_san_dns:shop.example", "x509_san_dns:shop.example", False),
    ],
)
def test_whom_a_rule_means(pattern, name, matches):
    assert (action(rule(pattern), named(name)) is Action.ALLOW) is matches


def test_a_rule_for_somebody_never_serves_an_unsigned_asker_of_that_name():
    for do in ('do = "allow"', 'do = "ask"', 'do = "substitute"\nvalue = "x"', GRANT):
        text = (
            rule("shop.example", 'claims = ["email"]', do=do)
            + rule("*.example.org")
            + rule(None, do='do = "refuse"')
        )
        assert action(text, CLAIMED) is Action.REFUSE
        assert action(text, SHOP) is not Action.REFUSE
    by_id = rule(SHOP.client_id) + rule(None, do='do = "refuse"')
    assert action(by_id, replace(CLAIMED, client_id=SHOP.client_id)) is Action.REFUSE


def test_a_refusal_holds_for_an_unsigned_asker_too():
    assert action(rule("shop.example", do='do = "refuse"'), CLAIMED) is Action.REFUSE
    assert (
        action(rule("*.example.com", do='do = "refuse"'), named("a.example.com", Trust.CLAIMED))
        is Action.REFUSE
    )
    assert action(rule(CLAIMED.client_id, do='do = "refuse"'), CLAIMED) is Action.REFUSE


def test_trust_is_a_lowest_level():
    for level, served in (
        ("verified", [SHOP]),
        ("pinned", [SHOP, PINNED]),
        ("claimed", [SHOP, PINNED, CLAIMED]),
    ):
        text = rule(None, f'trust = "{level}"')
        assert [one for one in (SHOP, PINNED, CLAIMED) if action(text, one) is Action.ALLOW] == served


def test_address_stands_for_all_members():
    text = rule(None, 'claims = ["address.*"]')
    for claim in ("address", "address.locality", "address.country"):
        assert action(text, claim=claim) is Action.ALLOW
    assert action(text, claim="email") is Action.ASK
    assert action(rule(None, 'claims = ["address.locality"]'), claim="address") is Action.ASK


def test_the_text_decides_between_a_name_a_group_and_everything():
    parts = [
        rule(None, 'claims = ["address.locality"]'),
        rule(None, 'claims = ["address.*"]', do='do = "refuse"'),
        rule(None, do='do = "ask"'),
    ]
    actions = [Action.ALLOW, Action.REFUSE, Action.ASK]
    for order in itertools.permutations(range(3)):
        text = "".join(parts[one] for one in order)
        assert action(text, claim="address.locality") is actions[order[0]]


def test_with_several_purposes_the_strictest_answer_holds():
    delivery = rule(None, f'purpose = "{DELIVERY}"')
    refuse = rule(None, f'purpose = "{MARKETING}"', do='do = "refuse"')
    stand_in = rule(None, f'purpose = "{MARKETING}"', do='do = "substitute"\nwith = "later"')
    assert action(delivery + refuse, purposes=[DELIVERY]) is Action.ALLOW
    for purposes in ([DELIVERY, MARKETING], [MARKETING, DELIVERY]):
        assert action(delivery + refuse, purposes=purposes) is Action.REFUSE
        assert action(delivery + stand_in, purposes=purposes) is Action.SUBSTITUTE
        # Nothing is said of the other purpose: a rule for one of them does not speak for both.
        assert action(delivery, purposes=purposes) is Action.ASK
    assert action(delivery + refuse, purposes=[]) is Action.ASK


def test_grants_for_several_purposes_go_no_further_than_any_of_them():
    text = ""
    for purpose, limits in ((DELIVERY, (30, 5, 9)), (MARKETING, (7, 50, 9))):
        days, count, per_hour = limits
        do = f'do = "grant"\ndays = {days}\ncount = {count}\nper_hour = {per_hour}'
        text += rule("shop.example", f'purpose = "{purpose}"', 'claims = ["email"]', do=do)
    found = applicable(policy(text), SHOP, [DELIVERY, MARKETING]).decide("email")
    assert found.action is Action.GRANT
    assert found.rule is not None
    assert found.rule.grant == GrantLimits(7, 5, 9)


def test_no_grant_for_an_unsigned_asker_however_the_rule_came_to_be():
    limits = GrantLimits(1, 1, 1)
    bare = Policy(rules=(Rule(1, Action.GRANT, claims=("email",), grant=limits),))
    assert applicable(bare, CLAIMED, ()).decide("email").action is Action.ASK
    assert applicable(bare, PINNED, ()).decide("email").action is Action.GRANT


def test_the_narrowest_of_nothing_is_nothing():
    assert narrowest([]) is None


CLAIMS = ["email", "name", "address.locality", "address.country", "age_over_18"]


@st.composite
def rules(draw):
    found = []
    for number in range(1, draw(st.integers(0, 8)) + 1):
        claims = draw(
            st.none() | st.lists(st.sampled_from([*CLAIMS, "address.*"]), min_size=1, max_size=3, unique=True)
        )
        found.append(
            Rule(
                number,
                draw(st.sampled_from([Action.ALLOW, Action.REFUSE, Action.ASK])),
                draw(st.sampled_from([None, "shop.example", "*.example", SHOP.client_id, "other.example"])),
                draw(st.sampled_from([None, *Trust])),
                draw(st.sampled_from([None, DELIVERY, MARKETING])),
                None if claims is None else tuple(claims),
            )
        )
    return tuple(found)


def first_match(found, provider, purpose, claim):
    """The documented reading of a policy for one purpose, rule by rule."""
    order = [Trust.CLAIMED, Trust.PINNED, Trust.VERIFIED]
    for one in found:
        if one.trust and order.index(provider.trust) < order.index(one.trust):
            continue
        if one.provider:
            if provider.trust is Trust.CLAIMED and one.action is not Action.REFUSE:
                continue
            below = one.provider.startswith("*.") and provider.name.endswith(one.provider[1:])
            if not below and one.provider not in (provider.name, provider.client_id):
                continue
        if one.purpose and one.purpose != purpose:
            continue
        group = one.claims and "address.*" in one.claims and claim.startswith("address.")
        if one.claims and claim not in one.claims and not group:
            continue
        return one
    return None


@given(rules(), st.sampled_from([SHOP, PINNED, CLAIMED]), st.sampled_from([(), (DELIVERY,), (MARKETING,)]))
def test_the_prepared_form_decides_as_the_text_reads(found, provider, purposes):
    prepared = applicable(Policy(rules=found), provider, purposes)
    for claim in CLAIMS:
        expected = first_match(found, provider, purposes[0] if purposes else None, claim)
        decision = prepared.decide(claim)
        assert decision.rule == expected
        assert decision.action is (expected.action if expected else Action.ASK)
        assert decision == applicable(Policy(rules=found), provider, purposes).decide(claim)
        assert (f"rule {expected.number} " if expected else "no rule") in decision.why
