"""Exports of what a hostile provider, an erasure or a newer daemon puts into a ledger."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerctl.errors import BadAnswer, UsageTrouble
from ownerctl.export_consent import ConsentDocument
from ownerctl.export_csv import COLUMNS, CsvDocument, cell
from ownerctl.export_json import JsonDocument
from ownerctl.export_record import Later, Record, read_record
from ownerctl.export_source import Wanted, day_begins
from ownerctl.export_text import line_json
from ownerctl.export_ts10 import Ts10Document

LOG = "0" * 32
TIME = "2026-11-23T14:00:00.123Z"
HOSTILE = (
    '=HYPERLINK("http://evil","x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\u00a0=1", "\uff1d1",
    "a\x00b", "\x1b]0;owned\x07", "a\u202eb", "a\u200bb", 'say "hi", then\r\nleave', "\u2028", "\ufeff=1", "é漢\U0001f600",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=8,
)
NAMES = (
    "provider",
    "statement",
    "purpose",
    "app",
    "claim/0",
    "claim/1",
    "claim/x",
    "claim/²",
    "receipt",
    "presentation",
)
KINDS = (
    "disclosure",
    "grant",
    "grant-ended",
    "refused",
    "failed",
    "receipt",
    "erased",
    "teleported",
    "delivered",
)
FACTS = st.dictionaries(
    st.sampled_from(("entry", "grant", "entries", "error", "until", "count")), JSON, max_size=3
)
RECORDS = st.builds(
    lambda kind, facts, values: Record(3, TIME, kind, True, facts, values),
    st.sampled_from(KINDS),
    FACTS,
    st.none() | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
)


def record(value: object = "Ada", seq: int = 3, **more) -> Record:
    values = {
        "provider": {"name": value, "client_id": value, "trust": "claimed", "key": None, "anchor": None},
        "app": {"label": value, "confidence": "unknown"},
        "purpose": value,
        "claim/1": {"name": "email", "value": value, "version": 2},
        "claim/0": {"name": "given_name", "value": value, "version": 1, "of": value},
    }
    return Record(
        **{"seq": seq, "time": TIME, "kind": "disclosure", "approval": True, "facts": {}, "values": values}
        | more
    )


def documents(later: Later | None = None) -> list:
    known = later or Later()
    return [
        JsonDocument(LOG, values=True), CsvDocument(values=True), ConsentDocument(LOG, known, values=True), Ts10Document(LOG, known),
    ]  # fmt: skip


def written(document, *records: Record) -> str:
    return "".join([document.begin(), *map(document.entry, records), document.end()])


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def harmless(text: str) -> bool:
    """Nothing that a terminal obeys but line ends."""
    return not any(
        unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") and one not in "\r\n\u200c\u200d"
        for one in text
    )


@pytest.mark.parametrize("value", HOSTILE)
def test_no_cell_is_a_formula_and_nothing_steers_a_terminal(value):
    for document in documents():
        assert harmless(written(document, record(value))), document
    header, *found = rows(written(CsvDocument(values=True), record(value)))
    assert tuple(header) == COLUMNS
    assert len(found) == 2
    for row in found:
        assert len(row) == len(COLUMNS)
        assert not any(re.match(r"[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]", one) for one in row)
    assert [row[9] for row in found] == ["given_name", "email"], "in the order of the statement"


@given(TEXT)
def test_a_cell_is_harmless_whatever_it_holds(value):
    made = cell(value)
    assert harmless(made)
    assert "\r" not in made
    assert not made.lstrip().startswith(
        ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    )
    (row,) = rows(f'"{made.replace(chr(34), chr(34) * 2)}"\r\n')
    assert row == [made]


def test_rows_end_as_rfc_4180_says_and_every_cell_is_quoted():
    text = written(CsvDocument(values=True), record())
    assert text.count("\r\n") == 3
    assert all(line.startswith('"') and line.endswith('"') for line in text.split("\r\n")[:-1])
    assert rows(text)[1] == [
        "3", TIME, "disclosure", "touch", "Ada", "Ada", "claimed", "Ada", "Ada", "given_name", "1", "Ada", "Ada", "", "", "",
    ]  # fmt: skip


@given(RECORDS)
def test_whatever_the_values_are_every_form_is_whole(some):
    later = Later()
    later.add(some)
    as_json, as_csv, consent, ts10 = documents(later)
    (entry,) = json.loads(written(as_json, some))["entries"]
    assert (entry["facts"], entry["values"]) == (some.facts, some.values), "JSON is exact"
    assert all(len(row) == len(COLUMNS) for row in rows(written(as_csv, some)))
    for document in (consent, ts10):
        text = written(document, some, some)
        assert json.loads(text)
        assert harmless(text)


def test_erased_values_are_marked_and_so_are_those_that_were_not_read():
    later = Later()
    eraser = Record(9, TIME, "erased", True, {"entries": [3, "x", True]}, {})
    later.add(eraser)
    gone = record(values=None)
    as_json, as_csv, consent, ts10 = documents(later)
    assert json.loads(written(as_json, gone))["entries"][0]["erased"] is True
    assert rows(written(as_csv, gone))[1][-1] == "values erased"
    (one,) = json.loads(written(consent, gone))["dpv:hasRecordOfActivity"]
    assert one["ownerd:erased"] == {"ownerd:entry": 9, "dct:date": TIME}
    assert one["dpv:hasConsentStatus"][0]["@type"][0] == "dpv:ConsentGiven"
    assert one["dpv:hasDataSubject"]["dpv:hasApplicability"] == "dpv:NotAvailable"
    (one,) = json.loads(written(ts10, gone))["transactionLogObject"]
    assert one["presentation"]["listOfClaimsPresented"] is None
    large = record(values=None, too_large=True)
    assert json.loads(written(documents()[0], large))["entries"][0].keys() >= {"too_large"}
    assert "erased" not in json.loads(written(documents()[0], large))["entries"][0]
    assert rows(written(documents()[1], large))[1][-1] == "values too large to be read"
    offline = written(JsonDocument(LOG, values=False), gone)
    assert "erased" not in json.loads(offline)["entries"][0]
    assert rows(written(CsvDocument(values=False), gone))[1][-1] == ""


def test_kinds_of_the_future_are_in_json_and_csv_and_nowhere_else():
    future = record(kind="teleported", facts={"to": {"moon": 1}})
    as_json, as_csv, consent, ts10 = documents()
    assert json.loads(written(as_json, future))["entries"][0]["kind"] == "teleported"
    assert rows(written(as_csv, future))[1][14] == '{"to":{"moon":1}}'
    assert consent.entry(future) == ts10.entry(future) == ""


def test_no_approval_is_no_consent():
    (one,) = json.loads(written(documents()[2], record(approval=False)))["dpv:hasRecordOfActivity"]
    assert one["dpv:hasConsentStatus"][0]["@type"][0] == "dpv:ConsentUnknown"


@pytest.mark.parametrize("wrong", [
    {"seq": True}, {"seq": "3"}, {"time": None}, {"kind": 4}, {"facts": []}, {"values": []}, {"values": "x"}, {"facts": None},
])  # fmt: skip
def test_an_entry_of_another_form_is_a_bad_answer(wrong):
    good = {"seq": 3, "time": TIME, "kind": "locked", "approval": False, "facts": {}, "values": None}
    assert read_record(good).kind == "locked"
    with pytest.raises(BadAnswer):
        read_record(good | wrong)


def test_json_on_a_line_is_exact():
    value = {"a": "\x1b\u202e\u2028é\U0001f600\n", "b": [1, None, True]}
    assert json.loads(line_json(value)) == value
    assert "\n" not in line_json(value)
    with pytest.raises(ValueError, match="JSON"):
        line_json(float("nan"))


def test_a_torn_document_is_no_json():
    text = written(documents()[0], record(), record(seq=4))
    assert len(json.loads(text)["entries"]) == 2
    for end in range(len(text) - 2):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text[:end])


# -- what is wanted --


def test_a_period_is_days_here_and_includes_its_last(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    since, before = day_begins(datetime(2026, 11, 23)), day_begins(datetime(2026, 11, 23), days=1)  # noqa: DTZ001
    taken = [
        Wanted(since, before).takes(record(time=f"2026-11-{time}Z"))
        for time in ("22T23:59:59.999", "23T00:00:00.000", "23T23:59:59.999", "24T00:00:00.000")
    ]
    assert taken == [False, True, True, False]
    assert day_begins(None) == ""
    with pytest.raises(UsageTrouble):
        day_begins(datetime.max, days=1)  # noqa: DTZ901


def test_a_providers_entries_are_those_that_name_it_and_those_about_them():
    choice = Wanted(provider="SHOP.example")
    shop = record("shop.example", seq=3)
    later = [
        Record(seq, TIME, kind, False, facts, {})
        for seq, kind, facts in ((4, "delivered", {"entry": 3}), (5, "delivered", {"entry": 2}), (6, "grant-ended", {"grant": 3}), (7, "erased", {"entries": [1, 3]}))
    ]  # fmt: skip
    some = [
        record("other.example", seq=2),
        shop,
        *later,
        record(values=None, seq=8),
        Record(9, TIME, "locked", False, {}, {}),
    ]
    assert [one.seq for one in some if choice.takes(one)] == [3, 4, 6, 7]
    assert choice.nameless == 1
