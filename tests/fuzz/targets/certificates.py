"""Certificate chains (x5c) and the trust anchors' files: ``length ‖ DER`` one after the other, leaf first."""

from __future__ import annotations

import base64
from contextlib import suppress

from tests.fuzz import party
from tests.fuzz.chunks import Answers
from tests.fuzz.target import Target

from ownerd.credential.x509_identity import leaf_key, parse_x5c, verify_hash, verify_san_dns
from ownerd.model.errors import OwnerdError


def run(data: bytes) -> None:
    answers, chain = Answers(data), []
    while (one := answers.next()) is not None and len(chain) < 8:
        chain.append(base64.b64encode(one).decode())
    parsed = parse_x5c(chain)
    with suppress(OwnerdError):
        leaf_key(parsed[0])
    with suppress(OwnerdError):
        verify_hash("A" * 43, parsed, [party.anchor()], now_ms=party.NOW * 1000)
    verify_san_dns(party.HOST, parsed, [party.anchor()], now_ms=party.NOW * 1000)


TARGET = Target(
    "certificates",
    run,
    words=(b"\x30\x82", b"\x02\x01\x05", b"\x55\x1d\x11", b"\x55\x1d\x0f", b"shop.example"),
)
