"""No test leaves a thread at work: one that spins for ever would take a core from all tests that come later."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

LOOK_SECONDS = 0.02
SECONDS = 5.0


@pytest.fixture(scope="module", autouse=True)
def no_thread_spins() -> Iterator[None]:
    """Fails where the process goes on working when a module's tests are over."""
    yield
    deadline = time.monotonic() + SECONDS
    while _is_busy():
        if time.monotonic() > deadline:
            names = {one.ident: one.name for one in threading.enumerate()}
            stacks = (
                f"{names.get(ident)}:\n{''.join(traceback.format_stack(frame))}"
                for ident, frame in sys._current_frames().items()
                if ident != threading.get_ident()
            )
            pytest.fail("a thread is still at work; these are there:\n" + "\n".join(stacks), pytrace=False)


def _is_busy() -> bool:
    began = time.process_time()
    time.sleep(LOOK_SECONDS)
    return time.process_time() - began > LOOK_SECONDS / 4
