"""What the policy makes of a request, claim by claim, without a value: for ``ownerctl policy explain``. Pure."""

from __future__ import annotations

from typing import Final

from ownerd.model.claim import claim_label
from ownerd.model.encoding import Json
from ownerd.model.offer import Form, Offer, OfferedClaim
from ownerd.model.policy import Action, Decision
from ownerd.negotiation.own_terms import narrowing_words

_FORMS: Final = {
    Form.RAW: "goes as it is",
    Form.DERIVED: "goes, computed from what is stored",
    Form.ALIAS: "goes as an alias for this provider alone",
    Form.SET: "goes with the value that the rule names",
}


def explain(offer: Offer) -> list[dict[str, Json]]:
    """One object for each asked claim, in the order of the request, of JSON and without values.

    ``claim`` and ``label`` name it; ``outcome`` is goes, missing, withheld, refused, later or optional, ``what`` the
    same in words; ``goes`` is the claim that goes (its own name or another in its place) or None; ``rule`` is the number
    of the rule and ``action`` its word, both None where no rule is about it; ``why`` is a sentence; ``grant`` says
    whether the rule lets it go again without a touch, ``each_time`` whether a rule wants the owner asked each time.
    """
    going = {claim.instead_of or claim.name: claim for claim in offer.claims}
    for claim in offer.claims:
        # Asked itself, while it stands in for another as well.
        going.setdefault(claim.name, claim)
    fates = {
        **dict.fromkeys(offer.optional, ("optional", "does not go: they can do without it")),
        **dict.fromkeys(offer.missing, ("missing", "is not there, or not as they want it")),
        **dict.fromkeys(offer.later, ("later", "does not go now: they may ask again when they need it")),
        **dict.fromkeys(offer.refused, ("refused", "does not go: the policy refuses")),
        **dict.fromkeys(offer.withheld, ("withheld", "does not go: you hold it back")),
    }
    return [_line(offer, decision, going.get(decision.claim), fates) for decision in offer.decisions]


def explain_terms(offer: Offer) -> str:
    """What becomes of the terms that are asked for, in one sentence; empty where none are and none go along."""
    own, asked = offer.terms.own, [one.terms for one in offer.request.terms]
    if offer.terms.accepted:
        return "theirs are within yours, and are accepted" if own else "you have none for this: you decide"
    if own is None:
        return ""
    less = narrowing_words(asked, own)
    return f"theirs are narrowed: {'; '.join(less)}" if less else "yours go along"


def _line(
    offer: Offer, decision: Decision, claim: OfferedClaim | None, fates: dict[str, tuple[str, str]]
) -> dict[str, Json]:
    rule = decision.rule
    grant = decision.action is Action.GRANT or (rule is not None and rule.grant is not None)
    each_time = claim is not None and claim.name in offer.each_time
    if decision.claim in fates or claim is None:
        outcome, what = fates.get(decision.claim, ("optional", "does not go: they can do without it"))
        goes = None
    elif claim.name != decision.claim:
        outcome, what, goes = "goes", f"{claim_label(claim.name)} goes in its place", claim.name
    else:
        outcome, what, goes = "goes", _FORMS[claim.form], claim.name
    if goes is not None:
        what += ", asked each time" if each_time else ", or again under a grant" if grant else ""
    return {
        "claim": decision.claim,
        "label": claim_label(decision.claim),
        "outcome": outcome,
        "what": what,
        "goes": goes,
        "action": decision.action.value if rule else None,
        "rule": rule.number if rule else None,
        "why": decision.why,
        "grant": grant,
        "each_time": each_time and goes is not None,
    }
