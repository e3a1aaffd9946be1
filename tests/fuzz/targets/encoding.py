"""JSON and base64url, what all other formats are made of; canonical JSON by both of its encoders."""

from __future__ import annotations

from contextlib import suppress

from tests.fuzz.target import Target

from ownerd.ledger.shape import format_canonical, parse_canonical
from ownerd.model.encoding import format_b64u, parse_b64u, parse_json
from ownerd.model.errors import OwnerdError


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with suppress(OwnerdError):
        assert format_b64u(parse_b64u(text)) == text
    value = parse_json(data)
    canonical = format_canonical(value)
    assert format_canonical(parse_json(canonical)) == canonical
    if isinstance(value, dict):
        assert parse_canonical(canonical, max_bytes=1 << 20) == parse_json(canonical)


TARGET = Target(
    "encoding",
    run,
    form="json",
    words=("1e400", "-0", "1E-7", "\\ud800", "\\u0000", "NaN", "9007199254740993", "\ufeff"),
)
