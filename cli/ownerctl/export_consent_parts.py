"""Parts of a consent record: notice, processing, parties and events, each with the fields that the guide makes mandatory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ownerctl.export_dpv import ANY_DATA, CATEGORIES, unknown
from ownerctl.export_record import members, text, texts

if TYPE_CHECKING:
    from ownerctl.export_record import Record
    from ownerd.model.encoding import Json

_THIRD_PARTY: Final = "dpv:ThirdParty"  # codespell:ignore thirdparty
_GONE: Final = "what was read of the ledger does not hold it"
_NEVER: Final = "providers do not say it, so the ledger does not hold it"


# -- the notice --


def notice(record: Record) -> dict[str, Json]:
    """What the owner was shown, by its digest: its text may hold values."""
    shown = text(members(record.statement.get("rendered")).get("text"))
    if shown is None:
        return {**unknown("dpv:ConsentNotice", _GONE), "dct:language": "en"}
    from ownerd.model.encoding import format_b64u

    return {
        "@type": "dpv:ConsentNotice",
        "dct:identifier": f"sha-256:{format_b64u(hashlib.sha256(shown.encode()).digest())}",
        "dct:date": record.time,
        "dct:language": "en",
    }


# -- processing --


def processes(record: Record, controller: str, did: str | None) -> list[Json]:
    """One for each of the terms that hold, or one without terms."""
    return [
        {
            "@type": "dpv:Process",
            "dpv:hasPurpose": _purposes(record, terms),
            "dpv:hasPersonalData": _data(record),
            "dpv:hasDataController": controller,
            "dpv:hasDataSubject": did or unknown("dpv:DataSubject", _GONE),
            "dpv:hasRecipient": [controller, *map(_third_party, texts(terms.get("recipients")))],
            "dpv:hasStorageCondition": [unknown("dpv:StorageLocation", _NEVER), _retention(terms)],
            "dpv:hasLegalBasis": "dpv:ExplicitlyExpressedConsent",
            "dpv:hasDataSource": "dpv:DataSubjectDataSource",
            "dpv:hasConsentControl": _control(record),
            "dpv:hasJurisdiction": unknown("dpv:Jurisdiction", _NEVER),
            "dpv:hasRight": unknown("dpv:DataSubjectRight", _NEVER, applicability="dpv:UnknownApplicability"),
            "ownerd:terms": terms.get("standing", "none"),
            **({"ownerd:agreement": terms["agreement"]} if text(terms.get("agreement")) else {}),
        }
        for terms in _terms(record)
    ]


def _terms(record: Record) -> list[dict[str, Any]]:
    """The owner's own terms where they took the place of what was asked, else what was asked."""
    said = members(record.statement.get("terms"))
    if own := members(said.get("own")):
        return [{**own, "standing": "own"}]
    asked, standing = said.get("asked"), "accepted" if said.get("accepted") else "asked"
    listed = asked if isinstance(asked, list) else []
    found: list[dict[str, Any]] = [{**one, "standing": standing} for one in listed if isinstance(one, dict)]
    none: dict[str, Any] = {}
    return found or [none]


def _purposes(record: Record, terms: dict[str, Any]) -> list[Json]:
    from ownerd.model.terms import PURPOSES

    known: list[Json] = [one for one in texts(terms.get("purpose")) if one in PURPOSES]
    words = text(record.statement.get("purpose"))
    if words is None and not known:
        words = text((record.values or {}).get("purpose"))
    if words is not None:
        known.append({"@type": "dpv:Purpose", "dct:description": words})
    if record.statement.get("kind") == "login":
        known.append("dpv:IdentityAuthentication")
    return known or [unknown("dpv:Purpose", _NEVER if record.values else _GONE)]


def _data(record: Record) -> list[Json]:
    from ownerd.model.claim import claim_label

    found: list[Json] = []
    for claim in record.claims:
        name = text(claim.get("name")) or ""
        one: dict[str, Json] = {
            "@type": "dpv:DerivedPersonalData" if claim.get("form") == "derived" else ANY_DATA,
            "skos:broader": CATEGORIES.get(name, ANY_DATA),
            "dct:identifier": name,
            "dct:title": claim_label(name),
            "ownerd:version": claim.get("version"),
        }
        if asked := text(claim.get("of")):
            one["ownerd:insteadOf"] = asked
        found.append(one)
    if not found and record.statement.get("kind") == "login":
        return [
            {"@type": ANY_DATA, "skos:broader": "pd:Identifier", "dct:title": "the key for this provider"}
        ]
    return found or [unknown(ANY_DATA, _GONE)]


def _third_party(name: str) -> dict[str, Json]:
    return {"@type": ["dpv:Recipient", _THIRD_PARTY], "dpv:hasName": name}


def _retention(terms: dict[str, Any]) -> dict[str, Json]:
    if not terms:
        return unknown("dpv:StorageDuration", _NEVER)
    days = terms.get("retention_days")
    if type(days) is int:
        return {
            "@type": "dpv:StorageDuration",
            "dpv:hasDuration": {"@type": "dpv:TemporalDuration", "rdf:value": f"P{days}D"},
        }
    return {"@type": "dpv:StorageDuration", "dpv:hasDuration": {"@type": "dpv:EndlessDuration"}}


def _control(record: Record) -> dict[str, Json]:
    if record.kind == "grant":
        return {"@type": "dpv:WithdrawConsent", "dpv:isExercisedAt": f"ownerctl grant revoke {record.seq}"}
    return unknown("dpv:WithdrawConsent", "to be withdrawn with the provider, who does not say where")


# -- parties --


def parties(record: Record, controller: str, did: str | None) -> list[Json]:
    """The provider with its trust level, third parties by their names, the owner by the key for this provider."""
    provider = record.provider
    about: dict[str, Json] = {
        "@id": controller,
        "@type": "dpv:DataController",
        "dpv:hasName": text(provider.get("name")) or unknown("dpv:Entity", _GONE),
        "dpv:hasIdentifier": text(provider.get("client_id")) or unknown("dpv:Entity", _GONE),
        "schema:contactPoint": [
            unknown("schema:ContactPoint", _NEVER),
            unknown("schema:PostalAddress", _NEVER),
        ],
        "ownerd:trust": text(provider.get("trust")) or "not known",
    }
    for ours, name in (("key", "ownerd:requestKey"), ("anchor", "ownerd:anchor")):
        if found := text(provider.get(ours)):
            about[name] = found
    if uri := text(members(record.statement.get("recipient")).get("response_uri")):
        about["ownerd:responseUri"] = uri
    owner: list[Json] = (
        [] if did is None else [{"@id": did, "@type": "dpv:DataSubject", "dpv:hasIdentifier": did}]
    )
    third = sorted({name for terms in _terms(record) for name in texts(terms.get("recipients"))})
    return [about, *map(_party, third), *owner]


def _party(name: str) -> dict[str, Json]:
    return {
        **_third_party(name),
        "dpv:hasIdentifier": unknown("dpv:Entity", _NEVER),
        "schema:contactPoint": [
            unknown("schema:ContactPoint", _NEVER),
            unknown("schema:PostalAddress", _NEVER),
        ],
    }


# -- events --


def _event(status: str, time: str, did: str | None, method: str, duration: Json) -> dict[str, Json]:
    return {
        "@type": [status, "dpv:ExplicitlyExpressedConsent"],
        "dpv:isIndicatedAtTime": time,
        "dpv:isIndicatedBy": did or "dpv:DataSubject",
        "dpv:hasIndicationMethod": method,
        "dpv:hasDuration": duration,
    }


def given(record: Record, did: str | None) -> dict[str, Json]:
    """Consent was given, once or for as long as the grant says; unknown where no approval stands in the entry."""
    if not record.approval:
        once = unknown("dpv:Duration", _GONE)
        return _event("dpv:ConsentUnknown", record.time, did, "the entry has no approval", once)
    duration: Json = [_times(1)]
    if record.kind == "grant":
        duration = [
            {"@type": "dpv:UntilTimeDuration", "rdf:value": record.facts.get("until")},
            _times(record.facts.get("count")),
        ]
    how = f"a touch on an enrolled token, signed in entry {record.seq}"
    return _event("dpv:ConsentGiven", record.time, did, how, duration)


def _times(count: Json) -> dict[str, Json]:
    return {"@type": "dpv:FixedOccurrencesDuration", "rdf:value": str(count)}


def withdrawn(record: Record, ended: tuple[int, str], did: str | None) -> dict[str, Json]:
    """A grant ended: it expired at the time that it named, else its owner took it back."""
    seq, time = ended
    until = record.facts.get("until")
    expired = isinstance(until, str) and time >= until
    status = "dpv:ConsentExpired" if expired else "dpv:ConsentWithdrawn"
    return _event(status, time, did, f"entry {seq}", {"@type": "dpv:EndlessDuration"})


def refused(record: Record, did: str | None) -> dict[str, Json]:
    """Consent was refused: at the prompt, by the owner's policy, or because the asker was not to be believed."""
    error = record.facts.get("error")
    how = {
        "Dismissed": "refused at the prompt",
        "NotAllowed": "refused by the owner's policy or for what the asker proves",
    }
    method = how.get(str(error), f"refused by ownerd: {error}")
    over = unknown("dpv:Duration", "a refusal has none", applicability="dpv:NotApplicable")
    return {**_event("dpv:ConsentRefused", record.time, did, method, over), "@type": ["dpv:ConsentRefused"]}
