"""Who called: the message's sender, and from it a `Caller`.

Owns the one place where a sender is read. It trusts the bus daemon (unique name, uid, pid) and nothing else:
what /proc says of the pid is a label. Invariant 7: whatever goes wrong in a look-up gives ``unknown``.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from ownerd.bus.label import UNKNOWN_LABEL, clean_label, parse_security_label
from ownerd.bus.process import ProcessGone, read_label
from ownerd.dbuslib import DBusError, MessageBus, Variant, call_bus_daemon
from ownerd.model.caller import Caller, Confidence
from ownerd.model.errors import NotAllowed

LOOK_UP_SECONDS: Final = 3.0
MAX_READERS: Final = 4
MAX_CONNECTIONS: Final = 128  # of which the credentials are kept; each may hold a descriptor

_sender: ContextVar[str] = ContextVar("sender")


def note_sender(name: str) -> None:
    """Remember who sent the message that is being handled, for everything that handles it."""
    _sender.set(name)


def current_sender() -> str:
    """Unique name of the caller of the exported method that runs now."""
    return _sender.get()


class Credentials(Struct, frozen=True):
    """What the bus daemon says of a connection. ``pid_fd`` belongs to the holder, who closes it."""

    uid: int | None
    pid: int | None
    pid_fd: int | None
    security_label: bytes

    def borrow(self) -> Credentials:
        """The same with a descriptor of its own. Raises `OSError` when there are too many."""
        return self if self.pid_fd is None else replace(self, pid_fd=os.dup(self.pid_fd))

    def close(self) -> None:
        """Close the descriptor."""
        if self.pid_fd is not None:
            os.close(self.pid_fd)


class Callers:
    """Looks callers up.

    ``own_uid`` (default: ours) is the only uid that is served; ``proc`` is where procfs is mounted; ``read``
    is what reads a label there, and may take ``read_seconds``.
    """

    def __init__(
        self,
        bus: MessageBus,
        *,
        own_uid: int | None = None,
        proc: Path = Path("/proc"),
        read: Callable[[Path, int, float], tuple[str, Confidence] | None] = read_label,
        read_seconds: float = LOOK_UP_SECONDS,
    ) -> None:
        self._bus = bus
        self._own_uid = os.getuid() if own_uid is None else own_uid
        self._proc = proc
        self._read_label = read
        self._read_seconds = read_seconds
        self._readers = asyncio.Semaphore(MAX_READERS)
        self._asked: dict[str, asyncio.Task[Credentials]] = {}

    async def current(self) -> Caller:
        """`look_up` of the caller of the exported method that runs now."""
        return await self.look_up(current_sender())

    async def look_up(self, sender: str) -> Caller:
        """Return the `Caller` behind a unique name. Raises `NotAllowed` for another user's."""
        called_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            credentials = (await self._credentials(sender)).borrow()
        except (DBusError, OSError, TimeoutError, ValueError):
            return Caller(sender, None, UNKNOWN_LABEL, Confidence.UNKNOWN)
        try:
            if credentials.uid is not None and credentials.uid != self._own_uid:
                raise NotAllowed("another user's process is not served")
            label, confidence = await self._label(credentials, called_at)
        finally:
            credentials.close()
        return Caller(sender, credentials.uid, label, confidence)

    async def is_present(self, bus_name: str) -> bool:
        """Whether the connection is on the bus, at a point after everything that was sent until now."""
        try:
            return bool((await call_bus_daemon(self._bus, "NameHasOwner", "s", [bus_name])).body[0])
        except (DBusError, OSError, TimeoutError):
            return False

    def forget(self, sender: str) -> None:
        """Let go of what is known of a connection: it has left the bus."""
        asked = self._asked.pop(sender, None)
        if asked is not None:
            asked.add_done_callback(_close)

    def close(self) -> None:
        """Forget everybody."""
        for sender in list(self._asked):
            self.forget(sender)

    async def _credentials(self, sender: str) -> Credentials:
        """What the bus daemon says of a connection. It is asked once: a connection's never change, its label may."""
        asked = self._asked.get(sender)
        if asked is None:
            if len(self._asked) >= MAX_CONNECTIONS:
                self.forget(next(iter(self._asked)))
            asked = self._asked[sender] = asyncio.ensure_future(self._ask(sender))
        try:
            # Shielded: the answer may bring a descriptor, which must come into somebody's hands.
            found = await asyncio.shield(asked)
        except (DBusError, OSError, TimeoutError, ValueError):
            if self._asked.get(sender) is asked:
                self.forget(sender)
            raise
        if self._asked.get(sender) is not asked:
            raise ConnectionError("the caller has left")  # and its descriptor is closed
        return found

    async def _ask(self, sender: str) -> Credentials:
        reply = await call_bus_daemon(self._bus, "GetConnectionCredentials", "s", [sender])
        return parse_credentials(reply.body[0], list(reply.unix_fds or ()))

    async def _label(self, credentials: Credentials, called_at: float) -> tuple[str, Confidence]:
        snap = parse_security_label(credentials.security_label)
        if snap is not None:
            return snap, Confidence.SANDBOX
        found: tuple[str, Confidence] | None = None
        if credentials.pid is not None:
            pid = credentials.pid
            with suppress(TimeoutError):
                found = await self._read(lambda: self._read_label(self._proc, pid, called_at))
        # The descriptor names the process itself: if it is alive now, /proc/PID was it all along.
        if found is None or (credentials.pid_fd is not None and _has_ended(credentials.pid_fd)):
            return UNKNOWN_LABEL, Confidence.UNKNOWN
        label = clean_label(found[0])
        return (label, found[1]) if label else (UNKNOWN_LABEL, Confidence.UNKNOWN)

    async def _read(
        self, function: Callable[[], tuple[str, Confidence] | None]
    ) -> tuple[str, Confidence] | None:
        """Run ``function`` on a thread that may hang: a caller's root may be a file system of its making.

        The thread is a daemon thread, so that it never delays the end of the process, and only a few may
        hang at once: who finds none free in time is unknown. Raises `TimeoutError`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[str, Confidence] | None] = loop.create_future()

        def settle(result: tuple[str, Confidence] | None) -> None:
            self._readers.release()
            if not done.done():
                done.set_result(result)

        def run() -> None:
            result = None
            try:
                with suppress(OSError, ValueError, ProcessGone):
                    result = function()
            finally:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(settle, result)

        async with asyncio.timeout(self._read_seconds):
            await self._readers.acquire()
            threading.Thread(target=run, name="caller", daemon=True).start()
            return await done


def parse_credentials(values: dict[str, Variant], descriptors: list[int]) -> Credentials:
    """Read the reply of ``GetConnectionCredentials``; what is missing or of another type becomes None.

    Takes over ``descriptors`` and closes those that are not the process's.
    """

    def value(key: str, signature: str) -> Any:
        found = values.get(key)
        return found.value if found is not None and found.signature == signature else None

    index = value("ProcessFD", "h")
    pid_fd = descriptors[index] if index is not None and index < len(descriptors) else None
    for descriptor in descriptors:
        if descriptor != pid_fd:
            os.close(descriptor)
    label = value("LinuxSecurityLabel", "ay")
    return Credentials(
        uid=value("UnixUserID", "u"),
        pid=value("ProcessID", "u"),
        pid_fd=pid_fd,
        security_label=bytes(label) if label is not None else b"",
    )


def _close(asked: asyncio.Task[Credentials]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        asked.result().close()


def _has_ended(pid_fd: int) -> bool:
    poll = select.poll()
    poll.register(pid_fd, select.POLLIN)
    return bool(poll.poll(0))
