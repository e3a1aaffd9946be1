"""The protected header of a JWE as JSON, encoded here: the rules that hold before the key is used."""

from __future__ import annotations

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.jwe import _require_header, open_jwe
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import InvalidArgument


def run(data: bytes) -> None:
    header = format_b64u(data)
    _require_header(header, party.key(4))
    try:
        open_jwe(f"{header}..{'A' * 16}.AAAA.{'A' * 22}", party.key(4))
    except InvalidArgument:
        return
    raise AssertionError("a JWE opens that nobody sealed")


TARGET = Target(
    "jwe_header",
    run,
    form="json",
    words=("alg", "enc", "epk", "kid", "zip", "apu", "apv", "ECDH-ES", "A128GCM", "A256GCM", "kty", "EC", "crv", "P-256", "x", "y", "d"),
)  # fmt: skip
