"""The PIN of a PIV card is changed through a real pinentry on a terminal, and the new one then makes the vault."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable

import pytest
from tests.rigs._piv_applet import PIN
from tests.rigs.core import APP, CoreRig, make_core, seal
from tests.rigs.piv import PivRig
from tests.rigs.prompts import Screen
from tests.rigs.stores import FakeStore

from ownerd.core.desk import Desk
from ownerd.model.errors import PinUnfit, PinWrong
from ownerd.prompt.pinentry import Pinentry
from ownerd.prompt.port import Prompts

pytestmark = pytest.mark.in_pcsc_rig

OLD, NEW = PIN.decode(), "135792"


@pytest.fixture
def rig(piv_card: PivRig) -> CoreRig:
    """The core over the card, with the daemon's own prompts."""
    program = shutil.which("pinentry-tty")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("pinentry-tty is not installed")
        pytest.skip("pinentry-tty is not installed")
    made = make_core(FakeStore(), port=piv_card.tokens())
    made.clock.time = time.time_ns() // 1_000_000
    pinentry = Pinentry(program=program, environment={"PATH": "/usr/bin:/bin"})
    made.session.desk = Desk(Prompts(pinentry), made.clock, prompt_seconds=20)
    return made


async def answer(act: Awaitable[object], screen: Screen, *asked: tuple[str, str]) -> object:
    """Carry out an act whose prompts say, one after the other, these words, and are answered so."""
    task = asyncio.ensure_future(act)
    for words, pin in asked:
        await screen.expect("PIN:")
        shown = screen.read().replace("\r\n", "\n")
        assert words in shown, shown
        screen.seen = b""
        screen.type(f"{pin}\n")
    return await task


def test_wrong_unlike_and_right_pins_at_a_real_prompt(rig: CoreRig, piv_card: PivRig, screen: Screen) -> None:
    async def story() -> None:
        await rig.agent.start()
        (here,) = await rig.agent.tokens()
        ask = f"PIN of {here.name}, to change it."

        def change() -> Awaitable[object]:
            return rig.agent.change_pin(APP, here.id, rig.job(screen.terminal))

        twice = [("New PIN of", NEW), ("once more", NEW)]
        with pytest.raises(PinWrong) as raised:
            await answer(change(), screen, (f"{ask}\n5 tries left.", "999999"), *twice)
        assert (raised.value.tries_left, piv_card.tries()) == (4, 4)

        unlike = [("New PIN of", NEW), ("once more", OLD)]
        with pytest.raises(PinUnfit):
            await answer(change(), screen, (f"{ask}\n4 tries left.", OLD), *(3 * unlike))
        assert piv_card.tries() == 4, "nothing was sent"

        again = ("The two were not alike, and nothing has changed yet.", NEW)
        await answer(change(), screen, (ask, OLD), *unlike, again, ("once more", NEW))
        assert piv_card.tries() == 5

        setup = rig.agent.setup(
            APP, seal(rig, token=here.id, user_verification=True), rig.job(screen.terminal)
        )
        await answer(setup, screen, ("to set up the vault.\n5 tries left.", NEW))
        assert rig.agent.status().unlocked

    asyncio.run(story())
