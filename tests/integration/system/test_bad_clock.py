"""The wall clock is a year wrong: entries keep their order, what is not valid now is refused by name, and it passes."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from demo import provider_kit as kit
from tests.rigs.bad_days import CLAIM, Asked, BadWorld

from ownerd.model.errors import ClockWrong, NotAllowed

AHEAD = (
    ("NotAllowed", "the certificate chain does not hold for this name, time and trust"),
    ("Refused", "the credential is from the future"),
)
BEHIND = (
    ("ClockWrong", "the request is valid at the newest entry's time, and not by the clock"),
    ("Refused", "the credential has expired"),
)
YEAR = 365 * 24 * 3600
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("restarted", [True, False], ids=["at a start", "while unlocked"])
@pytest.mark.parametrize("shift", [-YEAR, YEAR], ids=["back", "ahead"])
def test_a_clock_that_is_a_year_wrong(bad_world: BadWorld, shift: int, restarted: bool) -> None:
    """Time never runs back along the ledger, and once the clock is right, all is served again (decisions/0019)."""
    world = bad_world
    said: set[tuple[str, str]] = set()

    async def restart() -> None:
        if restarted:
            await world.end()
            world.start()
            await world.unlock()

    async def served(asked: Asked) -> bool:
        """Whether it is answered with something that a provider believes."""
        try:
            return asked.claims_of(await world.present(asked)) == {CLAIM: "Ada"}
        except (kit.Refused, NotAllowed, ClockWrong) as refused:
            said.add((type(refused).__name__, str(refused)))
        return False

    async def story() -> None:
        world.start()
        await world.set_up()
        await world.set(CLAIM, "Ada")
        await world.grant()
        for wrong in (shift, 0):
            world.day.shift(wrong)
            await restart()
            for signed in (True, False):
                assert await served(world.request(signed=signed)) is (wrong == 0)
            await world.set("nickname", f"shifted by {wrong}")
        # The second of each pair is what the provider says of an answer to an unsigned request.
        assert said == {*(AHEAD if shift > 0 else BEHIND)}
        leaves = world.verified()
        ahead = [leaf for leaf in leaves if leaf.core.time > f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"]
        assert bool(ahead) is (shift > 0)

    asyncio.run(story())
