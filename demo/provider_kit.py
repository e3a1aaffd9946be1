"""The provider's side, written with public libraries only: nothing here knows or imports ownerd.

A provider needs four things: a certificate that its users trust, a key for the answer, a request, and the
check of what comes back. OpenID4VP 1.0, SD-JWT VC (RFC 9901) and did:jwk say how; `jwcrypto` and `sd_jwt`
do the work. The certificate part stands in for a real CA in demos and tests.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from jwcrypto.common import JWException
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.verifier import SDJWTVerifier

VCT = "urn:ownerd:owner:1"
QUERY_ID = "owner"
MAX_AGE_SECONDS = 300

# Claims that carry the credential; the rest is what the owner disclosed.
TECHNICAL = frozenset({"iss", "sub", "aud", "iat", "exp", "vct", "cnf", "owner_terms"})


class Refused(Exception):
    """The answer fails a check; the message names it."""


# -- certificates, as a CA would make them --

_READER_USAGE = x509.ObjectIdentifier("1.0.18013.5.1.6")  # ISO 18013-5 reader authentication


@dataclass
class Party:
    """A key with its certificate chain, leaf first. A CA has its own certificate as only member."""

    key: ec.EllipticCurvePrivateKey
    chain: list[x509.Certificate] = field(default_factory=list)

    @property
    def certificate(self) -> x509.Certificate:
        """The party's own certificate."""
        return self.chain[0]

    def x5c(self) -> list[str]:
        """The chain as a JOSE header has it (RFC 7515, 4.1.6)."""
        return [base64.b64encode(entry.public_bytes(Encoding.DER)).decode() for entry in self.chain]

    def hash_client_id(self) -> str:
        """The client_id of a party that is known by its certificate's hash (OpenID4VP 5.9.3)."""
        digest = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()
        return "x509_hash:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def jwk(self) -> JWK:
        """The private key for jwcrypto."""
        return JWK.from_pem(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), password=None
        )


def _usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: name in names for name in every.split()})


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: Party | None,
    *,
    signing_key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    starts: dt.datetime | None = None,
    days: int = 90,
) -> x509.Certificate:
    """One certificate; `extensions` are (value, critical). Without an issuer it is self-signed."""
    starts = starts or dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer.certificate.subject if issuer else _name(subject))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(starts + dt.timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(signing_key, hashes.SHA256())


def make_ca(name: str = "Demo CA", *, issuer: Party | None = None, **times: Any) -> Party:
    """A CA of its own, or one below `issuer`."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_usage("key_cert_sign", "crl_sign"), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    signing_key = issuer.key if issuer else key
    made = make_certificate(
        name, key.public_key(), issuer, signing_key=signing_key, extensions=extensions, **times
    )
    # The root itself stays out of x5c: who trusts it has it already.
    above = issuer.chain if issuer and issuer.certificate.issuer != issuer.certificate.subject else []
    return Party(key, [made, *above])


def make_provider(
    ca: Party | None, dns_name: str | None, *, subject: str = "", extra: Sequence[Any] = (), **times: Any
) -> Party:
    """A provider's certificate: for a DNS name, or for its name alone. Without a CA it is self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([_READER_USAGE]), True),
        *extra,
    ]
    if dns_name:
        extensions.append((x509.SubjectAlternativeName([x509.DNSName(dns_name)]), False))
    signing_key = ca.key if ca else key
    made = make_certificate(
        subject or dns_name or "provider",
        key.public_key(),
        ca,
        signing_key=signing_key,
        extensions=extensions,
        **times,
    )
    above = ca.chain if ca and ca.certificate.issuer != ca.certificate.subject else []
    return Party(key, [made, *above])


# -- the request --


def new_encryption_key(kid: str = "answer-1") -> JWK:
    """A fresh key pair for one answer: ECDH-ES on P-256."""
    return JWK.generate(kty="EC", crv="P-256", use="enc", alg="ECDH-ES", kid=kid)


def ask_for(claims: Sequence[str]) -> dict[str, Any]:
    """DCQL: the claims we want of a self-asserted owner credential, `address.locality` with a dot."""
    return {
        "credentials": [
            {
                "id": QUERY_ID,
                "format": "dc+sd-jwt",
                "meta": {"vct_values": [VCT]},
                "claims": [{"path": name.split(".")} for name in claims],
            }
        ]
    }


def parameters(
    client_id: str, response_uri: str, claims: Sequence[str], answer_key: JWK, **more: Any
) -> dict[str, Any]:
    """The parameters of an authorization request; keep `nonce` and `state` for the check."""
    return {
        "client_id": client_id,
        "response_type": "vp_token",
        "response_mode": "direct_post.jwt",
        "response_uri": response_uri,
        "nonce": secrets.token_urlsafe(24),
        "state": secrets.token_urlsafe(16),
        "dcql_query": ask_for(claims),
        "client_metadata": {
            "jwks": {"keys": [answer_key.export_public(as_dict=True)]},
            "encrypted_response_enc_values_supported": ["A128GCM", "A256GCM"],
            "vp_formats_supported": {
                "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
            },
        },
        **more,
    }


def signed_request(request: dict[str, Any], signer: Party) -> str:
    """A signed request object (RFC 9101): compact JWS with the certificate chain in its header."""
    body = {"aud": "https://self-issued.me/v2", "iat": int(time.time()), **request}
    header = {"alg": "ES256", "typ": "oauth-authz-req+jwt", "x5c": signer.x5c()}
    made = JWS(json.dumps(body))
    made.add_signature(signer.jwk(), protected=json.dumps(header))
    return made.serialize(compact=True)


def unsigned_request(request: dict[str, Any]) -> str:
    """A request that proves nothing about who asks; its client_id must be `redirect_uri:…`."""
    return json.dumps(request)


def terms(**members: Any) -> str:
    """Our terms, as one string of `transaction_data`: why, for how long, who else."""
    made = {"type": "urn:ownerd:terms:1", "credential_ids": [QUERY_ID], "recipients": [], **members}
    return base64.urlsafe_b64encode(json.dumps(made).encode()).decode().rstrip("=")


def terms_hash(encoded: str) -> str:
    """What the owner signs when our terms are accepted (OpenID4VP, appendix B.3.3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(encoded.encode()).digest()).decode().rstrip("=")


def login_parameters(client_id: str, response_uri: str, answer_key: JWK) -> dict[str, Any]:
    """The parameters of a login without data (SIOPv2)."""
    made = parameters(client_id, response_uri, ["email"], answer_key)
    del made["dcql_query"]
    made["client_metadata"] = {"jwks": made["client_metadata"]["jwks"]}
    return {**made, "response_type": "id_token", "scope": "openid"}


# -- what goes back --


def receipt(signer: Party, **members: Any) -> str:
    """A signed receipt: acceptance of the owner's terms (`owner_terms`), a confirmation, anything we return."""
    header = {"alg": "ES256", "typ": "ownerd-receipt+jwt", "x5c": signer.x5c()}
    made = JWS(json.dumps({"iat": int(time.time()), **members}))
    made.add_signature(signer.jwk(), protected=json.dumps(header))
    return made.serialize(compact=True)


# -- the check of the answer --


@dataclass
class Disclosed:
    """What was disclosed, the owner's name towards this provider, and what became of the terms.

    `accepted` are the hashes of our transaction data that the owner has signed; `owner_terms` is the digest of the
    owner's own terms; `repeats` whether it comes under a grant, so that no touch stands behind this one answer.
    """

    claims: dict[str, Any]
    did: str
    accepted: list[str] = field(default_factory=list)
    owner_terms: str | None = None
    repeats: bool = False


def _require(holds: object, what: str) -> None:
    if not holds:
        raise Refused(what)


def _decrypt(answer: str, answer_key: JWK) -> dict[str, Any]:
    sealed = JWE(algs=["ECDH-ES", "A128GCM", "A256GCM"])
    sealed.deserialize(answer, answer_key)
    _require(sealed.jose_header.get("kid") == answer_key["kid"], "the answer names another key")
    return dict(json.loads(sealed.payload))


def _decode(segment: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))))


def key_of(did: str) -> JWK:
    """The key that a did:jwk is."""
    _require(isinstance(did, str) and did.startswith("did:jwk:"), "the issuer is no did:jwk")
    return JWK(**_decode(did.removeprefix("did:jwk:")))


def _check_credential(header: dict[str, Any], payload: dict[str, Any], client_id: str, now: float) -> JWK:
    """The issuer-signed JWT before its signature: type, self-assertion, for us, one key unless it is a grant."""
    key = key_of(payload.get("iss", ""))
    _require(header.get("typ") == "dc+sd-jwt", "the credential has another typ")
    _require(header.get("alg") == "ES256", "the credential has another alg")
    _require(header.get("kid") == payload["iss"] + "#0", "the credential has another kid")
    _require(payload.get("sub") == payload["iss"], "the credential is about somebody else")
    _require(payload.get("vct") == VCT, "the credential is of another type")
    _require(payload.get("_sd_alg") == "sha-256", "the credential hashes otherwise")
    bound = JWK(**payload["cnf"]["jwk"])
    if "aud" in payload:
        _require(payload["aud"] == client_id, "the grant is for somebody else")
    else:
        _require(bound.thumbprint() == key.thumbprint(), "the credential is bound to another key")
    _require(payload["iat"] <= now + 60, "the credential is from the future")
    _require(now < payload["exp"], "the credential has expired")
    return key


def _verify_presentation(presentation: str, client_id: str, nonce: str, now: float) -> Disclosed:
    issuer_jwt, *_, kb_jwt = presentation.split("~")
    header, payload = (_decode(part) for part in issuer_jwt.split(".")[:2])
    key = _check_credential(header, payload, client_id, now)
    kb_header, kb_payload = (_decode(part) for part in kb_jwt.split(".")[:2])
    _require(kb_header == {"alg": "ES256", "typ": "kb+jwt"}, "the key binding has another header")
    _require(-60 <= now - kb_payload["iat"] <= MAX_AGE_SECONDS, "the key binding is not fresh")
    verified = SDJWTVerifier(presentation, lambda _issuer, _header: key, client_id, nonce)
    found = verified.get_verified_payload()
    return Disclosed(
        {name: found[name] for name in found if name not in TECHNICAL},
        payload["iss"],
        accepted=kb_payload.get("transaction_data_hashes", []),
        owner_terms=payload.get("owner_terms", {}).get("digest"),
        repeats="aud" in payload,
    )


_LIBRARY_ERRORS = (JWException, ValueError, KeyError, TypeError, AttributeError, IndexError)


def verify_presentation(
    presentation: str, *, client_id: str, nonce: str, now: float | None = None
) -> Disclosed:
    """Check an SD-JWT with key binding; `sd_jwt` checks signatures, digests, nonce, aud and sd_hash.

    Raises `Refused`.
    """
    try:
        return _verify_presentation(presentation, client_id, nonce, time.time() if now is None else now)
    except _LIBRARY_ERRORS as error:
        raise Refused(f"the presentation does not verify: {error}") from error


def verify_login(answer: str, request: dict[str, Any], answer_key: JWK) -> str:
    """Check a login and return the owner's DID towards us. Raises `Refused`."""
    try:
        response = _decrypt(answer, answer_key)
        token = JWS()
        token.deserialize(response["id_token"])
        payload = _decode(response["id_token"].split(".")[1])
        token.verify(key_of(payload["iss"]))
    except _LIBRARY_ERRORS as error:
        raise Refused(f"the login does not verify: {error}") from error
    _require(response.get("state") == request.get("state"), "the answer has another state")
    _require(payload["sub"] == payload["iss"], "the token is about somebody else")
    _require(payload["aud"] == request["client_id"], "the token is for somebody else")
    _require(payload["nonce"] == request["nonce"], "the token answers another request")
    _require(payload["iat"] - 60 <= time.time() < payload["exp"], "the token is not fresh")
    return str(payload["sub"])


def verify_handover(answer: str, answer_key: JWK, client_id: str) -> tuple[str, str] | None:
    """(old DID, new DID) where the answer brings the owner's new key, signed by the old one. Raises `Refused`."""
    handover = _decrypt(answer, answer_key).get("handover")
    if handover is None:
        return None
    try:
        token = JWS()
        token.deserialize(handover)
        header, payload = (_decode(part) for part in handover.split(".")[:2])
        token.verify(key_of(payload["iss"]))
    except _LIBRARY_ERRORS as error:
        raise Refused(f"the hand-over does not verify: {error}") from error
    _require(header["typ"] == "ownerd-handover+jwt", "the hand-over has another typ")
    _require(payload["aud"] == client_id, "the hand-over is for somebody else")
    _require(key_of(payload["sub"]).thumbprint() == JWK(**payload["cnf"]["jwk"]).thumbprint(), "two new keys")
    return payload["iss"], payload["sub"]


def verify_response(
    answer: str, request: dict[str, Any], answer_key: JWK, *, now: float | None = None
) -> Disclosed:
    """Decrypt and check the answer to `request` (its parameters). Raises `Refused`."""
    try:
        response = _decrypt(answer, answer_key)
        presentations = response["vp_token"][QUERY_ID]
    except _LIBRARY_ERRORS as error:
        raise Refused(f"the answer does not open: {error}") from error
    _require(response.get("state") == request.get("state"), "the answer has another state")
    _require(isinstance(presentations, list) and len(presentations) == 1, "not one presentation")
    return verify_presentation(
        presentations[0], client_id=request["client_id"], nonce=request["nonce"], now=now
    )
