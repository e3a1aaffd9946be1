"""Over-asking, in plain sentences for the owner: against the stated purpose, and against what they got before. Pure.

`USUAL` says which claims a purpose usually needs. It is coarse on purpose: a note is a hint, it decides nothing. A
purpose that is not in it (providing a service may need anything) is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ownerd.model.claim import LABELS, claim_label
from ownerd.model.offer import KnownAsker, OfferedClaim
from ownerd.model.terms import PURPOSES

_NAME: Final = frozenset({"name", "given_name", "family_name", "middle_name"})
_ADDRESS: Final = frozenset({"address"} | {name for name in LABELS if name.startswith("address.")})
_AGE: Final = frozenset({"age_over_18", "age_over_21"})
_REACH: Final = frozenset({"email", "phone_number"})
_LANGUAGE: Final = frozenset({"locale", "zoneinfo"})
_REGION: Final = frozenset({"address.country", "address.region"})

USUAL: Final[dict[str, frozenset[str]]] = {
    "dpv:AccountManagement": _NAME | _LANGUAGE | {"email", "preferred_username", "nickname"},
    "dpv:AgeVerification": _AGE,
    "dpv:Advertising": _LANGUAGE | _REGION,
    "dpv:CommunicationManagement": _NAME | _REACH | _LANGUAGE,
    "dpv:CustomerCare": _NAME | _REACH | _LANGUAGE,
    "dpv:DeliveryOfGoods": _NAME | _ADDRESS | _REACH,
    "dpv:DirectMarketing": _LANGUAGE | {"email", "name", "given_name"},
    "dpv:IdentityVerification": _NAME | _ADDRESS | _AGE | {"birthdate", "age_birth_year", "picture"},
    "dpv:Marketing": _LANGUAGE | _REGION | {"email"},
    "dpv:OrderManagement": _NAME | _ADDRESS | _REACH,
    "dpv:PaymentManagement": _NAME | _ADDRESS | {"email"},
    "dpv:Personalisation": _LANGUAGE | _REGION | {"nickname", "given_name"},
    "dpv:PublicRelations": _LANGUAGE | {"email", "name", "given_name"},
    "dpv:ResearchAndDevelopment": _LANGUAGE | _REGION | {"age_birth_year"},
    "dpv:SellDataToThirdParties": frozenset(),
    "dpv:ServiceOptimisation": _LANGUAGE | _REGION,
    "dpv:ServicePersonalisation": _LANGUAGE | _REGION | {"nickname", "given_name"},
    "dpv:ServiceRegistration": _NAME | _LANGUAGE | {"email", "preferred_username", "nickname"},
    "dpv:TargetedAdvertising": _LANGUAGE | _REGION,
}


def over_asking_notes(
    asked: Sequence[str], offered: Sequence[OfferedClaim], purposes: Sequence[str], asker: KnownAsker
) -> tuple[str, ...]:
    """Sentences about ``asked`` names for ``purposes``, and about ``offered`` claims against what ``asker`` got."""
    notes: list[str] = []
    if purposes and all(purpose in USUAL for purpose in purposes):
        usual = frozenset[str]().union(*(USUAL[purpose] for purpose in purposes))
        words = ", ".join(PURPOSES[purpose] for purpose in purposes)
        notes += _note(
            f"More than is usual for this purpose ({words})", [name for name in asked if name not in usual]
        )
    if not asker.new:
        first = [claim.name for claim in offered if claim.name not in asker.got]
        older = [claim.name for claim in offered if 0 < asker.got.get(claim.name, 0) < claim.version]
        notes += _note("First time they ask for", first)
        notes += _note("They hold an older value of", older)
    return tuple(notes)


def _note(title: str, names: Sequence[str]) -> list[str]:
    return [f"{title}: {', '.join(claim_label(name) for name in names)}"] if names else []
