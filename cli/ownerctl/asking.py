"""One call that is answered through a Request object: its signals, its end, its cancellation.

Any process may send a signal that looks like an answer, so only those of the daemon's connection, for this
handle, count.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol

from ownerctl.errors import AgentGone, NoBus
from ownerd.dbuslib import Message, Variant
from ownerd.model.errors import Cancelled, OwnerdError
from ownerd.model.names import REQUEST_INTERFACE

DONE = 0
COUNTER_OFFER = 3
CANCEL_SECONDS = 3.0

Answer = tuple[int, dict[str, Any]]


class Observer(Protocol):
    """Takes what the daemon waits for."""

    def show(self, state: str, details: Mapping[str, str | int], /) -> None:
        """A new state began."""


def plain(value: Any) -> Any:
    """Strip the variants off a D-Bus value, all the way down."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(member) for member in value]
    return value


class Asking:
    """A call under way. Made before the call, so that no signal of it is missed.

    ``daemon`` is the unique name that may answer, ``handle`` the object path that was asked for.
    """

    def __init__(self, daemon: str, handle: str, observer: Observer) -> None:
        self.handle = handle
        self._daemon = daemon
        self._observer = observer
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def receive(self, message: Message) -> None:
        """Take a signal, if it is one of this call."""
        if (message.sender, message.path, message.interface) != (
            self._daemon,
            self.handle,
            REQUEST_INTERFACE,
        ):
            return
        if message.member == "Progress" and message.signature == "sa{sv}":
            state, details = message.body
            self._observer.show(state, plain(details))
        elif message.member == "Response" and message.signature == "ua{sv}" and not self._answer.done():
            code, results = message.body
            self._answer.set_result((code, plain(results)))

    def lose(self) -> None:
        """The daemon is gone, and with it the answer, unless it came before."""
        if not self._answer.done():
            self._answer.set_exception(AgentGone("the daemon ended before it answered"))

    def close(self) -> None:
        """Nobody waits any more."""
        if not self._answer.cancel() and not self._answer.cancelled():
            self._answer.exception()  # looked at, or asyncio complains on standard error

    async def wait(
        self, bus_closed: Coroutine[Any, Any, None], cancel: Callable[[], Awaitable[object]]
    ) -> Answer:
        """Wait for the answer. Raises `AgentGone`, `NoBus`, and `KeyboardInterrupt` after a Ctrl-C.

        The first Ctrl-C calls ``cancel`` and waits shortly for what becomes of it; a second one does not.
        """
        loop = asyncio.get_running_loop()
        interrupted = asyncio.Event()
        loop.add_signal_handler(signal.SIGINT, interrupted.set)
        others = [asyncio.create_task(bus_closed), asyncio.create_task(interrupted.wait())]
        try:
            waits: list[asyncio.Future[Any]] = [self._answer, *others]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._answer.done():
                return self._answer.result()
            if others[0].done():
                raise NoBus("the session bus closed the connection")
            loop.remove_signal_handler(signal.SIGINT)
            return await self._cancelled(cancel)
        finally:
            for other in others:
                other.cancel()
            loop.remove_signal_handler(signal.SIGINT)

    async def _cancelled(self, cancel: Callable[[], Awaitable[object]]) -> Answer:
        with suppress(OwnerdError):
            await cancel()
        with suppress(TimeoutError, AgentGone):
            async with asyncio.timeout(CANCEL_SECONDS):
                code, results = await self._answer
            if code == DONE:
                return code, results  # too late to cancel: it was released and recorded, so it is shown
        raise KeyboardInterrupt from Cancelled("cancelled")
