"""Who signed a request: X.509 path validation for ``x509_san_dns`` and ``x509_hash`` client ids.

OpenID4VP 1.0 section 5.9.3; path validation (RFC 5280) is `cryptography.x509.verification` with the Web PKI
extension policies, except that any extended key usage is taken: certificates for readers of credentials
rarely have serverAuth. Trust rests on the anchors that the caller passes, nothing else.

There is **no revocation check**: the daemon has no network. A stolen key serves its thief until the
certificate expires or the owner takes the anchor away.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from msgspec import Struct

from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.jwe import public_members, thumbprint
from ownerd.credential.shown_text import is_shown_text
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported

MAX_CERTIFICATES: Final = 6
MAX_CERTIFICATE_BYTES: Final = 8 * 1024
MAX_NAME_CHARS: Final = 64

# What `cryptography` raises for certificates that are not well-formed; parts are parsed when first read.
_MALFORMED = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


class Identity(Struct, frozen=True):
    """A verified signer: name to show, RFC 7638 thumbprint of its key, SHA-256 hex of its anchor."""

    name: str
    thumbprint: str
    anchor: str


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER certificate, hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def parse_x5c(value: Json) -> tuple[x509.Certificate, ...]:
    """Read an ``x5c`` header (RFC 7515, 4.1.6): leaf first, each certificate issued by the next.

    Raises `InvalidArgument` for a malformed, oversized, misordered or padded chain.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CERTIFICATES:
        raise InvalidArgument(f"x5c is not a list of 1 to {MAX_CERTIFICATES} certificates")
    chain: list[x509.Certificate] = []
    for entry in value:
        try:
            der = base64.b64decode(entry, validate=True)
            if len(der) > MAX_CERTIFICATE_BYTES or base64.b64encode(der).decode("ascii") != entry:
                raise InvalidArgument("x5c has an oversized or non-canonical certificate")
            chain.append(x509.load_der_x509_certificate(der))
        except _MALFORMED as error:
            raise InvalidArgument("x5c has a malformed certificate") from error
    for subject, issuer in itertools.pairwise(chain):
        try:
            subject.verify_directly_issued_by(issuer)
        except (*_MALFORMED, InvalidSignature) as error:
            raise InvalidArgument("x5c is not in order, leaf first") from error
    return tuple(chain)


def leaf_key(leaf: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The P-256 key that ES256 wants. Raises `NotSupported` for another key."""
    try:
        key = leaf.public_key()
    except _MALFORMED as error:
        raise InvalidArgument("certificate has a malformed key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotSupported("only certificates for P-256 keys (ES256) are supported")
    return key


def _builder(anchors: Sequence[x509.Certificate], now_ms: int, *, dns_name: bool) -> PolicyBuilder:
    any_usage = (x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    ca_policy = ExtensionPolicy.webpki_defaults_ca().may_be_present(*any_usage)
    ee_policy = ExtensionPolicy.webpki_defaults_ee().may_be_present(*any_usage)
    if not dns_name:
        ee_policy = ee_policy.may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    moment = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    return (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(moment)
        .extension_policies(ca_policy=ca_policy, ee_policy=ee_policy)
    )


def _require_signing(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except _MALFORMED as error:
        raise InvalidArgument("certificate has malformed extensions") from error
    if not usage.digital_signature:
        raise NotAllowed("certificate is not for signatures")


def _identity(name: str, leaf: x509.Certificate, anchor: x509.Certificate) -> Identity:
    return Identity(name, thumbprint(public_members(leaf_key(leaf))), fingerprint(anchor))


def _dns_names(leaf: x509.Certificate) -> list[str]:
    extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def verify_san_dns(
    dns_name: str, chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], *, now_ms: int
) -> Identity:
    """Verify ``x509_san_dns:<dns_name>``: the chain, and the name as an entry of the leaf's SAN.

    A wildcard entry does not do: the certificate has to name exactly this host. Raises `InvalidArgument`
    for a malformed name, `NotAllowed` when the chain does not hold or the name is not in it.
    """
    if not is_dns_name(dns_name):
        raise InvalidArgument("client id is not a lowercase DNS name")
    leaf, *others = chain
    if not anchors:
        raise NotAllowed("no trust anchor is installed")
    try:
        verifier = _builder(anchors, now_ms, dns_name=True).build_server_verifier(x509.DNSName(dns_name))
        path = verifier.verify(leaf, others)
    except (*_MALFORMED, VerificationError) as error:
        raise NotAllowed("the certificate chain does not hold for this name, time and trust") from error
    if dns_name not in _dns_names(leaf):
        raise NotAllowed("the certificate names the host by a wildcard only")
    _require_signing(leaf)
    return _identity(dns_name, leaf, path[-1])


def _subject_name(leaf: x509.Certificate, digest: str) -> str:
    """Name to show for a certificate without a DNS name; the digest keeps it from posing as one."""
    try:
        subject = leaf.subject
    except _MALFORMED as error:
        raise InvalidArgument("certificate has a malformed subject") from error
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in subject.get_attributes_for_oid(oid):
            if isinstance(attribute.value, str) and is_shown_text(attribute.value, max_chars=MAX_NAME_CHARS):
                return f"{attribute.value} (certificate {digest[:8]})"
    return f"certificate {digest[:8]}"


def _verify_pinned_leaf(leaf: x509.Certificate, now_ms: int) -> None:
    moment = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise NotAllowed("the certificate is not valid at this time")


def verify_hash(
    digest: str, chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], *, now_ms: int
) -> Identity:
    """Verify ``x509_hash:<digest>``: base64url SHA-256 of the DER leaf, and the chain without a DNS name.

    A leaf that is itself an anchor (the owner put this very certificate there) needs no chain. Raises
    `NotAllowed` when the digest or the chain does not hold.
    """
    leaf, *others = chain
    if digest != format_b64u(hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest()):
        raise NotAllowed("client id is not the hash of the certificate")
    if leaf in anchors:
        _verify_pinned_leaf(leaf, now_ms)
        anchor = leaf
    else:
        if not anchors:
            raise NotAllowed("no trust anchor is installed")
        try:
            verified = _builder(anchors, now_ms, dns_name=False).build_client_verifier().verify(leaf, others)
        except (*_MALFORMED, VerificationError) as error:
            raise NotAllowed("the certificate chain does not hold for this time and trust") from error
        anchor = verified.chain[-1]
    _require_signing(leaf)
    return _identity(_subject_name(leaf, digest), leaf, anchor)
