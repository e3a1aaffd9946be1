"""The least that satisfies a query: which credentials go, and by which claim set each (docs/decisions/0015).

OpenID4VP 1.0 section 6.4: every required credential set by one of its options, every credential by one of its claim
sets. Whole answers are compared by: how many asked claims would be lacking; what they cost (`negotiation.sensitivity`), a
claim that goes twice counted once; how many are stand-ins; the provider's order. The search is exact. It goes through
the provider's order and cuts off what is no better already; a query that takes more than `MAX_STEPS` is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from msgspec import Struct

from ownerd.model.errors import NotSupported
from ownerd.model.query import ClaimQuery, CredentialQuery, Query
from ownerd.negotiation.answering import AskKey, Fate, Outcome, ask_key
from ownerd.negotiation.sensitivity import cost

MAX_STEPS: Final = 20_000

Answered = Mapping[AskKey, tuple[Outcome, ...]]
Measure = tuple[int, int, int]


class Choice(Struct, frozen=True):
    """One credential that goes, and the claims queries that it answers, in the order of the query."""

    credential: CredentialQuery
    claims: tuple[ClaimQuery, ...]


class _Masks(Struct, frozen=True):
    """What some claims queries come to: bits of asks that lack, of claims that go, of asks met by a stand-in."""

    lacks: int = 0
    goes: int = 0
    stands: int = 0

    def __or__(self, other: _Masks) -> _Masks:
        return _Masks(self.lacks | other.lacks, self.goes | other.goes, self.stands | other.stands)

    def __and__(self, other: _Masks) -> _Masks:
        return _Masks(self.lacks & other.lacks, self.goes & other.goes, self.stands & other.stands)

    def is_within(self, other: _Masks) -> bool:
        return self | other == other


class _Option(Struct, frozen=True):
    claims: tuple[ClaimQuery, ...]
    masks: _Masks


def select_least(query: Query, answered: Answered) -> tuple[Choice, ...]:
    """Choose what goes, in the order of the query.

    Raises `NotSupported` when a required credential is one that an owner can never have, or when the query has
    more alternatives than are compared.
    """
    search = _Search(query, answered)
    for credentials in _credential_choices(query):
        search.try_credentials(credentials)
    return search.best


def _credential_choices(query: Query) -> Iterator[tuple[CredentialQuery, ...]]:
    """Every way to satisfy the required credential sets, in the provider's order, each once."""
    unmet = {one.id: one.unmet for one in query.credentials if one.unmet is not None}
    if not query.sets:
        for reason in unmet.values():
            raise NotSupported(f"a required credential can never be met: {reason}")
        yield query.credentials
        return
    required: list[list[tuple[str, ...]]] = []
    for credential_set in query.sets:
        if not credential_set.required:
            continue
        options = [ids for ids in credential_set.options if not unmet.keys() & set(ids)]
        if not options:
            reason = next(unmet[one] for ids in credential_set.options for one in ids if one in unmet)
            raise NotSupported(f"a required credential set can never be met: {reason}")
        required.append(options)
    seen: set[frozenset[str]] = set()
    for step, combined in enumerate(product(*required)):
        _require_few(step)
        wanted = frozenset(one for ids in combined for one in ids)
        if wanted not in seen:
            seen.add(wanted)
            yield tuple(one for one in query.credentials if one.id in wanted)


def _require_few(steps: int) -> None:
    if steps >= MAX_STEPS:
        raise NotSupported("the query has more alternatives than are compared")


class _Search:
    """Depth first over claim sets, in the provider's order; ``best`` is the first of the least."""

    def __init__(self, query: Query, answered: Answered) -> None:
        self.best: tuple[Choice, ...] = ()
        self._measure: Measure | None = None
        self._steps = 0
        self._answered = answered
        self._ask_bits = {key: 1 << number for number, key in enumerate(answered)}
        self._claim_bits: dict[str, int] = {}
        self._costs: list[int] = []
        self._cost_of: dict[int, int] = {}
        self._options = {one.id: self._prune(self._claim_sets(one)) for one in query.credentials}
        self._floors = self._find_floors()

    def try_credentials(self, credentials: Sequence[CredentialQuery]) -> None:
        """Look for a better answer with exactly these credentials."""
        lacks, costs = [0], [0]
        for credential in reversed(credentials):
            lack, price = self._floors[credential.id]
            lacks.append(lacks[-1] + lack)
            costs.append(costs[-1] + price)
        self._descend(credentials, list(zip(reversed(lacks), reversed(costs), strict=True)), (), _Masks())

    def _descend(
        self,
        credentials: Sequence[CredentialQuery],
        floors: Sequence[tuple[int, int]],
        chosen: tuple[Choice, ...],
        masks: _Masks,
    ) -> None:
        self._steps += 1
        _require_few(self._steps)
        # What is still to come adds at least its floor.
        lacks, price, stands = self._measured(masks)
        measure = (lacks + floors[len(chosen)][0], price + floors[len(chosen)][1], stands)
        if self._measure is not None and measure >= self._measure:
            return
        if len(chosen) == len(credentials):
            self.best, self._measure = chosen, measure
            return
        credential = credentials[len(chosen)]
        for option in self._options[credential.id]:
            choice = Choice(credential, option.claims)
            self._descend(credentials, floors, (*chosen, choice), masks | option.masks)

    def _find_floors(self) -> dict[str, tuple[int, int]]:
        """What each credential lacks and costs at least, whatever the others do: only what no other has counts."""
        seen, shared = _Masks(), _Masks()
        for options in self._options.values():
            own = _Masks()
            for option in options:
                own |= option.masks
            shared |= seen & own
            seen |= own
        return {
            query_id: (
                min((one.masks.lacks & ~shared.lacks).bit_count() for one in options),
                min(self._cost(one.masks.goes & ~shared.goes) for one in options),
            )
            for query_id, options in self._options.items()
        }

    def _measured(self, masks: _Masks) -> Measure:
        return masks.lacks.bit_count(), self._cost(masks.goes), masks.stands.bit_count()

    def _cost(self, goes: int) -> int:
        found = self._cost_of.get(goes)
        if found is None:
            found = sum(one for number, one in enumerate(self._costs) if goes >> number & 1)
            self._cost_of[goes] = found
        return found

    def _claim_sets(self, credential: CredentialQuery) -> list[_Option]:
        if not credential.claim_sets:
            return [self._option(credential.claims)]
        options = []
        for ids in credential.claim_sets:
            wanted = frozenset(ids)
            options.append(self._option(tuple(one for one in credential.claims if one.id in wanted)))
        return options

    def _option(self, claims: tuple[ClaimQuery, ...]) -> _Option:
        lacks = goes = stands = 0
        for claim in claims:
            key = ask_key(claim)
            going = [
                one.claim for one in self._answered[key] if one.fate is Fate.GOES and one.claim is not None
            ]
            if not going:
                lacks |= self._ask_bits[key]
            for one in going:
                goes |= self._bit(one.name, cost(one))
                if one.instead_of is not None:
                    stands |= self._ask_bits[key]
        return _Option(claims, _Masks(lacks, goes, stands))

    def _bit(self, name: str, price: int) -> int:
        if name not in self._claim_bits:
            self._claim_bits[name] = 1 << len(self._costs)
            self._costs.append(price)
        return self._claim_bits[name]

    @staticmethod
    def _prune(options: list[_Option]) -> list[_Option]:
        """Leave out what sends at least as much as another and lacks as much: it can never be the least."""
        kept: list[_Option] = []
        for option in options:
            if any(other.masks.is_within(option.masks) for other in kept):
                continue
            kept = [other for other in kept if not option.masks.is_within(other.masks)]
            kept.append(option)
        return kept
