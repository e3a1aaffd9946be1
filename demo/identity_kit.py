"""How a provider asks without a certificate, written with public libraries only, like `provider_kit`.

Three ways of OpenID4VP 1.0, section 5.9.3: did:jwk, did:web (its document goes along with the request), and an
attestation by somebody whom the owner trusts. Each signer has a `client_id` and signs requests for it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS


def new_signing_key() -> JWK:
    """A key pair to sign requests with: ES256."""
    return JWK.generate(kty="EC", crv="P-256")


def sign_jwt(header: dict[str, Any], payload: dict[str, Any], key: JWK) -> str:
    """A compact JWS, ES256."""
    made = JWS(json.dumps(payload))
    made.add_signature(key, protected=json.dumps({"alg": "ES256", **header}))
    return str(made.serialize(compact=True))


def sign_request(request: dict[str, Any], key: JWK, header: dict[str, Any]) -> str:
    """A request object (RFC 9101) whose header says by `header` whose key it is."""
    body = {"aud": "https://self-issued.me/v2", "iat": int(time.time()), **request}
    return sign_jwt({"typ": "oauth-authz-req+jwt", **header}, body, key)


def _public(key: JWK) -> dict[str, Any]:
    """The public members of a key, without a kid."""
    return {name: value for name, value in key.export_public(as_dict=True).items() if name != "kid"}


@dataclass
class DidJwkSigner:
    """A provider that is its key."""

    key: JWK = field(default_factory=new_signing_key)

    @property
    def did(self) -> str:
        """`did:jwk:` and the public key, base64url."""
        raw = json.dumps(_public(self.key), separators=(",", ":")).encode()
        return "did:jwk:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @property
    def client_id(self) -> str:
        """What to ask `parameters` for."""
        return f"decentralized_identifier:{self.did}"

    @property
    def kid(self) -> str:
        """The DID URL of the key."""
        return f"{self.did}#0"

    def sign(self, request: dict[str, Any]) -> str:
        """The request as compact JWS."""
        return sign_request(request, self.key, {"kid": self.kid})


@dataclass
class DidWebSigner:
    """A provider with a DID document on its host, and at a path below it where one is given."""

    host: str
    path: Sequence[str] = ()
    key: JWK = field(default_factory=new_signing_key)
    fragment: str = "request-1"

    @property
    def did(self) -> str:
        """`did:web:` with colons for slashes."""
        return ":".join(["did:web", self.host, *self.path])

    @property
    def client_id(self) -> str:
        """What to ask `parameters` for."""
        return f"decentralized_identifier:{self.did}"

    @property
    def kid(self) -> str:
        """The DID URL of the key."""
        return f"{self.did}#{self.fragment}"

    def document(self) -> dict[str, Any]:
        """The DID document, as the host serves it at `/.well-known/did.json` or `/path/did.json`."""
        method = {
            "id": self.kid,
            "type": "JsonWebKey2020",
            "controller": self.did,
            "publicKeyJwk": _public(self.key),
        }
        return {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
            "id": self.did,
            "verificationMethod": [method],
            "authentication": [self.kid],
        }

    def sign(self, request: dict[str, Any]) -> str:
        """The request with the document beside it, as JSON."""
        signed = sign_request(request, self.key, {"kid": self.kid})
        return json.dumps(
            {"client_id": request["client_id"], "request": signed, "did_document": self.document()}
        )


@dataclass
class AttestationIssuer:
    """Somebody who vouches for providers."""

    issuer: str = "https://attester.example"
    key: JWK = field(default_factory=new_signing_key)

    def trust_file(self) -> str:
        """What the owner puts into `trust.d/NAME.attester.json`."""
        return json.dumps({"issuer": self.issuer, "keys": [_public(self.key)]})

    def attest(self, subject: str, key: JWK, **more: Any) -> str:
        """A verifier attestation (OpenID4VP 1.0, section 12) for a provider's key, good for a day."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "iat": now,
            "exp": now + 86_400,
            "cnf": {"jwk": _public(key)},
            **more,
        }
        return sign_jwt({"typ": "verifier-attestation+jwt"}, claims, self.key)


@dataclass
class AttestedSigner:
    """A provider that an attester vouches for under a name."""

    subject: str
    attestation: str
    key: JWK

    @property
    def client_id(self) -> str:
        """What to ask `parameters` for."""
        return f"verifier_attestation:{self.subject}"

    def sign(self, request: dict[str, Any]) -> str:
        """The request as compact JWS, the attestation in its header."""
        return sign_request(request, self.key, {"jwt": self.attestation})


def make_attested(issuer: AttestationIssuer, subject: str, **more: Any) -> AttestedSigner:
    """A provider with a fresh key and its attestation."""
    key = new_signing_key()
    return AttestedSigner(subject, issuer.attest(subject, key, **more), key)
