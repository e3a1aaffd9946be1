"""The D-Bus library, chosen once: nothing else in the project imports dbus-fast or dbus-next.

dbus-fast is the maintained, compiled fork of dbus-next with the same API, so it is taken when it is
installed; ``OWNERD_DBUS_LIBRARY`` (``dbus-fast`` or ``dbus-next``) decides otherwise. Types are those of
dbus-fast for both.

What differs between the two and is hidden here or in `ownerd.bus`:

- dbus-next answers an unexpected exception with its traceback: see `_make_next_bus`;
- both end the connection when the socket's buffer is full, and read on while there is anything: see `_PatientSocket`;
- what ``wait_for_disconnect`` raises differs: `close_bus` and `wait_bus_closed` wait for the end and do not raise;
- a failed call is an ordinary reply message in both: `call_bus` turns it into `DBusError` and has a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import importlib.util
import logging
import os
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ownerd.model.errors import ConfigError

LIBRARY_VARIABLE: Final = "OWNERD_DBUS_LIBRARY"
_MODULES: Final = {"dbus-fast": "dbus_fast", "dbus-next": "dbus_next"}

BUS_DAEMON: Final = "org.freedesktop.DBus"
BUS_DAEMON_PATH: Final = "/org/freedesktop/DBus"
CALL_TIMEOUT_SECONDS: Final = 10.0
READS_A_TURN: Final = 8  # two for each message


def _choose() -> str:
    wanted = os.environ.get(LIBRARY_VARIABLE, "")
    if wanted:
        if wanted not in _MODULES:
            raise ConfigError(f"{LIBRARY_VARIABLE} is neither dbus-fast nor dbus-next")
        return wanted
    return "dbus-fast" if importlib.util.find_spec("dbus_fast") else "dbus-next"


LIBRARY: Final = _choose()
_LOG = logging.getLogger(__name__)


def _make_next_bus(parent: Any) -> Any:
    """Subclass dbus-next's bus so that it answers failures as dbus-fast does.

    Its own reply object sends text and traceback of unexpected exceptions to the caller, and lets every
    exception go on into the log, `DBusError` included: with the caller's text, as often as a caller likes.
    The library is frozen since 2022, so its internals may be relied upon.
    """

    class Reply:
        def __init__(self, bus: Any, message: Any) -> None:
            self._bus = bus
            self._message = message

        def __enter__(self) -> Any:
            return self

        def __call__(self, reply: Any) -> None:
            if not self._message.flags & MessageFlag.NO_REPLY_EXPECTED:
                self._bus.send(reply)

        def __exit__(self, kind: object, error: object, traceback: object) -> bool:
            if not isinstance(error, Exception):
                return False
            self.send_error(error)
            return True

        def send_error(self, error: Exception) -> None:
            if not isinstance(error, DBusError):
                _LOG.error("unexpected %s while answering a call", type(error).__qualname__)
                error = DBusError(ErrorType.FAILED, "internal error")
            self(Message.new_error(self._message, error.type, error.text))

    class NextBus(parent):  # type: ignore[misc] # the parent is chosen at run time
        _patient: _PatientSocket | None = None

        def _send_reply(self, message: Any) -> Any:
            return Reply(self, message)

        def _create_unmarshaller(self) -> Any:
            made = super()._create_unmarshaller()
            if made.sock is not None:
                made.sock = self._patient = self._patient or _PatientSocket(made.sock)
            return made

    return NextBus


def _read_patiently(bus_module: Any) -> None:
    """Let dbus-fast build its readers on patient sockets. A release without this inner name only reads less patiently."""
    build = getattr(bus_module, "build_message_reader", None)
    if build is not None:
        bus_module.build_message_reader = lambda connected, *rest: build(_PatientSocket(connected), *rest)


class _PatientSocket:
    """A socket that says "nothing sent" when its buffer is full, and "nothing there" after a few messages.

    Both libraries' writers take the `BlockingIOError` of a full buffer for the end of the connection, so that
    a flood of calls, or one message after a large one, would end the daemon. Sending nothing they understand:
    they wait until the socket can be written again.

    Both libraries' readers go on as long as there is something to read. Under a flood nothing else would have its
    turn: neither prompts nor tokens. After `READS_A_TURN` the event loop does, and what is left wakes it again.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        self._reads = 0
        self.recv = connected.recv  # of 8 KiB, after which the readers stop by themselves

    def recvmsg(self, *arguments: Any) -> Any:
        if self._reads == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._reads >= READS_A_TURN:
            raise BlockingIOError(errno.EAGAIN, "others have their turn")
        self._reads += 1
        return self._connected.recvmsg(*arguments)

    def _next_turn(self) -> None:
        self._reads = 0

    def send(self, data: memoryview) -> int:
        try:
            return self._connected.send(data)
        except BlockingIOError:
            return 0

    def sendmsg(self, *arguments: Any) -> int:
        try:
            return self._connected.sendmsg(*arguments)
        except BlockingIOError:
            return 0


def _make_patient_bus(parent: Any) -> Any:
    class PatientBus(parent):  # type: ignore[misc] # the parent is chosen at run time
        async def connect(self) -> Any:
            await super().connect()
            self._writer.sock = _PatientSocket(self._sock)
            return self

    return PatientBus


if TYPE_CHECKING:
    from dbus_fast import (
        ArgDirection,
        BusType,
        DBusError,
        ErrorType,
        Message,
        MessageFlag,
        MessageType,
        NameFlag,
        PropertyAccess,
        RequestNameReply,
        Variant,
        introspection,
    )
    from dbus_fast.aio import MessageBus
    from dbus_fast.service import ServiceInterface, dbus_property, method, signal
else:
    _root = importlib.import_module(_MODULES[LIBRARY])
    _service = importlib.import_module(_MODULES[LIBRARY] + ".service")
    ArgDirection = _root.ArgDirection
    BusType = _root.BusType
    DBusError = _root.DBusError
    ErrorType = _root.ErrorType
    Message = _root.Message
    MessageFlag = _root.MessageFlag
    MessageType = _root.MessageType
    NameFlag = _root.NameFlag
    PropertyAccess = _root.PropertyAccess
    RequestNameReply = _root.RequestNameReply
    Variant = _root.Variant
    introspection = _root.introspection
    _aio = importlib.import_module(_MODULES[LIBRARY] + ".aio")
    if LIBRARY == "dbus-fast":
        _read_patiently(importlib.import_module("dbus_fast.aio.message_bus"))
    MessageBus = _make_patient_bus(
        _aio.MessageBus if LIBRARY == "dbus-fast" else _make_next_bus(_aio.MessageBus)
    )
    ServiceInterface = _service.ServiceInterface
    dbus_property = _service.dbus_property
    method = _service.method
    signal = _service.signal

__all__ = [
    "BUS_DAEMON",
    "BUS_DAEMON_PATH",
    "LIBRARY",
    "ArgDirection",
    "BusType",
    "DBusError",
    "ErrorType",
    "Message",
    "MessageBus",
    "MessageFlag",
    "MessageType",
    "NameFlag",
    "PropertyAccess",
    "RequestNameReply",
    "ServiceInterface",
    "Variant",
    "call_bus",
    "call_bus_daemon",
    "close_bus",
    "connect_bus",
    "dbus_property",
    "introspection",
    "method",
    "session_bus_address",
    "signal",
    "system_bus_address",
    "wait_bus_closed",
]


def session_bus_address() -> str:
    """Address of the session bus: ``DBUS_SESSION_BUS_ADDRESS``, else ``$XDG_RUNTIME_DIR/bus``.

    Raises `ConfigError` when there is neither. Nothing is started and no X display is asked.
    """
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if address:
        return address
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"unix:path={quote(runtime)}/bus"
    raise ConfigError("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")


def system_bus_address() -> str:
    """Address of the system bus: ``DBUS_SYSTEM_BUS_ADDRESS``, else the well-known one (D-Bus specification)."""
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "") or "unix:path=/var/run/dbus/system_bus_socket"


async def connect_bus(bus_address: str | None = None, *, accept_descriptors: bool = False) -> MessageBus:
    """Connect to ``bus_address``, or to the session bus. Raises `ConfigError` when that fails.

    With ``accept_descriptors`` the bus may hand over file descriptors; whoever sets it closes them.
    """
    address = bus_address or session_bus_address()
    try:
        return await MessageBus(bus_address=address, negotiate_unix_fd=accept_descriptors).connect()
    except (OSError, EOFError, ValueError, TypeError, DBusError) as error:
        raise ConfigError("cannot connect to the session bus") from error


async def call_bus(
    bus: MessageBus, message: Message, *, timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> Message:
    """Send a method call and return its reply.

    Raises `DBusError` for an error reply, `TimeoutError` when none came in time, `ConnectionError` when the
    bus went away.
    """
    if not bus.connected:
        raise ConnectionError("the bus is gone")
    async with asyncio.timeout(timeout_seconds):
        reply = await bus.call(message)
    if reply.message_type is MessageType.ERROR:
        text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
        raise DBusError(reply.error_name or ErrorType.FAILED, text)
    return reply


async def call_bus_daemon(
    bus: MessageBus, member: str, signature: str = "", body: list[Any] | None = None
) -> Message:
    """Call the bus daemon itself. Raises as `call_bus`, and `ConnectionError` for a reply that is not its."""
    message = Message(
        destination=BUS_DAEMON,
        path=BUS_DAEMON_PATH,
        interface=BUS_DAEMON,
        member=member,
        signature=signature,
        body=body or [],
    )
    reply = await call_bus(bus, message)
    # Both libraries match a reply by its serial alone, so that any peer could answer for the bus daemon.
    if reply.sender != BUS_DAEMON:
        raise ConnectionError("the reply is not from the bus daemon")
    return reply


async def wait_bus_closed(bus: MessageBus) -> None:
    """Return when the connection has ended, for whatever reason."""
    ending = bus.wait_for_disconnect()  # type: ignore[no-untyped-call] # the library leaves it untyped
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
        # Shielded: a waiter that is cancelled would cancel the library's future, and with it every other waiter.
        await asyncio.shield(ending)


async def close_bus(bus: MessageBus) -> None:
    """Close the connection and wait until it is closed. Harmless when it is already."""
    if not bus.connected:
        return
    bus.disconnect()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            await wait_bus_closed(bus)
