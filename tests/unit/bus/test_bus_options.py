"""Options and texts of calls."""

from __future__ import annotations

import pytest

from ownerd.bus.options import (
    APPROVE_OPTIONS,
    MAX_TEXT_BYTES,
    PRESENT_OPTIONS,
    REQUEST_OPTIONS,
    TERMINAL_OPTIONS,
    Options,
    parse_options,
    require_negotiation,
    require_pending_id,
    require_text,
)
from ownerd.bus.request import request_path
from ownerd.core.service import Narrowing, Wishes
from ownerd.credential.transaction_data import MAX_RETENTION_DAYS
from ownerd.dbuslib import Variant
from ownerd.model.caller import Caller, Confidence
from ownerd.model.claim import OFFERED
from ownerd.model.errors import InvalidArgument
from ownerd.model.policy import MAX_GRANT_DAYS, GrantLimits

CALLER = Caller(":1.7", 1000, "app", Confidence.EXECUTABLE)


def test_every_documented_option_is_taken() -> None:
    given = {key: Variant("s", f"{key}_1") for key in REQUEST_OPTIONS}
    assert parse_options(given, REQUEST_OPTIONS) == Options("handle_token_1", "tty_1", "term_1", "locale_1")
    without = parse_options({"without": Variant("as", ["email", "address.locality"])}, APPROVE_OPTIONS)
    assert without.narrowing == Narrowing(frozenset({"email", "address.locality"}))
    derived = parse_options({"without": Variant("as", list(OFFERED))}, APPROVE_OPTIONS)
    assert derived.narrowing == Narrowing(frozenset(OFFERED))
    assert parse_options({}, REQUEST_OPTIONS) == Options()


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"x": Variant("s", "y")}, REQUEST_OPTIONS),
        ({"without": Variant("as", ["email"])}, REQUEST_OPTIONS),
        ({"handle_token": Variant("s", "t")}, TERMINAL_OPTIONS),
        ({"tty": Variant("o", "/dev/pts/0")}, REQUEST_OPTIONS),
        ({"without": Variant("s", "email")}, APPROVE_OPTIONS),
        ({"without": Variant("as", ["no_such_claim"])}, APPROVE_OPTIONS),
        ({"without": Variant("as", ["email"] * 1000)}, APPROVE_OPTIONS),
        ({"accept": Variant("b", True)}, PRESENT_OPTIONS),  # accepts which offer?
        ({"negotiation": Variant("s", "")}, PRESENT_OPTIONS),
        ({"negotiation": Variant("s", "n" * 65)}, PRESENT_OPTIONS),
        ({"negotiation": Variant("s", "n 1")}, PRESENT_OPTIONS),
        ({"negotiate": Variant("b", True)}, REQUEST_OPTIONS),
        ({"retention_days": Variant("u", MAX_RETENTION_DAYS + 1)}, APPROVE_OPTIONS),
    ],
)
def test_anything_else_is_refused(given: dict[str, Variant], allowed: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        parse_options(given, allowed)


def test_an_unknown_option_is_named_in_one_short_line() -> None:
    with pytest.raises(InvalidArgument, match=r"^unknown option 'a b…?.{0,60}'$"):
        parse_options({"a\nb" + "c" * 500: Variant("s", "")}, REQUEST_OPTIONS)


def test_an_app_says_its_wishes() -> None:
    given = {"negotiate": Variant("b", True), "negotiation": Variant("s", "n-1"), "ask": Variant("b", True)}
    assert parse_options(given, PRESENT_OPTIONS).wishes == Wishes(negotiate=True, negotiation="n-1", ask=True)
    accept = {"negotiation": Variant("s", "n-1"), "accept": Variant("b", True)}
    assert parse_options(accept, PRESENT_OPTIONS).wishes == Wishes(negotiation="n-1", accept=True)
    assert parse_options({"accept": Variant("b", False)}, PRESENT_OPTIONS).wishes == Wishes()


@pytest.mark.parametrize("key", sorted(PRESENT_OPTIONS.keys() | APPROVE_OPTIONS.keys()))
def test_an_option_of_another_type_is_refused_by_name(key: str) -> None:
    """Both libraries take ``b`` for ``u`` and back where a program looks at the value alone."""
    allowed = {**PRESENT_OPTIONS, **APPROVE_OPTIONS}
    for signature, value in (("b", True), ("s", "1"), ("u", 1), ("i", 1), ("t", 1), ("as", []), ("v", 1)):
        if signature != allowed[key]:
            odd = Variant(signature, Variant("s", "1") if signature == "v" else value)
            with pytest.raises(InvalidArgument, match=f"^option {key} is not of type {allowed[key]}$"):
                parse_options({key: odd}, allowed)


GRANT = {"grant_days": 30, "grant_count": 100_000, "grant_per_hour": 3600}


def test_the_owner_narrows_terms_and_allows_repeats_within_bounds() -> None:
    given = {key: Variant("u", value) for key, value in {**GRANT, "retention_days": 30}.items()}
    narrowing = parse_options(given, APPROVE_OPTIONS).narrowing
    assert narrowing == Narrowing(retention_days=30, grant=GrantLimits(MAX_GRANT_DAYS, 100_000, 3600))
    assert parse_options({"retention_days": Variant("u", 0)}, APPROVE_OPTIONS).narrowing.retention_days == 0
    for key in GRANT:
        for value in (0, GRANT[key] + 1, 2**32 - 1):
            with pytest.raises(InvalidArgument, match=f"^option {key} is not from 1 to {GRANT[key]}$"):
                parse_options({**given, key: Variant("u", value)}, APPROVE_OPTIONS)
        some = {other: variant for other, variant in given.items() if other != key}
        with pytest.raises(InvalidArgument, match="go together"):
            parse_options(some, APPROVE_OPTIONS)


def test_term_without_a_tty_lends_nothing() -> None:
    assert parse_options({"term": Variant("s", "xterm")}, REQUEST_OPTIONS).terminal(CALLER) is None


def test_texts_are_measured_in_bytes() -> None:
    assert require_text("x" * MAX_TEXT_BYTES, "request")
    for text in ("", "x" * (MAX_TEXT_BYTES + 1), "ж" * (MAX_TEXT_BYTES // 2 + 1)):
        with pytest.raises(InvalidArgument):
            require_text(text, "request")


@pytest.mark.parametrize("text", ["", "a" * 33, "a/b", "a\n", "ж", "../a"])
def test_ids_that_nobody_handed_out_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        require_pending_id(text)


@pytest.mark.parametrize("text", ["", "n" * 65, "n/1", "n\n", "ж", "n.1"])
def test_ids_of_negotiations_have_one_form(text: str) -> None:
    assert require_negotiation("Az-9_" + "n" * 59)
    with pytest.raises(InvalidArgument):
        require_negotiation(text)


def test_paths_of_requests_are_predictable() -> None:
    assert request_path(":1.42", "mine") == "/org/ownerd/Agent1/request/1_42/mine"
