"""A provider of the tests: throw-away CA, certificates, requests good and bad; `demo/provider_kit.py` does it.

Fixtures are named ``provider_…``; ``forge_request`` signs whatever it is given, as an attacker would.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from demo import identity_kit
from demo import provider_kit as kit
from jwcrypto.jwk import JWK

from ownerd.credential.attestation import Attester, parse_attester
from ownerd.credential.request_object import read_request
from ownerd.model.encoding import format_b64u
from ownerd.model.request import Request

HOST = "shop.example"
CLIENT_ID = f"x509_san_dns:{HOST}"
RESPONSE_URI = f"https://{HOST}/answer"
CLAIMS = ("given_name", "email", "address.locality")


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass
class ProviderRig:
    """One CA, one provider below it, one key for answers."""

    ca: kit.Party
    party: kit.Party
    answer_key: JWK = field(default_factory=kit.new_encryption_key)
    attestation_issuer: identity_kit.AttestationIssuer = field(default_factory=identity_kit.AttestationIssuer)

    @property
    def anchors(self) -> list[x509.Certificate]:
        return [self.ca.certificate]

    @property
    def attesters(self) -> tuple[Attester, ...]:
        return (parse_attester(self.attestation_issuer.trust_file()),)

    def parameters(self, **changes: Any) -> dict[str, Any]:
        """Good parameters, changed: a value of ``...`` takes a parameter out."""
        made = kit.parameters(CLIENT_ID, RESPONSE_URI, CLAIMS, self.answer_key)
        return changed(made, changes)

    def claimed(self, **changes: Any) -> dict[str, Any]:
        """Good parameters of an unsigned request."""
        return self.parameters(**{"client_id": f"redirect_uri:{RESPONSE_URI}", **changes})

    def signed(self, **changes: Any) -> str:
        return kit.signed_request(self.parameters(**changes), self.party)

    def signed_as(self, signer: Any, **changes: Any) -> str:
        """A request signed by one of `identity_kit`'s, under its own client id unless changed."""
        return str(signer.sign(self.parameters(**{"client_id": signer.client_id, **changes})))

    def attested(self, subject: str = HOST, **claims: Any) -> identity_kit.AttestedSigner:
        """A provider that this rig's attester vouches for."""
        return identity_kit.make_attested(self.attestation_issuer, subject, **claims)

    def unsigned(self, **changes: Any) -> str:
        return kit.unsigned_request(self.claimed(**changes))

    def read(self, text: str) -> Request:
        return read_request(text, anchors=self.anchors, attesters=self.attesters, now_ms=now_ms())

    def forge(self, payload: Any, **header: Any) -> str:
        """A request object with this provider's true signature under any header."""
        base = {"alg": "ES256", "typ": "oauth-authz-req+jwt", "x5c": self.party.x5c()}
        return forge_request(changed(base, header), payload, self.party.key)


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(base)
    for name, value in changes.items():
        if value is ...:
            made.pop(name, None)
        else:
            made[name] = value
    return made


def forge_request(header: Any, payload: Any, key: ec.EllipticCurvePrivateKey) -> str:
    """Compact JWS over any header and payload (bytes or JSON), signed ES256 whatever the header says."""
    raw = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signing_input = ".".join(format_b64u(part) for part in raw)
    r, s = decode_dss_signature(key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signing_input}.{format_b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@pytest.fixture(scope="session")
def provider_ca() -> kit.Party:
    return kit.make_ca("Test CA")


@pytest.fixture(scope="session")
def provider_rig(provider_ca: kit.Party) -> ProviderRig:
    """A provider that does everything right."""
    return ProviderRig(provider_ca, kit.make_provider(provider_ca, HOST))
