"""authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.1 sections 6.2 and 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.ctap import CtapError
from fido2.webauthn import AuthenticatorData
from msgspec import Struct

from ownerd.softtoken.client_pin import PERMISSION
from ownerd.softtoken.core import Core, rp_id_hash
from ownerd.softtoken.hmac_secret import SaltInput
from ownerd.softtoken.parameters import ERR, descriptors, optional, required
from ownerd.softtoken.state import Credential
from ownerd.softtoken.touch import Act

NEXT_ASSERTION_SECONDS: Final = 30.0
FLAG = AuthenticatorData.FLAG


class _Request(Struct, frozen=True):
    client_data_hash: bytes
    rp_id: str
    touched: bool
    verified: bool
    salts: SaltInput | None
    wants_large_blob_key: bool


class Assertions:
    """getAssertion, and the credentials that a following getNextAssertion may answer with."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._request: _Request | None = None
        self._left: list[Credential] = []
        self._since = 0.0

    def forget(self) -> None:
        """Any other command ends the sequence (6.3: stateful commands)."""
        self._request, self._left = None, []

    def first(self, params: dict[int, Any]) -> dict[int, Any]:
        """Answer getAssertion: one touch unless ``up`` is false. Raises `CtapError`."""
        self.forget()
        core = self._core
        rp_id, client_data_hash = required(params, 1, str), required(params, 2, bytes)
        if len(client_data_hash) != 32:
            raise CtapError(ERR.INVALID_LENGTH)
        extensions = optional(params, 4, dict) or {}
        touch_wanted = _parse_options(optional(params, 5, dict) or {})
        verified = core.verify_user(params, (6, 7), client_data_hash, PERMISSION.GET_ASSERTION, rp_id)
        salts = self._salts(extensions, touch_wanted=touch_wanted)
        wants_key = "largeBlobKey" in extensions
        if wants_key and optional(extensions, "largeBlobKey", bool) is not True:
            raise CtapError(ERR.INVALID_OPTION)
        allow = descriptors(params, 3) or None
        found = core.find(rp_id, allow, verified=verified)
        if not found:
            raise CtapError(ERR.NO_CREDENTIALS)
        if touch_wanted:
            core.require_touch(Act.APPROVE, rp_id)
            core.pin.spend()
        request = _Request(client_data_hash, rp_id, touch_wanted, verified, salts, wants_key)
        answer = self._assert(request, found[0], several=allow is None and len(found) > 1)
        if allow is None and len(found) > 1:
            answer[5] = len(found)
            self._request, self._left, self._since = request, found[1:], core.monotonic()
        return answer

    def following(self) -> dict[int, Any]:
        """Answer getNextAssertion, without a further touch. Raises `CtapError` NOT_ALLOWED."""
        request = self._request
        if request is None or not self._left or self._core.monotonic() - self._since > NEXT_ASSERTION_SECONDS:
            self.forget()
            raise CtapError(ERR.NOT_ALLOWED)
        self._since = self._core.monotonic()
        return self._assert(request, self._left.pop(0), several=True)

    def _salts(self, extensions: Mapping[str, Any], *, touch_wanted: bool) -> SaltInput | None:
        given = optional(extensions, "hmac-secret", dict)
        if given is None:
            return None
        if not touch_wanted:  # 12.5: no secret without a person
            raise CtapError(ERR.UNSUPPORTED_OPTION)
        return SaltInput(self._core.pin.protocol, given)

    def _assert(self, request: _Request, credential: Credential, *, several: bool) -> dict[int, Any]:
        flags = FLAG(0)
        if request.touched:
            flags |= FLAG.UP
        if request.verified:
            flags |= FLAG.UV
        outputs = None
        if request.salts is not None:
            flags |= FLAG.ED
            secret = credential.secret_with_uv if request.verified else credential.secret_without_uv
            outputs = {"hmac-secret": request.salts.output(secret)}
        auth_data = AuthenticatorData.create(
            rp_id_hash(request.rp_id), flags, self._core.next_counter(), b"", outputs
        )
        private_key = ec.derive_private_key(int.from_bytes(credential.private_key), ec.SECP256R1())
        answer: dict[int, Any] = {
            1: {"type": "public-key", "id": credential.id},
            2: bytes(auth_data),
            3: private_key.sign(auth_data + request.client_data_hash, ec.ECDSA(hashes.SHA256())),
        }
        if credential.discoverable:
            answer[4] = _user(credential, names=several and request.verified)
        if request.wants_large_blob_key and credential.discoverable:
            answer[7] = credential.large_blob_key
        return answer


def _parse_options(options: Mapping[str, Any]) -> bool:
    if "rk" in options:
        raise CtapError(ERR.UNSUPPORTED_OPTION)
    if optional(options, "uv", bool):
        raise CtapError(ERR.INVALID_OPTION)
    return optional(options, "up", bool) is not False


def _user(credential: Credential, *, names: bool) -> dict[str, Any]:
    """User id always; names only to a verified user who has to choose (6.2.2 step 13)."""
    return {name: value for name, value in credential.user.items() if name == "id" or names}
