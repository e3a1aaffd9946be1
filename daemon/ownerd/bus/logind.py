"""Locking with the system: logind's word that the screen locks, the session ends or the machine sleeps.

``org.freedesktop.login1`` on the system bus (org.freedesktop.login1(5)). The session is the one that we run in,
else the one that the user's displays belong to, else ``$XDG_SESSION_ID``. Everybody on that bus may send signals
to us directly, so that each message counts only when its sender is the connection that owns logind's name now.

A ``delay`` inhibitor makes sleep and shutdown wait for us. Once locking has begun nothing of ours closes it: the
end of the process does, and the kernel frees a process's memory before its descriptors, so that the machine
sleeps without a key in memory. logind waits for ``InhibitDelayMaxSec`` (5 s) at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ownerd.dbuslib import (
    BUS_DAEMON,
    DBusError,
    Message,
    MessageBus,
    MessageType,
    call_bus,
    call_bus_daemon,
    close_bus,
    connect_bus,
    system_bus_address,
    wait_bus_closed,
)
from ownerd.model.errors import ConfigError

LOGIN1: Final = "org.freedesktop.login1"
MANAGER_PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = f"{LOGIN1}.Manager"
SESSION: Final = f"{LOGIN1}.Session"
USER: Final = f"{LOGIN1}.User"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
RETRY_SECONDS: Final = 30.0
CALL_SECONDS: Final = 5.0

_RULES: Final = (
    f"type='signal',sender='{BUS_DAEMON}',interface='{BUS_DAEMON}',member='NameOwnerChanged',arg0='{LOGIN1}'",
    f"type='signal',sender='{LOGIN1}',interface='{MANAGER}',path='{MANAGER_PATH}'",
    f"type='signal',sender='{LOGIN1}',interface='{SESSION}',member='Lock'",
    f"type='signal',sender='{LOGIN1}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{SESSION}'",
    f"type='signal',sender='{LOGIN1}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{USER}'",
)
_BEFORE: Final = {"PrepareForSleep": "suspend", "PrepareForShutdown": "shutdown"}

logger = logging.getLogger(__name__)

Failure = (DBusError, OSError, TimeoutError, ConfigError, ValueError)


class LoginWatch:
    """Calls ``lock(reason)`` when the system locks.

    ``lock`` returns whether the process now locks and ends; False lets the machine sleep at once. Never raises:
    without a system bus or logind it says so once and goes on looking.
    """

    def __init__(
        self,
        lock: Callable[[str], bool],
        *,
        bus_address: str | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._lock = lock
        self._address = bus_address
        self._retry_seconds = retry_seconds
        self._bus: MessageBus | None = None
        self._owner = ""
        self._session: str | None = None
        self._screen_locked: bool | None = None
        self._inhibitor: int | None = None
        self._locking = False
        self._absence_told = False
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watch until cancelled. Cancelling leaves the inhibitor to the end of the process."""
        while True:
            try:
                await self._watch()
            except Failure as error:
                self._tell_absence("no system bus: locking with the screen and before sleep is off", error)
            await asyncio.sleep(self._retry_seconds)

    async def _watch(self) -> None:
        bus = await connect_bus(self._address or system_bus_address(), accept_descriptors=True)
        self._bus = bus
        try:
            bus.add_message_handler(self._receive)
            for rule in _RULES:
                await call_bus_daemon(bus, "AddMatch", "s", [rule])
            await self._greet()
            await wait_bus_closed(bus)
        finally:
            self._bus, self._owner = None, ""
            if self._following is not None:
                self._following.cancel()
            await close_bus(bus)

    async def _greet(self) -> None:
        bus = self._require_bus()
        try:
            owner = (await call_bus_daemon(bus, "GetNameOwner", "s", [LOGIN1])).body[0]
        except DBusError as error:
            self._tell_absence("no logind: locking with the screen and before sleep is off", error)
            return
        # A NameOwnerChanged may have told us already.
        if self._owner != owner:
            self._owned_by(owner)

    def _owned_by(self, owner: str) -> None:
        """Logind came (also anew) or, with an empty ``owner``, went."""
        self._owner = owner
        # It forgot whom it waits for; whoever comes next is asked anew.
        self._release()
        self._inhibitor = None
        if owner:
            self._follow()

    def _follow(self) -> None:
        if self._following is not None:
            self._following.cancel()
        self._following = asyncio.ensure_future(self._inhibit_and_find())

    async def _inhibit_and_find(self) -> None:
        if self._inhibitor is None:
            try:
                await self._inhibit()
            except Failure as error:
                logger.warning("logind lets nobody wait for us before sleep: %s", _name(error))
        try:
            session = await self._find_session()
            if session != self._session:
                self._session, self._screen_locked = session, None
            if session is not None:
                hint = await self._get(session, SESSION, "LockedHint") is True
                self._note_hint(locked=hint, first_counts=False)
        except Failure as error:
            logger.warning("logind does not answer for our session: %s", _name(error))

    # -- questions --

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        """Ask logind. Raises `DBusError`, `ConnectionError`, `TimeoutError`."""
        owner = self._owner
        message = Message(
            destination=owner,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        reply = await call_bus(self._require_bus(), message, timeout_seconds=CALL_SECONDS)
        # Replies are matched by serial number alone, which anybody could guess.
        if reply.sender != owner or owner != self._owner:
            raise ConnectionError("the reply is not from logind")
        return list(reply.body)

    async def _find_session(self) -> str | None:
        with suppress(DBusError):
            return str((await self._call(MANAGER_PATH, MANAGER, "GetSessionByPID", "u", os.getpid()))[0])
        with suppress(DBusError):
            user = str((await self._call(MANAGER_PATH, MANAGER, "GetUser", "u", os.getuid()))[0])
            name, path = await self._get(user, USER, "Display")
            if name:
                return str(path)
        named = os.environ.get("XDG_SESSION_ID", "")
        if named:
            with suppress(DBusError):
                return str((await self._call(MANAGER_PATH, MANAGER, "GetSession", "s", named))[0])
        return None

    async def _get(self, path: str, interface: str, name: str) -> Any:
        return (await self._call(path, PROPERTIES, "Get", "ss", interface, name))[0].value

    async def _inhibit(self) -> None:
        why = "locks the vault"
        await self._call(MANAGER_PATH, MANAGER, "Inhibit", "ssss", "sleep:shutdown", "ownerd", why, "delay")

    # -- messages --

    def _receive(self, message: Message) -> bool | None:
        descriptors = list(message.unix_fds)
        if message.message_type is MessageType.SIGNAL:
            _close(descriptors)
            self._hear(message)
            return True
        if descriptors and message.message_type is MessageType.METHOD_RETURN and self._from_logind(message):
            # Taken here rather than by whoever asked: a late answer must not stay open unknown.
            self._take(descriptors)
        else:
            _close(descriptors)
        return None

    def _from_logind(self, message: Message) -> bool:
        return bool(self._owner) and message.sender == self._owner

    def _hear(self, message: Message) -> None:
        if message.sender == BUS_DAEMON:
            if message.member == "NameOwnerChanged" and message.body[:1] == [LOGIN1]:
                self._owned_by(message.body[2])
            return
        if not self._from_logind(message):
            return
        called = (message.interface, message.member, message.signature)
        if called == (SESSION, "Lock", ""):
            if message.path == self._session:
                self._begin("screen locked")
        elif called == (PROPERTIES, "PropertiesChanged", "sa{sv}as"):
            self._hear_change(message.path or "", *message.body[:2])
        elif message.interface == MANAGER and message.path == MANAGER_PATH:
            self._hear_manager(message.member or "", message.signature, message.body)

    def _hear_change(self, path: str, interface: str, changed: dict[str, Any]) -> None:
        if interface == USER and "Display" in changed:
            self._follow()
        elif interface == SESSION and path == self._session and "LockedHint" in changed:
            self._note_hint(locked=changed["LockedHint"].value is True, first_counts=True)

    def _hear_manager(self, member: str, signature: str, body: list[Any]) -> None:
        if member in _BEFORE and signature == "b":
            if body[0]:
                self._begin(_BEFORE[member])
                if not self._locking:
                    self._release()
            else:
                self._follow()
        elif member == "SessionRemoved" and signature == "so" and body[1] == self._session:
            self._begin("session ended")
            self._follow()
        elif member == "SessionNew" and self._session is None:
            self._follow()

    def _note_hint(self, *, locked: bool, first_counts: bool) -> None:
        """Lock when the screen became locked. What we find at first has been so before the owner unlocked us."""
        before, self._screen_locked = self._screen_locked, locked
        if locked and (before is False or (before is None and first_counts)):
            self._begin("screen locked")

    # -- what follows --

    def _begin(self, reason: str) -> None:
        self._locking = self._lock(reason) or self._locking

    def _take(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._release()
        self._inhibitor = descriptors[0]
        _close(descriptors[1:])

    def _release(self) -> None:
        """Let the machine sleep, unless we lock: then only the end of the process does."""
        if self._inhibitor is not None and not self._locking:
            _close([self._inhibitor])
            self._inhibitor = None

    def _require_bus(self) -> MessageBus:
        if self._bus is None:
            raise ConnectionError("the system bus is gone")
        return self._bus

    def _tell_absence(self, text: str, error: BaseException) -> None:
        if not self._absence_told:
            self._absence_told = True
            logger.info("%s", text)
        logger.debug("logind: %s", _name(error))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def _name(error: BaseException) -> str:
    return error.type if isinstance(error, DBusError) else type(error).__name__
