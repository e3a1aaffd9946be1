"""The record that says which entry brought the log's keys into force: sealed in no way, and read before any unlock."""

from __future__ import annotations

from typing import Final

from ownerd.core.ports import Record
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import parse_json_object
from ownerd.model.errors import InvalidArgument, VaultDamaged

LOG_KEYS: Final = "log-keys"


def keys_record(entry: int, generation: int) -> Record:
    """Say in clear which entry names the log's keys in force: genesis, or the newest rotation."""
    return Record(LOG_KEYS, "current", generation, format_canonical({"v": 1, "entry": entry}))


def parse_keys_record(record: Record) -> int:
    """Inverse of `keys_record`. Raises `VaultDamaged`."""
    try:
        return int(parse_json_object(record.sealed)["entry"])
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("a record is malformed") from error
