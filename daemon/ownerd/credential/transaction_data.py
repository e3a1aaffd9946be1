"""Terms in ``transaction_data`` (OpenID4VP 1.0, sections 5.1 and 8.4, appendix B.3.3.1).

A list of base64url strings, each of a JSON object with exactly these members (a ``?`` may be left out):

    {"type": "urn:ownerd:terms:1",
     "credential_ids": ["owner"],                  which credential queries the terms are for
     "purpose": ["dpv:DeliveryOfGoods"],           1 to 8 terms of DPV that `ownerd.model.terms` knows
     "retention"?: "P90D",                         ISO 8601: PnY, PnM, PnW, PnD, or P with years, months and days
     "recipients": ["Parcel Ltd"],                 third parties, as they will be shown; empty: none
     "agreement"?: "https://roster.example/1",     https or urn; a roster agreement in the manner of IEEE 7012
     "transaction_data_hashes_alg"?: ["sha-256"]}  has to name sha-256

A month is 31 days and a year 366, so that what is shown in days is never less than what was meant. No
retention means: kept without limit. Nothing is half-understood: one unknown type, member or purpose refuses the request (section 5.1:
MUST), and so do terms for a credential without holder binding (appendix B.3.3: MUST), where no signature
could carry their hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ownerd.credential.shown_text import require_shown_text
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.terms import PURPOSES, TERMS_TYPE, AskedTerms, Terms

MAX_ENTRIES: Final = 4
MAX_ENTRY_CHARS: Final = 16 * 1024
MAX_PURPOSES: Final = 8
MAX_RECIPIENTS: Final = 16
MAX_RECIPIENT_CHARS: Final = 100
MAX_AGREEMENT_CHARS: Final = 512
MAX_ALGORITHMS: Final = 16
MAX_RETENTION_DAYS: Final = 100 * 366
HASH: Final = "sha-256"

_REQUIRED = ("credential_ids", "purpose", "recipients")
_MEMBERS = frozenset({"type", *_REQUIRED, "retention", "agreement", "transaction_data_hashes_alg"})
_COUNT = "([1-9][0-9]{0,4})"
_PERIOD = re.compile(rf"P(?=[0-9])(?:{_COUNT}Y)?(?:{_COUNT}M)?(?:{_COUNT}D)?|P{_COUNT}W", re.ASCII)
_DAYS = (366, 31, 1, 7)
# No blank, quote, angle bracket or backslash: nothing that could be markup where it is shown (RFC 3986).
_AGREEMENT = re.compile(r"(?:https://|urn:)[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)


def retention_days(text: Json) -> int:
    """Days of an ISO 8601 duration in years, months, weeks or days. Raises `InvalidArgument`."""
    if text == "P0D":
        return 0
    period = _PERIOD.fullmatch(text) if isinstance(text, str) else None
    if period is None:
        raise InvalidArgument(
            "transaction_data retention is not an ISO 8601 duration in days or longer units"
        )
    days = sum(int(count or 0) * unit for count, unit in zip(period.groups(), _DAYS, strict=True))
    if days > MAX_RETENTION_DAYS:
        raise InvalidArgument("transaction_data retention is longer than a hundred years")
    return days


def require_agreement(value: Json) -> str:
    """Return an agreement's URI. Raises `InvalidArgument`."""
    if not isinstance(value, str) or len(value) > MAX_AGREEMENT_CHARS or not _AGREEMENT.fullmatch(value):
        raise InvalidArgument("transaction_data agreement is not an https or urn URI")
    return value


def _strings(value: Json, what: str, most: int, *, least: int = 1) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidArgument(f"transaction_data {what} is not a list of strings")
    if not least <= len(value) <= most or len(set(value)) < len(value):
        raise InvalidArgument(f"transaction_data {what} is not a list of {least} to {most} different strings")
    return tuple(value)


def _purposes(value: Json) -> tuple[str, ...]:
    purposes = _strings(value, "purpose", MAX_PURPOSES)
    if not set(purposes) <= PURPOSES.keys():
        raise NotSupported("transaction_data purpose is no DPV term that ownerd knows")
    return purposes


def _recipients(value: Json) -> tuple[str, ...]:
    recipients = _strings(value, "recipients", MAX_RECIPIENTS, least=0)
    for name in recipients:
        require_shown_text(name, "transaction_data recipient", max_chars=MAX_RECIPIENT_CHARS)
    return recipients


def _require_members(entry: Mapping[str, Json]) -> None:
    if not isinstance(entry.get("type"), str):
        raise InvalidArgument("transaction_data has no type")
    if entry["type"] != TERMS_TYPE:
        raise NotSupported(f"only transaction_data of type {TERMS_TYPE} is supported")
    for name in _REQUIRED:
        if name not in entry:
            raise InvalidArgument(f"transaction_data has no {name}")
    if entry.keys() - _MEMBERS:
        raise NotSupported("transaction_data has a member that its type does not have")
    if "transaction_data_hashes_alg" in entry:
        value = entry["transaction_data_hashes_alg"]
        if HASH not in _strings(value, "transaction_data_hashes_alg", MAX_ALGORITHMS):
            raise NotSupported(f"transaction_data_hashes_alg does not name {HASH}")


def _parse_entry(encoded: Json, credential_ids: Collection[str]) -> AskedTerms:
    if not isinstance(encoded, str) or not 0 < len(encoded) <= MAX_ENTRY_CHARS:
        raise InvalidArgument(f"transaction_data entry is not a string of 1 to {MAX_ENTRY_CHARS} characters")
    try:
        entry = parse_json_object(parse_b64u(encoded), max_bytes=MAX_ENTRY_CHARS)
    except InvalidArgument as error:
        raise InvalidArgument("transaction_data entry is not base64url of a JSON object") from error
    _require_members(entry)
    ids = _strings(entry["credential_ids"], "credential_ids", max(len(credential_ids), 1))
    if not set(ids) <= set(credential_ids):
        raise InvalidArgument("transaction_data names a credential that cannot carry it")
    terms = Terms(
        purposes=_purposes(entry["purpose"]),
        retention_days=retention_days(entry["retention"]) if "retention" in entry else None,
        recipients=_recipients(entry["recipients"]),
        agreement=require_agreement(entry["agreement"]) if "agreement" in entry else None,
    )
    return AskedTerms(terms, ids, encoded)


def parse_transaction_data(
    parameters: Mapping[str, Json], credential_ids: Collection[str]
) -> tuple[AskedTerms, ...]:
    """Parse ``transaction_data`` of a request; () where it is absent.

    ``credential_ids`` are the credential queries that terms may be for: those with holder binding. Raises
    `NotSupported` for a type, member, purpose or hash that is not known, `InvalidArgument` for what is malformed.
    """
    if "transaction_data" not in parameters:
        return ()
    entries = _strings(parameters["transaction_data"], "list", MAX_ENTRIES)
    return tuple(_parse_entry(entry, credential_ids) for entry in entries)


def hashes(asked: Iterable[AskedTerms]) -> list[str]:
    """``transaction_data_hashes`` of a KB-JWT: SHA-256 of the strings as received, in their order."""
    return [format_b64u(hashlib.sha256(one.encoded.encode("ascii")).digest()) for one in asked]
