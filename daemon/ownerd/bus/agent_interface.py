"""``org.ownerd.Agent1``: what apps call. Contract: docs/dbus/org.ownerd.Agent1.xml.

Annotations are D-Bus signatures, so this module has no ``from __future__ import annotations``.
"""

from ownerd.bus.caller import Callers, current_sender
from ownerd.bus.guard import guarded
from ownerd.bus.options import (
    PRESENT_OPTIONS,
    REQUEST_OPTIONS,
    parse_options,
    require_negotiation,
    require_text,
)
from ownerd.bus.request import APPS, COUNTER_OFFER, Answer, RequestTable
from ownerd.core.ports import Job
from ownerd.core.service import AgentService, CounterOffer
from ownerd.dbuslib import PropertyAccess, ServiceInterface, Variant, dbus_property, method
from ownerd.model import names
from ownerd.model.caller import Caller

VERSION = 2


class AgentInterface(ServiceInterface):
    """What apps call: ask, bargain, hand in what came back."""

    def __init__(self, agent: AgentService, callers: Callers, requests: RequestTable) -> None:
        super().__init__(names.AGENT_INTERFACE)
        self._agent = agent
        self._callers = callers
        self._requests = requests

    @method()
    @guarded
    def Present(self, request: "s", options: "a{sv}") -> "o":
        """Ask for a presentation. Synchronous: the reply is queued before the request's first signal."""
        chosen = parse_options(options, PRESENT_OPTIONS)
        text = require_text(request, "request")

        async def work(caller: Caller, job: Job) -> Answer:
            released = await self._agent.present(caller, text, job, chosen.wishes)
            if isinstance(released, CounterOffer):
                return _counter_offer(released)
            # Step 11 of DESIGN section 4: the one place where a presentation leaves, sealed to its recipient.
            results = {"response": Variant("s", released.response), "entry": Variant("t", released.entry)}
            return Answer(results, sent=lambda: self._agent.delivered(released))

        return self._requests.open(current_sender(), chosen, work, pool=APPS)

    @method()
    @guarded
    async def EndNegotiation(self, negotiation: "s") -> None:
        """End a negotiation of the caller's."""
        ended = require_negotiation(negotiation)
        await self._agent.end_negotiation(await self._callers.current(), ended)

    @method()
    @guarded
    def Receive(self, sealed: "s", options: "a{sv}") -> "o":
        """Hand in what a provider returned."""
        chosen = parse_options(options, REQUEST_OPTIONS)
        text = require_text(sealed, "sealed message")

        async def work(caller: Caller, job: Job) -> Answer:
            return Answer({"entry": Variant("t", await self._agent.receive(caller, text, job))})

        return self._requests.open(current_sender(), chosen, work, pool=APPS)

    @dbus_property(access=PropertyAccess.READ)
    @guarded
    def SessionKey(self) -> "s":
        """Public JWK of this start of the daemon."""
        return self._agent.session_key()

    @dbus_property(access=PropertyAccess.READ)
    @guarded
    def Version(self) -> "u":
        """Version of this interface."""
        return VERSION


def _counter_offer(offered: CounterOffer) -> Answer:
    results = {
        "negotiation": Variant("s", offered.negotiation),
        "offer": Variant("s", offered.offer),
        "entry": Variant("t", offered.entry),
    }
    return Answer(results, code=COUNTER_OFFER)
