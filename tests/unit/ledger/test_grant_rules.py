"""Grants and receipts: what a touch allowed for later serves as far as it said, and each way beyond has its sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.ledgers import LedgerMaker, TestToken, steady

from ownerd.ledger.facts import MAX_GRANT_PER_HOUR
from ownerd.ledger.findings import Damage
from ownerd.ledger.grants import HOUR_MS, MAX_LIFE_MS, Grants
from ownerd.model.clock import format_time
from ownerd.model.names import Kind

TOKEN = TestToken("token-1")
DAY = 24 * 3600
NOW = 1_795_442_400_000


@pytest.fixture
def maker() -> LedgerMaker:
    """Genesis and one token: entries 0 and 1."""
    made = LedgerMaker()
    made.set_up(TOKEN)
    return made


def found(maker: LedgerMaker) -> list[tuple[str, int | None, str]]:
    return [(one.name, one.first, one.sentence) for one in maker.tables.verify().findings]


def use(maker: LedgerMaker, grant: int, *, after_ms: int = 1000, token=None) -> int:
    """A disclosure under ``grant``, so long after the newest entry."""
    maker.now_ms += after_ms - 1000
    return maker.disclose(token, {"grant": grant})


def bad(seq: int, words: str) -> tuple[str, int, str]:
    return (Damage.BAD_GRANT, seq, words)


GONE = "the disclosure names no grant that holds"
ENDED = "the disclosure names a grant that had ended"
OVER = "the disclosure names a grant whose time was over"
USED_UP = "the disclosure names a grant that was used up"
TOO_SOON = "the disclosure comes sooner than its grant allows in an hour"


def test_disclosures_under_a_live_grant_need_no_touch(maker):
    grant = maker.grant(TOKEN, count=3)
    for _ in range(3):
        use(maker, grant)
    assert found(maker) == []


def test_a_touch_and_a_live_grant_may_go_together(maker):
    use(maker, maker.grant(TOKEN), token=TOKEN)
    assert found(maker) == []


def test_a_touch_does_not_make_up_for_a_dead_grant(maker):
    grant = maker.grant(TOKEN, count=1)
    use(maker, grant)
    seq = use(maker, grant, token=TOKEN)
    assert found(maker) == [bad(seq, USED_UP)]


@pytest.mark.parametrize("other", [0, 1, 99, 1 << 40])
def test_what_is_no_grant_serves_nothing(maker, other):
    seq = use(maker, other)
    assert found(maker) == [bad(seq, GONE)]


def test_a_grant_serves_nothing_before_itself(maker):
    seq = use(maker, 3)
    assert maker.grant(TOKEN) == 3
    assert found(maker) == [bad(seq, GONE)]


def test_a_grant_without_a_touch_serves_nothing(maker):
    grant = maker.grant(None)
    seq = use(maker, grant)
    sentence = "an entry of this kind needs an approval"
    assert found(maker) == [(Damage.MISSING_APPROVAL, grant, sentence), bad(seq, GONE)]


def test_an_ended_grant_serves_nothing_and_ends_once(maker):
    grant = maker.grant(TOKEN)
    use(maker, grant)
    maker.append(Kind.GRANT_ENDED, facts={"grant": grant})
    dead = use(maker, grant)
    again = maker.append(Kind.GRANT_ENDED, facts={"grant": grant})
    never = maker.append(Kind.GRANT_ENDED, facts={"grant": 1})
    assert found(maker) == [
        bad(dead, ENDED),
        bad(again, "the grant that ends had ended before"),
        bad(never, "the grant that ends was never live"),
    ]


def test_a_grant_that_is_over_may_still_be_ended(maker):
    grant = maker.grant(TOKEN, seconds=5)
    maker.now_ms += 60 * DAY * 1000
    maker.grant(TOKEN)
    maker.append(Kind.GRANT_ENDED, facts={"grant": grant})
    assert found(maker) == []


def test_a_grant_serves_up_to_its_last_millisecond(maker):
    grant = maker.grant(TOKEN, seconds=10)
    use(maker, grant, after_ms=10_000)
    late = use(maker, grant, after_ms=1)
    assert found(maker) == [bad(late, OVER)]


def test_a_grant_serves_as_often_as_it_said(maker):
    grant = maker.grant(TOKEN, count=2)
    seqs = [use(maker, grant) for _ in range(4)]
    assert found(maker) == [bad(seq, USED_UP) for seq in seqs[2:]]


def test_each_grant_counts_for_itself(maker):
    one, other = maker.grant(TOKEN, count=1), maker.grant(TOKEN, count=1)
    use(maker, one)
    use(maker, other)
    assert found(maker) == []


def test_a_grant_serves_no_faster_than_it_said(maker):
    grant = maker.grant(TOKEN, per_hour=2)
    use(maker, grant)
    use(maker, grant, after_ms=HOUR_MS // 2)
    soon = use(maker, grant, after_ms=HOUR_MS // 2 - 1)
    assert found(maker) == [bad(soon, TOO_SOON)]


def test_a_use_that_comes_late_is_held_to_its_own_time(maker):
    """Made before a grant was over and written after others: it is still too soon after the use before."""
    grant = maker.grant(TOKEN, seconds=10, per_hour=1)
    use(maker, grant)
    core = maker.core(Kind.DISCLOSURE, facts={"grant": grant})
    maker.now_ms += HOUR_MS
    maker.append(Kind.REQUEST)
    maker.grant(TOKEN)
    late = maker.append(Kind.DISCLOSURE, core=core)
    assert found(maker) == [bad(late, TOO_SOON)]


def test_an_hour_is_over_after_an_hour(maker):
    grant = maker.grant(TOKEN, per_hour=2)
    for after_ms in (1000, HOUR_MS // 2, HOUR_MS // 2, HOUR_MS // 2, HOUR_MS // 2):
        use(maker, grant, after_ms=after_ms)
    assert found(maker) == []


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (30 * DAY + 3600, None),
        (30 * DAY + 3600.001, "the grant lasts longer than 30 days and an hour"),
        (300 * DAY, "the grant lasts longer than 30 days and an hour"),
        (0.001, None),
        (0, "the grant is over before it begins"),
        (-DAY, "the grant is over before it begins"),
    ],
)
def test_a_grant_lasts_thirty_days_at_most(maker, seconds, sentence):
    grant = maker.grant(TOKEN, seconds=seconds)
    if sentence is None:
        assert found(maker) == []
        return
    seq = use(maker, grant)
    assert found(maker) == [bad(grant, sentence), bad(seq, GONE)]


def test_a_removed_token_leaves_its_grants(maker):
    """What it approved, it approved; `grant-ended` takes it back."""
    other = TestToken("token-2")
    maker.enrol(other, by=TOKEN)
    grant = maker.grant(TOKEN)
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-1"}, token=other)
    use(maker, grant)
    assert found(maker) == []


def test_receipts_answer_disclosures(maker):
    first = maker.disclose(TOKEN)
    maker.append(Kind.DELIVERED, facts={"entry": first})
    second = use(maker, maker.grant(TOKEN))
    for entry in (second, first, first):
        maker.receipt(entry)
    assert found(maker) == []


def test_receipts_of_anything_else_are_named(maker):
    first = maker.disclose(TOKEN)
    maker.disclose(TOKEN)
    others = [maker.receipt(entry) for entry in (0, first - 1, first + 2, 99, (1 << 53) - 1)]
    itself = maker.receipt(maker.frontier.size)
    sentence = "there is no disclosure that the receipt answers"
    assert found(maker) == [(Damage.BAD_RECEIPT, seq, sentence) for seq in (*others, itself)]


def test_of_a_used_grant_only_the_newest_times_are_kept():
    grants = Grants()
    until = format_time(NOW + 20 * DAY * 1000)
    facts = {"until": until, "count": 100_000, "per_hour": MAX_GRANT_PER_HOUR}
    assert grants.add(1, facts, format_time(NOW), latest="") is None
    for number in range(3 * MAX_GRANT_PER_HOUR):
        assert grants.use(1, format_time(NOW + 1000 * number)) is None
    assert [len(grant.times or ()) for grant in grants._grants.values()] == [MAX_GRANT_PER_HOUR]


def test_of_grants_that_are_over_no_time_is_kept():
    """A year of grants, one a day and each used once an hour: what is kept belongs to the last month."""
    grants = Grants()
    for day in range(365):
        start = NOW + day * DAY * 1000
        facts = {"until": format_time(start + MAX_LIFE_MS), "count": 100_000, "per_hour": 10}
        assert grants.add(day, facts, format_time(start), latest=format_time(start)) is None
        assert [grants.use(day, format_time(start + hour * HOUR_MS)) for hour in range(20)] == [None] * 20
    kept = [day for day, grant in grants._grants.items() if grant.times]
    assert kept == list(range(334, 365))
    assert grants._open == set(kept)


@steady
@given(st.lists(st.integers(0, 4 * HOUR_MS), max_size=40).map(sorted), st.integers(1, 5))
def test_uses_in_order_are_judged_as_a_count_would(times, per_hour):
    """In order of time: a use is too soon exactly when it makes more than ``per_hour`` in some 3600 seconds."""
    grants = Grants()
    facts = {"until": format_time(NOW + DAY * 1000), "count": 1000, "per_hour": per_hour}
    grants.add(0, facts, format_time(NOW - 1), latest="")
    for index, time in enumerate(times):
        within = [one for one in times[: index + 1] if time - one < HOUR_MS]
        assert (grants.use(0, format_time(NOW + time)) is None) == (len(within) <= per_hour)


@steady
@given(st.lists(st.integers(0, 3 * HOUR_MS), max_size=40), st.integers(1, 4))
def test_no_order_of_uses_gets_more_out_of_an_hour(times, per_hour):
    """Entries may be out of order by a little: uses that pass never make more than ``per_hour`` in an hour."""
    grants = Grants()
    facts = {"until": format_time(NOW + DAY * 1000), "count": 1000, "per_hour": per_hour}
    grants.add(0, facts, format_time(NOW - 1), latest="")
    if all(grants.use(0, format_time(NOW + time)) is None for time in times):
        ordered = sorted(times)
        assert all(
            later - earlier >= HOUR_MS for earlier, later in zip(ordered, ordered[per_hour:], strict=False)
        )
