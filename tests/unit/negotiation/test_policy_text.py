"""The policy's text is read strictly: what is not understood in full is refused, by rule and key."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.errors import InvalidArgument
from ownerd.model.policy import Action, GrantLimits, MailAlias, Policy, Rule, Substitute
from ownerd.model.request import Trust
from ownerd.model.terms import Terms
from ownerd.negotiation.policy_text import MAX_RULES, MAX_TEXT_BYTES, parse_policy

WHOLE = """\
version = 1

[alias]
mailbox = "me@example.org"        # user+TAG@example.org

[[rule]]
provider = "shop.example"
trust = "verified"
purpose = "dpv:DeliveryOfGoods"
claims = ["email"]
do = "substitute"
with = "alias"

[[rule]]
do = "grant"
provider = "shop.example"
claims = ["given_name", "address.*"]
days = 30
count = 100
per_hour = 20

[[rule]]
do = "substitute"
claims = ["birthdate"]
with = "age_over_18"

[[rule]]
do = "substitute"
claims = ["nickname"]
value = "nobody"

[[rule]]
do = "substitute"
with = "later"

[[terms]]
purpose = "dpv:DeliveryOfGoods"
retention = "P90D"
recipients = ["Parcel Ltd"]
agreement = "https://roster.example/1"

[[terms]]
"""


def refusal(text):
    with pytest.raises(InvalidArgument) as caught:
        parse_policy(text)
    return str(caught.value)


def rule_refusal(*lines):
    return refusal("\n".join(["version = 1", "[[rule]]", 'do = "ask"', "[[rule]]", *lines]))


def test_the_whole_format_is_read():
    shop, later = "shop.example", Substitute.LATER
    assert parse_policy(WHOLE) == Policy(
        text=WHOLE,
        rules=(
            Rule(
                1,
                Action.SUBSTITUTE,
                shop,
                Trust.VERIFIED,
                "dpv:DeliveryOfGoods",
                ("email",),
                Substitute.ALIAS,
            ),
            Rule(
                2,
                Action.GRANT,
                shop,
                claims=("given_name", "address.*"),
                grant=GrantLimits(days=30, count=100, per_hour=20),
            ),
            Rule(
                3,
                Action.SUBSTITUTE,
                claims=("birthdate",),
                substitute=Substitute.CLAIM,
                detail="age_over_18",
            ),
            Rule(4, Action.SUBSTITUTE, claims=("nickname",), substitute=Substitute.VALUE, detail="nobody"),
            Rule(5, Action.SUBSTITUTE, substitute=later),
        ),
        terms=(
            (
                "dpv:DeliveryOfGoods",
                Terms(("dpv:DeliveryOfGoods",), 90, ("Parcel Ltd",), "https://roster.example/1"),
            ),
            (None, Terms((), None, ())),
        ),
        alias=MailAlias(mailbox="me@example.org"),
    )


def test_an_empty_policy_is_its_version():
    assert parse_policy("version = 1\n") == Policy(text="version = 1\n")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['do = "ask"', "foo = 1"], "rule 2: unknown key 'foo'"),
        (['do = "ask"', '"\\u202e" = 1'], "rule 2: unknown key '<U+202E>'"),
        ([], "rule 2: do is not allow, grant, substitute, refuse or ask"),
        (['do = "Allow"'], "rule 2: do is not"),
        (["do = ['ask']"], "rule 2: do is not"),
        (['do = "ask"', 'provider = "Shop.example"'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "shöp.example"'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "*"'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "*.example"'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "a.*.example"'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "shop.example."'], "rule 2: provider is not a lowercase DNS name"),
        (['do = "ask"', 'provider = "https://shop.example"'], "rule 2: provider is not a client id"),
        (['do = "ask"', 'provider = ""'], "rule 2: provider is not plain text"),
        (['do = "ask"', 'trust = "high"'], "rule 2: trust is not"),
        (['do = "ask"', 'purpose = "dpv:Fun"'], "rule 2: unknown purpose 'dpv:Fun'"),
        (['do = "ask"', 'purpose = ["dpv:Marketing"]'], "rule 2: purpose is not plain text"),
        (['do = "ask"', "claims = []"], "rule 2: claims is not a list of 1 to 64"),
        (['do = "ask"', 'claims = "email"'], "rule 2: claims is not a list"),
        (['do = "ask"', 'claims = ["shoe_size"]'], "rule 2: unknown claim 'shoe_size'"),
        (['do = "ask"', 'claims = ["address"]'], "rule 2: unknown claim 'address'; write 'address.*'"),
        (['do = "ask"', 'claims = ["*"]'], "rule 2: unknown claim"),
        (['do = "ask"', 'claims = ["email", "email"]'], "rule 2: claims has a text twice"),
        (['do = "ask"', 'with = "alias"'], "rule 2: with belongs to do = 'substitute'"),
        (['do = "ask"', 'value = "x"'], "rule 2: value belongs to"),
        (['do = "allow"', "days = 1"], "rule 2: days belongs to do = 'grant'"),
        (['do = "substitute"'], "rule 2: substitute needs either with or value"),
        (['do = "substitute"', 'with = "later"', 'value = "x"'], "rule 2: substitute needs either"),
        (['do = "substitute"', 'with = "later"', "days = 1"], "rule 2: days belongs to"),
        (['do = "substitute"', 'with = "shoe_size"'], "rule 2: unknown claim"),
        (['do = "substitute"', 'with = "alias"', 'claims = ["name"]'], "rule 2: an alias stands in for"),
        (['do = "substitute"', 'with = "alias"'], "rule 2: an alias stands in for"),
        (['do = "substitute"', 'with = "alias"', 'claims = ["email"]'], "rule 2: with = 'alias' needs an"),
        (['do = "substitute"', 'with = "email"'], "rule 2: a claim that stands in needs the claims"),
        (
            ['do = "substitute"', 'with = "email"', 'claims = ["email"]'],
            "rule 2: a claim cannot stand in for",
        ),
        (
            ['do = "substitute"', 'with = "address.country"', 'claims = ["address.*"]'],
            "rule 2: a claim cannot stand in for itself",
        ),
        (['do = "substitute"', 'value = "x"'], "rule 2: a value has to name the claims"),
        (['do = "substitute"', 'value = "x"', 'claims = ["address.*"]'], "rule 2: a value has to name"),
        (['do = "substitute"', 'value = "x"', 'claims = ["age_over_18"]'], "rule 2: a derived claim has no"),
        (
            ['do = "substitute"', 'claims = ["name"]', 'value = """', *["x" * 1000] * 17, '"""'],
            "rule 2: value is longer than 16384 bytes",
        ),
        (['do = "substitute"', "value = 1", 'claims = ["name"]'], "rule 2: value is not plain text"),
        (['do = "substitute"', 'value = "\\u202e"', 'claims = ["name"]'], "rule 2: value is not plain text"),
        (
            ['do = "allow"', 'provider = "redirect_uri:https://x.example/"'],
            "rule 2: redirect_uri askers are unsigned",
        ),
        (
            ['do = "refuse"', 'trust = "pinned"', 'provider = "redirect_uri:https://x.example/"'],
            "rule 2: redirect_uri askers are unsigned",
        ),
    ],
)
def test_what_a_rule_may_not_say(lines, message):
    assert rule_refusal(*lines).startswith(message)


LIMITS = ("days = 30", "count = 1", "per_hour = 1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['claims = ["email"]', *LIMITS], "a grant has to name one provider"),
        (['provider = "*.shop.example"', 'claims = ["email"]', *LIMITS], "a grant has to name one provider"),
        (['provider = "shop.example"', *LIMITS], "a grant has to name its claims"),
        (
            ['provider = "shop.example"', 'claims = ["email"]', 'trust = "claimed"', *LIMITS],
            "a grant needs a verified or pinned provider",
        ),
        (['provider = "shop.example"', 'claims = ["email"]', "days = 30", "count = 1"], "per_hour is not"),
        (['provider = "shop.example"', 'claims = ["email"]', "days = 31", *LIMITS[1:]], "days is not"),
        (['provider = "shop.example"', 'claims = ["email"]', "days = true", *LIMITS[1:]], "days is not"),
        (['provider = "shop.example"', 'claims = ["email"]', "days = 0", *LIMITS[1:]], "days is not"),
        (['provider = "shop.example"', 'claims = ["email"]', "days = 1.0", *LIMITS[1:]], "days is not"),
    ],
)
@pytest.mark.parametrize("do", ['do = "grant"', 'do = "substitute"\nvalue = "x"'])
def test_no_grant_for_everybody_or_everything(do, lines, message):
    assert rule_refusal(do, *lines).startswith(f"rule 2: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a policy begins with version = 1"),
        ("version = 2", "a policy begins with"),
        ("version = true", "a policy begins with"),
        ("version = 1.0", "a policy begins with"),
        ("version = 1\nrules = 1", "unknown key 'rules'"),
        ("version = 1\nrule = 1", "rule is written [[rule]]"),
        ("version = 1\nrule = [1]", "rule 1: not a table"),
        ("version = 1\nalias = 1", "alias: not a table"),
        ("version = 1\nversion = 1", "the policy is not TOML (at "),
        ('version = 1\na = "\\x"', "the policy is not TOML (at "),
        ("version = 1\n[alias]", "alias: either mailbox or domain"),
        (
            'version = 1\n[alias]\nmailbox="a@b.example"\ndomain="b.example"',
            "alias: either mailbox or domain",
        ),
        ('version = 1\n[alias]\nmailbox="a+x@b.example"', "alias: mailbox is not a plain address"),
        ('version = 1\n[alias]\nmailbox="@b.example"', "alias: mailbox is not a plain address"),
        ('version = 1\n[alias]\nmailbox="a@b"', "alias: mailbox does not have a lowercase DNS name"),
        ('version = 1\n[alias]\ndomain="B.example"', "alias: domain does not have"),
        ("version = 1\n[[terms]]\n[[terms]]", "terms 2: there are terms for this purpose already"),
        ('version = 1\n[[terms]]\nretention = "P1Y"', "terms 1: retention is not P and days or weeks"),
        ('version = 1\n[[terms]]\nretention = "P99999D"', "terms 1: retention is not P and days or weeks"),
        ("version = 1\n[[terms]]\nretention = 90", "terms 1: retention is not"),
        ('version = 1\n[[terms]]\npurpose = "dpv:Fun"', "terms 1: unknown purpose"),
        ('version = 1\n[[terms]]\nrecipients = "x"', "terms 1: recipients is not a list"),
        ('version = 1\n[[terms]]\nrecipients = ["a  b"]', "terms 1: recipients are not names"),
        ('version = 1\n[[terms]]\nagreement = "http://x.example"', "terms 1: agreement is not"),
        ("version = 1 # \u202e", "the policy has characters that cannot be seen"),
        ("version = 1 # \x00", "the policy has characters that cannot be seen"),
        ("\ufeffversion = 1", "the policy has characters that cannot be seen"),
        ("version = 1 # \ud800", "the policy has characters that cannot be seen"),
        ("version = " + "9" * 1000, "a policy begins with"),
        ("#" * 1025, "the policy has a line of more than 1024 characters"),
        ("#\n" * (MAX_TEXT_BYTES // 2) + "#", f"the policy is larger than {MAX_TEXT_BYTES} bytes"),
        ("# é\n" * (MAX_TEXT_BYTES // 5 + 1), f"the policy is larger than {MAX_TEXT_BYTES} bytes"),
        ("version = 1\n" + "[[rule]]\n" * (MAX_RULES + 1), f"the policy has more than {MAX_RULES} rule"),
    ],
    ids=lambda one: ascii(one[:40]),
)
def test_what_a_policy_may_not_say(text, message):
    assert refusal(text).startswith(message)


def test_errors_of_the_parser_do_not_repeat_the_text():
    assert "secret" not in refusal('version = 1\n[[rule]]\nvalue = "secret')
    assert "secret" not in refusal("version = 1\nsecret.a = 1\nsecret = 2")


def test_hostile_text_is_refused_soon():
    deep = ".".join("a" * 500)
    begin = time.perf_counter()
    for text in (
        "a=" + "[\n" * 30_000,
        "\n".join(f"{deep}.b{number} = 1" for number in range(64)),
        "version = 1\n" + "[[rule]]\n" * 7_000,
    ):
        refusal(text)
    assert time.perf_counter() - begin < 5


def test_line_ends_and_tabs_are_as_the_editor_writes_them():
    assert parse_policy('version = 1\r\n[[rule]]\r\n\tdo = "ask"\r\n').rules == (Rule(1, Action.ASK),)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 3), st.text(max_size=3))
def test_a_damaged_policy_is_understood_in_full_or_refused(at, cut, put):
    text = WHOLE[:at] + put + WHOLE[at + cut :]
    with contextlib.suppress(InvalidArgument):
        found = parse_policy(text)
        assert found.text == text
        assert [rule.number for rule in found.rules] == list(range(1, text.count("[[rule]]") + 1))
