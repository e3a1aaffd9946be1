"""Options and texts of calls."""

from __future__ import annotations

import pytest

from ownerd.bus.options import (
    APPROVE_OPTIONS,
    MAX_TEXT_BYTES,
    REQUEST_OPTIONS,
    TERMINAL_OPTIONS,
    Options,
    parse_options,
    require_pending_id,
    require_text,
)
from ownerd.bus.request import request_path
from ownerd.dbuslib import Variant
from ownerd.model.caller import Caller, Confidence
from ownerd.model.errors import InvalidArgument

CALLER = Caller(":1.7", 1000, "app", Confidence.EXECUTABLE)


def test_every_documented_option_is_taken() -> None:
    given = {key: Variant("s", f"{key}_1") for key in REQUEST_OPTIONS}
    assert parse_options(given, REQUEST_OPTIONS) == Options("handle_token_1", "tty_1", "term_1", "locale_1")
    without = parse_options({"without": Variant("as", ["email", "address.locality"])}, APPROVE_OPTIONS)
    assert without.without == ("email", "address.locality")
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
    ],
)
def test_anything_else_is_refused(given: dict[str, Variant], allowed: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        parse_options(given, allowed)


def test_an_unknown_option_is_named_in_one_short_line() -> None:
    with pytest.raises(InvalidArgument, match=r"^unknown option 'a b…?.{0,60}'$"):
        parse_options({"a\nb" + "c" * 500: Variant("s", "")}, REQUEST_OPTIONS)


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


def test_paths_of_requests_are_predictable() -> None:
    assert request_path(":1.42", "mine") == "/org/ownerd/Agent1/request/1_42/mine"
