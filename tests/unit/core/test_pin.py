"""PINs at the desk: the words before asking, the stop before the last tries, changing one; refusing during a touch."""

import asyncio

import pytest
from tests.rigs.core import APP, CoreRig, FakeToken, kinds, make_core, opened_values, set_up
from tests.rigs.stores import FakeStore

from ownerd.core.desk import Act
from ownerd.model.errors import (
    Cancelled,
    Dismissed,
    InvalidArgument,
    PinAtRisk,
    PinUnfit,
    PinWrong,
    TokenMissing,
)
from ownerd.model.token import TokenInfo


def make(pin: bytes | None = None, tries: int = 8) -> tuple[CoreRig, FakeToken]:
    token = FakeToken("A")
    token.pin, token.pin_tries = pin, tries
    return make_core(FakeStore(), token), token


def info(tries: int | None) -> TokenInfo:
    return TokenInfo("A", "A", "software", "00", 1, has_pin=True, pin_tries=tries, software=True)


async def until(condition) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


def ask(tries: int | None, kind: str = "present") -> tuple[CoreRig, list[str]]:
    rig, _ = make()

    async def story() -> None:
        with rig.session.desk.open(kind, APP, rig.job()) as act:
            await rig.session.desk.pin(act, info(tries))

    asyncio.run(story())
    return rig, rig.owner.shown


def test_the_prompt_says_what_the_pin_is_for_and_how_many_tries_are_left():
    assert ask(3)[1] == ["PIN of A, to approve a disclosure.\n3 tries left."]
    assert ask(None)[1] == ["PIN of A, to approve a disclosure."]
    assert ask(8, "pin")[1] == ["PIN of A, to change it.\n8 tries left."]


@pytest.mark.parametrize("tries", [0, 1, 2])
@pytest.mark.parametrize("kind", ["present", "unlock", "setup", "read", "change"])
def test_with_two_tries_or_fewer_no_adapter_gets_a_pin_for_any_act(kind: str, tries: int):
    rig, _ = make()

    async def story() -> None:
        with rig.session.desk.open(kind, APP, rig.job()) as act:
            with pytest.raises(PinAtRisk) as raised:
                await rig.session.desk.pin(act, info(tries))
            assert raised.value.tries_left == tries

    asyncio.run(story())
    assert not rig.owner.shown
    assert not rig.states, "nobody is told that a PIN is waited for"


@pytest.mark.parametrize(("tries", "words"), [(2, "2 tries left for"), (1, "1 try left for")])
def test_a_change_goes_below_two_tries_only_when_the_owner_confirms(tries: int, words: str):
    async def story() -> None:
        rig, token = make(b"1234", tries)
        await rig.agent.start()
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await rig.agent.change_pin(APP, "A", rig.job())
        (warning,) = rig.owner.shown
        assert warning.startswith(words)
        assert "A wrong PIN now leaves" in warning
        assert (token.pin, token.pin_tries) == (b"1234", tries)
        rig.owner.decision, rig.owner.pins = True, [b"1234", b"5678", b"5678"]
        await rig.agent.change_pin(APP, "A", rig.job())
        assert rig.owner.shown[1:] == [
            warning,
            f"PIN of A, to change it.\n{words.removesuffix(' for')}.",
            "New PIN of A.",
            "New PIN of A, once more.",
        ]
        assert (token.pin, token.pin_tries) == (b"5678", 8)

    asyncio.run(story())


def test_a_new_pin_is_asked_for_until_it_was_typed_twice_alike():
    async def story() -> None:
        rig, token = make()
        await rig.agent.start()
        rig.owner.pins = [b"1111", b"2222", b"3333", b"3333"]
        await rig.agent.change_pin(APP, "A", rig.job())
        assert token.pin == b"3333"
        assert "not alike" in rig.owner.shown[2]
        token.pin = None
        rig.owner.pins = [b"1111", b"2222"] * 3
        with pytest.raises(PinUnfit):
            await rig.agent.change_pin(APP, "A", rig.job())
        assert token.pin is None
        assert not rig.owner.pins

    asyncio.run(story())


def test_a_new_pin_that_the_prompt_does_not_take_is_unfit():
    async def story() -> None:
        rig, token = make()
        await rig.agent.start()

        async def too_short(*_args: object, **_options: object) -> None:
            raise InvalidArgument("a PIN has 4 to 63 bytes")

        rig.owner.pin = too_short
        with pytest.raises(PinUnfit, match="4 to 63 bytes"):
            await rig.agent.change_pin(APP, "A", rig.job())
        assert token.pin is None

    asyncio.run(story())


def test_a_change_needs_no_vault_and_only_its_failure_becomes_an_entry():
    async def story() -> None:
        rig, token = make()
        await rig.agent.start()
        with pytest.raises(TokenMissing):
            await rig.agent.change_pin(APP, "nobody", rig.job())
        assert not rig.store.entries
        await set_up(rig)
        length = len(rig.store.entries)
        token.pin = b"1234"
        rig.owner.pins = [b"1234", b"5678", b"5678"]
        await rig.agent.change_pin(APP, "A", rig.job())
        assert (token.pin, len(rig.store.entries)) == (b"5678", length)
        rig.owner.pins = [b"0000", b"9999", b"9999"]
        with pytest.raises(PinWrong):
            await rig.agent.change_pin(APP, "A", rig.job())
        assert kinds(rig)[length:] == ["failed"]
        values = await opened_values(rig, length)
        assert (values["error"]["name"], values["error"]["act"]) == ("PinWrong", "pin")

    asyncio.run(story())


def test_refusing_an_act_while_its_token_waits_for_the_touch_ends_the_wait():
    async def story() -> None:
        rig, _ = make()
        await set_up(rig)
        ended: list[str] = []

        async def wait_for_a_touch() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled at the token")
                raise

        rig.tokens.before_touch = wait_for_a_touch
        rig.states.clear()
        call = asyncio.ensure_future(rig.agent.show_values(APP, rig.job()))
        await until(lambda: any(state == "waiting-for-touch" for state, _ in rig.states))
        assert dict(rig.states)["waiting-for-touch"]["purpose"] == "show values on a terminal"
        rig.agent.refuse(rig.agent.pending()[0].id)
        with pytest.raises(Dismissed):
            await call
        assert ended == ["cancelled at the token"]
        assert kinds(rig)[-1] == "refused"

    asyncio.run(story())


@pytest.mark.parametrize("refused_too", [False, True])
def test_an_act_that_is_cancelled_stays_cancelled(refused_too: bool):
    async def story() -> None:
        rig, _ = make()
        acts: list[Act] = []

        async def work() -> None:
            with rig.session.desk.open("present", APP, rig.job()) as act:
                acts.append(act)
                async with rig.session.desk.touch(act):
                    await asyncio.Event().wait()

        task = asyncio.ensure_future(work())
        await until(lambda: acts)
        await asyncio.sleep(0)
        if refused_too:
            rig.agent.refuse(acts[0].id)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_a_touch_that_was_given_is_not_undone_by_a_later_refusal():
    async def story() -> None:
        rig, _ = make()
        with rig.session.desk.open("present", APP, rig.job()) as act:
            async with rig.session.desk.touch(act):
                await asyncio.sleep(0)
            rig.agent.refuse(act.id)
            await asyncio.sleep(0.01)

    asyncio.run(story())


def test_locking_during_a_change_ends_it_by_name():
    async def story() -> None:
        rig, token = make(b"1234", 2)
        await rig.agent.start()
        rig.owner.decision = None
        call = asyncio.ensure_future(rig.agent.change_pin(APP, "A", rig.job()))
        await until(lambda: rig.owner.shown)
        rig.agent.lock("command")
        with pytest.raises(Cancelled):
            await call
        assert token.pin == b"1234"

    asyncio.run(story())
