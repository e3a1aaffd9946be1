"""The owner's policy as values: what `ownerd.negotiation.policy` reads from the owner's text, and what it decides.

A policy is sealed in the vault and changes by a touch only. Rules are tried in the order of the text; the first
that matches decides; a claim that no rule matches is `Action.ASK` without a rule: shown and touched for, and no more
is said of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from ownerd.model.request import Trust
    from ownerd.model.terms import Terms

MAX_GRANT_DAYS: Final = 30
# What the ledger can say of a grant (docs/LEDGER.md, section 4).
MAX_GRANT_COUNT: Final = 100_000
MAX_GRANT_PER_HOUR: Final = 3600


class Action(StrEnum):
    """What happens to one asked claim. Nothing but a grant ever leaves without a prompt and a touch."""

    ALLOW = "allow"  # shown and touched for; the owner may let it go again by a grant
    GRANT = "grant"  # the same, and a grant is proposed
    SUBSTITUTE = "substitute"
    REFUSE = "refuse"
    ASK = "ask"  # shown and touched for each time: no grant covers it, no offer names it before the owner saw it


class Substitute(StrEnum):
    """What goes in place of a claim."""

    ALIAS = "alias"  # an address for this provider alone
    VALUE = "value"  # the value that stands in the rule
    CLAIM = "claim"  # another claim, derived or plain, named in the rule
    LATER = "later"  # nothing now: "ask again when you need it"


class GrantLimits(Struct, frozen=True):
    """How far a grant goes: ``days`` ≤ `MAX_GRANT_DAYS`, ``count`` uses in all, at most ``per_hour`` of them."""

    days: int
    count: int
    per_hour: int


class Rule(Struct, frozen=True):
    """One rule. ``number`` counts from 1 in the text; a None matches everything.

    ``provider`` is a DNS name, ``*.`` and a DNS name for everything below it, or a full client_id. ``trust`` is the
    lowest level that the rule serves. ``claims`` are claim names or ``address.*``. ``detail`` belongs to
    `Substitute`: the value of VALUE, the claim name of CLAIM.
    """

    number: int
    action: Action
    provider: str | None = None
    trust: Trust | None = None
    purpose: str | None = None
    claims: tuple[str, ...] | None = None
    substitute: Substitute | None = None
    detail: str | None = None
    grant: GrantLimits | None = None


class MailAlias(Struct, frozen=True):
    """How mail aliases are made: ``mailbox`` with plus-addressing (user+TAG@host), or TAG@``domain``."""

    mailbox: str | None = None
    domain: str | None = None


class Policy(Struct, frozen=True):
    """A whole policy. ``terms`` are the owner's own, by DPV purpose; key None is for every other purpose."""

    text: str = ""
    rules: tuple[Rule, ...] = ()
    terms: tuple[tuple[str | None, Terms], ...] = ()
    alias: MailAlias | None = None


class Decision(Struct, frozen=True):
    """What the policy says of one claim, and ``why`` in one plain sentence that names the rule."""

    claim: str
    action: Action
    rule: Rule | None
    why: str

    @property
    def each_time(self) -> bool:
        """Whether a rule wants the owner to be asked each time."""
        return self.action is Action.ASK and self.rule is not None
