"""Signatures of a ledger on all cores: the walk goes on as if they held, and is repeated where one did not.

`verify_ledger` is a pure function of rows and of what is known about signatures. Each walk hands its checks to worker
processes in batches and believes them; when all have come back good, what it reported is the truth. Checks that failed
are known from then on, and the walk is repeated with that knowledge until it learns nothing new: a failed approval may
mean that a token was never enrolled, so that other checks count. A ledger with too many failures is walked in place,
and so it is when a worker dies. Memory is flat: a few batches per core are under way and no more.

Each worker has a pipe of its own, and no thread stands between: handing batches from thread to thread costs a walk that
is busy in Python a good part of its time.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct, field

from ownerd.ledger.signatures import Check, Settle, holds

if TYPE_CHECKING:
    from ownerd.ledger.verify import Report

SMALL: Final = 300  # entries; below, starting processes costs more than they save
_BATCH: Final = 256  # checks: some 40 ms of work
_AHEAD: Final = 3  # batches under way per core
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
    except _WorkerDied:
        report = None  # it was killed, for want of memory perhaps: what it had in hand was never judged
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


class _WorkerDied(Exception):
    """A worker ended before it was told to."""


class _Worker(Struct):
    process: ForkProcess
    pipe: Connection
    under_way: deque[list[Check]] = field(default_factory=deque)


class _Pool:
    """Worker processes that verify batches of checks."""

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._workers: list[_Worker] = []
        self._batch: list[Check] = []
        self._failed: list[Check] = []

    def __enter__(self) -> Self:
        # Workers leave the database alone, which is open by now: SQLite's locks are the parent's and stay with it.
        # An interrupt waits until they all ignore it: the parent is told to stop and ends them.
        context = get_context("fork")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(self._count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs,), daemon=True)
                process.start()
                theirs.close()  # so that a worker's end is seen here
                self._workers.append(_Worker(process, ours))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._workers:
            one.pipe.close()
            one.process.kill()  # it has nothing that it would have to put away
        for one in self._workers:
            one.process.join()

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
        while any(one.under_way for one in self._workers):
            self._take(None)
        found, self._failed = self._failed, []
        return found

    def _send(self) -> None:
        self._take(0)
        idlest = min(self._workers, key=lambda one: len(one.under_way))
        while len(idlest.under_way) >= _AHEAD:
            self._take(None)
            idlest = min(self._workers, key=lambda one: len(one.under_way))
        try:
            idlest.pipe.send(self._batch)
        except OSError as error:
            raise _WorkerDied from error
        idlest.under_way.append(self._batch)
        self._batch = []

    def _take(self, seconds: float | None) -> None:
        """Take in what has come back; wait ``seconds`` for it, None: until something has."""
        ready = wait([one.pipe for one in self._workers], seconds)
        for one in self._workers:
            if one.pipe not in ready:
                continue
            try:
                wrong = one.pipe.recv()
            except (EOFError, OSError) as error:
                raise _WorkerDied from error
            batch = one.under_way.popleft()
            if len(self._failed) <= _MAX_FAILED:
                self._failed.extend(batch[place] for place in wrong)


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        pipe.send(_failures(batch))


def _failures(batch: list[Check]) -> list[int]:
    return [place for place, check in enumerate(batch) if not holds(check)]


__all__ = ["SMALL", "cores", "verify_on_all_cores"]
