"""The JWE that questions and answers travel in, sealed to a key of the fuzzer's.

A text with dots is a whole JWE. Else it is a plaintext that is sealed, opened and must come back.
"""

from __future__ import annotations

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.jwe import open_jwe, seal_jwe


def run(data: bytes) -> None:
    if b"." in data:
        open_jwe(data.decode("utf-8", "surrogateescape"), party.key(4))
    else:
        assert open_jwe(seal_jwe(data, party.jwk(4)), party.key(4)) == data


TARGET = Target("jwe", run, form="text", words=(".", "..", "eyJhbGciOiJFQ0RILUVTIi", "==", "AAAA"))
