"""The contract of `TokenPort`, on every adapter and every transport that can be had without hardware.

What differs between the kinds is said by `tests.rigs.ports.PortRig`; what only some can do is asked of those
only: a touch that is refused, does not come or is cancelled, use without the PIN, and leaving.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest
from msgspec import structs
from tests.rigs.ports import CHALLENGE, Fido2PortRig, PortRig, only

from ownerd.core.seal import key_check
from ownerd.model.errors import (
    InvalidArgument,
    PinAtRisk,
    PinBlocked,
    PinWrong,
    TokenMissing,
    TouchDenied,
    TouchTimeout,
    Unsupported,
    WrongKey,
)
from ownerd.model.token import SecretHandle

FIDO2 = ("in-process", "pcsc", "socket")


def test_present_describes_the_token_without_touch_or_try(port_rig: PortRig) -> None:
    tokens = port_rig.tokens()
    if isinstance(port_rig, Fido2PortRig):
        port_rig.person("absent")
        (info,) = asyncio.run(tokens.present())
        assert (info.has_pin, info.pin_tries) == (False, None)
    port_rig.require_pin()
    before = port_rig.tries()
    for _ in range(3):
        (info,) = asyncio.run(port_rig.tokens().present())
        assert (info.transport, info.software) == (port_rig.transport, port_rig.software)
        assert (info.has_pin, info.pin_tries) == (True, before)
    assert port_rig.tries() == before


async def signs_and_opens(rig: PortRig, *, user_verification: bool) -> None:
    tokens, handles = rig.tokens(), (rig.handle(), rig.handle())
    credential = await rig.enrol(tokens, user_verification=user_verification)
    assert (credential.type, credential.opens) == (rig.type, True)
    assert credential.user_verification is user_verification
    both = await tokens.approve(credential, CHALLENGE, handles, ui=rig.ui())
    known = SecretHandle(handles[1].salt, key_check(both.secrets[1]))
    again = await rig.tokens().approve(credential, CHALLENGE, [known], ui=rig.ui())
    bare = await tokens.approve(credential, CHALLENGE, (), ui=rig.ui())
    assert [len(secret) for secret in both.secrets] == [32, 32]
    assert both.secrets[0] != both.secrets[1]
    assert again.secrets == (both.secrets[1],)
    assert bare.secrets == ()
    for answer in (both, again, bare):
        rig.verify(answer, credential)


def test_one_act_signs_the_challenge_and_opens_the_same_secrets(port_rig: PortRig) -> None:
    asyncio.run(signs_and_opens(port_rig, user_verification=True))


@only(*FIDO2)
def test_without_its_pin_a_touch_signs_and_opens_as_well(port_rig: Fido2PortRig) -> None:
    asyncio.run(signs_and_opens(port_rig, user_verification=False))


@only(*FIDO2)
def test_a_fido2_token_is_named_by_its_credential_and_may_be_used_without_the_pin_it_has(
    port_rig: Fido2PortRig,
) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        credential = await port_rig.enrol(tokens, ui, user_verification=False)
        assert credential.id == hashlib.sha256(credential.credential_id).hexdigest()[:16]
        answer = await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=ui)
        assert ui.names == ["pin", "touch", "touch"]
        port_rig.verify(answer, credential)

    port_rig.require_pin()
    asyncio.run(use())


@only(*FIDO2)
def test_enrolling_with_a_pin_that_is_not_set_is_unsupported(port_rig: Fido2PortRig) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        (info,) = await tokens.present()
        with pytest.raises(Unsupported):
            await tokens.enrol(info.id, user_verification=True, ui=ui)
        assert ui.names == []

    asyncio.run(use())


def test_the_tries_are_told_before_the_pin_is_asked_and_the_acts_are_announced(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        credential = await port_rig.enrol(tokens)
        before = port_rig.tries()
        await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=ui)
        assert ui.names == ["pin", *["touch"] * port_rig.has_touch]
        assert ui.events[0][1].pin_tries == before

    asyncio.run(use())


def test_locate_and_recognise_find_what_is_enrolled_without_touch_or_try(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        mine = [await port_rig.enrol(tokens, user_verification=mode) for mode in reversed(port_rig.modes)]
        stranger = port_rig.stranger(mine[0])
        (info,) = await tokens.present()
        if isinstance(port_rig, Fido2PortRig):
            port_rig.person("absent")
        before = port_rig.tries()
        lists = (
            [[one] for one in mine] + [[stranger, one] for one in mine] + [[one, stranger] for one in mine]
        )
        for wanted in [*lists, mine, mine[::-1], [stranger] * 40 + mine]:
            expected = next(one for one in wanted if one is not stranger)
            assert await port_rig.tokens().locate(wanted) == expected
        for nobody in ([stranger], []):
            with pytest.raises(TokenMissing):
                await tokens.locate(nobody)
        seen = await port_rig.tokens().recognise([stranger, *mine])
        assert (dict(seen.tokens), seen.busy) == ({one.id: info.id for one in mine}, ())
        assert port_rig.tries() == before

    asyncio.run(use())


def test_a_credential_of_another_token_is_missing_and_costs_no_try(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        stranger = port_rig.stranger(await port_rig.enrol(tokens))
        before = port_rig.tries()
        with pytest.raises(TokenMissing):
            await tokens.approve(stranger, CHALLENGE, (), ui=ui)
        assert ui.names == []
        assert port_rig.tries() == before

    asyncio.run(use())


def test_a_wrong_pin_costs_one_try_and_a_right_one_restores_them(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        credential = await port_rig.enrol(tokens)
        before, wrong = port_rig.tries(), port_rig.ui(port_rig.wrong_pin)
        with pytest.raises(PinWrong) as raised:
            await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=wrong)
        if before is not None:
            assert raised.value.tries_left == before - 1 == port_rig.tries()
        assert wrong.names == ["pin"]
        await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=port_rig.ui())
        assert port_rig.tries() == before

    asyncio.run(use())


def test_a_pin_that_no_such_token_can_have_is_not_sent(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        credential = await port_rig.enrol(tokens)
        before = port_rig.tries()
        for impossible in port_rig.impossible_pins:
            with pytest.raises(PinWrong) as raised:
                await tokens.approve(credential, CHALLENGE, (), ui=port_rig.ui(impossible))
            assert raised.value.tries_left == before == port_rig.tries()
            if port_rig.has_touch:
                with pytest.raises(PinWrong) as raised:
                    await port_rig.enrol(tokens, port_rig.ui(impossible))
                assert raised.value.tries_left == before == port_rig.tries()

    asyncio.run(use())


@pytest.mark.parametrize(("left", "error"), [(2, PinAtRisk), (1, PinAtRisk), (0, PinBlocked)])
@only("in-process", "pcsc", "piv", "pkcs11")
def test_with_few_tries_left_no_pin_is_asked(port_rig: PortRig, left: int, error: type[Exception]) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        credential = await port_rig.enrol(tokens)
        port_rig.block(left)
        if port_rig.tries() is None:
            pytest.skip("this kind of token does not say so")
        with pytest.raises(error):
            await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=ui)
        assert ui.names == []
        assert port_rig.tries() == left

    asyncio.run(use())


def test_another_secret_than_the_enrolled_one_is_a_wrong_key(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        handles = [port_rig.handle(), structs.replace(port_rig.handle(), check=bytes(16))]
        with pytest.raises(WrongKey):
            await tokens.approve(await port_rig.enrol(tokens), CHALLENGE, handles, ui=port_rig.ui())

    asyncio.run(use())


def test_what_names_no_secret_of_such_a_token_is_refused_before_anybody_is_asked(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, ui = port_rig.tokens(), port_rig.ui()
        credential = await port_rig.enrol(tokens)
        for salt in port_rig.bad_salts:
            with pytest.raises(InvalidArgument):
                await tokens.approve(credential, CHALLENGE, [SecretHandle(salt)], ui=ui)
        with pytest.raises(InvalidArgument):
            await tokens.approve(credential, CHALLENGE[1:], (), ui=ui)
        with pytest.raises(InvalidArgument):
            await tokens.approve(credential, CHALLENGE, [port_rig.handle() for _ in range(3)], ui=ui)
        assert ui.names == []

    asyncio.run(use())


def test_a_token_that_is_not_there_is_missing(port_rig: PortRig) -> None:
    nowhere = "usb-hidraw99" if port_rig.type == "fido2" else f"{port_rig.type}-00000000"
    with pytest.raises(TokenMissing):
        asyncio.run(port_rig.tokens().enrol(nowhere, user_verification=True, ui=port_rig.ui()))


@only("in-process", "pcsc", "piv", "pkcs11")
def test_a_token_that_is_gone_is_missing_and_comes_back(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        credential = await port_rig.enrol(tokens)
        await asyncio.to_thread(port_rig.remove)
        assert await tokens.present() == []
        assert (await tokens.recognise([credential])).tokens == {}
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, (), ui=port_rig.ui())
        if port_rig.transport == "pcsc":
            await asyncio.sleep(1)  # pcscd's own poll; a faster change leaves its reader unpowered
        await asyncio.to_thread(port_rig.insert)
        await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=port_rig.ui())

    asyncio.run(use())


# -- the touch --


@only(*FIDO2)
def test_a_refused_touch_is_denied(port_rig: Fido2PortRig) -> None:
    async def use() -> None:
        tokens = port_rig.tokens()
        credential = await port_rig.enrol(tokens, user_verification=False)
        port_rig.person("refuse")
        with pytest.raises(TouchDenied):
            await tokens.approve(credential, CHALLENGE, [port_rig.handle()], ui=port_rig.ui())

    asyncio.run(use())


@only(*FIDO2)
def test_a_touch_that_does_not_come_times_out_and_the_token_stays_usable(port_rig: Fido2PortRig) -> None:
    async def use() -> None:
        tokens, handles = (
            port_rig.tokens(touch_timeout_seconds=0.2, margin_seconds=0.1),
            [port_rig.handle()],
        )
        credential = await port_rig.enrol(tokens, user_verification=False)
        port_rig.person("absent")
        began = time.monotonic()
        with pytest.raises(TouchTimeout):
            await tokens.approve(credential, CHALLENGE, handles, ui=port_rig.ui())
        assert 0.3 <= time.monotonic() - began < 2
        port_rig.person("touch")
        await tokens.approve(credential, CHALLENGE, handles, ui=port_rig.ui())

    asyncio.run(use())


@only(*FIDO2)
def test_cancelling_ends_the_wait_at_the_token_and_leaves_it_usable(port_rig: Fido2PortRig) -> None:
    async def use() -> None:
        tokens, handles = port_rig.tokens(), [port_rig.handle()]
        credential = await port_rig.enrol(tokens, user_verification=False)
        port_rig.person("absent")
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, handles, ui=port_rig.ui()))
        await asyncio.sleep(0.3)
        waiting.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert time.monotonic() - began < 1
        port_rig.person("touch")
        await tokens.approve(credential, CHALLENGE, handles, ui=port_rig.ui())

    asyncio.run(use())


@only(*FIDO2)
def test_the_event_loop_runs_on_while_the_token_waits(port_rig: Fido2PortRig) -> None:
    async def use() -> float:
        tokens = port_rig.tokens()
        credential = await port_rig.enrol(tokens, user_verification=False)
        port_rig.person("absent")
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, (), ui=port_rig.ui()))
        longest = 0.0
        for _ in range(40):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return longest

    assert asyncio.run(use()) < 0.25
