"""The header of a backup file."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.core.backup_file import MAGIC, PREFIX_BYTES, format_header, header_bytes, parse_header


def run(data: bytes) -> None:
    """The length is put right where the magic stands, or no change would reach what is behind it."""
    if data.startswith(MAGIC) and len(data) > PREFIX_BYTES and data[len(MAGIC)] == 0:
        data = MAGIC + (len(data) - PREFIX_BYTES).to_bytes(4, "big") + data[PREFIX_BYTES:]
    header_bytes(data[:PREFIX_BYTES])
    header = parse_header(data)
    assert format_header(header) == data
    assert header.chunks >= 1
    assert header.log_id


TARGET = Target(
    "backup",
    run,
    words=(
        MAGIC,
        '"bytes":',
        '"checkpoint":',
        '"made":',
        '"recovery":',
        '"ways":',
        '"content_key":',
        "null",
        "[]",
        "{}",
        "\\n",
    ),
    max_bytes=8192,
)
