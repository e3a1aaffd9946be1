"""The disk is full, read-only or broken at any write of the real daemon: an error by name, nothing released or lost.

The N-th call below the data directory fails (tests/misbehaving/bad_day.c), and N goes on until the act is done before
it. One vault lives through all of it, and one daemon through an act; ``--long`` tries every N instead of some, and opens
the vault anew after each.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from demo.stage import Stage
from tests.rigs.bad_days import HALF, SHORT, BadWorld
from tests.rigs.bus import require_rig

from ownerd.ledger.entry import Leaf
from ownerd.model.errors import StorageError
from ownerd.model.names import Kind

DELIVERED_SECONDS = 0.2  # `request.DELIVERY_SECONDS`, `journal.NOTE_SECONDS`, and the writing
NEVER = 1 << 30


@dataclass(frozen=True)
class Fault:
    """What goes wrong, at which kinds of calls, and whether from then on all of them do."""

    what: int
    kinds: str
    lasting: bool = False
    stride: int = 3

    def choose(self, world: BadWorld, at: int) -> None:
        world.day.choose(self.what, self.kinds, at, lasting=self.lasting)


FAULTS = {
    "full": Fault(errno.ENOSPC, "wn", lasting=True),
    "read-only": Fault(errno.EROFS, "wnu", lasting=True),
    "write refused": Fault(errno.EIO, "w"),
    "half written": Fault(SHORT, "w"),
    "sync refused": Fault(errno.EIO, "s", stride=1),
}
every_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
pytestmark = pytest.mark.timeout(900)

Act = Callable[[], Awaitable[object]]


@dataclass
class Trial:
    """One act of the daemon, over and over, with a later call failing each time."""

    world: BadWorld
    fault: Fault
    makes: Kind
    long: bool
    sparse: int = 1

    async def every_write(self, act: Act, again: Act | None = None) -> list[str]:
        """Let each write of ``act`` fail; ``again`` undoes it where it was done. Returns the names of the errors."""
        world, at, said = self.world, 1, []
        while True:
            before = world.verified()
            self.fault.choose(world, at)
            try:
                await act()
                error = None
            except StorageError as refused:
                error = refused
                said.append(str(refused))
            hit = world.day.hit
            world.day.calm()
            self._check(before, world.verified(), done=error is None)
            if not hit:
                assert error is None
                break
            if self.long:
                await self.reopen()
            if again is not None and (error is None or (self.long and world.verified())):
                await again()
            at += 1 if self.long else self.fault.stride * self.sparse
        assert at > 1, "no write was ever tried"
        await self.reopen()
        return said

    def _check(self, before: list[Leaf], now: list[Leaf], *, done: bool) -> None:
        """What was there is there; the act's entry came if, and only if, it was done."""
        assert now[: len(before)] == before
        new = [leaf.core.kind for leaf in now[len(before) :]]
        assert (self.makes in new) is done, (new, done)
        assert set(new) <= {self.makes, Kind.FAILED, Kind.DELIVERED, Kind.GENESIS}

    async def reopen(self) -> None:
        """Kill the daemon, and open the vault anew where there is one."""
        world = self.world
        world.kill()
        world.start()
        if world.verified():
            await world.unlock()
        world.verified()


@pytest.fixture(scope="module")
def lasting_world() -> Iterator[BadWorld]:
    """One vault that lives through every fault of this file."""
    require_rig("dbus-daemon", "pinentry-tty", "gcc")
    with Stage() as stage:
        stage.start_bus()
        world = BadWorld(stage)
        yield world
        world.kill()


async def _ready(world: BadWorld) -> None:
    world.kill()
    world.start()
    if world.verified():
        await world.unlock()
    else:
        await world.set_up()
        await world.set("given_name", "Ada")
        await world.grant()  # so that a disclosure takes no touch


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


@every_fault
def test_a_set_up_is_whole_or_none(bad_world: BadWorld, fault: Fault, long: bool) -> None:
    async def anew() -> None:
        bad_world.kill()
        shutil.rmtree(bad_world.stage.database.parent)
        bad_world.start()

    async def story() -> None:
        bad_world.start()
        trial = Trial(bad_world, fault, Kind.TOKEN_ENROLLED, long, sparse=2)
        assert await trial.every_write(bad_world.set_up, anew)

    asyncio.run(story())


@every_fault
def test_a_disclosure_leaves_only_when_it_is_on_the_disk(
    lasting_world: BadWorld, fault: Fault, long: bool
) -> None:
    async def disclose() -> None:
        asked = lasting_world.request()
        async with lasting_world.client() as app:
            asked.claims_of(await lasting_world.present(asked, app))
            await asyncio.sleep(DELIVERED_SECONDS)

    async def story() -> None:
        await _ready(lasting_world)
        assert await Trial(lasting_world, fault, Kind.DISCLOSURE, long).every_write(disclose)

    asyncio.run(story())


def test_a_write_that_takes_only_half_is_gone_on_with(lasting_world: BadWorld, long: bool) -> None:
    async def change() -> None:
        await lasting_world.set("nickname", "Countess")

    async def story() -> None:
        await _ready(lasting_world)
        trial = Trial(lasting_world, Fault(HALF, "w"), Kind.OWNER_CHANGE, long)
        assert await trial.every_write(change) == []

    asyncio.run(story())


@every_fault
def test_an_owners_change_is_whole_or_none(lasting_world: BadWorld, fault: Fault, long: bool) -> None:
    async def change() -> None:
        await lasting_world.set("nickname", "Countess")

    async def story() -> None:
        await _ready(lasting_world)
        assert await Trial(lasting_world, fault, Kind.OWNER_CHANGE, long).every_write(change)

    asyncio.run(story())


@every_fault
def test_a_vault_opens_only_when_that_is_on_the_disk(
    lasting_world: BadWorld, fault: Fault, long: bool
) -> None:
    async def locked() -> None:
        lasting_world.kill()
        lasting_world.start()

    async def story() -> None:
        await _ready(lasting_world)
        await locked()
        await Trial(lasting_world, fault, Kind.UNLOCKED, long, sparse=2).every_write(
            lasting_world.unlock, locked
        )

    asyncio.run(story())


@every_fault
def test_a_lock_ends_the_daemon_whatever_the_disk_does(
    lasting_world: BadWorld, fault: Fault, long: bool
) -> None:
    """Its entry may be missing, the keys must not stay."""

    async def story() -> None:
        await _ready(lasting_world)
        at, unrecorded = 1, 0
        while True:
            before = len(lasting_world.verified())
            fault.choose(lasting_world, at)
            await lasting_world.lock()
            assert lasting_world.daemon is not None
            assert lasting_world.daemon.wait(10) == 0, lasting_world.daemon.text
            hit, text = lasting_world.day.hit, lasting_world.daemon.text
            lasting_world.kill()
            new = [leaf.core.kind for leaf in lasting_world.verified()[before:]]
            assert new in ([], [Kind.LOCKED])
            if not new:
                unrecorded += 1
                assert "the lock is not recorded" in text
            lasting_world.start()
            await lasting_world.unlock()
            if not hit:
                break
            at += 1 if long else fault.stride * 4
        assert unrecorded

    asyncio.run(story())
