"""``ledger export --format ts10``: the transaction log of EUDI Technical Specification 10, version 1.1.1.

"Data portability and download (export)", sections 3.1, 3.2, 3.9, 3.15 and 4.1: what the encrypted
`TransactionLogObject` holds in clear. Members that the specification makes mandatory and the ledger does not know
(registrar, contacts, data protection authority, privacy policy) are null, or empty where they are lists. No schema
is published with it; docs/EXPORTS.md says what was held against what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ownerctl.export_record import export_id, members, subject, text, texts
from ownerctl.export_text import JsonList

if TYPE_CHECKING:
    from ownerctl.export_record import Later, Record
    from ownerd.model.encoding import Json

_CLIENT_ID: Final = "urn:ownerd:client-id"  # none of the registers that TS2 lists has our providers' names
_UNDETERMINED: Final = "und"  # BCP 47: providers do not say in which language they speak
_OTHER: Final = {
    "grant": "the owner allowed a provider to repeat a presentation without asking",
    "grant-ended": "the owner's permission to repeat a presentation ended",
    "receipt": "a provider returned a receipt",
    "erased": "values were erased from the log",
    "restored": "the log was restored from a backup",
    "provider-pinned": "the owner accepted the key of a provider",
}


class Ts10Document:
    """``{"transactionLogObject":[…]}``; ``later`` has to be whole before the first entry."""

    def __init__(self, log: str, later: Later) -> None:
        self._log = log
        self._later = later
        self._list = JsonList({}, "transactionLogObject")

    def begin(self) -> str:
        """See `JsonList`."""
        return self._list.begin()

    def entry(self, record: Record) -> str:
        """A transaction; empty for what happened inside the wallet."""
        if record.kind == "disclosure":
            made = self._disclosure(record)
        elif record.kind in {"refused", "failed"} and record.provider:
            made = self._not_completed(record)
        elif record.kind in _OTHER:
            made = self._other(record)
        else:
            return ""
        return self._list.add(made)

    def end(self) -> str:
        """See `JsonList`."""
        return self._list.end()

    def _transaction(self, record: Record, type_: str, member: str, part: dict[str, Json]) -> dict[str, Json]:
        reason = part.get("reasonOfNoncompletion")
        return {
            member: part,
            "transactionIdentifier": export_id(self._log, f"entry {record.seq}"),
            "time": record.time.partition(".")[0],
            "transactionType": type_,
            "transactionResult": "Completed" if reason is None else "NotCompleted",
        }

    def _disclosure(self, record: Record) -> dict[str, Json]:
        # What was not delivered may still have reached the provider, so the claims stay in what was presented.
        delivered = record.seq in self._later.delivered
        return self._presented(
            record, None if delivered else "no delivery is recorded", _presentation(record)
        )

    def _not_completed(self, record: Record) -> dict[str, Json]:
        # What was asked for is not in such an entry, but that nothing went is certain.
        nothing: dict[str, Json] = {"listOfClaimsRequested": None, "listOfClaimsPresented": []}
        return self._presented(record, str(record.facts.get("error")), {**_presentation(record), **nothing})

    def _presented(self, record: Record, reason: str | None, part: dict[str, Json]) -> dict[str, Json]:
        more: dict[str, Json] = {} if reason is None else {"reasonOfNoncompletion": reason}
        if record.statement.get("kind") == "login":
            login = {**_login(record), **more}
            return self._transaction(record, "PseudonymPresentation", "pseudonymousAuthentication", login)
        return self._transaction(record, "Presentation", "presentation", {**part, **more})

    def _other(self, record: Record) -> dict[str, Json]:
        said: list[Json] = [_OTHER[record.kind]]
        if name := text(record.provider.get("name")):
            said.append(name)
        return self._transaction(record, "OtherTransaction", "otherTransaction", {"description": said})


def _words(content: str, lang: str = _UNDETERMINED) -> dict[str, Json]:
    """A `MultiLangString`."""
    return {"lang": lang, "content": content}


def _party(record: Record) -> dict[str, Json]:
    provider = record.provider
    name, client = text(provider.get("name")), text(provider.get("client_id"))
    return {
        "interactingPartyIdentifier": {"type": _CLIENT_ID, "identifier": client} if client else None,
        "interactingPartyType": "ServiceProvider",
        "interactingPartyName": _words(name) if name else None,
    }


def _login(record: Record) -> dict[str, Json]:
    did = subject(record)
    return {**_party(record), "pseudonym": {"value": did} if did else None}


def _presentation(record: Record) -> dict[str, Json]:
    from ownerd.model.terms import TERMS_TYPE

    gone = record.values is None
    part: dict[str, Json] = {
        **_party(record),
        "interactingPartyContact": [],
        "isIntermediary": None,
        "registrarURL": None,
        "purpose": _purposes(record),
        "privacyPolicy": [],
        "dpaName": None,
        "dpaCountry": None,
        "dpaContact": [],
        "listOfClaimsRequested": None if gone else _claims(_asked(record)),
        "listOfClaimsPresented": None if gone else _claims(_names(record, "name")),
    }
    asked = members(record.statement.get("terms")).get("asked")
    if asked:
        part["transactionalData"] = {"type": TERMS_TYPE, "terms": asked}
    return part


def _purposes(record: Record) -> list[Json]:
    from ownerd.model.terms import PURPOSES

    asked = members(record.statement.get("terms")).get("asked")
    terms: list[Any] = asked if isinstance(asked, list) else []
    named = dict.fromkeys(one for part in terms for one in texts(members(part).get("purpose")))
    found: list[Json] = [_words(PURPOSES.get(one, one), "en") for one in named]
    if words := text(record.statement.get("purpose")):
        found.append(_words(words))
    return found


def _names(record: Record, member: str) -> list[str]:
    return [name for claim in record.claims if (name := text(claim.get(member)))]


def _asked(record: Record) -> list[str]:
    """What was asked for: what went or what it stands in for, and what did not go."""
    going = [text(claim.get("of")) or text(claim.get("name")) or "" for claim in record.claims]
    not_going = [
        name
        for part in ("missing", "withheld", "refused", "later", "optional")
        for name in texts(record.statement.get(part))
    ]
    return list(dict.fromkeys(name for name in [*going, *not_going] if name))


def _claims(names: list[str]) -> list[Json]:
    """A list of `ClaimInfo` for our one credential type."""
    from ownerd.model.names import VCT

    return [{"credentialIdentifier": VCT, "claims": list(names)}] if names else []
