"""The owner's policy, applied: which rule decides about a claim, and why. Pure.

The first rule that matches, in the order of the text, decides. A request with several purposes is judged for each of
them as if it had that one alone, and the strictest answer holds (refuse, substitute, ask, no rule, allow, grant), so
that a purpose more never serves the asker.

Whom a rule's ``provider`` means:

- a DNS name means a verified or pinned provider of exactly this name, ``*.`` and a DNS name everybody below it;
- a full client_id means that client_id, verified or pinned;
- a claimed asker can take any name. So a rule with ``provider`` never serves one, or it would profit from what the
  owner wrote for somebody else; but a rule that refuses does hold for it, as nobody profits from that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ownerd.credential.dns_name import is_dns_name
from ownerd.model.claim import claim_label
from ownerd.model.policy import Action, Decision, GrantLimits, Policy, Rule, Substitute
from ownerd.model.request import Provider, Trust

_LEVEL: Final = {Trust.CLAIMED: 0, Trust.PINNED: 1, Trust.VERIFIED: 2}
_STRICTNESS: Final = {
    Action.REFUSE: 0,
    Action.SUBSTITUTE: 1,
    Action.ASK: 2,
    Action.ALLOW: 3,
    Action.GRANT: 4,
}
_SUBSTITUTES: Final = {
    Substitute.ALIAS: "puts an alias in place of {}",
    Substitute.VALUE: "puts a value of yours in place of {}",
    Substitute.LATER: "keeps {} for later",
}
_ACTIONS: Final = {
    Action.ALLOW: "lets {} go when you touch",
    Action.GRANT: "lets {} go when you touch, and again under a grant",
    Action.SUBSTITUTE: "substitutes {}",
    Action.REFUSE: "refuses {}",
    Action.ASK: "asks you about {} each time",
}


class _Table(Struct, frozen=True):
    """The rules for one provider and one purpose, by claim: the first of each kind."""

    exact: dict[str, Rule]
    below: dict[str, Rule]  # "address.*" stands under "address"
    every: Rule | None

    def find(self, claim: str) -> Rule | None:
        """The rule that comes first in the text."""
        found = (self.exact.get(claim), self.below.get(claim.partition(".")[0]), self.every)
        return min((rule for rule in found if rule is not None), key=lambda rule: rule.number, default=None)


class Prepared(Struct, frozen=True):
    """A policy narrowed down to one provider and its purposes, so that many claims are decided fast."""

    tables: tuple[_Table, ...]

    def decide(self, claim: str) -> Decision:
        """Decide about one asked claim."""
        found = [table.find(claim) for table in self.tables]
        rule = min(found, key=_rank)
        if rule is None:
            return Decision(
                claim, Action.ASK, None, f"no rule is about {claim_label(claim)}, so you are asked"
            )
        if rule.action is Action.GRANT:
            # Every purpose has a grant, or the strictest would be another: none may go further than any of them.
            limits = narrowest(one.grant for one in found if one is not None and one.grant is not None)
            rule = replace(rule, grant=limits)
        return Decision(claim, rule.action, rule, _why(rule, claim))


def applicable(policy: Policy, provider: Provider, purposes: Collection[str]) -> Prepared:
    """Pick the rules of ``policy`` that are about ``provider`` and ``purposes`` (DPV terms, may be none).

    Without a stated purpose the rules that name one are about nobody.
    """
    rules = [rule for rule in policy.rules if _is_about(rule, provider)]
    named = {rule.purpose for rule in rules}
    # Purposes that no rule names are all judged alike.
    distinct = dict.fromkeys(purpose if purpose in named else None for purpose in purposes) or (None,)
    return Prepared(tuple(_table(rules, purpose) for purpose in distinct))


def narrowest(limits: Iterable[GrantLimits]) -> GrantLimits | None:
    """The limits that stay within all of ``limits``; None for none."""
    every = list(limits)
    if not every:
        return None
    return GrantLimits(
        days=min(one.days for one in every),
        count=min(one.count for one in every),
        per_hour=min(one.per_hour for one in every),
    )


def _rank(rule: Rule | None) -> tuple[int, float]:
    return (_STRICTNESS[Action.ASK], math.inf) if rule is None else (_STRICTNESS[rule.action], rule.number)


def _is_about(rule: Rule, provider: Provider) -> bool:
    claimed = provider.trust is Trust.CLAIMED
    if rule.action is Action.GRANT and claimed:
        return False
    if rule.trust is not None and _LEVEL[provider.trust] < _LEVEL[rule.trust]:
        return False
    if rule.provider is None:
        return True
    if claimed and rule.action is not Action.REFUSE:
        return False
    if ":" in rule.provider:
        return rule.provider == provider.client_id
    # A did:web has a path in its name, an attested name may be words: only a DNS name is one.
    name = provider.name
    if rule.provider.startswith("*."):
        return is_dns_name(name) and name.endswith(rule.provider[1:])
    return rule.provider == name


def _table(rules: list[Rule], purpose: str | None) -> _Table:
    exact: dict[str, Rule] = {}
    below: dict[str, Rule] = {}
    for rule in rules:
        if rule.purpose not in (None, purpose):
            continue
        if rule.claims is None:
            # What comes after a rule about every claim never decides.
            return _Table(exact, below, rule)
        for claim in rule.claims:
            if claim.endswith(".*"):
                below.setdefault(claim[:-2], rule)
            else:
                exact.setdefault(claim, rule)
    return _Table(exact, below, None)


def _why(rule: Rule, claim: str) -> str:
    if rule.substitute is Substitute.CLAIM:
        words = f"puts {claim_label(rule.detail or '')} in place of {{}}"
    elif rule.substitute is not None:
        words = _SUBSTITUTES[rule.substitute]
    else:
        words = _ACTIONS[rule.action]
    return f"rule {rule.number} {words.format(claim_label(claim))}"
