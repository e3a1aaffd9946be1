"""``ownerctl ledger erase`` in words: days, choices, and long lists of entries."""

from __future__ import annotations

import pytest

from ownerctl.erase import _chosen, parse_day
from ownerctl.erasures import Erasures
from ownerctl.errors import UsageTrouble
from ownerctl.ledger_words import entries_in_words, summary


def test_a_day_begins_where_its_owner_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert parse_day("2026-01-31") == "2026-01-31T05:00:00.000Z"
        assert parse_day("2026-01-31T00:00:00+01:00") == "2026-01-30T23:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "31.1.2026", "0001-01-01T00:00:00+23:59"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(UsageTrouble):
        parse_day(text)


def test_entries_or_what_they_are_about_and_not_both() -> None:
    assert _chosen((7, 3, 7), None, None, None) == {"entries": [3, 7]}
    assert _chosen((), "email", "3f2a", None) == {"claim": "email", "provider": "3f2a"}
    for wrong in (((), None, None, None), ((1,), "email", None, None)):
        with pytest.raises(UsageTrouble):
            _chosen(*wrong)


def test_a_long_erasure_is_one_short_line() -> None:
    assert entries_in_words([3, 5]) == "3, 5"
    assert entries_in_words(range(100, 4196)) == "4096 entries from 100 to 4195"
    entry = {"kind": "erased", "facts": {"entries": list(range(4096))}}
    assert summary(entry) == "erased 4096 entries from 0 to 4095"


def test_rows_that_only_look_like_an_erasure_are_passed_on() -> None:
    rows = [(0, b'{"kind":"erased"'), (1, b"x")]
    found = Erasures()
    assert list(found.watch(rows)) == rows
    assert found.rows == []


def test_an_error_is_named_once() -> None:
    entry = {"kind": "refused", "facts": {"error": "Dismissed"}, "values": {"error": "Dismissed"}}
    assert summary(entry) == "Dismissed"
    assert summary({**entry, "values": {}}) == "error Dismissed"
