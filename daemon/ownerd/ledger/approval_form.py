"""The ``approval`` member of a leaf: one JSON form per kind of approval, as docs/LEDGER.md has them.

`read_approval` and `approval_json` are exact inverses. Whether an approval holds is judged in `ledger.approval`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from ownerd.ledger.facts import MAX_CREDENTIAL_BYTES
from ownerd.ledger.shape import Members, format_b64u
from ownerd.model.encoding import Json
from ownerd.model.errors import Malformed
from ownerd.model.token import Approval, CardApproval, Fido2Approval, RecoveryApproval

MAX_ID_CHARS: Final = 64
SIGNATURE_BYTES: Final = {"ES256": (64, 64), "ES384": (96, 96), "RS256": (256, 512)}
ED25519_SIGNATURE_BYTES: Final = 64


def approval_json(approval: Approval) -> dict[str, Json]:
    """Write an approval as the leaf holds it; what its form does not allow is refused by `read_approval`."""
    signature = format_b64u(approval.signature)
    if isinstance(approval, RecoveryApproval):
        return {"type": approval.type, "signature": signature}
    if isinstance(approval, CardApproval):
        return {
            "type": approval.type,
            "token": approval.token,
            "algorithm": approval.algorithm,
            "signature": signature,
        }
    return {
        "type": approval.type,
        "token": approval.token,
        "credential": format_b64u(approval.credential_id),
        "client_data": format_b64u(approval.client_data_json),
        "auth_data": format_b64u(approval.authenticator_data),
        "signature": signature,
    }


def read_approval(value: Json) -> Approval:
    """Read the ``approval`` member of a leaf. Raises `Malformed`."""
    type_: Any = value.get("type") if isinstance(value, dict) else None
    if type_ == "fido2":
        return _read_fido2(value)
    if type_ in ("piv", "pkcs11"):
        return _read_card(type_, value)
    if type_ == "recovery":
        members = Members(value, ("type", "signature"))
        return RecoveryApproval(members.data("signature", ED25519_SIGNATURE_BYTES))
    raise Malformed("approval is of an unknown type")


def _read_fido2(value: Json) -> Fido2Approval:
    members = Members(value, ("type", "token", "credential", "client_data", "auth_data", "signature"))
    return Fido2Approval(
        token=members.text("token", max_chars=MAX_ID_CHARS),
        credential_id=members.data("credential", max_bytes=MAX_CREDENTIAL_BYTES),
        client_data_json=members.data("client_data", max_bytes=1024),
        authenticator_data=members.data("auth_data", max_bytes=1024),
        signature=members.data("signature", max_bytes=128),
    )


def _read_card(type_: Literal["piv", "pkcs11"], value: Json) -> CardApproval:
    members = Members(value, ("type", "token", "algorithm", "signature"))
    algorithm: Any = members.text("algorithm")
    if algorithm not in SIGNATURE_BYTES:
        raise Malformed("approval is of an unknown algorithm")
    least, most = SIGNATURE_BYTES[algorithm]
    signature = members.data("signature", max_bytes=most)
    if len(signature) < least:
        raise Malformed("approval has too short a signature")
    return CardApproval(members.text("token", max_chars=MAX_ID_CHARS), algorithm, signature, type_)
