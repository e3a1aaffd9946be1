"""The owner's own terms: which hold for a request, and whether what is asked stays within them. Pure.

The policy has terms by purpose, and may have some for every other purpose. Where the owner has terms for none of
the asked purposes, the prompt decides. Where there are terms for some of them only, the others are more than the
owner allows: what goes along then names the purposes that are left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from ownerd.model.errors import InvalidArgument
from ownerd.model.offer import TermsAnswer
from ownerd.model.policy import Policy
from ownerd.model.request import Request
from ownerd.model.terms import PURPOSES, Terms


def request_purposes(request: Request) -> tuple[str, ...]:
    """All purposes of a request's terms, each once."""
    return tuple(dict.fromkeys(purpose for asked in request.terms for purpose in asked.terms.purposes))


def own_terms(policy: Policy, purposes: Collection[str]) -> Terms | None:
    """The owner's terms for ``purposes`` taken together, or None where there are none for any of them.

    The narrowest hold: the shortest retention, the recipients that all allow, an agreement where all name the same.
    Without a purpose they are those for every other purpose.
    """
    by_purpose = dict(policy.terms)
    default = by_purpose.get(None)
    if not purposes:
        return default
    found = {purpose: by_purpose.get(purpose, default) for purpose in purposes}
    terms = {purpose: own for purpose, own in found.items() if own is not None}
    if not terms:
        return None
    every = list(terms.values())
    agreements = {own.agreement for own in every}
    return Terms(
        purposes=tuple(terms),
        retention_days=min(
            (own.retention_days for own in every if own.retention_days is not None), default=None
        ),
        recipients=tuple(one for one in every[0].recipients if all(one in own.recipients for own in every)),
        agreement=every[0].agreement if len(agreements) == 1 else None,
    )


def answer_terms(request: Request, policy: Policy, retention_days: int | None = None) -> TermsAnswer:
    """What becomes of a request's terms; ``retention_days`` is what the owner narrows them to now.

    Raises `InvalidArgument` when ``retention_days`` is negative.
    """
    if retention_days is not None and retention_days < 0:
        raise InvalidArgument("retention is less than no days")
    own = own_terms(policy, request_purposes(request))
    within = all(_is_within(asked.terms, own_terms(policy, asked.terms.purposes)) for asked in request.terms)
    if retention_days is not None:
        within = within and all(_is_kept(asked.terms, retention_days) for asked in request.terms)
        if own is not None or not within or not request.terms:
            own = _narrow(own or _asked(request), retention_days)
    return TermsAnswer(accepted=bool(request.terms) and within, own=own)


def narrowing_words(asked: Sequence[Terms], own: Terms) -> list[str]:
    """What the owner's terms make less of what is asked, each in plain words; names are as they were given."""
    if not asked:
        return []
    together = _together(asked)
    words: list[str] = []
    purposes = [one for one in together.purposes if own.purposes and one not in own.purposes]
    if purposes:
        words.append(f"not for {', '.join(PURPOSES.get(one, one) for one in purposes)}")
    if own.retention_days is not None and not _is_kept(together, own.retention_days):
        words.append(f"kept {kept_words(own.retention_days)}, not {kept_words(together.retention_days)}")
    others = [one for one in together.recipients if one not in own.recipients]
    if others:
        words.append(f"not passed on to {', '.join(others)}")
    agreements = [one.agreement for one in asked if one.agreement not in (None, own.agreement)]
    return words + [f"not under the agreement {one}" for one in dict.fromkeys(agreements)]


def kept_words(days: int | None) -> str:
    """How long something may be kept."""
    if days is None:
        return "without a stated end"
    return "not at all" if days == 0 else f"{days} day{'s' * (days != 1)} at most"


def _is_within(asked: Terms, own: Terms | None) -> bool:
    if own is None:
        return True
    return (
        set(asked.purposes) <= set(own.purposes)
        and (own.retention_days is None or _is_kept(asked, own.retention_days))
        and set(asked.recipients) <= set(own.recipients)
        and asked.agreement in (None, own.agreement)
    )


def _is_kept(asked: Terms, days: int) -> bool:
    return asked.retention_days is not None and asked.retention_days <= days


def _narrow(own: Terms, days: int) -> Terms:
    kept = days if own.retention_days is None else min(days, own.retention_days)
    return replace(own, retention_days=kept)


def _asked(request: Request) -> Terms:
    """What is asked, in one: the owner who only shortens it leaves the rest as it is."""
    return _together([asked.terms for asked in request.terms])


def _together(every: Sequence[Terms]) -> Terms:
    """The widest of several terms; an agreement only where all name the same."""
    agreements = {terms.agreement for terms in every}
    bounded = [terms.retention_days for terms in every if terms.retention_days is not None]
    return Terms(
        purposes=tuple(dict.fromkeys(purpose for terms in every for purpose in terms.purposes)),
        retention_days=max(bounded) if bounded and len(bounded) == len(every) else None,
        recipients=tuple(dict.fromkeys(name for terms in every for name in terms.recipients)),
        agreement=agreements.pop() if len(agreements) == 1 else None,
    )
