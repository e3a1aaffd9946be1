"""What a provider returned: ``{"h": header, "p": payload}`` is signed by the provider's key, any other text stands."""

from __future__ import annotations

import json

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.jwe import thumbprint
from ownerd.credential.receipt import read_receipt


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        parts = json.loads(data)
        header, payload = parts["h"], parts["p"]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    else:
        if isinstance(header, dict) and header.get("x5c") == "own":
            header["x5c"] = party.x5c()
        text = party.sign(*(json.dumps(part).encode() for part in (header, payload)), 2)
    found = read_receipt(text, thumbprint(party.jwk(2)))
    assert found.text == text


TARGET = Target(
    "receipt", run, form="json", words=("h", "p", "x5c", "own", "jwk", "typ", "ownerd-receipt+jwt", "owner_terms", "alg", "none", "crit")
)  # fmt: skip
