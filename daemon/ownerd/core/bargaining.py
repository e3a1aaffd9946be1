"""Bargaining: counter-offers, and which requests belong together.

A counter-offer names claims and terms and holds no value; it is recorded as an ``offer`` entry before it is
answered. Negotiations live in memory, belong to one connection and one asker, take at most `MAX_ROUNDS` rounds and
end after `MAX_SECONDS`, or with the process: then the app asks afresh and nothing is lost but its place.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from ownerd.model.canonical import format_canonical
from ownerd.model.claim import claim_path
from ownerd.model.errors import Busy, InvalidArgument, NotFound

if TYPE_CHECKING:
    from ownerd.core.ports import Clock
    from ownerd.core.service import Wishes
    from ownerd.model.encoding import Json
    from ownerd.model.offer import Offer
    from ownerd.model.request import Request

MAX_ROUNDS: Final = 5
MAX_SECONDS: Final = 600
MAX_NEGOTIATIONS: Final = 64
_ID_BYTES: Final = 12


class Negotiation(Struct, eq=False):
    """One negotiation, until `Clock.passed_ms` is ``ends_ms``.

    ``entries`` are those of its counter-offers; ``offered`` is the last one, by request digest.
    """

    id: str
    bus_name: str
    asker: tuple[str, str]
    ends_ms: int
    entries: list[int] = field(default_factory=list)
    offered: tuple[bytes, bytes] | None = None

    def is_agreed(self, offer: Offer) -> bool:
        """Whether ``offer`` is what the app was offered for this very request."""
        return self.offered == (offer.request.digest, self.digest_of(offer))

    @staticmethod
    def digest_of(offer: Offer) -> bytes:
        """What makes an offer the same: canonical JSON of its members."""
        return format_canonical(offer_members(offer))


class Negotiations:
    """All that are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live: dict[str, Negotiation] = {}

    def join(self, wishes: Wishes, bus_name: str, request: Request) -> Negotiation | None:
        """Return the negotiation that the app goes on with, or a new one where it understands counter-offers.

        None where it does neither. Raises `NotFound` for one that is not the caller's, or not with this asker, and
        `InvalidArgument` for an acceptance of nothing.
        """
        if wishes.negotiation is None:
            if wishes.accept:
                raise InvalidArgument("option accept needs option negotiation")
            return self._begin(bus_name, request) if wishes.negotiate else None
        found = self._find(bus_name, wishes.negotiation)
        if found.asker != _asker(request):
            raise NotFound("no such negotiation with this provider")
        if wishes.accept and (found.offered is None or found.offered[0] != request.digest):
            raise InvalidArgument("what is accepted is not the request that the last offer answered")
        return found

    def end(self, bus_name: str, negotiation: str) -> Negotiation:
        """Take a negotiation of the caller's off the list. Raises `NotFound`."""
        found = self._find(bus_name, negotiation)
        del self._live[found.id]
        return found

    def drop(self, negotiation: Negotiation | None) -> None:
        """End a negotiation that came to its end, if there is one."""
        if negotiation is not None:
            self._live.pop(negotiation.id, None)

    def counter(self, negotiation: Negotiation, offer: Offer) -> dict[str, Json]:
        """Return the next counter-offer as the app gets it. Raises `Busy` after the last round."""
        if len(negotiation.entries) >= MAX_ROUNDS:
            self.drop(negotiation)
            raise Busy(f"the negotiation has had its {MAX_ROUNDS} rounds")
        self._live[negotiation.id] = negotiation
        left_ms = negotiation.ends_ms - self._clock.passed_ms()
        return {
            "v": 1,
            "negotiation": negotiation.id,
            "round": len(negotiation.entries) + 1,
            **offer_members(offer),
            "expires": (self._clock.now_ms() + left_ms) // 1000,
        }

    def _begin(self, bus_name: str, request: Request) -> Negotiation:
        self._expire()
        if len(self._live) >= MAX_NEGOTIATIONS:
            raise Busy("too many negotiations at once")
        ends = self._clock.passed_ms() + MAX_SECONDS * 1000
        return Negotiation(secrets.token_urlsafe(_ID_BYTES), bus_name, _asker(request), ends)

    def _find(self, bus_name: str, negotiation: str) -> Negotiation:
        self._expire()
        found = self._live.get(negotiation)
        if found is None or found.bus_name != bus_name:
            raise NotFound("no such negotiation of this caller")
        return found

    def _expire(self) -> None:
        now = self._clock.passed_ms()
        self._live = {one.id: one for one in self._live.values() if one.ends_ms > now}


def _asker(request: Request) -> tuple[str, str]:
    return request.provider.trust.value, request.provider.client_id


def offer_members(offer: Offer) -> dict[str, Json]:
    """Claims and terms of an offer, without a value; what is missing in the vault is not among what is said."""
    named = {claim.name: claim for claim in offer.claims}
    terms = offer.terms
    return {
        "credentials": [
            {
                "id": credential.query_id,
                "claims": [_claim(named[name].instead_of, name) for name in credential.claims],
            }
            for credential in offer.credentials
        ],
        "refused": [list(claim_path(name)) for name in offer.refused],
        "withheld": [list(claim_path(name)) for name in offer.withheld],
        "later": [list(claim_path(name)) for name in offer.later],
        "terms": None if terms.accepted or terms.own is None else terms.own.members(),
    }


def _claim(instead_of: str | None, name: str) -> dict[str, Json]:
    claim: dict[str, Json] = {"path": list(claim_path(name))}
    if instead_of not in (None, name):
        claim["instead_of"] = list(claim_path(instead_of or ""))
    return claim
