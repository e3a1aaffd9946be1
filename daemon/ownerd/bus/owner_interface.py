"""``org.ownerd.Owner1.*``: what the owner's tools call. Contract: docs/dbus/org.ownerd.Owner1.xml.

Thin: types and forms are checked here, everything else is the core's. Annotations are D-Bus signatures, so
this module has no ``from __future__ import annotations``.
"""

from collections.abc import Awaitable, Callable

from ownerd.bus.caller import Callers, current_sender
from ownerd.bus.guard import guarded
from ownerd.bus.options import (
    APPROVE_OPTIONS,
    REQUEST_OPTIONS,
    TERMINAL_OPTIONS,
    parse_options,
    require_pending_id,
    require_text,
    require_token_id,
)
from ownerd.bus.request import Answer, RequestTable
from ownerd.bus.watch import Watch
from ownerd.core.ports import Job
from ownerd.core.service import AgentService
from ownerd.dbuslib import PropertyAccess, ServiceInterface, Variant, dbus_property, method
from ownerd.model import names
from ownerd.model.caller import Caller
from ownerd.model.errors import InvalidArgument

VERSION = 2
_POOL = "owner"


class AgentControl(ServiceInterface):
    """Set-up, lock state and counts."""

    def __init__(self, agent: AgentService, callers: Callers, requests: RequestTable) -> None:
        super().__init__(names.OWNER_INTERFACE_PREFIX + "Agent")
        self._agent = agent
        self._callers = callers
        self._requests = requests

    @method()
    @guarded
    async def Status(self) -> "a{sv}":
        """Counts and states."""
        await self._callers.current()
        status = self._agent.status()
        return {
            "set_up": Variant("b", status.set_up),
            "unlocked": Variant("b", status.unlocked),
            "claims": Variant("u", status.claims),
            "providers": Variant("u", status.providers),
            "tokens": Variant("u", status.tokens),
            "entries": Variant("t", status.entries),
            "pending": Variant("u", status.pending),
            "recovery": Variant("b", status.recovery),
        }

    @method()
    @guarded
    def Setup(self, sealed: "s", options: "a{sv}") -> "o":
        """Make the vault and enrol the first token."""
        return _open_sealed(self._requests, self._agent.setup, sealed, options)

    @method()
    @guarded
    def Unlock(self, options: "a{sv}") -> "o":
        """Open the vault with a touch."""

        async def work(caller: Caller, job: Job) -> Answer:
            await self._agent.unlock(caller, job)
            return Answer({})

        chosen = parse_options(options, REQUEST_OPTIONS)
        return self._requests.open(current_sender(), chosen, work, pool=_POOL)

    @method()
    @guarded
    def Recover(self, sealed: "s", options: "a{sv}") -> "o":
        """Enrol a token with the recovery code."""
        return _open_sealed(self._requests, self._agent.recover, sealed, options)

    @method()
    @guarded
    async def Lock(self) -> None:
        """Lock: the daemon records it and ends."""
        await self._callers.current()
        self._agent.lock("command")

    @dbus_property(access=PropertyAccess.READ)
    @guarded
    def SessionKey(self) -> "s":
        """Public JWK of this start of the daemon."""
        return self._agent.session_key()

    @dbus_property(access=PropertyAccess.READ)
    @guarded
    def Version(self) -> "u":
        """Version of the Owner1 interfaces."""
        return VERSION


class TokenList(ServiceInterface):
    """Tokens that are present, and their PINs."""

    def __init__(self, agent: AgentService, callers: Callers, requests: RequestTable) -> None:
        super().__init__(names.OWNER_INTERFACE_PREFIX + "Tokens")
        self._agent = agent
        self._callers = callers
        self._requests = requests

    @method()
    @guarded
    async def List(self) -> "aa{sv}":
        """Tokens that are present."""
        await self._callers.current()
        return [
            {
                "id": Variant("s", token.id),
                "name": Variant("s", token.name),
                "transport": Variant("s", token.transport),
                "aaguid": Variant("s", token.aaguid),
                "firmware": Variant("t", token.firmware),
                "has_pin": Variant("b", token.has_pin),
                **({} if token.pin_tries is None else {"pin_tries": Variant("u", token.pin_tries)}),
                "software": Variant("b", token.software),
            }
            for token in await self._agent.tokens()
        ]

    @method()
    @guarded
    def ChangePin(self, token_id: "s", options: "a{sv}") -> "o":
        """Change the PIN of a present token, or set its first one."""
        chosen = parse_options(options, REQUEST_OPTIONS)
        token = require_token_id(token_id)

        async def work(caller: Caller, job: Job) -> Answer:
            await self._agent.change_pin(caller, token, job)
            return Answer({})

        return self._requests.open(current_sender(), chosen, work, pool=_POOL)


class DataAccess(ServiceInterface):
    """Reading and writing, always sealed, always with a touch."""

    def __init__(self, agent: AgentService, requests: RequestTable) -> None:
        super().__init__(names.OWNER_INTERFACE_PREFIX + "Data")
        self._agent = agent
        self._requests = requests

    @method()
    @guarded
    def Read(self, sealed: "s", options: "a{sv}") -> "o":
        """Read values."""
        return _open_sealed(self._requests, self._agent.read, sealed, options)

    @method()
    @guarded
    def Change(self, sealed: "s", options: "a{sv}") -> "o":
        """Change data."""
        return _open_sealed(self._requests, self._agent.change, sealed, options)


class PendingRequests(ServiceInterface):
    """Requests that wait for the owner, and the terminal that is lent to prompts."""

    def __init__(self, agent: AgentService, callers: Callers, requests: RequestTable, watch: Watch) -> None:
        super().__init__(names.OWNER_INTERFACE_PREFIX + "Requests")
        self._agent = agent
        self._callers = callers
        self._requests = requests
        self._watch = watch

    @method()
    @guarded
    async def List(self) -> "aa{sv}":
        """Requests that wait."""
        await self._callers.current()
        fields = ("id", "kind", "app", "confidence", "state", "since")
        return [{key: Variant("s", getattr(p, key)) for key in fields} for p in self._agent.pending()]

    @method()
    @guarded
    async def Approve(self, id: "s", options: "a{sv}") -> None:  # noqa: A002 -- the name on the bus
        """Show the prompt of a waiting request now."""
        chosen = parse_options(options, APPROVE_OPTIONS)
        waiting = require_pending_id(id)
        caller = await self._callers.current()
        self._agent.approve(caller, waiting, chosen.terminal(caller), chosen.narrowing)

    @method()
    @guarded
    async def Outcome(self, id: "s") -> "s":  # noqa: A002 -- the name on the bus
        """How a request that the caller approved ended."""
        waiting = require_pending_id(id)
        return self._agent.outcome(await self._callers.current(), waiting)

    @method()
    @guarded
    async def Refuse(self, id: "s") -> None:  # noqa: A002 -- the name on the bus
        """Refuse a waiting request."""
        waiting = require_pending_id(id)
        await self._callers.current()
        self._agent.refuse(waiting)

    @method()
    @guarded
    async def RefuseToday(self, id: "s") -> None:  # noqa: A002 -- the name on the bus
        """Refuse a waiting request, and what its app asks until midnight."""
        waiting = require_pending_id(id)
        await self._callers.current()
        self._agent.refuse(waiting, today=True)

    @method()
    @guarded
    async def Watch(self, options: "a{sv}") -> None:
        """Lend a terminal to prompts."""
        chosen = parse_options(options, TERMINAL_OPTIONS)
        caller = await self._callers.current()
        terminal = chosen.terminal(caller)
        if terminal is None:
            raise InvalidArgument("option tty is missing")
        self._watch.begin(caller.bus_name, terminal)
        # It may have left during the look-up, when there was nothing to end yet.
        if not await self._callers.is_present(caller.bus_name):
            self._watch.end(caller.bus_name)

    @method()
    @guarded
    def ShowValues(self, options: "a{sv}") -> "o":
        """Show values in prompts on the terminal that the caller lends."""

        async def work(caller: Caller, job: Job) -> Answer:
            self._watch.require(caller.bus_name)
            await self._agent.show_values(caller, job)
            return Answer({})

        chosen = parse_options(options, REQUEST_OPTIONS)
        return self._requests.open(current_sender(), chosen, work, pool=_POOL)

    @method()
    @guarded
    async def Unwatch(self) -> None:
        """Take the terminal back."""
        caller = await self._callers.current()
        self._watch.end(caller.bus_name)


def _open_sealed(
    requests: RequestTable,
    use_case: Callable[[Caller, str, Job], Awaitable[str]],
    sealed: str,
    options: dict[str, Variant],
) -> str:
    chosen = parse_options(options, REQUEST_OPTIONS)
    text = require_text(sealed, "sealed message")

    async def work(caller: Caller, job: Job) -> Answer:
        return Answer({"sealed": Variant("s", await use_case(caller, text, job))})

    return requests.open(current_sender(), chosen, work, pool=_POOL)
