"""Talking to the daemon over the session bus (DESIGN section 6; docs/dbus is the contract).

The owner of the name is looked up once, and only signals from that connection count: any process may send
a signal that looks like an answer. A call names its handle beforehand and listens before it calls.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ownerctl.asking import CANCEL_SECONDS, COUNTER_OFFER, DONE, Asking, Observer, plain
from ownerctl.errors import AgentGone, BadAnswer, NoBus, NotRunning
from ownerctl.failures import raise_remote
from ownerd.dbuslib import (
    BUS_DAEMON,
    BUS_DAEMON_PATH,
    Message,
    MessageBus,
    MessageType,
    Variant,
    close_bus,
    connect_bus,
    wait_bus_closed,
)
from ownerd.model.errors import ConfigError, OwnerdError
from ownerd.model.names import (
    AGENT_INTERFACE,
    AGENT_PATH,
    BUS_NAME,
    OWNER_INTERFACE_PREFIX,
    OWNER_PATH,
    REQUEST_INTERFACE,
    REQUEST_PATH_PREFIX,
)

_GONE = frozenset(f"{BUS_DAEMON}.Error.{name}" for name in ("NameHasNoOwner", "ServiceUnknown", "NoReply"))
CALL_SECONDS = 30.0


Option = str | bool | int | list[str]

_SIGNATURES: dict[type, str] = {str: "s", bool: "b", int: "u", list: "as"}


def variants(options: Mapping[str, Option]) -> dict[str, Variant]:
    """Options as ``a{sv}``."""
    return {name: Variant(_SIGNATURES[type(value)], value) for name, value in options.items()}


class Client:
    """A connection to the bus, and through it to one daemon. Made by `connect`."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._owner: str | None = None
        self._asking: Asking | None = None
        self.owner_changed = asyncio.Event()
        bus.add_message_handler(self._on_message)

    # -- the bus itself --

    async def _call(self, message: Message, seconds: float | None = CALL_SECONDS) -> list[Any]:
        try:
            reply = await asyncio.wait_for(self._bus.call(message), seconds)
        except TimeoutError as error:
            raise AgentGone("the daemon does not answer") from error
        except (EOFError, OSError) as error:
            raise NoBus("the session bus closed the connection") from error
        if reply is None:
            raise NoBus("the session bus closed the connection")
        # The libraries match a reply by its serial alone, so any peer could send one.
        if reply.sender not in {message.destination, BUS_DAEMON}:
            raise BadAnswer("the answer came from another process than the one asked")
        if reply.message_type is MessageType.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
            if reply.error_name in _GONE:
                raise AgentGone("the daemon ended before it answered")
            raise_remote(reply.error_name or "", text)
        return list(reply.body)

    async def _bus_call(self, member: str, signature: str, *body: Any) -> list[Any]:
        return await self._call(
            Message(
                destination=BUS_DAEMON,
                path=BUS_DAEMON_PATH,
                interface=BUS_DAEMON,
                member=member,
                signature=signature,
                body=list(body),
            )
        )

    async def owner(self, *, activate: bool = True) -> str:
        """Unique name of the daemon's connection, once and for all calls of this client.

        Raises `NotRunning` when there is no daemon and it cannot be, or is not to be, activated.
        """
        if self._owner is not None:
            return self._owner
        rule = f"type='signal',sender='{BUS_DAEMON}',member='NameOwnerChanged',arg0='{BUS_NAME}'"
        await self._bus_call("AddMatch", "s", rule)
        found = await self._name_owner()
        if found is None and activate:
            try:
                await self._bus_call("StartServiceByName", "su", BUS_NAME, 0)
            except NoBus:
                raise
            except OwnerdError as error:
                raise NotRunning("ownerd is not running and cannot be activated") from error
            found = await self._name_owner()
        if found is None:
            raise NotRunning("ownerd is not running")
        self._owner = found
        return found

    async def _name_owner(self) -> str | None:
        try:
            (found,) = await self._bus_call("GetNameOwner", "s", BUS_NAME)
        except AgentGone:
            return None
        return str(found)

    def forget_owner(self) -> None:
        """Look the daemon up again at the next call; `watch` does so after a lock."""
        self._owner = None
        self.owner_changed.clear()

    async def wait_gone(self, seconds: float) -> bool:
        """Whether the daemon gave its name up within ``seconds``, as it does by ending."""
        try:
            async with asyncio.timeout(seconds):
                await self.owner_changed.wait()
        except TimeoutError:
            return False
        return True

    async def owner_pid(self) -> int | None:
        """Process that holds the name, as the bus knows it; None when it does not."""
        try:
            (pid,) = await self._bus_call("GetConnectionUnixProcessID", "s", await self.owner())
        except OwnerdError:
            return None
        return int(pid)

    # -- the daemon --

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        """Call a method that answers at once; returns its results without variants."""
        message = Message(
            destination=await self.owner(),
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        return [plain(value) for value in await self._call(message)]

    async def owner_call(self, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """`call` on ``org.ownerd.Owner1.INTERFACE``."""
        return await self.call(OWNER_PATH, OWNER_INTERFACE_PREFIX + interface, member, signature, *body)

    async def session_key(self) -> str:
        """The daemon's public JWK of this start, as it says itself: compare it before use."""
        got = await self.call(
            OWNER_PATH,
            f"{BUS_DAEMON}.Properties",
            "Get",
            "ss",
            OWNER_INTERFACE_PREFIX + "Agent",
            "SessionKey",
        )
        if len(got) != 1 or not isinstance(got[0], str):
            raise BadAnswer("the daemon has no session key")
        return got[0]

    async def present(
        self, request: str, options: Mapping[str, Option], observer: Observer
    ) -> dict[str, Any]:
        """Be an app: `Present` and its results, those of a counter-offer where ``negotiate`` asks for such.

        They have ``offer`` then, and no ``response``. Raises as `ask` does.
        """
        return await self.app_ask("Present", request, options, observer)

    async def app_ask(
        self, member: str, text: str, options: Mapping[str, Option], observer: Observer
    ) -> dict[str, Any]:
        """`ask` on ``org.ownerd.Agent1``."""
        return await self.ask(AGENT_PATH, AGENT_INTERFACE, member, (text,), options, observer)

    async def end_negotiation(self, negotiation: str) -> None:
        """End a negotiation of this connection. Raises `NotFound` where it has ended."""
        await self.call(AGENT_PATH, AGENT_INTERFACE, "EndNegotiation", "s", negotiation)

    async def owner_ask(
        self,
        interface: str,
        member: str,
        texts: tuple[str, ...],
        options: Mapping[str, Option],
        observer: Observer,
    ) -> dict[str, Any]:
        """`ask` on ``org.ownerd.Owner1.INTERFACE``."""
        return await self.ask(
            OWNER_PATH, OWNER_INTERFACE_PREFIX + interface, member, texts, options, observer
        )

    async def ask(
        self,
        path: str,
        interface: str,
        member: str,
        texts: tuple[str, ...],
        options: Mapping[str, Option],
        observer: Observer,
    ) -> dict[str, Any]:
        """Call a method that answers through a Request object, and wait for its ``Response``.

        Ctrl-C cancels at the daemon, which cancels at the token, and waits shortly for it to say so.
        Raises the error of the table that the daemon named, `AgentGone` when it ended, and
        `KeyboardInterrupt` after a cancellation.
        """
        owner = await self.owner()
        token = secrets.token_hex(16)
        sender = (self._bus.unique_name or "").removeprefix(":").replace(".", "_")
        asking = Asking(owner, f"{REQUEST_PATH_PREFIX}/{sender}/{token}", observer)
        self._asking = asking
        try:
            asked = variants({**options, "handle_token": token})
            signature = "s" * len(texts) + "a{sv}"
            (handle,) = await self.call(path, interface, member, signature, *texts, asked)
            if handle != asking.handle:
                raise BadAnswer("the daemon answered with another handle than the one asked for")
            cancel = Message(destination=owner, path=handle, interface=REQUEST_INTERFACE, member="Cancel")
            code, results = await asking.wait(
                wait_bus_closed(self._bus), lambda: self._call(cancel, CANCEL_SECONDS)
            )
        finally:
            self._asking = None
            asking.close()
        if code != DONE and not (code == COUNTER_OFFER and options.get("negotiate") is True):
            raise_remote(str(results.get("error", "")), str(results.get("message", "")), code=code)
        return results

    # -- signals --

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.sender == BUS_DAEMON and message.member == "NameOwnerChanged":
            self._on_owner_changed(message)
        elif self._asking is not None:
            self._asking.receive(message)

    def _on_owner_changed(self, message: Message) -> None:
        if len(message.body) != 3 or message.body[0] != BUS_NAME or message.body[2] == self._owner:
            return
        self.owner_changed.set()
        if self._asking is not None:
            self._asking.lose()


@asynccontextmanager
async def connect() -> AsyncIterator[Client]:
    """A client on the session bus. Raises `NoBus`."""
    try:
        bus = await connect_bus()
    except ConfigError as error:
        raise NoBus("there is no session bus") from error
    try:
        yield Client(bus)
    finally:
        await close_bus(bus)
