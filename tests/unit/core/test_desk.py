"""Waiting acts: one prompt at a time, narrowing, refusing, lending a terminal, cancelling."""

import asyncio

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import APP, TTY, CoreRig, kinds, make_core, opened_values, seal, set_up
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.desk import MAX_ENDED, MAX_WAITING
from ownerd.core.service import Narrowing
from ownerd.model.caller import Terminal
from ownerd.model.errors import Busy, Dismissed, NotAllowed, NotFound, OwnerdError

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}

TOOL = replace(APP, bus_name=":1.70", label="ownerctl")

REFUSING = 'version = 1\n[[rule]]\ndo = "refuse"\n'


async def make(provider_rig: ProviderRig, **claims: str) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, **(claims or CLAIMS))
    rig.states.clear()
    rig.owner.shown.clear()
    return rig


async def until(condition) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


def test_refusing_at_the_prompt_releases_nothing_and_is_recorded(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert kinds(rig)[-1] == "refused"
        assert not rig.session.vault.providers, "the new provider's key is dropped"
        values = await opened_values(rig, len(rig.store.entries) - 1)
        assert values["provider"]["client_id"] == "x509_san_dns:shop.example"
        assert values["error"]["name"] == "Dismissed"

    asyncio.run(story())


def test_narrowing_shows_a_new_prompt_and_releases_the_rest_alone(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        request = provider_rig.parameters()
        call = asyncio.ensure_future(
            rig.agent.present(APP, kit.signed_request(request, provider_rig.party), rig.job())
        )
        await until(lambda: rig.owner.shown)
        rig.agent.approve(APP, "3", TTY, Narrowing(frozenset({"email"})))
        await until(lambda: len(rig.owner.shown) == 2)
        rig.owner.decision = True
        released = await call
        disclosed = kit.verify_response(released.response, request, provider_rig.answer_key)
        assert disclosed.claims == {"given_name": "Ada", "address": {"locality": "Wien"}}
        assert "e-mail: ada" in rig.owner.shown[0]
        assert ": Ada" in rig.owner.shown[0]
        assert "Asked, but you hold it back: e-mail" in rig.owner.shown[1]
        assert ": Ada" not in rig.owner.shown[1], (
            "the terminal that was named to approve was lent without a touch"
        )
        assert (await opened_values(rig, released.entry))["statement"]["withheld"] == ["email"]

    asyncio.run(story())


def test_an_app_cannot_tell_an_empty_vault_from_one_that_holds_all_back(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, nickname="ada")
        with pytest.raises(NotAllowed, match="nothing is released"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert "They get nothing, whatever you answer" in rig.owner.shown[-1]
        await rig.agent.change(APP, seal(rig, change="policy", text=REFUSING), rig.job())
        shown = len(rig.owner.shown)
        with pytest.raises(NotAllowed, match="nothing is released"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert len(rig.owner.shown) == shown, "a rule has refused, and nobody is asked"

    asyncio.run(story())


def test_without_terminal_and_display_a_request_waits_until_one_is_lent(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.has_display = False
        call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(lambda: ("waiting-for-terminal", {"id": "3"}) in rig.states)
        assert not rig.owner.shown
        rig.agent.watch(TTY)
        await call
        assert rig.owner.shown
        assert ": Ada" not in rig.owner.shown[-1]

    asyncio.run(story())


def test_one_prompt_at_a_time_in_the_order_of_arrival(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        calls = [
            asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job())) for _ in range(3)
        ]
        await until(lambda: len(rig.agent.pending()) == 3 and rig.owner.shown)
        await asyncio.sleep(0)
        assert len(rig.owner.shown) == 1
        rig.owner.decision = True
        released = await asyncio.gather(*calls)
        assert [one.entry for one in released] == sorted(one.entry for one in released)

    asyncio.run(story())


def test_how_an_act_ended_is_known_for_a_while_to_who_approved_it(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        answered = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(lambda: rig.owner.shown)
        ids = [rig.agent.pending()[0].id]
        rig.agent.approve(TOOL, ids[0], None, Narrowing())
        with pytest.raises(NotFound):
            rig.agent.outcome(TOOL, ids[0])
        rig.owner.decision = True
        await answered
        rig.owner.decision = None

        def bug(_call: asyncio.Future) -> None:
            rig.owner.decision = True
            rig.tokens.before_touch = lambda: 1 // 0

        for give_up in (lambda _call: rig.agent.refuse(ids[-1]), lambda call: call.cancel(), bug):
            shown = len(rig.owner.shown)
            call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
            await until(lambda shown=shown: len(rig.owner.shown) > shown)
            ids.append(rig.agent.pending()[0].id)
            rig.agent.approve(TOOL, ids[-1], None, Narrowing())
            give_up(call)
            await asyncio.gather(call, return_exceptions=True)
            rig.clock.time += 3_600_000
        known = ["done", "Dismissed", "Cancelled", "InternalError"]
        assert [rig.agent.outcome(TOOL, one) for one in ids] == known
        for one in ids:
            with pytest.raises(NotFound):
                rig.agent.outcome(APP, one)
        for _ in range(MAX_ENDED):
            with rig.session.desk.open("present", APP, rig.job()) as act:
                rig.agent.approve(TOOL, act.id, None, Narrowing())
        with pytest.raises(NotFound):
            rig.agent.outcome(TOOL, ids[-1])

    asyncio.run(story())


def test_a_cancelled_act_gives_its_turn_back(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision = None
        calls = [
            asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job())) for _ in range(3)
        ]
        await until(lambda: rig.owner.shown)
        calls[0].cancel()
        calls[1].cancel()
        await asyncio.gather(*calls[:2], return_exceptions=True)
        rig.owner.decision = True
        await calls[2]
        assert kinds(rig).count("failed") == 2
        assert not rig.agent.pending()

    asyncio.run(story())


@pytest.mark.parametrize("order", ["the one with the turn first", "the one that waits first"])
def test_two_that_go_at_once_leave_one_turn(order: str, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.session.token_seconds = 30
        rig.tokens.tokens[0].plugged = False
        calls = [asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))]
        await until(lambda: "waiting-for-token" in dict(rig.states))
        rig.owner.decision = None
        calls.append(asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job())))
        await until(lambda: len(rig.agent.pending()) == 2)
        other = replace(APP, bus_name=":1.99", label="other")
        rest = [
            asyncio.ensure_future(rig.agent.present(other, provider_rig.signed(), rig.job()))
            for _ in range(2)
        ]
        await until(lambda: len(rig.agent.pending()) == 4)
        shown = len(rig.owner.shown)
        for call in calls if order == "the one with the turn first" else reversed(calls):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: len(rig.owner.shown) > shown)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(rig.owner.shown) == shown + 1, "two prompts, and then two touches, at once"
        for call in rest:
            call.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    asyncio.run(story())


def test_progress_names_the_token_before_the_touch(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        at_touch: list[str] = []
        rig.tokens.before_touch = lambda: at_touch.extend(state for state, _ in rig.states)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert at_touch[-1] == "waiting-for-touch"
        details = dict(rig.states)["waiting-for-touch"]
        assert details == {
            "id": "3",
            "token": "A",
            "timeout_seconds": 30,
            "purpose": "approve a disclosure",
        }
        assert rig.owner.notified[-1] == ("A", "approve a disclosure")

    asyncio.run(story())


def test_the_list_is_bounded_and_unknown_ids_are_named(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        with pytest.raises(NotFound):
            rig.agent.refuse("99")
        rig.owner.decision = None
        # Many apps, so that no app's budget ends first.
        texts = [provider_rig.signed() for _ in range(MAX_WAITING)]
        calls = [
            asyncio.ensure_future(rig.agent.present(replace(APP, label=f"app {number}"), text, rig.job()))
            for number, text in enumerate(texts)
        ]
        await until(lambda: len(rig.agent.pending()) == MAX_WAITING)
        with pytest.raises(Busy):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(story())


def test_a_flood_of_failures_is_counted_and_not_written(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        before = len(rig.store.entries)
        for _ in range(100):
            with pytest.raises(OwnerdError):
                await rig.agent.present(APP, "not a request", rig.job())
        assert len(rig.store.entries) - before == 30
        rig.clock.time += 61_000
        with pytest.raises(OwnerdError):
            await rig.agent.present(APP, "not a request", rig.job())
        values = await opened_values(rig, len(rig.store.entries) - 1)
        assert values["error"]["left_out_before"] == 70

    asyncio.run(story())


@pytest.mark.parametrize("way", ["present", "approve", "watch"])
def test_a_terminal_that_nobody_touched_for_shows_no_value(way: str, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.has_display = False
        call = asyncio.ensure_future(
            rig.agent.present(APP, provider_rig.signed(), rig.job(TTY if way == "present" else None))
        )
        if way != "present":
            await until(
                lambda: rig.agent.pending() and rig.agent.pending()[0].state == "waiting-for-terminal"
            )
            rig.agent.approve(APP, "3", TTY, Narrowing()) if way == "approve" else rig.agent.watch(TTY)
        released = await call
        assert not any(f": {value}" in shown for shown in rig.owner.shown for value in CLAIMS.values())
        statement = (await opened_values(rig, released.entry))["statement"]
        assert statement["values_shown"] is False
        assert statement["rendered"]["text"] == rig.owner.shown[-1]

    asyncio.run(story())


def test_a_touch_lets_a_lent_terminal_show_values_until_another_is_lent(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.has_display = False
        with pytest.raises(NotAllowed):
            await rig.agent.show_values(APP, rig.job(TTY))
        rig.agent.watch(TTY)
        await rig.agent.show_values(APP, rig.job(TTY))
        assert kinds(rig)[-1] == "owner-read"
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert "e-mail: ada@example.org" in rig.owner.shown[-1]
        rig.agent.watch(TTY)
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert "ada@example.org" not in rig.owner.shown[-1]

    asyncio.run(story())


def test_a_change_shows_its_values_to_the_tool_that_sent_them_and_to_no_other(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        rig.owner.decision, rig.owner.has_display = None, False
        claims = [{"name": "nickname", "value": "canary", "source": "test"}]
        call = asyncio.ensure_future(
            rig.agent.change(APP, seal(rig, change="set", claims=claims), rig.job(TTY))
        )
        await until(lambda: rig.owner.shown)
        assert "canary" in rig.owner.shown[0]
        rig.agent.approve(APP, "3", Terminal("/dev/pts/9", "xterm", "C.UTF-8"), Narrowing())
        await until(lambda: len(rig.owner.shown) == 2)
        assert "canary" not in rig.owner.shown[1]
        rig.owner.decision = True
        await call

    asyncio.run(story())
