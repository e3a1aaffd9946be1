"""When the process ends by itself: unlocked and idle, or locked and of no use to anybody.

Nothing runs that nobody needs: D-Bus activation starts a fresh daemon at the next call. What waits for its owner is
kept alive, and so is a terminal that is lent. A client looks the daemon up once for all its calls, so that one that
has called and is still on the bus is waited for, too, as long as an open vault would be. And an app that was refused
could forget its pause by letting the process end: nothing ends before the longest pause is over.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Final, Protocol

from ownerd.core.budget import MAX_COOL_DOWN_MS, Budget
from ownerd.core.service import AgentService
from ownerd.model.caller import Caller

_LOOK_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class EndingAgent(AgentService, Protocol):
    """The agent, as far as its end goes."""

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last act ended; 0 while one runs, and while there is nothing to lock."""

    def lock(self, reason: str) -> None:
        """Lock and end."""


class Calls(Protocol):
    """What the bus knows of those who call; `ownerd.bus.service` has it."""

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the last call."""

    @property
    def has_callers(self) -> bool:
        """Whether a connection that has called is still there."""

    @property
    def has_lender(self) -> bool:
        """Whether a terminal is lent to prompts."""


class LastingBudget(Budget):
    """A budget that knows how long its pauses need this process."""

    _refused_at = -math.inf

    def refused(self, caller: Caller) -> None:
        """As `Budget.refused`."""
        super().refused(caller)
        self._refused_at = time.monotonic()

    @property
    def pause_seconds(self) -> float:
        """Seconds until no pause can be left; not above 0 when there is none."""
        return self._refused_at + MAX_COOL_DOWN_MS / 1000 - time.monotonic()


async def end_when_idle(
    agent: EndingAgent, calls: Calls, budget: LastingBudget, *, idle_seconds: int, locked_seconds: int
) -> None:
    """Lock after ``idle_seconds`` without use, and end a locked process that has been of no use for its time."""
    while True:
        if agent.status().unlocked:
            left, reason = idle_seconds - agent.idle_seconds, "idle"
        else:
            left, reason = _unused_left(agent, calls, idle_seconds, locked_seconds), "unused"
            left = max(left, budget.pause_seconds)
        if left <= 0:
            logger.info(
                "%s, ending; the next call starts the daemon anew where D-Bus may activate it", reason
            )
            agent.lock(reason)
            return
        await asyncio.sleep(min(left, _LOOK_SECONDS) + 0.01)


def _unused_left(agent: EndingAgent, calls: Calls, idle_seconds: int, locked_seconds: int) -> float:
    """Seconds until a locked process ends unless it is called; never 0 while something waits."""
    if agent.pending() or calls.has_lender:
        return _LOOK_SECONDS
    return (max(idle_seconds, locked_seconds) if calls.has_callers else locked_seconds) - calls.quiet_seconds
