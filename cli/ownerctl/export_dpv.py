"""Terms of the W3C Data Privacy Vocabulary (DPV 2.2) that consent records are written in, and how ours map to them.

`dpv:` is https://w3id.org/dpv#, `pd:` its extension of categories of personal data. Where the ledger does not know what
a mandatory field wants, the field says so by ``dpv:hasApplicability``, which DPV has for just that: ``dpv:NotAvailable``
(there is such a thing and it is not known here), ``dpv:UnknownApplicability``, ``dpv:NotApplicable``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

RECORD_PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#record"
RECEIPT_PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#receipt"

_IRIS: Final = (
    "dct:conformsTo", "dct:publisher", "dct:source", "dpv:hasApplicability", "dpv:hasDataController",
    "dpv:hasDataSource", "dpv:hasDataSubject", "dpv:hasLegalBasis", "dpv:hasPurpose", "dpv:hasRecipient",
    "dpv:isIndicatedBy", "schema:recipient", "skos:broader", "ownerd:disclosedIn", "ownerd:receipt",
)  # fmt: skip
_TIMES: Final = ("dct:created", "dct:date", "dpv:isIndicatedAtTime")
CONTEXT: Final[dict[str, Json]] = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "ownerd": "urn:ownerd:export:1#",
    **{name: {"@type": "@id"} for name in _IRIS},
    **{name: {"@type": "xsd:dateTime"} for name in _TIMES},
}

# Our claim names; what DPV has no narrower category for is personal data and no more.
ANY_DATA: Final = "dpv:PersonalData"
CATEGORIES: Final[dict[str, str]] = {
    "name": "pd:Name",
    "given_name": "pd:Name",
    "family_name": "pd:Name",
    "middle_name": "pd:Name",
    "nickname": "pd:Name",
    "preferred_username": "pd:Username",
    "profile": "pd:Profile",
    "picture": "pd:Picture",
    "website": ANY_DATA,
    "email": "pd:EmailAddress",
    "gender": "pd:Gender",
    "birthdate": "pd:BirthDate",
    "zoneinfo": "pd:Location",
    "locale": "pd:Language",
    "phone_number": "pd:TelephoneNumber",
    "address.formatted": "pd:PhysicalAddress",
    "address.street_address": "pd:Street",
    "address.locality": "pd:Locality",
    "address.region": "pd:Region",
    "address.postal_code": "pd:PostalCode",
    "address.country": "pd:Country",
    "age_over_18": "pd:AgeRange",
    "age_over_21": "pd:AgeRange",
    "age_birth_year": "pd:Age",
}


def unknown(type_: str, why: str, *, applicability: str = "dpv:NotAvailable") -> dict[str, Json]:
    """A mandatory field of which the ledger knows nothing: its type, and that it is not known."""
    return {"@type": type_, "dpv:hasApplicability": applicability, "dct:description": why}
