"""Key objects of a PKCS#11 token: what is there, what it can do, which of it to use (PKCS#11 2.40, section 4).

A private key is matched with its public half, a CKO_PUBLIC_KEY or an X.509 certificate, by CKA_ID. Imports the
library, so it is itself imported on a module's worker only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing, suppress
from itertools import islice
from typing import Any, Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import Object, PrivateKey, Session

from ownerd.ledger.jwk import parse_jwk
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import LedgerError, ProtocolBroken, WrongKey

MAX_OBJECTS: Final = 256

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

# DER of the named curve's OID (RFC 5480, section 2.1.1.1), as CKA_EC_PARAMS has it.
_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
}
_ORDER: Final = ("ES256", "ES384", "RS256")


class KeyPair(Struct, frozen=True):
    """A private key object and its public half. ``asks_again``: CKA_ALWAYS_AUTHENTICATE."""

    id: bytes
    private: PrivateKey
    public: PublicKey
    jwk: dict[str, Json]
    signs: bool
    derives: bool
    asks_again: bool

    @property
    def algorithm(self) -> str:
        """JWS name of what it signs with."""
        return parse_jwk(self.jwk).algorithm


def format_jwk(key: PublicKey) -> dict[str, Json]:
    """Public JWK of a key, as `ownerd.ledger.jwk` reads it."""
    numbers = key.public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    size = (numbers.curve.key_size + 7) // 8
    curve = "P-256" if isinstance(numbers.curve, ec.SECP256R1) else "P-384"
    x, y = (format_b64u(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": curve, "x": x, "y": y}


def card_id(key: PublicKey) -> str:
    """Id of an enrolled card: first 16 hex digits of SHA-256(SubjectPublicKeyInfo of its signing key)."""
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:16]


def public_keys(session: Session, key_id: bytes | None = None) -> dict[bytes, list[PublicKey]]:
    """Public halves by CKA_ID that can be seen now: usable ones, of all objects or of one CKA_ID.

    An id whose objects are all of no use to us is there with an empty list.
    """
    found: dict[bytes, list[PublicKey]] = {}
    wanted = {} if key_id is None else {Attribute.ID: key_id}
    for kind, read in ((ObjectClass.PUBLIC_KEY, _read_public), (ObjectClass.CERTIFICATE, _read_certificate)):
        for item in _objects(session, {Attribute.CLASS: kind, **wanted}):
            keys = found.setdefault(_get(item, Attribute.ID, b""), [])
            # One broken or foreign object must not hide the others.
            with suppress(PKCS11Error, LedgerError, ValueError, TypeError):
                key = read(item)
                parse_jwk(format_jwk(key))
                if key not in keys:
                    keys.append(key)
    return found


def key_pairs(session: Session) -> list[KeyPair]:
    """All usable pairs of a token; what is private shows after the login only.

    Two keys of one type and CKA_ID could be taken for each other later, so neither is used.
    """
    publics = public_keys(session)
    items = [
        (item, _get(item, Attribute.ID, b""), _get(item, Attribute.KEY_TYPE, None))
        for item in _objects(session, {Attribute.CLASS: ObjectClass.PRIVATE_KEY})
    ]
    names = Counter((key_id, kind) for _, key_id, kind in items)
    pairs = []
    for item, key_id, kind in items:
        wanted: type[Any] | None = {
            KeyType.EC: ec.EllipticCurvePublicKey,
            KeyType.RSA: rsa.RSAPublicKey,
        }.get(kind)
        halves = [key for key in publics.get(key_id, []) if wanted is not None and isinstance(key, wanted)]
        if not halves or names[key_id, kind] > 1:
            continue
        pairs.append(
            KeyPair(
                id=key_id,
                private=cast("PrivateKey", item),
                public=halves[0],
                jwk=format_jwk(halves[0]),
                signs=_get(item, Attribute.SIGN, False) is True,
                derives=kind is KeyType.EC and _get(item, Attribute.DERIVE, False) is True,
                asks_again=_get(item, Attribute.ALWAYS_AUTHENTICATE, False) is True,
            )
        )
    return pairs


def choose_signing(pairs: list[KeyPair], mechanisms: set[Mechanism]) -> KeyPair | None:
    """The key to approve with: P-256 before P-384 before RSA, one for this alone before one for all.

    A key that asks for the PIN each time is often the one for legally binding signatures: the last resort.
    """
    rsa_works = mechanisms & {Mechanism.RSA_PKCS, Mechanism.SHA256_RSA_PKCS}
    able = [
        pair
        for pair in pairs
        if pair.signs and (rsa_works if pair.algorithm == "RS256" else Mechanism.ECDSA in mechanisms)
    ]
    order = {name: number for number, name in enumerate(_ORDER)}
    able.sort(key=lambda pair: (pair.asks_again, order[pair.algorithm], pair.derives, pair.id))
    return able[0] if able else None


def choose_agreement(pairs: list[KeyPair], mechanisms: set[Mechanism]) -> KeyPair | None:
    """The key to agree with. C_DeriveKey has no place for a second login, so no key that asks for one."""
    if Mechanism.ECDH1_DERIVE not in mechanisms:
        return None
    able = [pair for pair in pairs if pair.derives and not pair.asks_again]
    order = {name: number for number, name in enumerate(_ORDER)}
    able.sort(key=lambda pair: (order[pair.algorithm], pair.signs, pair.id))
    return able[0] if able else None


def find_private(session: Session, key_id: bytes, kind: KeyType) -> PrivateKey:
    """Return the one private key of a CKA_ID and type. Raises `WrongKey` when there is none, or more."""
    wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: kind, Attribute.ID: key_id}
    found = _objects(session, wanted)
    if len(found) != 1:
        raise WrongKey("the enrolled key is not on the token any more")
    return cast("PrivateKey", found[0])


def asks_again(key: Object) -> bool:
    """Whether a key wants a login of its own for each use."""
    return _get(key, Attribute.ALWAYS_AUTHENTICATE, False) is True


def _objects(session: Session, wanted: dict[Attribute, Any]) -> list[Object]:
    # Closed before the next call: a session has one search at a time.
    with closing(cast("Any", session.get_objects(wanted))) as found:
        items = list(islice(found, MAX_OBJECTS + 1))
    if len(items) > MAX_OBJECTS:
        raise ProtocolBroken("the token has more objects than can be looked through")
    return items


def _get(item: Object, attribute: Attribute, default: Any) -> Any:
    try:
        return item[attribute]
    except (PKCS11Error, ValueError, LookupError):
        return default


def _read_public(item: Object) -> PublicKey:
    kind = item[Attribute.KEY_TYPE]
    if kind is KeyType.RSA:
        n, e = (int.from_bytes(item[name], "big") for name in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
        return rsa.RSAPublicNumbers(e, n).public_key()
    if kind is not KeyType.EC:
        raise ValueError("neither an EC nor an RSA key")
    curve = _CURVES.get(item[Attribute.EC_PARAMS])
    if curve is None:
        raise ValueError("neither P-256 nor P-384")
    point = item[Attribute.EC_POINT]
    raw_bytes = 1 + 2 * (curve.key_size // 8)
    # An OCTET STRING by the standard; some modules give the bare point.
    if point[:2] == bytes((4, raw_bytes)) and len(point) == 2 + raw_bytes:
        point = point[2:]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def _read_certificate(item: Object) -> PublicKey:
    try:
        key = x509.load_der_x509_certificate(item[Attribute.VALUE]).public_key()
    except (x509.InvalidVersion, UnsupportedAlgorithm) as error:  # neither is a ValueError
        raise ValueError("not a certificate that we can read") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        return key
    raise ValueError("neither P-256, P-384 nor RSA")


def _integer(value: int) -> str:
    return format_b64u(value.to_bytes((value.bit_length() + 7) // 8, "big"))
