"""Invariant 10, many times: SIGKILL at every step of a disclosure and at random, then all is recorded and opens.

A run kills the real daemon once. Fifty are the short mode; ``--long`` makes it a thousand, in chunks of fifty, and one
that fails says how to have it again (``--kill``). What the daemon does between two calls that others can see (steps 4, 7
and 9 of docs/ARCHITECTURE.md compute) a kill before the second one covers whole.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.rigs.bad_days import KILL, Asked, BadWorld

from ownerd.ledger.entry import Leaf
from ownerd.model.errors import OwnerdError
from ownerd.model.names import Kind

RUNS = 50
CHUNKS = [pytest.param(number, marks=[pytest.mark.long] if number else []) for number in range(20)]
SEEN = "wsnubpo"
FILES = {"ownerd.db", "ownerd.db-wal", "ownerd.db-shm", "ownerd.lock"}
DELIVERED_SECONDS = 0.2  # `request.DELIVERY_SECONDS`, `journal.NOTE_SECONDS`, and the writing
# The first call that others see of each numbered step; the steps between them have none.
STEPS = {
    1: "b bus GetConnectionCredentials",
    2: "b bus",
    3: "o shop.pem",
    5: "b bus Progress",
    6: "p pipe",
    8: "b softtoken-1.sock",
    10: "w ownerd.db-wal",
    11: "b bus Response",
}

Got = list[tuple[Asked, dict[str, Any]]]


class Runs:
    """One vault that is killed again and again, and what its apps got from it."""

    def __init__(self, world: BadWorld) -> None:
        self.world = world
        self.before: list[Leaf] = []
        self.released: dict[int, Kind] = {}
        self.hit: set[str] = set()

    async def begin(self) -> None:
        """Set up, with a grant for one claim."""
        self.world.start()
        await self.world.set_up()
        await self.world.set("given_name", "Ada")
        await self.world.set("email", "ada@example.org")
        await self.world.grant()

    async def open(self) -> None:
        """Start the daemon and open the vault: it must."""
        self.world.start()
        await self.world.unlock()

    async def settle(self) -> None:
        """Wait until nothing goes on: after unlock the head on the token is renewed."""
        self.world.day.choose(0, SEEN, 1 << 30)
        seen = -1
        while seen != len(self.world.day.calls):
            seen = len(self.world.day.calls)
            await asyncio.sleep(0.05)

    async def touched(self, *, willing: bool = True) -> Got:
        """One disclosure that needs approval and touch, or is refused."""
        self.world.person.willing = willing
        asked = self.world.request(claim="email")
        try:
            async with self.world.client() as app:
                results = await asyncio.wait_for(self.world.present(asked, app), 20)
                await asyncio.sleep(DELIVERED_SECONDS)
        except OwnerdError:
            return []
        return [(asked, results)]

    async def crowd(self, answers: int, seconds: float, at: int | None) -> Got:
        """Two apps with a grant and one unsigned that needs touches: killed ``seconds`` after so many answers, or at a call."""
        self.world.person.willing = True
        got: Got = []

        ready = asyncio.Barrier(4)

        async def app(*, signed: bool) -> None:
            async with self.world.client() as made:
                asked = self.world.request(signed=signed)
                await ready.wait()
                while True:
                    got.append((asked, await self.world.present(asked, made)))
                    asked = self.world.request(signed=signed)

        kinds = (True, True, False)
        apps = [asyncio.ensure_future(app(signed=signed)) for signed in kinds]
        await ready.wait()
        if at is not None:
            self.world.day.choose(KILL, SEEN, at)
        assert self.world.daemon is not None
        async with asyncio.timeout(30):
            while len(got) < answers and self.world.daemon.process.poll() is None:
                await asyncio.sleep(0.001)
        await asyncio.sleep(seconds)
        self.world.kill()
        for one in apps:
            with pytest.raises(OwnerdError):
                await asyncio.wait_for(one, 20)
        return got

    def check(self, got: Got) -> None:
        """The ledger verifies and only grew; what left is in it, once each; no file is left over."""
        now = self.world.verified()
        assert now[: len(self.before)] == self.before, "what was in the ledger is in it"
        self.before = now
        for asked, results in got:
            asked.claims_of(results)
            leaf = now[results["entry"]]
            assert leaf.core.kind is Kind.DISCLOSURE
            assert leaf.approval is not None or "grant" in leaf.core.facts
            assert results["entry"] not in self.released, "one answer, one entry"
            self.released[results["entry"]] = leaf.core.kind
        assert {path.name for path in self.world.stage.database.parent.iterdir()} <= FILES


async def _trace(runs: Runs) -> list[str]:
    """The calls of one whole disclosure that others can see."""
    runs.world.day.choose(0, SEEN, 1 << 30)
    runs.check(await runs.touched())
    return runs.world.day.calls


Place = tuple[str, int]  # a call (any that others see where it is empty), and which of these


def _place(calls: list[str], at: int) -> Place:
    """The call at an index, counted among its like: what happens beside it may come a little earlier or later."""
    return calls[at], calls[: at + 1].count(calls[at])


def _steps(calls: list[str]) -> list[int]:
    """Calls to be killed at for certain: the first of every step, of its sync, and of what follows the answer."""
    first = {calls.index(call) for call in STEPS.values()}
    answered = calls.index(STEPS[11])
    first.add(answered + 1 + calls[answered + 1 :].index(STEPS[10]))
    first.add(calls.index("s ownerd.db-wal"))
    return sorted(first)


class Plan:
    """The kills of one chunk; each has dice of its own, so that any one can be had again."""

    def __init__(self, chunk: int, calls: list[str]) -> None:
        self.chunk, self.calls = chunk, calls
        steps = _steps(calls)
        rest = [at for at in range(len(calls) + 1) if at not in steps]
        others = random.Random(chunk).sample(rest, RUNS // 2 - len(steps))
        self.steps = len(steps)
        self.places = [_place(calls, at) for at in steps] + [("", at + 1) for at in others]

    async def kill(self, runs: Runs, number: int) -> None:
        """Kill once: the first half at a call of one disclosure, the others amid three apps."""
        world = runs.world
        await runs.open()
        if number < len(self.places):
            await runs.settle()
            only, at = self.places[number]
            world.day.choose(KILL, SEEN, at, only=only)
            print(f"kill {number}: at call {at} of {only or 'any'}, {len(self.calls)} in all")
            # Step 12: a few are refused.
            got = await runs.touched(willing=number < self.steps or number % 3 != 0)
            world.kill()
            if world.day.hit:
                runs.hit.add(only)
        else:
            dice = random.Random(f"{self.chunk}.{number}")
            at = dice.randrange(1, 150) if dice.random() < 0.5 else None
            answers, seconds = dice.randrange(5), dice.uniform(0, 0.05)
            print(f"kill {number}: {seconds:.3f} s after {answers} answers, or at call {at}")
            got = await runs.crowd(answers, seconds, at)
        runs.check(got)


@pytest.fixture
def say(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print past the capturing in the long mode, by all workers; else nowhere."""

    def said(text: str) -> None:
        if request.config.getoption("--long"):
            with capfd.disabled():
                sys.stderr.write(text + "\n")
                sys.stderr.flush()

    return said


@pytest.mark.timeout(900)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_whenever_it_is_killed_all_is_recorded_and_opens(
    bad_world: BadWorld, chunk: int, request: pytest.FixtureRequest, say: Callable[[str], None]
) -> None:
    runs, only = Runs(bad_world), request.config.getoption("--kill")

    async def story() -> None:
        await runs.begin()
        plan = Plan(chunk, await _trace(runs))
        bad_world.kill()
        for number in range(RUNS) if only is None else [only]:
            try:
                await plan.kill(runs, number)
            except BaseException as error:
                error.add_note(f"again: ./dev test --long -n 0 '{request.node.nodeid}' --kill {number}")
                raise
            if number % 10 == 9:
                say(f"chunk {chunk}: {number + 1} of {RUNS} kills, {len(runs.released)} answers")
        await runs.open()
        async with bad_world.client() as tool:
            (status,) = await tool.owner_call("Agent", "Status")
        assert status["unlocked"]
        assert status["claims"] == 2

    asyncio.run(story())
    recorded = sum(leaf.core.kind is Kind.DISCLOSURE for leaf in runs.before)
    # Each run may have killed what was recorded and not yet released, of three apps at most; no more than that.
    assert recorded <= len(runs.released) + RUNS * 3 + 1
    if only is None:
        assert set(STEPS.values()) <= runs.hit, "each numbered step was killed at"
        assert len(runs.released) > RUNS // 5, "hardly anything was released: nothing was tried"
