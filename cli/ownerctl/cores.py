"""Signatures of a ledger on all cores: the walk goes on as if they held, and is repeated where one did not.

`verify_ledger` is a pure function of rows and of what is known about signatures. Each walk hands its checks to worker
processes in batches and believes them; when all have come back good, what it reported is the truth. Checks that failed
are known from then on, and the walk is repeated with that knowledge until it learns nothing new: a failed approval may
mean that a token was never enrolled, so that other checks count. A ledger with too many failures is walked in place,
and so it is when a worker dies. Memory is flat: a few batches per core are under way and no more.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

from ownerd.ledger.signatures import Check, Settle, holds

if TYPE_CHECKING:
    from ownerd.ledger.verify import Report

SMALL: Final = 2000  # entries; below, starting processes costs more than they save
_BATCH: Final = 256  # checks: some 40 ms of work
_AHEAD: Final = 6  # batches under way per core
_MAX_WALKS: Final = 4
_MAX_FAILED: Final = 2000


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def verify_on_all_cores(
    walk: Callable[[Settle], Report], entries: int, *, workers: int | None = None
) -> Report:
    """Return what ``walk`` reports of a ledger with ``entries`` entries.

    ``walk`` verifies the whole ledger from its first row, given how a signature is settled; it may be called
    several times.
    """
    workers = cores() if workers is None else workers
    if workers < 2 or entries < SMALL:
        return walk(holds)
    try:
        with _Pool(workers) as pool:
            report = _settled(walk, pool)
    except BrokenProcessPool:
        report = None  # a worker was killed, for want of memory perhaps: what it had in hand was never judged
    return walk(holds) if report is None else report


def _settled(walk: Callable[[Settle], Report], pool: _Pool) -> Report | None:
    """Walk until a walk teaches nothing new; None: too many signatures fail, or too many walks would be needed."""
    failed: set[Check] = set()
    for _ in range(_MAX_WALKS):
        known = len(failed)
        report = walk(pool.settle(failed))
        failed.update(pool.finish())
        if len(failed) == known:
            return report
        if len(failed) > _MAX_FAILED:
            break
    return None


class _Pool:
    """Worker processes that verify batches of checks."""

    def __init__(self, workers: int) -> None:
        # Forked before the executor's own threads run. Workers leave the database alone, which is open by then:
        # SQLite's locks are the parent's and stay with it.
        self._executor = ProcessPoolExecutor(workers, mp_context=get_context("fork"), initializer=_begin)
        self._interrupted = False
        self._before: signal.Handlers | Callable[[int, FrameType | None], object] | int | None = None
        self._ahead = workers * _AHEAD
        self._batch: list[Check] = []
        self._under_way: deque[tuple[list[Check], Future[list[int]]]] = deque()
        self._failed: list[Check] = []

    def __enter__(self) -> Self:
        # An interrupt in the middle of the executor's own steps would leave its workers waiting, or its end
        # complaining: it is noted, and raised between two batches.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupted = True

    def _check(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self._check()

    def settle(self, failed: set[Check]) -> Settle:
        """Begin a walk: believe every check but those that are known to fail."""

        def later(check: Check) -> bool:
            if failed and check in failed:
                return False
            self._batch.append(check)
            if len(self._batch) >= _BATCH:
                self._send()
            return True

        return later

    def finish(self) -> list[Check]:
        """End a walk: the checks that failed in it."""
        if self._batch:
            self._send()
        while self._under_way:
            self._take()
        found, self._failed = self._failed, []
        return found

    def _send(self) -> None:
        self._check()
        if len(self._under_way) >= self._ahead:
            self._take()
        self._under_way.append((self._batch, self._executor.submit(_failures, self._batch)))
        self._batch = []

    def _take(self) -> None:
        self._check()
        batch, result = self._under_way.popleft()
        wrong = result.result()
        if len(self._failed) <= _MAX_FAILED:
            self._failed.extend(batch[place] for place in wrong)


def _begin() -> None:
    # The parent is told to stop and ends its workers; they say nothing themselves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _failures(batch: list[Check]) -> list[int]:
    return [place for place, check in enumerate(batch) if not holds(check)]


__all__ = ["SMALL", "cores", "verify_on_all_cores"]
