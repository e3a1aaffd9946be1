"""Two tokens of one model: which is which is asked of the tokens themselves, without a touch."""

from __future__ import annotations

import asyncio

import pytest
from tests.rigs.softtoken import Person, make_authenticator
from tests.rigs.tokens import FakeUi, RecordingDevice, candidate, make_tokens

from ownerd.core.ports import Recognised
from ownerd.model.token import TokenCredential
from ownerd.softtoken.touch import Answer


def twin() -> tuple[RecordingDevice, Person]:
    person = Person()
    return RecordingDevice(make_authenticator(person)), person


async def both(swapped: bool) -> tuple[Recognised, list[TokenCredential]]:
    devices = [twin(), twin()]
    places = ["usb-hidraw0", "usb-hidraw1"]
    first = make_tokens(*(candidate(one, place) for (one, _), place in zip(devices, places, strict=True)))
    enrolled = [await first.enrol(place, user_verification=False, ui=FakeUi()) for place in places]
    for _, person in devices:
        person.answer = Answer.REFUSED
    if swapped:
        places.reverse()
    later = make_tokens(*(candidate(one, place) for (one, _), place in zip(devices, places, strict=True)))
    return await later.recognise(enrolled), enrolled


@pytest.mark.parametrize("swapped", [False, True])
def test_twins_are_told_apart_wherever_they_are_plugged_in(swapped: bool) -> None:
    seen, (one, two) = asyncio.run(both(swapped))
    wanted = {one.id: "usb-hidraw0", two.id: "usb-hidraw1"}
    if swapped:
        wanted = {one.id: "usb-hidraw1", two.id: "usb-hidraw0"}
    assert seen == Recognised(wanted)


def test_a_token_that_was_enrolled_twice_is_both() -> None:
    async def use() -> None:
        tokens = make_tokens(candidate(twin()[0]))
        enrolled = [await tokens.enrol("software-1", user_verification=False, ui=FakeUi()) for _ in range(2)]
        assert (await tokens.recognise(enrolled)).tokens == {one.id: "software-1" for one in enrolled}

    asyncio.run(use())


def test_a_token_that_waits_for_its_touch_is_recognised_and_not_disturbed() -> None:
    async def use() -> None:
        device, person = twin()
        tokens, ui = make_tokens(candidate(device)), FakeUi()
        one = await tokens.enrol("software-1", user_verification=False, ui=ui)
        other = await make_tokens(candidate(twin()[0])).enrol("software-1", user_verification=False, ui=ui)
        assert (await tokens.recognise([one, other])).tokens == {one.id: "software-1"}
        person.answer = None
        waiting = asyncio.create_task(tokens.approve(one, bytes(32), [], ui=ui))
        while ui.names.count("touch") < 3:
            await asyncio.sleep(0.01)
        asked = len(device.requests)
        assert (await tokens.recognise([one, other])).tokens == {one.id: "software-1"}
        assert len(device.requests) == asked
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(use())
