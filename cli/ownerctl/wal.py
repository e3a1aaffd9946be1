"""The write-ahead log beside a database, as far as SQLite keeps silent about it: SQLite file format, section 4.

SQLite reads the log up to the first frame whose checksum is wrong, and takes the rest for the leavings of a write that
was interrupted. What a damaged log held is then missing without a word, and so it is where the whole log was taken
away. Nothing here is trusted; pages are summed, not read.
"""

from __future__ import annotations

import struct
import sys
import time
from array import array
from pathlib import Path
from typing import Final

from ownerd.ledger.findings import Damage, Finding
from ownerd.model.errors import StorageError

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = (0x377F0682, 0x377F0683)  # checksums of little-endian, big-endian words
_VERSION: Final = 3007000
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.1


def wal_findings(database: Path) -> list[Finding]:
    """What is wrong with the log beside ``database``. Raises `StorageError` when it cannot be read.

    A writer may be in the middle of a frame: what is wrong must stay wrong.
    """
    found: list[Finding] = []
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        found = _look(database)
        if not found:
            break
    return found


def _look(database: Path) -> list[Finding]:
    log = database.with_name(database.name + "-wal")
    if not log.exists():
        if database.with_name(database.name + "-shm").exists():
            sentence = "the index of a write-ahead log is there and the log is not: the newest entries may be missing"
            return [Finding(Damage.MISSING_WAL, None, None, sentence)]
        return []
    try:
        with log.open("rb") as file:
            damage = _damage(file.read())
    except OSError as error:
        raise StorageError("the write-ahead log cannot be read") from error
    return [] if damage is None else [Finding(Damage.DAMAGED_WAL, None, None, damage)]


def _damage(data: bytes) -> str | None:
    """What is wrong with the bytes of a log, or None."""
    if not data:
        return None
    if len(data) < _HEADER.size:
        return "the write-ahead log is too short to be one"
    magic, version, page_bytes, _, salt_1, salt_2, *stated = _HEADER.unpack_from(data)
    if magic not in _MAGIC or version != _VERSION or not _is_page(page_bytes):
        return "the write-ahead log does not begin like one"
    summed = _sum(data[: _HEADER.size - 8], (0, 0), magic)
    if summed != tuple(stated):
        return "the write-ahead log's header has a wrong checksum"
    good = True
    for at in range(_HEADER.size, len(data) - _FRAME.size - page_bytes + 1, _FRAME.size + page_bytes):
        _, pages, one, two, *stated = _FRAME.unpack_from(data, at)
        if (one, two) != (salt_1, salt_2):
            if good:
                # An earlier round of the log has neither salt.
                good = one != salt_1 and two != salt_2 and not _later(data, at, page_bytes, (salt_1, salt_2))
            break
        page = data[at + _FRAME.size : at + _FRAME.size + page_bytes]
        summed = _sum(page, _sum(data[at : at + 8], summed, magic), magic)
        if good and summed != tuple(stated):
            good = False
        if not good and pages:
            return (
                "a frame of the write-ahead log does not hold: newer entries are lost, or a write was cut off"
            )
    return None if good else "frames of the write-ahead log do not hold: newer entries are lost"


def _later(data: bytes, at: int, page_bytes: int, salts: tuple[int, int]) -> bool:
    """Whether a whole transaction of the present round comes after a frame that is not of it."""
    step = _FRAME.size + page_bytes
    for place in range(at + step, len(data) - step + 1, step):
        _, pages, one, two, _, _ = _FRAME.unpack_from(data, place)
        if (one, two) == salts and pages:
            return True
    return False


def _is_page(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _sum(data: bytes, start: tuple[int, int], magic: int) -> tuple[int, int]:
    """SQLite's checksum over pairs of 32-bit words."""
    words = array("I", data)
    if (magic == _MAGIC[1]) != (sys.byteorder == "big"):
        words.byteswap()
    one, two = start
    for index in range(0, len(words), 2):
        one = (one + words[index] + two) & 0xFFFFFFFF
        two = (two + words[index + 1] + one) & 0xFFFFFFFF
    return one, two


__all__ = ["wal_findings"]
