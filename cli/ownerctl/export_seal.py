"""The envelope of EUDI Technical Specification 10: a compact JWE under a password (RFC 7516, RFC 7518 section 4.8).

PBES2-HS256+A128KW and A128GCM, by joserfc. The password is made here and has 130 bits, so that its strength needs
neither the owner's ideas nor many rounds; readers often refuse more rounds than these.
"""

from __future__ import annotations

import secrets
from typing import Final

from joserfc import jwe
from joserfc.jwk import OctKey

ALG: Final = "PBES2-HS256+A128KW"
ENC: Final = "A128GCM"
ROUNDS: Final = 10_000
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, without what looks alike
_PASSWORD_CHARS: Final = 26


def make_password() -> str:
    """A fresh password of 26 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_CHARS))


def seal_text(text: str, password: str) -> str:
    """Seal ``text`` under ``password``: one compact JWE."""
    header = {"alg": ALG, "enc": ENC, "p2c": ROUNDS}
    key = OctKey.import_key(password)
    return jwe.encrypt_compact(header, text.encode("utf-8"), key, algorithms=[ALG, ENC])


__all__ = ["make_password", "seal_text"]
