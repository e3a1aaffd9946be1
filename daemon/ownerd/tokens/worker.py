"""One thread per token: every device call runs there, so the event loop never waits for hardware.

Not a `ThreadPoolExecutor`: its threads are joined at exit, and locking ends the process (DESIGN section 5)
even while a card reader blocks for half a minute.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from ownerd.tokens.limit import CANCEL_GRACE_SECONDS, Limit

T = TypeVar("T")

ABANDON_SECONDS: Final = CANCEL_GRACE_SECONDS + 0.5


class StepTimeout(Exception):
    """A step did not end in time. ``abandoned``: its thread still hangs in the device call."""

    def __init__(self, *, abandoned: bool) -> None:
        super().__init__("a token step took too long")
        self.abandoned = abandoned


class Worker:
    """A daemon thread that runs one call after the other. Started at the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._abandoned: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Whether a call that everybody gave up on still holds the thread."""
        return self._abandoned is not None and not self._abandoned.done()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue ``work``."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._jobs.put((future, work))
        return future

    def stop(self) -> None:
        """End the thread after what is queued."""
        if self._thread is not None:
            self._jobs.put(None)

    async def run(
        self,
        work: Callable[[], T],
        limit: Limit,
        timeout_seconds: float,
        *,
        begin_seconds: float | None = None,
    ) -> T:
        """Run ``work`` on the thread and return its result.

        Cancelling the caller, or the timeout, cancels ``limit``; either way the thread is waited for, for at
        most `ABANDON_SECONDS`, and a result that comes after that is dropped: whoever asked was told that it
        is over. With ``begin_seconds`` it is given up on, and not waited for, when it has not ``begun`` by then.

        Raises `StepTimeout`, `asyncio.CancelledError`, and whatever ``work`` raises.
        """
        future = self.submit(work)
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_consume)
        try:
            if begin_seconds is not None:
                done, _ = await asyncio.wait({waiting}, timeout=begin_seconds)
                if not done and not limit.begun:
                    limit.cancel()
                    self._abandon(future, waiting)
                    raise StepTimeout(abandoned=True)
            done, _ = await asyncio.wait({waiting}, timeout=timeout_seconds)
        except asyncio.CancelledError:
            await self._end(future, waiting, limit)
            raise
        if not done:
            await self._end(future, waiting, limit)
            late = waiting.exception() if waiting.done() and not waiting.cancelled() else None
            raise StepTimeout(abandoned=self.stuck) from late
        return waiting.result()

    async def _end(self, future: Future[T], waiting: asyncio.Future[T], limit: Limit) -> None:
        limit.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=ABANDON_SECONDS)
        if not done:
            self._abandon(future, waiting)

    def _abandon(self, future: Future[T], waiting: asyncio.Future[T]) -> None:
        self._abandoned = future
        waiting.cancel()  # not started yet: it never will; running: nobody listens any more

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
            # A finished job may hold secrets: do not keep it until the next one comes.
            del job, future, work


def _consume(future: asyncio.Future[Any]) -> None:
    # Nobody may be left to look at the outcome of an abandoned call; asyncio would log it.
    if not future.cancelled():
        future.exception()
