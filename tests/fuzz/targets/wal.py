"""The write-ahead log beside a ledger's database, which SQLite itself keeps silent about."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerctl.wal import _damage


def run(data: bytes) -> None:
    found = _damage(data)
    assert found is None or found.startswith(("the write-ahead log", "a frame", "frames"))


TARGET = Target(
    "wal",
    run,
    words=(b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\x00\x2d\xe2\x18", b"\x00\x00\x02\x00", b"\x00" * 8),
)
