"""``ledger verify --against``: two copies of a log on files, and what the other one says about this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.rigs.cli import Desk
from tests.rigs.ledgers import (
    LedgerMaker,
    Tables,
    TestToken,
    bad_day_ledger,
    small_ledger,
    write_database,
)

from ownerd.model.names import Kind

Write = Callable[[str, Tables], str]
SECOND = TestToken("token-2", user_verification=True)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """No bus at all."""
    return Desk(tmp_path, "unix:path=/nonexistent")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda name, tables: str(write_database(tmp_path / f"{name}.db", tables))


def gone_on(*providers: str) -> LedgerMaker:
    """The small ledger and one unlocked day more, with a request of each provider."""
    maker = small_ledger()
    maker.append(Kind.UNLOCKED, token=SECOND)
    for provider in providers:
        maker.append(Kind.REQUEST, {"provider": provider})
    return maker


def names(desk: Desk, path: str, against: str, code: int = 5) -> list[tuple[str, int, int]]:
    """Findings of the tool, which must agree with its exit code."""
    ran = desk.run("ledger", "verify", "--file", path, "--against", against, "--json")
    assert ran.code == code, ran
    assert ran.json["ok"] is (code == 0)
    return [(one["name"], one["first"], one["last"]) for one in ran.json["findings"]]


def test_the_same_copy_and_an_older_one_say_nothing_against_it(desk: Desk, write: Write) -> None:
    newer, older = write("newer", gone_on("a").tables), write("older", small_ledger().tables)
    assert names(desk, newer, newer, 0) == []
    assert names(desk, newer, older, 0) == []


def test_a_newer_copy_shows_that_this_one_was_rolled_back(desk: Desk, write: Write) -> None:
    newer, older = gone_on("a", "b"), small_ledger()
    paths = write("older", older.tables), write("newer", newer.tables)
    first, last = len(older.tables.entries), len(newer.tables.entries) - 1
    assert names(desk, *paths) == [("RolledBack", first, last)]
    ran = desk.run("ledger", "verify", "--file", paths[0], "--against", paths[1])
    assert (ran.code, "RolledBack" in ran.out) == (5, True)


@pytest.mark.parametrize(("here", "there"), [("a", "b"), ("ab", "c"), ("a", "bcd")])
def test_two_days_after_one_past_are_a_fork(desk: Desk, write: Write, here: str, there: str) -> None:
    """Each is good alone; however much longer the other is, it is no later day of this one."""
    mine, other = write("mine", gone_on(*here).tables), write("other", gone_on(*there).tables)
    assert names(desk, mine, mine, 0) == []
    found = [name for name, *_ in names(desk, mine, other)]
    assert found == (["Forked"] if len(there) <= len(here) else ["Forked", "RolledBack"])


def test_another_log_is_no_copy(desk: Desk, write: Write) -> None:
    paths = write("mine", small_ledger().tables), write("other", small_ledger("other").tables)
    assert [name for name, *_ in names(desk, *paths)] == ["BadHead"]
    thief = LedgerMaker("thief", log=small_ledger().log)
    thief.set_up(TestToken())
    assert [name for name, *_ in names(desk, paths[0], write("thief", thief.tables))] == ["BadHead"]


def test_a_copy_from_before_a_rotation_is_an_older_one(desk: Desk, write: Write) -> None:
    day = bad_day_ledger()
    before = Tables(
        day.tables.entries[:8],
        [row for row in day.tables.checkpoints if row[0] <= 8],
        [row for row in day.tables.openings if row[0] < 8],
    )
    paths = write("day", day.tables), write("before", before)
    assert names(desk, *paths, 0) == []
    # The other way round: this copy does not know the key that signed, and the other one says what became of it.
    last = len(day.tables.entries) - 1
    assert names(desk, *reversed(paths)) == [("RolledBack", 8, last)]


def test_a_fork_with_a_newer_key_is_told_by_the_copy_that_has_the_key(desk: Desk, write: Write) -> None:
    here, there = gone_on("a"), gone_on()
    there.rotate("second", by=SECOND)
    there.append(Kind.REQUEST, {"provider": "b"})
    paths = write("here", here.tables), write("there", there.tables)
    for one in (paths, paths[::-1]):
        assert [name for name, *_ in names(desk, *one)] == ["Forked"]


def test_a_copy_with_a_newer_key_is_believed_only_where_it_holds(desk: Desk, write: Write) -> None:
    before = write("before", small_ledger().tables)
    later = gone_on()
    later.rotate("second", by=SECOND)
    later.append(Kind.REQUEST, {"provider": "b"})
    assert [name for name, *_ in names(desk, before, write("later", later.tables))] == ["RolledBack"]
    seq, leaf = later.tables.entries[2]
    later.tables.entries[2] = (seq, leaf[:-1] + b" ")
    assert [name for name, *_ in names(desk, before, write("bad", later.tables))] == ["BadHead"]


def test_what_is_no_copy_at_all_is_said(desk: Desk, write: Write, tmp_path: Path) -> None:
    mine = write("mine", small_ledger().tables)
    empty = write("empty", Tables())
    ran = desk.run("ledger", "verify", "--file", mine, "--against", empty)
    assert (ran.code, "no checkpoint" in ran.err) == (1, True)
    ran = desk.run("ledger", "verify", "--file", mine, "--against", str(tmp_path / "none.db"))
    assert (ran.code, "no ledger file" in ran.err) == (1, True)
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be read as one\n" * 100)
    ran = desk.run("ledger", "verify", "--file", mine, "--against", str(text))
    assert ran.code not in (0, 1), ran
    assert "Traceback" not in ran.err
    assert desk.run("ledger", "verify", "--file", mine, "--against", mine, "--quick").code == 2


def test_a_head_gives_way_by_name_alone(desk: Desk) -> None:
    ran = desk.run("ledger", "anchor", "update", "--older")
    assert (ran.code, "--older is for one place" in ran.err) == (2, True)
