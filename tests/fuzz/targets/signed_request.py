"""A request object that is truly signed, whatever stands in it: ``{"h": header, "p": payload, "d": DID document}``.

``"h"`` may leave out ``alg``, ``typ`` and the key; what it has stands. An attestation is given as ``"a"``, its payload,
and is signed too. So the rules behind the signature are reached.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.request_object import read_request


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def run(data: bytes) -> None:
    try:
        parts = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(parts, dict):
        return
    header = {"alg": "ES256", "typ": "oauth-authz-req+jwt"}
    if "a" in parts:
        own = _encode({"alg": "ES256", "typ": "verifier-attestation+jwt"})
        header["jwt"] = party.sign(own, _encode(parts["a"]), 3)
    given = parts.get("h")
    if isinstance(given, dict):
        header.update(given)
        if header.get("x5c") == "own":
            header["x5c"] = party.x5c()
    elif given is not None:
        header = given
    payload = parts.get("p")
    text = party.sign(_encode(header), _encode(payload), 2)
    if "d" in parts:
        outer = {"request": text, "did_document": parts["d"]}
        if isinstance(payload, dict) and "client_id" in payload:
            outer["client_id"] = payload["client_id"]
        text = _encode(outer).decode("utf-8", "surrogatepass")
    read_request(text, anchors=[party.anchor()], attesters=[party.attester()], now_ms=party.NOW * 1000)


TARGET = Target(
    "signed_request",
    run,
    form="json",
    words=(
        "own", "x5c", "jwt", "kid", "crit", "b64", "x509_san_dns:shop.example", "x509_hash:", "verifier_attestation:shop.example",
        "decentralized_identifier:did:web:shop.example", "did:web:shop.example#k", "client_id", "cnf", "jwk", "sub", "aud",
        "exp", "iat", "nbf", "redirect_uris", "verificationMethod", "publicKeyJwk", "controller", "authentication", "use", "sig",
    ),
)  # fmt: skip
