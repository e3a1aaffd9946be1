"""What ownerd adds to the token's own time: a whole unlock, and finding the token and letting it approve.

The card answers at once, whatever it computes is taken off (the floor is that time), the person touches or types at
once. An unlock is `Agent.unlock` on the real store, from the call to the durable entry.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from tests.rigs._piv_applet import PIN
from tests.rigs.core import APP, CoreRig, make_core, seal

from bench.card import OwnTime, fido2_card, piv_card
from bench.measure import Clock, Row, Scale, medians, timed_async
from bench.rig import scratch
from bench.touch import QuietUi
from ownerd.core.ports import TokenPort
from ownerd.model.secret import Secret
from ownerd.storage.store import SqliteStore

Card = Callable[[OwnTime], AbstractContextManager[Callable[[], TokenPort]]]
CARDS: Final[dict[str, tuple[str, Card]]] = {
    "fido2": ("a FIDO2 token over PC/SC", fido2_card),
    "piv": ("a PIV card", piv_card),
}
AGAINST: Final = "the token's own time for the same, which is taken off"


def rows(scale: Scale) -> Iterator[Row]:
    """Unlock and approve, each over a FIDO2 token and over a PIV card."""
    for kind, (what, make) in CARDS.items():
        found = _measure(make, scale.rounds(60))
        for act, text in (("unlock", "unlock the vault"), ("approve", "find the token and let it approve")):
            said = f"{text}, over the own time of {what} that answers at once"
            yield Row(f"added-{act}-{kind}", said, AGAINST, found[act], found[f"{act}-own"])


def _measure(make: Card, rounds: int) -> dict[str, float]:
    own = OwnTime()
    with make(own) as adapter, scratch() as directory, asyncio.Runner() as runner:
        store = SqliteStore.open(directory / "data" / "ownerd.db")
        acts = Acts(runner, store, adapter)
        samples = {
            "unlock": lambda: own.without(acts.unlock),
            "unlock-own": lambda: own.last,
            "approve": lambda: own.without(acts.approve),
            "approve-own": lambda: own.last,
        }
        try:
            return medians(samples, rounds)
        finally:
            runner.run(store.close())


class Acts:
    """A vault that one card opens. Each start is a new adapter, as the daemon's is."""

    def __init__(
        self,
        runner: asyncio.Runner,
        store: SqliteStore,
        adapter: Callable[[], TokenPort],
        clock: Clock = time.perf_counter,
    ) -> None:
        self._runner, self._store, self._adapter, self._clock = runner, store, adapter, clock
        rig = self._start()
        token = runner.run(rig.agent.tokens())[0]
        message = seal(rig, token=token.id, user_verification=token.has_pin)
        runner.run(rig.agent.setup(APP, message, rig.job()))
        (self._keyslot,) = runner.run(rig.session.keyslots()).values()
        self._tokens = adapter()

    def unlock(self) -> float:
        """Seconds of an unlock after a fresh start."""
        rig = self._start()
        seconds = self._runner.run(timed_async(lambda: rig.agent.unlock(APP, rig.job()), clock=self._clock))
        # What goes on behind an unlock would meet the next start at the same token.
        self._runner.run(_ended(rig.session.renewing))
        return float(seconds)

    def approve(self) -> float:
        """Seconds from looking for the token to its verified answer with one secret."""

        async def act() -> None:
            found = await self._tokens.locate([self._keyslot.credential])
            await self._tokens.approve(found, os.urandom(32), [self._keyslot.slot.handle], ui=TypingUi())

        return self._runner.run(timed_async(act, clock=self._clock))

    def _start(self) -> CoreRig:
        rig = make_core(self._store, port=self._adapter())
        rig.clock.time = time.time_ns() // 1_000_000
        rig.owner.pin = _typed
        self._runner.run(rig.agent.start())
        return rig


async def _ended(task: asyncio.Future[None] | None) -> None:
    if task is not None:
        await asyncio.wait({task})


class TypingUi(QuietUi):
    """A person who types the PIN of a card."""

    async def pin(self, token: Any) -> Secret:
        """The right one."""
        return await _typed(token)


async def _typed(*_: object, **__: object) -> Secret:
    return Secret(PIN)
