"""What the owner reads is pure, plain, and in the statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.core import APP

from ownerd.core.render import RENDER_VERSION, render
from ownerd.core.statement import change_statement, read_statement
from ownerd.model.caller import Caller, Confidence
from ownerd.model.plain import is_plain, shorten, show_plain


def statement(**changes):
    base = {
        "kind": "disclosure",
        "provider": {
            "trust": "verified",
            "client_id": "x509_san_dns:shop.example",
            "name": "shop.example",
            "key": None,
            "anchor": "ab" * 32,
            "new": True,
            "new_anchor": True,
            "response_host": "shop.example",
        },
        "alarms": [],
        "terms": {"asked": [], "accepted": True, "own": None},
        "refused": [],
        "later": [],
        "optional": [],
        "notes": [],
        "app": {"label": "bookshop", "confidence": "executable"},
        "purpose": None,
        "claims": [
            {"name": "email", "value": "a@example.org", "version": 1, "form": "raw", "instead_of": None}
        ],
        "missing": ["birthdate"],
        "withheld": ["gender"],
        "values_shown": True,
        "credentials": {"owner": {}},
    }
    return base | changes


def test_a_disclosure_reads_in_plain_words():
    assert render(statement()).splitlines() == [
        "shop.example asks for your data.",
        "",
        "Who asks: shop.example (identity proven by a certificate)",
        "App: bookshop (program file, not proven)",
        "First time: they get a key of their own, known to nobody else.",
        "New trust anchor, added in trust.d: abababababababab… (48 more characters)",
        "Purpose: not stated",
        "",
        "They would get:",
        "  e-mail: a@example.org",
        "Asked, but not in your vault, or not as they want it: date of birth",
        "Asked, but you hold it back: gender",
    ]


def test_terms_say_what_is_narrowed_and_what_is_signed():
    def lines(*, accepted, own, asked=True):
        theirs = {
            "purpose": ["dpv:Marketing"],
            "retention_days": 365,
            "recipients": ["Ads"],
            "agreement": None,
        }
        terms = {"asked": [theirs] if asked else [], "accepted": accepted, "own": own}
        text = render(statement(terms=terms, purpose=None if asked else "to ship"))
        return text.partition("They would get:")[0].splitlines()[6:-1]

    theirs = ["Purpose: marketing", "Kept: 365 days at most", "Passed on to: Ads"]
    own = {"purpose": ["dpv:Marketing"], "retention_days": 90, "recipients": [], "agreement": None}
    wide = own | {"retention_days": None, "recipients": ["Ads"]}
    assert lines(accepted=False, own=own) == [
        *theirs,
        "That is more than your terms allow. You narrow it, and do not sign theirs:",
        "  kept 90 days at most, not 365 days at most",
        "  not passed on to Ads",
    ]
    assert lines(accepted=True, own=wide) == [
        *theirs,
        "Their terms are within yours. You sign that you accept them.",
    ]
    assert lines(accepted=True, own=None) == [
        *theirs,
        "You have no terms of your own for this. You sign that you accept them.",
    ]
    assert lines(accepted=False, own=own, asked=False) == [
        "Purpose, in their words: to ship",
        "Your terms go along:",
        "  Kept: 90 days at most",
        "  Passed on to: nobody",
    ]


def test_nothing_to_give_is_said_and_no_terms_are_accepted():
    asked = {"purpose": ["dpv:Marketing"], "retention_days": 9, "recipients": [], "agreement": None}
    terms = {"asked": [asked], "accepted": True, "own": asked}
    text = render(statement(credentials={}, claims=[], terms=terms))
    assert text.splitlines()[6:] == [
        "Purpose: marketing",
        "Kept: 9 days at most",
        "Passed on to: nobody",
        "",
        "They get nothing, whatever you answer: none of it is there, or not as they want it.",
        "Asked, but not in your vault, or not as they want it: date of birth",
        "Asked, but you hold it back: gender",
    ]


def test_who_vouches_for_a_name_is_told_apart():
    provider = statement()["provider"] | {"client_id": "verifier_attestation:Buch & Co", "name": "Buch & Co"}
    text = render(statement(provider=provider))
    assert "Who asks: Buch & Co (identity vouched for by an attester that you trust)" in text


def test_an_unproven_name_is_called_unproven():
    provider = statement()["provider"] | {"trust": "claimed", "new_anchor": False}
    text = render(statement(provider=provider))
    assert "NOT PROVEN: anybody can claim this name" in text
    assert "a key that is used once" in text


def test_an_unknown_app_shows_no_label():
    text = render(statement(app={"label": "ownerctl", "confidence": "unknown"}))
    assert "App: unknown" in text
    assert "ownerctl" not in text


def test_the_text_is_in_the_statement_with_its_version():
    made = read_statement(APP, "thumb", "claims", ["email"])
    rendered = made.pop("rendered")
    assert rendered == {"version": RENDER_VERSION, "text": render(made)}


def test_a_change_shows_values_and_a_removal_shows_none():
    written = change_statement(
        APP, "thumb", "set", [("email", "a@example.org")], ["email"], values_shown=True
    )
    assert "  e-mail: a@example.org" in written["rendered"]["text"]
    assert "Replaces the value of: e-mail" in written["rendered"]["text"]
    removed = change_statement(APP, "thumb", "remove", [("email", "a@example.org")], [], values_shown=True)
    assert "a@example.org" not in removed["rendered"]["text"]


def test_values_are_left_out_where_they_may_not_be_shown():
    text = render(statement(values_shown=False))
    assert "a@example.org" not in text
    assert "  e-mail" in text.splitlines()
    assert "Values are not shown on a terminal that no token has approved" in text


def test_an_unknown_kind_is_not_rendered():
    with pytest.raises(ValueError, match="no rendering"):
        render({"kind": "weather"})


@given(st.text(max_size=400), st.text(max_size=40))
def test_nothing_from_outside_hides_or_forges_a_line(value: str, label: str):
    made = change_statement(
        Caller(":1.1", 1, label, Confidence.SCOPE), "thumb", "set", [("email", value)], [], values_shown=True
    )
    text = made["rendered"]["text"]
    assert is_plain(text, newlines=True)
    assert len(text.splitlines()) == 6


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\x00", "\x1b", "\u2028", "\u00a0", "\u3164", "\ue000"]
)
def test_hidden_characters_are_written_out(hidden: str):
    assert show_plain(f"a{hidden}b") == f"a<U+{ord(hidden):04X}>b"
    assert not is_plain(hidden)


def test_combining_runs_are_bounded_and_newlines_kept_only_when_asked():
    assert show_plain("e\u0301") == "e\u0301"
    assert show_plain("e" + "\u0301" * 6).endswith("<U+0301><U+0301>")
    assert show_plain("a\nb") == "a<U+000A>b"
    assert show_plain("a\nb", newlines=True) == "a\nb"


def test_shortening_says_what_is_left_out():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "abc… (1 more characters)"
