"""DIDs and DID documents: ``{"did": …, "kid": …, "document": …}``."""

from __future__ import annotations

from contextlib import suppress

from tests.fuzz.target import Target

from ownerd.credential.did import did_jwk, parse_did_jwk
from ownerd.credential.did_identity import find_did_key, parse_did_web
from ownerd.model.encoding import parse_json_object
from ownerd.model.errors import OwnerdError


def run(data: bytes) -> None:
    members = parse_json_object(data)
    did = members.get("did")
    if not isinstance(did, str):
        return
    with suppress(OwnerdError):
        assert did_jwk(parse_did_jwk(did)) == did
    with suppress(OwnerdError):
        host, path = parse_did_web(did)
        assert ":".join(("did:web", host, *path)) == did
    found = find_did_key(did, members.get("kid"), members.get("document"))
    assert found.name


TARGET = Target(
    "did",
    run,
    form="json",
    words=(
        "did", "kid", "document", "did:web:", "did:jwk:", "shop.example", "id", "verificationMethod", "controller", "publicKeyJwk",
        "publicKeyMultibase", "authentication", "assertionMethod", "kty", "crv", "x", "y", "use", "key_ops", "verify", "#k", "%3A443",
    ),
)  # fmt: skip
