"""Terms in a request: one entry's JSON, encoded here, or with another form the whole parameter."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.credential.transaction_data import hashes, parse_transaction_data
from ownerd.model.encoding import format_b64u, parse_json


def run(data: bytes) -> None:
    if data.startswith(b"["):
        asked = parse_transaction_data({"transaction_data": parse_json(data)}, ["owner", "b"])
    else:
        asked = parse_transaction_data({"transaction_data": [format_b64u(data)]}, ["owner", "b"])
    assert len(hashes(asked)) == len(asked)
    for one in asked:
        assert one.terms.purposes
        assert one.terms.retention_days is None or 0 <= one.terms.retention_days <= 36600


TARGET = Target(
    "transaction_data",
    run,
    form="json",
    words=(
        "type", "urn:ownerd:terms:1", "credential_ids", "owner", "purpose", "dpv:DeliveryOfGoods", "retention", "P90D", "P1Y2M3D",
        "P0D", "P99W", "recipients", "agreement", "https://roster.example/1", "urn:x:y", "transaction_data_hashes_alg", "sha-256",
    ),
)  # fmt: skip
