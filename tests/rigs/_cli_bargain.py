"""The scripted agent's bargaining, policy, grants and receipts, in the real message formats (see `tests.rigs.cli`).

``offers`` in the plan are the counter-offers of the rounds in turn, without id, round and end; ``policy``, ``grants``
and ``explained`` are what is there.
"""

from __future__ import annotations

import json
import time
from typing import Any


class BargainCases:
    """Counter-offers, and reads and changes of policy, grants and providers. Mixed into the agent."""

    plan: Any  # the agent brings these
    note: Any
    act: Any
    _key: Any

    def offered(self, request: str, wishes: Any) -> Any:
        """The counter-offer of this round, or None where the request is served."""
        from ownerd.core.service import CounterOffer
        from ownerd.model.errors import NotAllowed

        if wishes is None:
            return None
        self.note("wishes", wishes.negotiate, wishes.negotiation, wishes.accept, wishes.ask)
        offers = self.plan("offers", [])
        if self.plan("offers_forever", None):  # whatever the app says, as no daemon of ours does
            return CounterOffer("n-1", json.dumps({"v": 1, **offers[0]}), 8)
        if wishes.accept:
            if request != self._last_request:
                raise NotAllowed("the request is not the one that the offer answers")
            return None
        self._last_request = request
        if not wishes.negotiate or not offers:
            return None
        members = {"v": 1, "negotiation": "n-1", "round": 1, "expires": int(time.time()) + 600}
        return CounterOffer("n-1", json.dumps({**members, **offers[0]}), 8)

    _last_request = ""

    async def end_negotiation(self, caller: Any, negotiation: str) -> None:
        self.note("ended", negotiation)

    async def receive(self, caller: Any, sealed: str, job: Any) -> int:
        from ownerd.credential.jwe import open_jwe

        message = json.loads(open_jwe(sealed, self._key))
        self.note("receipt", message)
        await self.act("receive", job)
        return 10

    def approve(self, _caller: Any, pending_id: str, terminal: Any, narrowing: Any) -> None:
        grant = narrowing.grant
        more = [] if narrowing.retention_days is None else [narrowing.retention_days]
        more += [] if grant is None else [[grant.days, grant.count, grant.per_hour]]
        tty = None if terminal is None else terminal.tty
        self.note("approve", pending_id, tty, sorted(narrowing.without), *more)

    def outcome(self, _caller: Any, pending_id: str) -> str:
        from ownerd.model.errors import NotFound

        if (outcome := self.plan("outcomes", {}).get(pending_id)) is None:
            raise NotFound("no such request has ended")
        return str(outcome)

    def refuse(self, pending_id: str, *, today: bool = False) -> None:
        from ownerd.model.errors import NotFound

        if pending_id not in self.plan("pending", []):
            raise NotFound("no such request is waiting")
        self.note("refuse", pending_id, *(["today"] if today else []))

    def read_bargains(self, message: dict[str, Any]) -> dict[str, Any]:
        what = message["what"]
        if what == "policy":
            return {"policy": self.plan("policy", "")}
        if what == "grants":
            return {"grants": self.plan("grants", [])}
        explained: dict[str, Any] = self.plan("explained", {})
        return explained

    def change_bargains(self, message: dict[str, Any]) -> dict[str, Any]:
        from ownerd.model.errors import InvalidArgument, NotFound

        change = message["change"]
        if change == "policy":
            if "broken" in message["text"]:
                raise InvalidArgument("rule 2: unknown word")
            return {"entry": 11}
        if message["id"] not in {"9", "p1"}:
            raise NotFound(f"no such {change.split('-')[0]}")
        if change == "provider-rotate":
            return {"entry": 13, "handover": "a.hand.over", "did": "did:jwk:new"}
        return {"entry": 12}
