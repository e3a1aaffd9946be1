"""The daemon's face on the session bus: connects, exports, owns the name, hands messages on.

Trusts the bus daemon for unique names and credentials. Every message passes `_receive` first, which notes
its sender; what exported methods raise passes `ownerd.bus.guard`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ownerd.bus.agent_interface import AgentInterface
from ownerd.bus.caller import Callers, note_sender
from ownerd.bus.guard import as_dbus_error, known_error
from ownerd.bus.owner_interface import AgentControl, DataAccess, PendingRequests, TokenList
from ownerd.bus.request import Limits, RequestTable, request_introspection
from ownerd.bus.watch import Watch
from ownerd.core.service import AgentService
from ownerd.dbuslib import (
    BUS_DAEMON,
    DBusError,
    ErrorType,
    Message,
    MessageBus,
    MessageFlag,
    MessageType,
    NameFlag,
    RequestNameReply,
    call_bus_daemon,
    close_bus,
    connect_bus,
    wait_bus_closed,
)
from ownerd.model import names
from ownerd.model.errors import Busy, ConfigError

_LEFT_RULE: Final = (
    f"type='signal',sender='{BUS_DAEMON}',interface='{BUS_DAEMON}',member='NameOwnerChanged',arg2=''"
)
_INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"


class BusService:
    """``org.ownerd.Agent1`` on one bus. ``own_uid`` (default: ours) is the only uid that is served."""

    def __init__(
        self,
        agent: AgentService,
        *,
        limits: Limits | None = None,
        own_uid: int | None = None,
        proc: Path = Path("/proc"),
    ) -> None:
        self._agent = agent
        self._limits = limits or Limits()
        self._own_uid = own_uid
        self._proc = proc
        self._bus: MessageBus | None = None
        self._requests: RequestTable | None = None
        self._watch = Watch(agent)
        self._callers: Callers | None = None
        self._connections: set[str] = set()  # that have called and are still there
        self._last_call = time.monotonic()

    async def start(self, bus_address: str | None = None) -> None:
        """Connect, export and take the name, in this order, so that the first caller finds everything.

        Raises `ConfigError` when there is no bus, `Busy` when somebody else holds the name.
        """
        bus = await connect_bus(bus_address, accept_descriptors=True)
        callers = Callers(bus, own_uid=self._own_uid, proc=self._proc)
        requests = RequestTable(bus, callers, self._limits)
        bus.add_message_handler(self._receive)
        bus.export(names.AGENT_PATH, AgentInterface(self._agent, callers, requests))
        bus.export(names.OWNER_PATH, AgentControl(self._agent, callers, requests))
        bus.export(names.OWNER_PATH, TokenList(self._agent, callers, requests))
        bus.export(names.OWNER_PATH, DataAccess(self._agent, requests))
        bus.export(names.OWNER_PATH, PendingRequests(self._agent, callers, requests, self._watch))
        self._bus, self._requests, self._callers = bus, requests, callers
        try:
            await call_bus_daemon(bus, "AddMatch", "s", [_LEFT_RULE])
            await self._take_name(bus)
        except (DBusError, OSError, TimeoutError) as error:
            await close_bus(bus)
            raise ConfigError("the session bus refuses the service") from error
        except Busy:
            await close_bus(bus)
            raise

    async def _take_name(self, bus: MessageBus) -> None:
        # DO_NOT_QUEUE alone: neither do we displace a holder, nor may anybody displace us.
        reply = await call_bus_daemon(bus, "RequestName", "su", [names.BUS_NAME, NameFlag.DO_NOT_QUEUE.value])
        if reply.body[0] == RequestNameReply.PRIMARY_OWNER.value:
            return
        holder = pid = "unknown"
        with suppress(DBusError, OSError, TimeoutError):
            holder = (await call_bus_daemon(bus, "GetNameOwner", "s", [names.BUS_NAME])).body[0]
            pid = str((await call_bus_daemon(bus, "GetConnectionUnixProcessID", "s", [holder])).body[0])
        raise Busy(f"the bus name {names.BUS_NAME} is held by {holder}, process {pid}")

    async def stop(self) -> None:
        """Cancel what is in flight (each caller gets its Response), give the name back and disconnect."""
        bus = self._bus
        if bus is None:
            return
        if self._requests is not None:
            await self._requests.close()
        with suppress(DBusError, OSError, TimeoutError):
            # The answer to this comes after the bus has read everything that was queued before.
            await call_bus_daemon(bus, "ReleaseName", "s", [names.BUS_NAME])
        if self._callers is not None:
            self._callers.close()
        await close_bus(bus)

    async def wait_for_disconnect(self) -> None:
        """Return when the bus has gone, or `stop` was called."""
        if self._bus is not None:
            await wait_bus_closed(self._bus)

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the last method call, or since the start."""
        return time.monotonic() - self._last_call

    @property
    def has_callers(self) -> bool:
        """Whether a connection that has called is still on the bus."""
        return bool(self._connections)

    @property
    def has_lender(self) -> bool:
        """Whether somebody lends a terminal to prompts."""
        return self._watch.is_lent

    # -- every message --

    def _receive(self, message: Message) -> Message | bool | None:
        """Raw handler: None passes the message on to the exported interfaces."""
        try:
            return self._sort(message)
        except Exception as error:  # noqa: BLE001 -- the library would answer with a traceback
            if message.message_type is not MessageType.METHOD_CALL:
                known_error(error)
                return True
            failure = as_dbus_error(error)
            return _error(message, failure.type, failure.text)

    def _sort(self, message: Message) -> Message | bool | None:
        sender = message.sender or ""
        note_sender(sender)
        if sender != BUS_DAEMON and message.unix_fds:
            # Nothing of ours takes a descriptor; left alone, they would stay open and use up our table.
            for descriptor in message.unix_fds:
                os.close(descriptor)
            return _error(message, ErrorType.INVALID_ARGS.value, "file descriptors are not accepted")
        if message.message_type is MessageType.SIGNAL:
            self._note_leaving(message)
            return None
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self._connections.add(sender)
        self._last_call = time.monotonic()
        if message.interface is None:
            # Optional in D-Bus, but Owner1 has two methods called List: nothing is guessed.
            return _error(message, ErrorType.UNKNOWN_INTERFACE.value, "the interface is missing")
        return self._request_call(sender, message)

    def _note_leaving(self, message: Message) -> None:
        if message.sender != BUS_DAEMON or message.member != "NameOwnerChanged":
            return
        name, _, new_owner = message.body
        if not new_owner:
            self._connections.discard(name)
            self._watch.end(name)
            if self._requests is not None:
                self._requests.drop_caller(name)
            if self._callers is not None:
                self._callers.forget(name)

    def _request_call(self, sender: str, message: Message) -> Message | bool | None:
        """Calls on Request objects, which exist for their owner alone."""
        path = message.path or ""
        if not path.startswith(names.REQUEST_PATH_PREFIX + "/") or self._requests is None:
            return None
        if not self._requests.has(sender, path):
            return _error(message, ErrorType.UNKNOWN_OBJECT.value, "no such request")
        called = (message.interface, message.member, message.signature)
        if called == (names.REQUEST_INTERFACE, "Cancel", ""):
            self._requests.cancel(sender, path)
            return _reply(message)
        if called == (_INTROSPECTABLE, "Introspect", ""):
            return _reply(message, "s", [request_introspection()])
        return None


def _expects_reply(message: Message) -> bool:
    if message.message_type is not MessageType.METHOD_CALL:
        return False
    return not message.flags & MessageFlag.NO_REPLY_EXPECTED


def _reply(message: Message, signature: str = "", body: list[object] | None = None) -> Message | bool:
    return Message.new_method_return(message, signature, body or []) if _expects_reply(message) else True


def _error(message: Message, name: str, text: str) -> Message | bool:
    return Message.new_error(message, name, text) if _expects_reply(message) else True
