"""Negotiation: request, catalogue and policy in, offer out. Pure (DESIGN section 4, step 4).

`negotiation.answering` says what becomes of each asked claim, `negotiation.selection` chooses the least that satisfies,
`negotiation.own_terms` answers the terms, `negotiation.over_asking` points out what is more than usual. Partial answers are the
owner's right (docs/decisions/0007): what is not there, or held back, or refused is listed, and the rest goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from ownerd.model.claim import LABELS, Claim
from ownerd.model.offer import KnownAsker, Offer, OfferedClaim, OfferedCredential, TermsAnswer
from ownerd.model.policy import Decision, GrantLimits, Policy
from ownerd.model.query import ClaimQuery
from ownerd.model.request import Request, Trust
from ownerd.negotiation.answering import MADE_VERSION, Answers, Fate, Outcome, ask_key
from ownerd.negotiation.over_asking import over_asking_notes
from ownerd.negotiation.own_terms import answer_terms, request_purposes
from ownerd.negotiation.policy import applicable, narrowest
from ownerd.negotiation.selection import Answered, Choice, select_least

_NO_POLICY: Final = Policy()
_NEW_ASKER: Final = KnownAsker()
# Somebody whose every claim is there; of age on that day, as what is derived needs a date.
_ANY_DAY: Final = date(2026, 1, 1)
_EVERY_CLAIM: Final = {name: Claim(name, "1980-01-01", "", "", MADE_VERSION) for name in LABELS}


def negotiate(
    request: Request,
    claims: Mapping[str, Claim],
    policy: Policy = _NO_POLICY,
    asker: KnownAsker = _NEW_ASKER,
    *,
    today: date,
    without: Collection[str] = (),
    retention_days: int | None = None,
) -> Offer:
    """Offer the least that satisfies ``request``, by ``policy``.

    ``without`` are names that the owner holds back now (``address`` holds back its members), ``retention_days``
    is what the owner narrows the terms to now; ``today`` is the day for ages. Claims keep the order of the
    request and appear once. A credential of which nothing would go does not go.

    Raises `NotSupported` when a required credential can never be met or there are too many alternatives, and
    `InvalidArgument` for a negative ``retention_days``.
    """
    purposes = request_purposes(request)
    rules = applicable(policy, request.provider, purposes)
    answers = Answers(request.provider, policy, rules, claims, asker, today, without)
    answered = {
        ask_key(claim): answers.answer(claim) for one in request.query.credentials for claim in one.claims
    }
    choices = select_least(request.query, answered)
    going = _Going.of(_outcomes(answered, (claim for choice in choices for claim in choice.claims)))
    terms = answer_terms(request, policy, retention_days)
    every = list(_outcomes(answered, (claim for one in request.query.credentials for claim in one.claims)))
    decisions: dict[str, Decision] = {}
    for outcome in every:
        decisions.setdefault(outcome.name, outcome.decision)
    offered = tuple(going.claims.values())
    return Offer(
        request=request,
        credentials=tuple(_credentials(choices, answered)),
        claims=offered,
        missing=going.names(Fate.MISSING),
        withheld=going.names(Fate.WITHHELD),
        refused=going.names(Fate.REFUSED),
        later=going.names(Fate.LATER),
        optional=tuple(dict.fromkeys(one.name for one in every if not going.has(one.name))),
        terms=terms,
        decisions=tuple(decisions.values()),
        notes=over_asking_notes(going.asked, offered, purposes, asker),
        grant=_grant(request, going, terms),
        each_time=tuple(going.each_time),
    )


def negotiate_blind(
    request: Request,
    policy: Policy = _NO_POLICY,
    asker: KnownAsker = _NEW_ASKER,
    *,
    without: Collection[str] = (),
    retention_days: int | None = None,
) -> Offer:
    """As `negotiate`, if every claim were in the vault and had an asked value: so it tells nothing of what is there.

    What an app learns before the owner was asked comes from this alone; the values in it are none.
    """
    query = request.query
    credentials = tuple(
        replace(one, claims=tuple(replace(claim, values=()) for claim in one.claims))
        for one in query.credentials
    )
    made = negotiate(
        replace(request, query=replace(query, credentials=credentials)),
        _EVERY_CLAIM,
        policy,
        asker,
        today=_ANY_DAY,
        without=without,
        retention_days=retention_days,
    )
    return replace(made, request=request)


class _Going(Struct):
    """What comes of the chosen claims queries: each offered claim once, each asked name with one fate."""

    claims: dict[str, OfferedClaim] = field(default_factory=dict)
    fates: dict[str, Fate] = field(default_factory=dict)
    grants: list[GrantLimits | None] = field(default_factory=list)
    each_time: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> _Going:
        going = cls()
        for outcome in outcomes:
            fate = outcome.fate
            if outcome.claim is not None:
                fate = going._add(outcome.claim)
                going.grants.append(outcome.grant)
                if outcome.each_time:
                    going.each_time[outcome.claim.name] = None
            # Asked twice, with values that fit once only: it goes.
            if going.fates.get(outcome.name) is not Fate.GOES:
                going.fates[outcome.name] = fate
        return going

    def _add(self, claim: OfferedClaim) -> Fate:
        known = self.claims.setdefault(claim.name, claim)
        if known.instead_of is None:
            # That it stands in for another is what the app has to be told.
            self.claims[claim.name] = claim
        elif claim.instead_of not in (None, known.instead_of):
            # One claim stands in for one other; the second that it would stand for is not answered.
            return Fate.REFUSED
        return Fate.GOES

    @property
    def asked(self) -> tuple[str, ...]:
        return tuple(self.fates)

    def has(self, name: str) -> bool:
        return name in self.fates or name in self.claims

    def names(self, fate: Fate) -> tuple[str, ...]:
        return tuple(name for name, one in self.fates.items() if one is fate and name not in self.claims)


def _outcomes(answered: Answered, claims: Iterable[ClaimQuery]) -> Iterable[Outcome]:
    return (outcome for claim in claims for outcome in answered[ask_key(claim)])


def _credentials(choices: Sequence[Choice], answered: Answered) -> Iterable[OfferedCredential]:
    for choice in choices:
        going = (one.claim.name for one in _outcomes(answered, choice.claims) if one.claim is not None)
        names = tuple(dict.fromkeys(going))
        if names or not choice.claims:
            yield OfferedCredential(choice.credential.id, names)


def _grant(request: Request, going: _Going, terms: TermsAnswer) -> GrantLimits | None:
    """What the policy allows for repeats: only if every claim may, to a signed asker, on terms left as they are."""
    limits = [one for one in going.grants if one is not None]
    if request.login or request.provider.trust is Trust.CLAIMED or len(limits) < len(going.grants):
        return None
    return narrowest(limits) if terms.accepted or not request.terms else None
