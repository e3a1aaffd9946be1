"""Derived claims say what is certain, and nothing else."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.claim import (
    DERIVED_LABELS,
    LABELS,
    Claim,
    claim_label,
    require_claim_name,
    require_offered_name,
)
from ownerd.model.derived import BASIS, derive, is_birthdate
from ownerd.model.errors import InvalidArgument
from ownerd.model.offer import Form

DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31))


def value(name, birthdate, today):
    found = derive(name, {"birthdate": Claim("birthdate", birthdate, "passport", "2026", 3)}, today)
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("birthdate", "today", "over_18"),
    [
        ("2008-11-23", date(2026, 11, 23), True),
        ("2008-11-24", date(2026, 11, 23), False),
        ("2008-02-29", date(2026, 2, 28), False),
        ("2008-02-29", date(2026, 3, 1), True),
        ("2008-03-01", date(2026, 2, 28), False),
        ("2007", date(2026, 1, 1), True),
        ("2008", date(2026, 12, 31), None),
        ("2009", date(2026, 12, 31), False),
        ("0000-05-01", date(2026, 1, 1), None),
        ("0000", date(2026, 1, 1), None),
        ("2027-01-01", date(2026, 1, 1), None),
        ("2027", date(2026, 1, 1), None),
        ("1990-02-30", date(2026, 1, 1), None),
        ("1990-W01-1", date(2026, 1, 1), None),
        ("19900101", date(2026, 1, 1), None),
        ("1990-05", date(2026, 1, 1), None),
        ("١٩٩٠", date(2026, 1, 1), None),
        ("1990-05-01 ", date(2026, 1, 1), None),
        (1990, date(2026, 1, 1), None),
    ],
)
def test_ages_are_said_only_where_they_are_certain(birthdate, today, over_18):
    assert value("age_over_18", birthdate, today) is over_18


def test_the_year_of_birth_is_said_wherever_it_is_told():
    assert value("age_birth_year", "1990-05-01", date(2026, 1, 1)) == 1990
    assert value("age_birth_year", "1990", date(2026, 1, 1)) == 1990
    assert value("age_birth_year", "0000-05-01", date(2026, 1, 1)) is None


def test_a_derived_claim_has_version_and_source_of_its_basis():
    found = derive(
        "age_over_21", {"birthdate": Claim("birthdate", "1990", "passport", "2026", 3)}, date(2026, 1, 1)
    )
    assert found is not None
    assert (found.name, found.value, found.version, found.source, found.form) == (
        "age_over_21",
        True,
        3,
        "passport",
        Form.DERIVED,
    )


def test_without_its_basis_or_under_another_name_nothing_is_derived():
    assert derive("age_over_18", {}, date(2026, 1, 1)) is None
    assert value("age_over_16", "1990", date(2026, 1, 1)) is None
    assert value("birthdate", "1990", date(2026, 1, 1)) is None


@given(DAYS, DAYS)
def test_an_age_is_never_said_too_early_and_never_taken_back(born, today):
    over = value("age_over_18", born.isoformat(), today)
    if today < born:
        assert over is None
        return
    year = born.year + 18
    leap_born = (born.month, born.day) == (2, 29) and (year % 4 or (not year % 100 and year % 400))
    birthday = date(year, 3, 1) if leap_born else born.replace(year=year)
    assert over is (today >= birthday)
    if over:
        assert value("age_over_18", born.isoformat(), today + timedelta(days=1)) is True


@given(DAYS, DAYS, st.sampled_from(["age_over_18", "age_over_21"]))
def test_a_year_alone_never_says_what_some_day_of_it_contradicts(born, today, name):
    said = value(name, str(born.year), today)
    if said is not None and born <= today:
        assert value(name, born.isoformat(), today) is said


def test_derived_names_can_be_offered_but_not_stored():
    assert BASIS.keys() == DERIVED_LABELS.keys()
    assert not DERIVED_LABELS.keys() & LABELS.keys()
    for name in DERIVED_LABELS:
        assert require_offered_name(name) == name
        assert claim_label(name) == DERIVED_LABELS[name]
        with pytest.raises(InvalidArgument):
            require_claim_name(name)
    assert require_offered_name("email") == "email"
    with pytest.raises(InvalidArgument):
        require_offered_name("age_over_16")


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("1815-12-10", True),
        ("1815", True),
        ("0000-12-10", True),
        ("0000-02-29", True),
        ("1815-02-29", False),
        ("1815-13-10", False),
        ("31.12.1987", False),
        ("1815-12", False),
        ("", False),
    ],
)
def test_a_date_of_birth_is_one_of_openid_connects_forms(value, good):
    assert is_birthdate(value) is good
