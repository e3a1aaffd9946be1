"""A clock that is wrong, or was (docs/decisions/0019): what the ledger's time decides, and what the wall clock does."""

from __future__ import annotations

import asyncio

import pytest
from demo import provider_kit as kit
from tests.rigs.core import APP, CoreRig, kinds, make_core, seal, set_up, verify
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.failures import PER_MINUTE
from ownerd.core.service import Narrowing, Released
from ownerd.ledger.entry import parse_leaf
from ownerd.model.clock import parse_time
from ownerd.model.errors import ClockWrong, NotAllowed
from ownerd.model.names import Kind
from ownerd.model.policy import GrantLimits

MINUTE_MS = 60_000
YEAR_MS = 365 * 24 * 60 * MINUTE_MS
GRANTED = """
version = 1

[[rule]]
provider = "shop.example"
claims = ["given_name", "email"]
do = "grant"
days = 7
count = 9
per_hour = 9
"""


async def make(provider_rig: ProviderRig) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", birthdate="2009-06-01")
    return rig


async def was_ahead(provider_rig: ProviderRig) -> CoreRig:
    """One entry was made while the clock was a year ahead."""
    rig = await make(provider_rig)
    rig.clock.wrong_ms = YEAR_MS
    with pytest.raises(NotAllowed):
        await present(rig, provider_rig)
    rig.clock.wrong_ms = 0
    return rig


async def present(rig: CoreRig, provider_rig: ProviderRig, claim: str = "given_name") -> kit.Disclosed:
    asked = kit.parameters(CLIENT_ID, RESPONSE_URI, [claim], provider_rig.answer_key)
    text = kit.signed_request(asked, provider_rig.party)
    released = await rig.agent.present(APP, text, rig.job())
    assert isinstance(released, Released)
    return kit.verify_response(released.response, asked, provider_rig.answer_key)


def test_a_clock_that_was_ahead_holds_nothing_up(provider_rig: ProviderRig) -> None:
    async def story() -> None:
        rig = await was_ahead(provider_rig)
        assert (await present(rig, provider_rig)).claims == {"given_name": "Ada"}
        times = [parse_time(parse_leaf(row.leaf).core.time) for row in rig.store.entries]
        assert times == sorted(times)
        assert times[-1] > rig.clock.now_ms() + YEAR_MS - MINUTE_MS
        verify(rig)

    asyncio.run(story())


def test_a_clock_that_is_behind_is_named_where_it_is_the_reason(provider_rig: ProviderRig) -> None:
    async def story() -> None:
        rig = await make(provider_rig)
        rig.clock.wrong_ms = -YEAR_MS
        with pytest.raises(ClockWrong):
            await present(rig, provider_rig)
        assert kinds(rig)[-1] == Kind.FAILED
        with pytest.raises(NotAllowed, match="certificate chain"):
            await rig.agent.present(
                APP, provider_rig.signed(aud="https://wallet.example", iat=...), rig.job()
            )
        rig.session.anchors = list
        with pytest.raises(NotAllowed):
            await present(rig, provider_rig)

    asyncio.run(story())


def test_a_request_that_is_over_stays_over_however_the_ledger_stands(provider_rig: ProviderRig) -> None:
    async def story() -> None:
        rig = await was_ahead(provider_rig)
        late = rig.clock.now_ms() // 1000 - 600
        with pytest.raises(NotAllowed, match="expired"):
            await rig.agent.present(APP, provider_rig.signed(exp=late), rig.job())

    asyncio.run(story())


def test_an_age_is_the_one_of_today(provider_rig: ProviderRig) -> None:
    """In the ledger's time she would be of age."""

    async def story() -> None:
        rig = await was_ahead(provider_rig)
        assert (await present(rig, provider_rig, "age_over_18")).claims == {"age_over_18": False}

    asyncio.run(story())


def test_no_grant_serves_or_is_made_while_the_ledgers_time_stands_still(provider_rig: ProviderRig) -> None:
    async def story() -> None:
        rig = await make(provider_rig)
        await rig.agent.change(APP, seal(rig, change="policy", text=GRANTED), rig.job())

        async def touched() -> bool:
            shown = len(rig.owner.shown)
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
            return len(rig.owner.shown) > shown

        assert [await touched(), await touched()] == [True, False]
        rig.clock.wrong_ms = 2 * MINUTE_MS
        assert not await touched()
        rig.clock.wrong_ms = 0
        assert [await touched(), await touched()] == [True, True]
        assert kinds(rig).count("grant") == 1
        await ask_for_grant(rig, provider_rig)
        rig.clock.time += 2 * MINUTE_MS
        assert not await touched()
        verify(rig)

    asyncio.run(story())


async def ask_for_grant(rig: CoreRig, provider_rig: ProviderRig) -> None:
    """The owner asks for one, which cannot be."""
    rig.owner.decision = None
    rig.owner.shown.clear()
    call = asyncio.ensure_future(present(rig, provider_rig))
    while not rig.owner.shown:
        await asyncio.sleep(0)
    (waiting,) = rig.agent.pending()
    rig.agent.approve(APP, waiting.id, None, Narrowing(grant=GrantLimits(1, 2, 2)))
    with pytest.raises(ClockWrong):
        await call


def test_spans_are_measured_by_the_clock_that_nobody_sets(provider_rig: ProviderRig) -> None:
    """A clock set back keeps no vault open, and no failure out of the ledger."""

    async def story() -> None:
        rig = await make(provider_rig)
        rig.clock.wrong_ms = -YEAR_MS
        rig.clock.time += 2 * MINUTE_MS
        assert 120 <= rig.agent.idle_seconds < 180
        for _ in range(PER_MINUTE + 1):
            with pytest.raises(NotAllowed):
                await rig.agent.present(APP, provider_rig.signed(aud="https://wallet.example"), rig.job())
        full = len(rig.store.entries)
        rig.clock.wrong_ms -= YEAR_MS
        rig.clock.time += 2 * MINUTE_MS
        with pytest.raises(NotAllowed):
            await rig.agent.present(APP, provider_rig.signed(aud="https://wallet.example"), rig.job())
        assert len(rig.store.entries) == full + 1

    asyncio.run(story())
