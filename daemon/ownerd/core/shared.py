"""Identical requests of one connection are one: the owner is asked once, and all of them get the one answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from ownerd.core.service import Wishes
from ownerd.model.caller import Caller

T = TypeVar("T")
Key = tuple[str, bytes, Wishes]


def request_key(caller: Caller, request: str, wishes: Wishes) -> Key:
    """What makes two requests the same: who carries it, every byte, and what is wished beside it."""
    digest = hashlib.sha256(request.encode("utf-8", "surrogatepass")).digest()
    return caller.bus_name, digest, wishes


class Shared(Generic[T]):
    """Work under way, by key. It is cancelled when nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[T]] = {}
        self._waiting: dict[Key, int] = {}

    async def run(self, key: Key, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what ``work`` yields, or what the same work of somebody else is yielding."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(work())
            self._tasks[key] = task
            self._waiting[key] = 0
            task.add_done_callback(lambda _done: self._end(key))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done() and self._waiting[key] == 1:
                task.cancel()
                await asyncio.wait({task})
            raise
        finally:
            if key in self._waiting:
                self._waiting[key] -= 1

    def _end(self, key: Key) -> None:
        self._tasks.pop(key, None)
        self._waiting.pop(key, None)
