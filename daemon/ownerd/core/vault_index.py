"""Digest of the vault: what each ledger leaf names, so that a swapped or rolled-back record shows.

Known without the vault key: it is over ciphertexts. Digest = SHA-256 of the canonical JSON list of
``[kind, id, generation, base64url SHA-256(sealed)]``, sorted by (kind, id), over all records.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from ownerd.core.ports import Record
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json, format_b64u

RecordKey = tuple[str, str]

RECOVERY_SLOT: Final[RecordKey] = ("recovery", "recovery")


class VaultIndex:
    """Digests of all records, kept in step with the store by the journal."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._rows: dict[RecordKey, tuple[int, str]] = {}
        self._digest: bytes | None = None
        self.apply(records, ())

    def __contains__(self, key: RecordKey) -> bool:
        return key in self._rows

    def apply(self, put: Iterable[Record], delete: Iterable[RecordKey]) -> None:
        """Take over a committed change."""
        for key in delete:
            self._rows.pop(key, None)
            self._digest = None
        for record in put:
            self._rows[record.kind, record.id] = _row(record)
            self._digest = None

    def after(self, put: Iterable[Record], delete: Iterable[RecordKey]) -> VaultIndex:
        """Return the index as it will be; self stays as it is. Cheap when nothing changes."""
        changed, removed = list(put), list(delete)
        if not changed and not removed:
            return self
        later = VaultIndex()
        later._rows = dict(self._rows)
        later.apply(changed, removed)
        return later

    @property
    def digest(self) -> bytes:
        """SHA-256, 32 bytes."""
        if self._digest is None:
            rows: list[Json] = [[*key, *row] for key, row in sorted(self._rows.items())]
            self._digest = sha256(format_canonical(rows)).digest()
        return self._digest

    @property
    def generation(self) -> int:
        """The vault key's generation: the highest of any record, 0 while there is none."""
        return max((row[0] for row in self._rows.values()), default=0)


def _row(record: Record) -> tuple[int, str]:
    return record.generation, format_b64u(sha256(record.sealed).digest())
