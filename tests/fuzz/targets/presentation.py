"""What an app is answered: ``{"h", "i", "d", "kh", "k"}``: issuer header and payload, disclosures, key binding's two; all signed.

``"iss": "own"`` is the signer's DID, ``"_sd": "own"`` the digests of all disclosures, ``"sd_hash": "own"`` the right one.
Any other text stands as it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerctl.received import verify_presentation
from ownerd.credential.did import did_jwk
from ownerd.model.encoding import format_b64u


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _digest(text: str) -> str:
    return format_b64u(hashlib.sha256(text.encode()).digest())


def _signed(header: Any, payload: Any, own: dict[str, Any]) -> str:
    if isinstance(payload, dict):
        payload = {
            name: own[name] if value == "own" and name in own else value for name, value in payload.items()
        }
    return party.sign(_encode(header), _encode(payload), 2)


def _compose(data: bytes) -> str:
    try:
        parts = json.loads(data)
        disclosures = [format_b64u(_encode(one)) for one in parts["d"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return data.decode("utf-8", "surrogateescape")
    own = {
        "iss": did_jwk(party.jwk(2)),
        "_sd": [_digest(one) for one in disclosures],
        "cnf": {"jwk": party.jwk(2)},
    }
    covered = "~".join([_signed(parts.get("h"), parts.get("i"), own), *disclosures, ""])
    return covered + _signed(parts.get("kh"), parts.get("k"), {"sd_hash": _digest(covered)})


def run(data: bytes) -> None:
    found = verify_presentation(_compose(data), nonce="n", audience="a", now_seconds=party.NOW)
    assert found.holder == did_jwk(party.jwk(2))


TARGET = Target(
    "presentation",
    run,
    form="json",
    words=(
        "own", "_sd", "iss", "sub", "cnf", "jwk", "vct", "urn:ownerd:owner:1", "exp", "_sd_alg", "sha-256", "nonce", "aud", "sd_hash",
        "h", "i", "d", "kh", "k", "typ", "dc+sd-jwt", "kb+jwt", "alg", "ES256", "crit", "email", "address", "locality",
    ),
)  # fmt: skip
