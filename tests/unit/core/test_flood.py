"""Being disturbed less: one prompt at a time, the owner first, identical requests once, apps in their budget."""

import asyncio

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import (
    APP,
    TTY,
    CoreRig,
    ManualClock,
    MemoryNotebook,
    kinds,
    make_core,
    seal,
    set_up,
    verify,
)
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.budget import COOL_DOWN_MS, MAX_COOL_DOWN_MS, PER_MINUTE, Budget
from ownerd.core.desk import MAX_WAITING
from ownerd.core.journal import NOTE_SECONDS
from ownerd.core.ports import Batch
from ownerd.core.service import Narrowing
from ownerd.core.turns import Turns
from ownerd.model.caller import Confidence
from ownerd.model.errors import Busy, Cancelled, Dismissed, NotAllowed, StorageError

DAY_MS = 24 * 60 * 60 * 1000


async def make(provider_rig: ProviderRig) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org", address__locality="Wien")
    rig.owner.shown.clear()
    return rig


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def test_the_owner_goes_before_the_apps_that_wait(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        texts = [provider_rig.signed() for _ in range(100)]
        flood = [
            asyncio.ensure_future(
                rig.agent.present(
                    replace(APP, label=f"app {number % 50}", bus_name=f":1.{number}"), text, rig.job()
                )
            )
            for number in range(500)
            for text in [texts[number % 100]]
        ]
        await until(lambda: rig.owner.shown)
        asked = len(rig.owner.shown)
        read = asyncio.ensure_future(rig.agent.read(APP, seal(rig, what="claims", names=None), rig.job()))
        await until(lambda: any("Show your data" in text for text in rig.owner.shown[asked:]))
        assert "Show your data" in rig.owner.shown[asked], "the app's prompt gave way"
        rig.owner.decision = True
        await read
        rig.owner.decision = None
        assert len(rig.agent.pending()) == MAX_WAITING
        for call in flood:
            call.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert len(rig.store.entries) < 100, "the flood is counted and not written"
        verify(rig)

    asyncio.run(story())


def test_a_prompt_that_gave_way_is_shown_again_and_still_releases(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        request = provider_rig.parameters()
        call = asyncio.ensure_future(
            rig.agent.present(APP, kit.signed_request(request, provider_rig.party), rig.job())
        )
        await until(lambda: len(rig.owner.shown) == 1)
        read = asyncio.ensure_future(rig.agent.read(APP, seal(rig, what="claims", names=None), rig.job()))
        await until(lambda: len(rig.owner.shown) == 2)
        rig.owner.decision = True
        await read
        released = await call
        assert [text.splitlines()[0] for text in rig.owner.shown] == [
            "shop.example asks for your data.",
            "Show your data.",
            "shop.example asks for your data.",
        ]
        assert kit.verify_response(released.response, request, provider_rig.answer_key).claims

    asyncio.run(story())


def test_a_request_that_waits_for_a_terminal_keeps_nobody_from_his(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.has_display = False
        waiting = [
            asyncio.ensure_future(
                rig.agent.present(replace(APP, label=name), provider_rig.signed(), rig.job())
            )
            for name in ("a", "b")
        ]
        await until(lambda: [one.state for one in rig.agent.pending()] == ["waiting-for-terminal"] * 2)
        await rig.agent.read(APP, seal(rig, what="claims", names=None), rig.job(TTY))
        second = rig.agent.pending()[1]
        rig.agent.approve(APP, second.id, TTY, Narrowing())
        assert (await waiting[1]).entry, "the second one got a terminal, the first still waits"
        assert not waiting[0].done()
        rig.agent.refuse(rig.agent.pending()[0].id)
        with pytest.raises(Dismissed):
            await waiting[0]
        verify(rig)

    asyncio.run(story())


def test_the_same_request_of_one_connection_is_asked_once_and_delivered_once(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        text = provider_rig.signed()
        first, second = await asyncio.gather(
            rig.agent.present(APP, text, rig.job()), rig.agent.present(APP, text, rig.job())
        )
        assert first == second
        await rig.agent.delivered(first)
        await rig.agent.delivered(second)
        assert len(rig.owner.shown) == 1
        assert kinds(rig)[-2:] == ["disclosure", "delivered"]
        other = replace(APP, bus_name=":1.8")
        await rig.agent.present(other, text, rig.job())
        assert len(rig.owner.shown) == 2, "another connection is another request"
        verify(rig)

    asyncio.run(story())


def test_what_was_delivered_is_written_with_the_next_entry_and_has_its_own_checkpoint(
    provider_rig: ProviderRig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "ownerd.core.journal.NOTE_SECONDS", 60
    )  # no machine is so slow that it comes by itself

    async def story() -> None:
        rig = await make(provider_rig)
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        second = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        notes = [asyncio.ensure_future(rig.agent.delivered(one)) for one in (first, second)]
        await asyncio.sleep(0)
        batches = len(rig.store.batches)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        await asyncio.gather(*notes)
        assert len(rig.store.batches) == batches + 1
        assert kinds(rig)[-3:] == ["delivered", "delivered", "disclosure"]
        verify(rig)

    asyncio.run(story())


class SlowStore(FakeStore):
    """A commit that takes longer than a delivery waits for company."""

    slow = False

    async def commit(self, batch: Batch) -> None:
        if self.slow:
            await asyncio.sleep(4 * NOTE_SECONDS)
        await super().commit(batch)


def test_a_delivery_that_is_being_written_is_not_written_again(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(SlowStore(), anchors=provider_rig.anchors)
        await set_up(rig, given_name="Ada")
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        rig.store.slow = True
        note = asyncio.ensure_future(rig.agent.delivered(first))
        await asyncio.sleep(0)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        await note
        await asyncio.sleep(6 * NOTE_SECONDS)
        assert kinds(rig).count("delivered") == 1
        verify(rig)

    asyncio.run(story())


def test_a_delivery_survives_a_failed_commit_of_the_entry_it_went_with(
    provider_rig: ProviderRig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ownerd.core.journal.NOTE_SECONDS", 1)  # longer than the entry that fails takes

    async def story() -> None:
        rig = await make(provider_rig)
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job())
        note = asyncio.ensure_future(rig.agent.delivered(first))
        await asyncio.sleep(0)
        rig.store.fail = StorageError("disk full")
        with pytest.raises(StorageError):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        rig.store.fail = None
        await note
        assert kinds(rig)[-1] == "delivered"
        verify(rig)

    asyncio.run(story())


def test_one_of_two_that_wait_may_leave(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        text = provider_rig.signed()
        calls = [asyncio.ensure_future(rig.agent.present(APP, text, rig.job())) for _ in range(2)]
        await until(lambda: rig.owner.shown)
        calls[0].cancel()
        await asyncio.sleep(0)
        rig.owner.decision = True
        assert (await calls[1]).entry
        rig.owner.decision = None
        alone = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(lambda: len(rig.owner.shown) == 2)
        alone.cancel()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await alone
        await until(lambda: not rig.agent.pending())

    asyncio.run(story())


def test_after_a_refusal_an_app_waits_longer_each_time(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        with pytest.raises(Busy, match="refused this app"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        rig.clock.time += COOL_DOWN_MS
        rig.owner.decision = True
        assert await rig.agent.present(APP, provider_rig.signed(), rig.job())

    asyncio.run(story())


def test_cool_down_grows_and_is_forgiven_and_minutes_are_counted():
    clock = ManualClock()
    budget = Budget(clock, MemoryNotebook())
    pauses = []
    for _ in range(14):
        budget.refused(APP)
        started = clock.time
        while True:
            try:
                budget.admit(APP)
                break
            except Busy:
                clock.time += 500
        pauses.append(clock.time - started)
    assert pauses == sorted(pauses)
    assert pauses[1] > 1.8 * pauses[0]
    assert MAX_COOL_DOWN_MS <= pauses[-1] < MAX_COOL_DOWN_MS + 2_000
    budget.refused(APP)
    budget.approved(APP)
    clock.time += 60_001
    for _ in range(PER_MINUTE):
        budget.admit(APP)
    with pytest.raises(Busy, match="a minute"):
        budget.admit(APP)
    clock.time += 60_001
    budget.admit(APP)


def test_an_app_refused_for_today_stays_refused_over_a_lock_and_comes_back_tomorrow():
    clock, notebook = ManualClock(), MemoryNotebook()
    Budget(clock, notebook).refuse_today(APP)
    later = Budget(clock, notebook)
    with pytest.raises(NotAllowed, match="today"):
        later.admit(replace(APP, bus_name=":1.55"))
    later.admit(replace(APP, label="another"))
    clock.time += DAY_MS
    later.admit(APP)


def test_unknown_apps_are_one_app_for_today():
    budget = Budget(ManualClock(), MemoryNotebook())
    budget.refuse_today(replace(APP, label="a", confidence=Confidence.UNKNOWN))
    with pytest.raises(NotAllowed):
        budget.admit(replace(APP, label="b", confidence=Confidence.UNKNOWN))


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"a": "b"}', b"\xff", b"null"])
def test_a_notebook_with_junk_is_an_empty_one(junk):
    notebook = MemoryNotebook()
    notebook.text = junk
    Budget(ManualClock(), notebook).admit(APP)


def test_the_owner_refuses_an_app_for_today(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(lambda: rig.owner.shown)
        (waiting,) = rig.agent.pending()
        rig.agent.refuse(waiting.id, today=True)
        with pytest.raises(Dismissed):
            await call
        with pytest.raises(NotAllowed, match="today"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())

    asyncio.run(story())


def test_turns_go_to_the_owner_first_and_survive_cancelling():
    async def story() -> None:
        turns, order = Turns(), []

        async def take(name: str, *, own: bool) -> None:
            place = turns.join(own=own)
            try:
                await place
            except asyncio.CancelledError:
                turns.leave(place)
                raise
            order.append(name)
            await asyncio.sleep(0)
            turns.release()

        await turns.join(own=False)
        tasks = [asyncio.ensure_future(take(f"app {n}", own=False)) for n in range(3)]
        await asyncio.sleep(0)
        assert not turns.wanted.is_set()
        tasks += [
            asyncio.ensure_future(take("owner", own=True)),
            asyncio.ensure_future(take("gone", own=True)),
        ]
        await asyncio.sleep(0)
        assert turns.wanted.is_set()
        tasks[1].cancel()
        tasks[4].cancel()
        await asyncio.sleep(0)
        turns.release()
        tasks[3].cancel()  # in the very moment in which the turn has come
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["app 0", "app 2"]
        assert not turns.wanted.is_set()
        async with asyncio.timeout(1):
            await turns.join(own=False)

    asyncio.run(story())
