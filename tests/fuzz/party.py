"""Whom the targets trust: keys that are the same in every run, so that a kept input that was signed stays signed."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from ownerd.credential.attestation import Attester, parse_attester
from ownerd.credential.jwe import public_members
from ownerd.model.encoding import format_b64u

NOW: Final = 1_795_000_000  # seconds: November 2026
HOST: Final = "shop.example"
RESPONSE_URI: Final = f"https://{HOST}/answer"
ATTESTER: Final = "https://attester.example"
_READER: Final = x509.ObjectIdentifier("1.0.18013.5.1.6")


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """A P-256 key that everybody knows. 1: CA, 2: provider, 3: attester, 4: answers, 5: token."""
    return ec.derive_private_key(0xF022 + number, ec.SECP256R1())


def jwk(number: int, **more: Any) -> dict[str, Any]:
    """The public half of `key` as JWK."""
    return {**public_members(key(number)), **more}


def _certificate(subject: str, number: int, extensions: list[tuple[Any, bool]]) -> x509.Certificate:
    start = dt.datetime.fromtimestamp(NOW - 86_400, dt.UTC)
    ca = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Fuzz CA")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    public = key(number).public_key()
    builder = x509.CertificateBuilder(ca, name, public, number, start, start + dt.timedelta(days=90))
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key(1).public_key())
    for value, critical in [*extensions, (identifier, False)]:
        builder = builder.add_extension(value, critical)
    return builder.sign(key(1), hashes.SHA256())


def _usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: name in names for name in every.split()})


@cache
def anchor() -> x509.Certificate:
    """The CA's certificate. Its signature is another one in each run; nothing looks at it."""
    public = key(1).public_key()
    return _certificate(
        "Fuzz CA",
        1,
        [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (_usage("key_cert_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
        ],
    )


@cache
def leaf() -> bytes:
    """The provider's certificate, DER."""
    made = _certificate(
        HOST,
        2,
        [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([_READER]), True),
            (x509.SubjectAlternativeName([x509.DNSName(HOST)]), False),
        ],
    )
    return made.public_bytes(Encoding.DER)


def x5c() -> list[str]:
    """The provider's chain as a JOSE header has it."""
    return [base64.b64encode(leaf()).decode()]


@cache
def attester() -> Attester:
    """Who may vouch for providers."""
    return parse_attester(json.dumps({"issuer": ATTESTER, "keys": [jwk(3)]}))


def sign(header: bytes, payload: bytes, number: int) -> str:
    """A compact JWS with a true ES256 signature over any two byte strings."""
    signed = f"{format_b64u(header)}.{format_b64u(payload)}"
    r, s = decode_dss_signature(key(number).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{format_b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def parameters(**more: Any) -> dict[str, Any]:
    """Good parameters of an unsigned request."""
    claims: list[Mapping[str, Any]] = [{"path": ["given_name"]}, {"id": "m", "path": ["email"]}]
    return {
        "client_id": f"redirect_uri:{RESPONSE_URI}",
        "response_type": "vp_token",
        "response_mode": "direct_post.jwt",
        "response_uri": RESPONSE_URI,
        "nonce": "n-0123456789abcdef",
        "state": "s-1",
        "dcql_query": {
            "credentials": [
                {
                    "id": "owner",
                    "format": "dc+sd-jwt",
                    "meta": {"vct_values": ["urn:ownerd:owner:1"]},
                    "claims": claims,
                }
            ]
        },
        "client_metadata": {
            "jwks": {"keys": [jwk(4, use="enc", alg="ECDH-ES", kid="a")]},
            "encrypted_response_enc_values_supported": ["A256GCM"],
            "vp_formats_supported": {"dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"]}},
        },
        **more,
    }
