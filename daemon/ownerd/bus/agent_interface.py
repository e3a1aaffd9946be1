"""``org.ownerd.Agent1``: what apps call. Contract: docs/dbus/org.ownerd.Agent1.xml.

Annotations are D-Bus signatures, so this module has no ``from __future__ import annotations``.
"""

from ownerd.bus.caller import current_sender
from ownerd.bus.guard import guarded
from ownerd.bus.options import REQUEST_OPTIONS, parse_options, require_text
from ownerd.bus.request import Answer, RequestTable
from ownerd.core.ports import Job
from ownerd.core.service import AgentService
from ownerd.dbuslib import PropertyAccess, ServiceInterface, Variant, dbus_property, method
from ownerd.model import names
from ownerd.model.caller import Caller

VERSION = 1


class AgentInterface(ServiceInterface):
    """The one method for apps."""

    def __init__(self, agent: AgentService, requests: RequestTable) -> None:
        super().__init__(names.AGENT_INTERFACE)
        self._agent = agent
        self._requests = requests

    @method()
    @guarded
    def Present(self, request: "s", options: "a{sv}") -> "o":
        """Ask for a presentation. Synchronous: the reply is queued before the request's first signal."""
        chosen = parse_options(options, REQUEST_OPTIONS)
        text = require_text(request, "request")

        async def work(caller: Caller, job: Job) -> Answer:
            released = await self._agent.present(caller, text, job)
            # Step 11 of DESIGN section 4: the one place where a presentation leaves, sealed to its recipient.
            results = {"response": Variant("s", released.response), "entry": Variant("t", released.entry)}
            return Answer(results, sent=lambda: self._agent.delivered(released))

        return self._requests.open(current_sender(), chosen, work, pool="apps")

    @dbus_property(access=PropertyAccess.READ)
    @guarded
    def Version(self) -> "u":
        """Version of this interface."""
        return VERSION
