"""authenticatorMakeCredential (CTAP 2.1 section 6.1): ES256 with packed self attestation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.webauthn import AttestedCredentialData, AuthenticatorData
from msgspec import Struct

from ownerd.softtoken.client_pin import PERMISSION, public_cose_key
from ownerd.softtoken.core import AAGUID, Core, rp_id_hash
from ownerd.softtoken.parameters import ERR, descriptors, optional, required
from ownerd.softtoken.state import Credential
from ownerd.softtoken.touch import Act

MAX_CREDENTIALS: Final = 256
MAX_USER_ID_BYTES: Final = 64
MAX_NAME_BYTES: Final = 64
FLAG = AuthenticatorData.FLAG


class _Request(Struct, frozen=True):
    client_data_hash: bytes
    rp_id: str
    user: dict[str, Any]
    discoverable: bool
    extensions: Mapping[str, Any]


def make_credential(core: Core, params: dict[int, Any]) -> dict[int, Any]:
    """Make and store one credential: one touch. Raises `CtapError`."""
    request = _parse(params)
    verified = core.verify_user(
        params, (8, 9), request.client_data_hash, PERMISSION.MAKE_CREDENTIAL, request.rp_id
    )
    if core.pin.is_set and not verified:
        raise CtapError(ERR.PUAT_REQUIRED)
    excluded = descriptors(params, 5)
    if excluded and core.find(request.rp_id, excluded, verified=verified):
        core.require_touch(Act.MAKE_CREDENTIAL, request.rp_id)
        raise CtapError(ERR.CREDENTIAL_EXCLUDED)
    core.require_touch(Act.MAKE_CREDENTIAL, request.rp_id)
    core.pin.spend()
    private_key = ec.generate_private_key(ec.SECP256R1())
    credential = _store(core, request, private_key)
    answer = _attest(core, request, credential, private_key, verified=verified)
    if request.extensions.get("largeBlobKey") is True:
        answer[5] = credential.large_blob_key
    return answer


def _parse(params: dict[int, Any]) -> _Request:
    client_data_hash = required(params, 1, bytes)
    rp, user = required(params, 2, dict), required(params, 3, dict)
    algorithms = required(params, 4, list)
    extensions = optional(params, 6, dict) or {}
    options = optional(params, 7, dict) or {}
    user_id = required(user, "id", bytes)
    if len(client_data_hash) != 32 or len(user_id) > MAX_USER_ID_BYTES:
        raise CtapError(ERR.INVALID_LENGTH)
    kept: dict[str, Any] = {"id": user_id}
    for name in ("name", "displayName"):
        text = optional(user, name, str)
        if text is not None:
            kept[name] = text.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    if not any(_is_es256(entry) for entry in algorithms):
        raise CtapError(ERR.UNSUPPORTED_ALGORITHM)
    discoverable = optional(options, "rk", bool) or False
    if optional(options, "uv", bool) or optional(options, "up", bool) is False:
        raise CtapError(ERR.INVALID_OPTION)
    if 10 in params:  # enterprise attestation
        raise CtapError(ERR.INVALID_PARAMETER)
    _verify_extensions(extensions, discoverable=discoverable)
    return _Request(client_data_hash, required(rp, "id", str), kept, discoverable, extensions)


def _is_es256(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
    return (required(entry, "type", str), required(entry, "alg", int)) == ("public-key", ES256.ALGORITHM)


def _verify_extensions(extensions: Mapping[str, Any], *, discoverable: bool) -> None:
    protect = optional(extensions, "credProtect", int)
    if protect is not None and protect not in {1, 2, 3}:
        raise CtapError(ERR.INVALID_OPTION)
    optional(extensions, "hmac-secret", bool)
    if "largeBlobKey" in extensions and not (optional(extensions, "largeBlobKey", bool) and discoverable):
        raise CtapError(ERR.INVALID_OPTION)


def _store(core: Core, request: _Request, private_key: ec.EllipticCurvePrivateKey) -> Credential:
    known = core.state.credentials
    # A discoverable credential of the same account takes the place of the old one (6.1.2 step 17).
    replaced = [
        entry.id
        for entry in known.values()
        if request.discoverable
        and entry.discoverable
        and (entry.rp_id, entry.user["id"]) == (request.rp_id, request.user["id"])
    ]
    if len(known) - len(replaced) >= MAX_CREDENTIALS:
        raise CtapError(ERR.KEY_STORE_FULL)
    credential = Credential(
        id=core.random(32),
        rp_id=request.rp_id,
        user=request.user,
        private_key=private_key.private_numbers().private_value.to_bytes(32),
        discoverable=request.discoverable,
        protect=request.extensions.get("credProtect", 1),
        large_blob_key=core.random(32),
        secret_with_uv=core.random(32),
        secret_without_uv=core.random(32),
        order=1 + max((entry.order for entry in known.values()), default=0),
    )
    for key in replaced:
        del known[key]
    known[credential.id] = credential
    return credential


def _attest(
    core: Core,
    request: _Request,
    credential: Credential,
    private_key: ec.EllipticCurvePrivateKey,
    *,
    verified: bool,
) -> dict[int, Any]:
    outputs: dict[str, Any] = {}
    if request.extensions.get("hmac-secret") is True:
        outputs["hmac-secret"] = True
    if "credProtect" in request.extensions:
        outputs["credProtect"] = credential.protect
    flags = FLAG.UP | FLAG.AT
    if verified:
        flags |= FLAG.UV
    if outputs:
        flags |= FLAG.ED
    auth_data = AuthenticatorData.create(
        rp_id_hash(request.rp_id),
        flags,
        core.next_counter(),
        AttestedCredentialData.create(AAGUID, credential.id, public_cose_key(private_key)),
        outputs or None,
    )
    signature = private_key.sign(auth_data + request.client_data_hash, ec.ECDSA(hashes.SHA256()))
    return {1: "packed", 2: bytes(auth_data), 3: {"alg": ES256.ALGORITHM, "sig": signature}}
