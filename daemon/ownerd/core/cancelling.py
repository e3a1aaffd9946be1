"""Cancelling that is seen to its end: what was given up has stopped before anything else begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ownerd.model.errors import Dismissed


@asynccontextmanager
async def unless_refused(refusal: asyncio.Event) -> AsyncIterator[None]:
    """Cancel the block once ``refusal`` is set; raises `Dismissed` then."""
    task = asyncio.current_task()
    assert task is not None, "acts run as tasks"
    cancelling, refused = task.cancelling(), False

    async def watch() -> None:
        nonlocal refused
        await refusal.wait()
        refused = True
        task.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        yield
    except asyncio.CancelledError as error:
        if refused and task.uncancel() <= cancelling:
            raise Dismissed("the owner refused") from error
        raise
    finally:
        watching.cancel()  # not awaited: from here on it must not run any more


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel and wait, cancelled or not: a prompt must be closed before the next one opens."""
    for task in tasks:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, or asyncio would complain of it
    if cancelled is not None:
        raise cancelled
