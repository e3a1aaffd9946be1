"""A verifier attestation (``{"h": header, "p": payload}``, truly signed) and the file of who may vouch."""

from __future__ import annotations

import json

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.attestation import format_attester, parse_attester, verify_attestation
from ownerd.model.encoding import parse_json_object


def run(data: bytes) -> None:
    members = parse_json_object(data)
    if "issuer" in members:
        found = parse_attester(data)
        assert parse_attester(format_attester(found)) == found
        return
    subject = members.get("s")
    compact = party.sign(*(json.dumps(members.get(name)).encode() for name in ("h", "p")), 3)
    verify_attestation(
        compact,
        subject if isinstance(subject, str) else party.HOST,
        [party.attester()],
        response_uri=party.RESPONSE_URI,
        now_ms=party.NOW * 1000,
    )


TARGET = Target(
    "attestation",
    run,
    form="json",
    words=(
        "h", "p", "s", "alg", "ES256", "typ", "verifier-attestation+jwt", "iss", "sub", "iat", "nbf", "exp", "aud", "cnf", "jwk",
        "redirect_uris", "issuer", "keys", "key_ops", "use", "https://self-issued.me/v2", "kty", "crv", "x", "y",
    ),
)  # fmt: skip
