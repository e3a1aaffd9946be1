"""The plaintext of an opening: any JSON values, in canonical form."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.ledger.opening import format_opening, parse_opening


def run(data: bytes) -> None:
    assert format_opening(parse_opening(data)) == data


TARGET = Target("opening", run, form="json", words=("v", "values", "salt", "value", "claim/0", "provider"))
