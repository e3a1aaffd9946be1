"""``ledger export --format consent``: consent records after ISO/IEC TS 27560:2023 in DPV JSON-LD.

The mapping is the W3C community group's guide "Consent Records and Receipts as per ISO/IEC TS 27560:2023 using DPV"
(https://w3id.org/dpv/guides/consent-27560), profile ``dpv-27560#record``. The document is one consent receipt
(``dpv-27560#receipt``) with a record for each disclosure, grant and refusal, without values, as the standard
recommends. What the guide has no field for stands in members of ours (``ownerd:``); docs/EXPORTS.md has them all.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ownerctl.export_consent_parts import given, notice, parties, processes, refused, withdrawn
from ownerctl.export_dpv import CONTEXT, RECEIPT_PROFILE, RECORD_PROFILE, unknown
from ownerctl.export_record import export_id, members, subject
from ownerctl.export_text import JsonList

if TYPE_CHECKING:
    from ownerctl.export_record import Later, Record
    from ownerd.model.encoding import Json

_NOBODY: Final = "whom the owner was to this provider is not in what the ledger holds"


class ConsentDocument:
    """A receipt over records; ``later`` has to be whole before the first entry."""

    def __init__(self, log: str, later: Later, *, values: bool) -> None:
        self._log = log
        self._later = later
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        name = f"urn:uuid:{uuid.uuid4()}"
        head: dict[str, Json] = {
            "@context": CONTEXT,
            "@id": name,
            "@type": "dpv:ConsentReceipt",
            "dct:conformsTo": RECEIPT_PROFILE,
            "dpv:hasIdentifier": name,
            "dct:identifier": name,
            "dct:created": made,
            "schema:recipient": "dpv:DataSubject",
            "ownerd:values": "not exported" if values else "not read",
        }
        self._list = JsonList(head, "dpv:hasRecordOfActivity")

    def begin(self) -> str:
        """The receipt's own members."""
        return self._list.begin()

    def entry(self, record: Record) -> str:
        """A consent record, or what a provider returned for one; empty for other entries."""
        match record.kind:
            case "grant":
                return self._list.add(self._consent(record))
            case "disclosure" if record.number("grant") is None:
                return self._list.add(self._consent(record))
            case "disclosure":
                return self._list.add(self._use(record))
            case "refused" if record.provider:
                return self._list.add(self._consent(record))
            case "receipt":
                return self._list.add(self._returned(record))
            case _:
                return ""

    def end(self) -> str:
        """The end of the list."""
        return self._list.end()

    # -- one element --

    def _consent(self, record: Record) -> dict[str, Json]:
        name, did = self._name(record.seq), subject(record)
        owner = unknown("dpv:DataSubject", _NOBODY) if did is None else did
        controller = self._party(record)
        made: dict[str, Json] = {
            "@id": name,
            "@type": "dpv:ConsentRecord",
            "dct:conformsTo": RECORD_PROFILE,
            "dpv:hasIdentifier": name,
            "dct:identifier": name,
            "dpv:hasDataSubject": owner,
            "dct:created": record.time,
            "dpv:hasNotice": notice(record),
            "dpv:hasProcess": processes(record, controller, did),
            "dpv:hasEntity": parties(record, controller, did),
            "dpv:hasConsentStatus": self._events(record, did),
            "ownerd:entry": record.seq,
            "ownerd:kind": record.kind,
            "ownerd:approvedBy": record.approved_by or "nobody",
        }
        return {**made, **self._became(record)}

    def _events(self, record: Record, did: str | None) -> list[Json]:
        if record.kind == "refused":
            return [refused(record, did)]
        events: list[Json] = [given(record, did)]
        if (ended := self._later.ended.get(record.seq)) is not None:
            events.append(withdrawn(record, ended, did))
        return events

    def _became(self, record: Record) -> dict[str, Json]:
        """What later entries say of this one."""
        found: dict[str, Json] = {}
        if uses := self._later.uses.get(record.seq):
            found["ownerd:disclosedIn"] = [self._name(seq) for seq in uses]
        if receipts := self._later.receipts.get(record.seq):
            found["ownerd:receipt"] = [self._name(seq) for seq in receipts]
        if record.kind == "disclosure":
            found["ownerd:delivered"] = record.seq in self._later.delivered
        if (erased := self._later.erased.get(record.seq)) is not None:
            found["ownerd:erased"] = {"ownerd:entry": erased[0], "dct:date": erased[1]}
        elif record.too_large:
            found["ownerd:tooLarge"] = True
        return found

    def _use(self, record: Record) -> dict[str, Json]:
        grant = record.number("grant")
        return {
            "@id": self._name(record.seq),
            "@type": "dpv:Process",
            "dct:source": self._name(grant or 0),
            "dct:date": record.time,
            "ownerd:entry": record.seq,
            "ownerd:grant": grant,
            **self._became(record),
        }

    def _returned(self, record: Record) -> dict[str, Json]:
        about = record.number("entry")
        receipt = members((record.values or {}).get("receipt"))
        return {
            "@id": self._name(record.seq),
            "@type": "ownerd:ProviderReceipt",
            "dct:source": self._name(about or 0),
            "dct:date": record.time,
            "ownerd:entry": record.seq,
            "ownerd:signature": receipt.get("signature"),
            "ownerd:acceptsTerms": receipt.get("accepts_terms"),
            **self._became(record),
        }

    def _name(self, seq: int) -> str:
        return export_id(self._log, f"entry {seq}")

    def _party(self, record: Record) -> str:
        client = record.provider.get("client_id")
        # One name for one provider, and one of its own where the ledger does not say who it was.
        return export_id(self._log, f"client {client}" if client else f"client of {record.seq}")
