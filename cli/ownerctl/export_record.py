"""One entry as exports see it, and what later entries say of it.

Made of what the daemon answers, or of the file alone. Openings are verified by the daemon before they come; still, no
form is taken for granted here: a newer daemon may put more or other values into them, and kinds that are not known
yet pass through.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from ownerctl.errors import BadAnswer

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_ID_SPACE = b"ownerd/export/v1\x00"


def members(value: Json) -> dict[str, Any]:
    """``value`` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts(value: Json) -> list[str]:
    """The texts of a list, or none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def text(value: Json) -> str | None:
    """``value`` where it is text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


class Record(Struct, frozen=True):
    """``values`` is None where they were erased, not read or too large for the bus (``too_large``)."""

    seq: int
    time: str
    kind: str
    approval: bool
    facts: Mapping[str, Json]
    values: Mapping[str, Json] | None
    too_large: bool = False

    @property
    def provider(self) -> dict[str, Any]:
        """trust, client_id, name, key, anchor; empty where the entry is about no provider, or does not say."""
        return members((self.values or {}).get("provider"))

    @property
    def statement(self) -> dict[str, Any]:
        """What was signed."""
        return members((self.values or {}).get("statement"))

    @property
    def claims(self) -> list[dict[str, Any]]:
        """The claims in the order of the statement: name, value, version, and form and ``of`` where it matters."""
        found = {
            int(label.removeprefix("claim/")): members(value)
            for label, value in (self.values or {}).items()
            if label.startswith("claim/") and label.removeprefix("claim/").isdecimal()
        }
        return [found[index] for index in sorted(found)]

    @property
    def approved_by(self) -> str:
        """As `ledger log` says it."""
        from ownerctl.ledger_words import approved_by

        return approved_by({"approval": self.approval, "facts": dict(self.facts), "kind": self.kind})

    @property
    def listed(self) -> list[int]:
        """The entry numbers of the fact ``entries``."""
        entries = self.facts.get("entries")
        return [seq for seq in entries if type(seq) is int] if isinstance(entries, list) else []

    def number(self, fact: str) -> int | None:
        """A fact that is an entry number, or None."""
        value = self.facts.get(fact)
        return value if type(value) is int else None


def read_record(entry: Mapping[str, Json]) -> Record:
    """Make a record of an entry as the daemon answers it. Raises `BadAnswer`."""
    seq, time, kind = entry.get("seq"), entry.get("time"), entry.get("kind")
    facts, values = entry.get("facts"), entry.get("values")
    if not (type(seq) is int and isinstance(time, str) and isinstance(kind, str)):
        raise BadAnswer("an entry has no number, time or kind")
    if not isinstance(facts, dict) or not (values is None or isinstance(values, dict)):
        raise BadAnswer("an entry's facts or values are not an object")
    return Record(seq, time, kind, bool(entry.get("approval")), facts, values, bool(entry.get("too_large")))


class Later(Struct):
    """What entries say of earlier ones: entry numbers and times alone, so that a long ledger fits in memory."""

    delivered: set[int] = field(default_factory=set)
    receipts: dict[int, list[int]] = field(default_factory=dict)
    uses: dict[int, list[int]] = field(default_factory=dict)
    ended: dict[int, tuple[int, str]] = field(default_factory=dict)
    erased: dict[int, tuple[int, str]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take note of one entry."""
        about, grant = record.number("entry"), record.number("grant")
        if record.kind == "delivered" and about is not None:
            self.delivered.add(about)
        elif record.kind == "receipt" and about is not None:
            self.receipts.setdefault(about, []).append(record.seq)
        elif record.kind == "disclosure" and grant is not None:
            self.uses.setdefault(grant, []).append(record.seq)
        elif record.kind == "grant-ended" and grant is not None:
            self.ended.setdefault(grant, (record.seq, record.time))
        elif record.kind == "erased":
            for seq in record.listed:
                self.erased.setdefault(seq, (record.seq, record.time))


def export_id(log: str, what: str) -> str:
    """An IRI for a part of one log: the same in every export, and linking nothing to the log for who lacks its id.

    An RFC 9562 UUID of version 8: the first 122 bits of SHA-256("ownerd/export/v1" 0x00 log 0x00 what).
    """
    digest = bytearray(hashlib.sha256(_ID_SPACE + log.encode() + b"\x00" + what.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return f"urn:uuid:{uuid.UUID(bytes=bytes(digest))}"


def subject(record: Record) -> str | None:
    """The DID under which the owner was known to the provider, out of what was signed; None where it does not say."""
    from ownerd.credential.jwt import split_jwt
    from ownerd.model.errors import InvalidArgument

    statement = record.statement
    inputs = [statement.get("id_token")]
    credentials = members(statement.get("credentials")).values()
    inputs += [members(one).get("issuer_signing_input") for one in credentials]
    presentations = members((record.values or {}).get("presentation"))
    inputs += [
        one.partition("~")[0].rpartition(".")[0] for one in presentations.values() if isinstance(one, str)
    ]
    for signing_input in inputs:
        if not isinstance(signing_input, str):
            continue
        try:
            _, _, payload = split_jwt(f"{signing_input}.")
        except InvalidArgument:
            continue
        if (did := text(payload.get("iss"))) is not None and did.startswith("did:"):
            return did
    return None
