"""The terminal that one of the owner's tools lends to prompts, until it takes it back or leaves."""

from __future__ import annotations

from ownerd.core.service import AgentService
from ownerd.model.caller import Terminal
from ownerd.model.errors import Busy, NotAllowed


class Watch:
    """At most one lender at a time: a second one is refused, so that nobody takes prompts over in silence."""

    def __init__(self, agent: AgentService) -> None:
        self._agent = agent
        self._holder: str | None = None

    @property
    def is_lent(self) -> bool:
        """Whether somebody lends."""
        return self._holder is not None

    def begin(self, bus_name: str, terminal: Terminal) -> None:
        """Lend ``terminal``; the same caller may lend another. Raises `Busy` while somebody else lends."""
        if self._holder not in (None, bus_name):
            raise Busy("another program lends its terminal already")
        self._agent.watch(terminal)
        self._holder = bus_name

    def require(self, bus_name: str) -> None:
        """Raise `NotAllowed` unless ``bus_name`` lends a terminal."""
        if self._holder != bus_name:
            raise NotAllowed("this caller lends no terminal")

    def end(self, bus_name: str) -> None:
        """End it if ``bus_name`` lends; called for its ``Unwatch`` and when it leaves the bus."""
        if self._holder == bus_name:
            self._holder = None
            self._agent.watch(None)
