"""An offer: what negotiation makes of a request. Only `ownerd.negotiation.negotiate` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from ownerd.model.encoding import Json
    from ownerd.model.policy import Decision, GrantLimits
    from ownerd.model.request import Request
    from ownerd.model.terms import Terms


class Form(StrEnum):
    """How an offered value came to be."""

    RAW = "raw"
    DERIVED = "derived"  # computed from another claim of the vault (age_over_18 from birthdate)
    ALIAS = "alias"  # made for this provider alone
    SET = "set"  # written by the owner in a rule


class OfferedClaim(Struct, frozen=True):
    """One claim that would go. ``instead_of`` is the name that was asked where this one goes in its place."""

    name: str
    value: Json
    version: int
    source: str
    form: Form = Form.RAW
    instead_of: str | None = None


class OfferedCredential(Struct, frozen=True):
    """One presentation: the credential query that it answers, and the names of its claims (may be none)."""

    query_id: str
    claims: tuple[str, ...]


class TermsAnswer(Struct, frozen=True):
    """What becomes of the terms.

    ``accepted``: all asked terms hold unchanged, so their hashes are signed. ``own`` are the owner's terms, which
    go along as a digest and a text; None where the owner has none for this purpose.
    """

    accepted: bool
    own: Terms | None


class KnownAsker(Struct, frozen=True):
    """What is known of the asker before: ``got`` maps claim names to the version that they hold.

    ``tag`` is the random part of this provider's aliases, None for a claimed asker, who gets none.
    """

    new: bool = True
    got: Mapping[str, int] = field(default_factory=dict)
    tag: str | None = None


class Offer(Struct, frozen=True):
    """What would go, and what would not.

    ``claims`` hold every name of ``credentials`` once. Asked and not going: ``missing`` (not in the vault, or not of
    an asked value), ``withheld`` (by the owner now), ``refused`` (by a rule), ``later`` (a rule says: ask again
    when it is needed), ``optional`` (the provider can do without). ``notes`` are plain sentences for the owner about
    over-asking. ``grant`` is what the policy would allow for repeats, None where it allows none. ``each_time`` are names
    of ``claims`` that a rule wants the owner asked about each time: no grant serves or covers such an offer, and no app
    gets to know of it before the owner saw it.
    """

    request: Request
    credentials: tuple[OfferedCredential, ...]
    claims: tuple[OfferedClaim, ...]
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    terms: TermsAnswer = TermsAnswer(accepted=False, own=None)
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()
    grant: GrantLimits | None = None
    each_time: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a rule or the owner changed what was asked, so that the app has something to decide."""
        substituted = any(claim.instead_of not in (None, claim.name) for claim in self.claims)
        narrowed = bool(self.withheld or self.refused or self.later)
        return substituted or narrowed or bool(self.request.terms and not self.terms.accepted)
