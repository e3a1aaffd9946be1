"""A proof file, and the tlog-proof inside."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.ledger.proof import format_proof, parse_proof, verify_proof


def run(data: bytes) -> None:
    proof = parse_proof(data)
    assert format_proof(proof) == data
    verify_proof(proof, None)


TARGET = Target(
    "proof",
    run,
    form="bytes",
    words=(
        '"leaf":',
        '"opened":',
        '"proof":',
        '"salt":',
        '"value":',
        "\\n\\n",
        "index ",
        "\\u2014 ",
        "1e400",
        "-0",
        "{}",
    ),
    max_bytes=8192,
)
