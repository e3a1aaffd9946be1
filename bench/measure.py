"""What a measurement is: one row, its floor of the same run, and how the two are sampled.

A sample is a callable that does its work once and returns the seconds that the work took, its own preparation
left out. Samples of a row are interleaved (A B A B …), so that a machine that gets slower meanwhile is slow for
both; the first rounds only warm up; the median of the others counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

Sample = Callable[[], float]
Clock = Callable[[], float]
WARM_UP: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report. ``ours`` and ``floor`` are in ``unit``: ``s`` (seconds) or ``B`` (bytes)."""

    name: str
    what: str
    against: str
    ours: float
    floor: float
    unit: str = "s"
    more: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many floors it is high."""
        return self.ours / self.floor

    def as_json(self) -> dict[str, Any]:
        """The row for ``--json``."""
        return {
            "name": self.name,
            "what": self.what,
            "against": self.against,
            "unit": self.unit,
            "ours": self.ours,
            "floor": self.floor,
            "ratio": self.ratio,
            "more": self.more,
        }


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work a run is. Quick runs show that everything works; their figures say little.

    ``rows`` are the names of those that are wanted, so that a group may leave out what is for others alone.
    """

    quick: bool
    rows: frozenset[str] = frozenset()

    def wants(self, ending: str) -> bool:
        """Whether a row is wanted whose name ends so."""
        return not self.rows or any(name.endswith(ending) for name in self.rows)

    def rounds(self, full: int) -> int:
        """How many rounds count, where a full run has ``full``."""
        return 3 if self.quick else full

    def pick(self, full: int, quick: int) -> int:
        """A size that a quick run makes smaller."""
        return quick if self.quick else full


def note(text: str) -> None:
    """Say on standard error what is being done."""
    print(f"· {text}", file=sys.stderr, flush=True)


def medians(samples: Mapping[str, Sample], rounds: int, *, warm_up: int = WARM_UP) -> dict[str, float]:
    """Run all samples in turn, ``rounds`` times after warming up; the median of each, in seconds."""
    taken: dict[str, list[float]] = {name: [] for name in samples}
    for number in range(warm_up + rounds):
        for name, sample in samples.items():
            seconds = sample()
            if number >= warm_up:
                taken[name].append(seconds)
    return {name: statistics.median(found) for name, found in taken.items()}


def timed(work: Callable[[], object], *, times: int = 1) -> float:
    """Seconds of one call of ``work``; of ``times`` calls the fastest, for work so short that a task switch hides it."""
    return min(_timed_once(work) for _ in range(times))


def _timed_once(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


async def timed_async(work: Callable[[], Awaitable[object]], *, clock: Clock = time.perf_counter) -> float:
    """Seconds from the call of ``work`` to its result, on the running loop."""
    begin = clock()
    await work()
    return clock() - begin


@contextmanager
def added(into: list[float], *, clock: Clock = time.perf_counter) -> Iterator[None]:
    """Append the seconds that the block takes."""
    begin = clock()
    try:
        yield
    finally:
        into.append(clock() - begin)
