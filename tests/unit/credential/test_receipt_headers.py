"""Receipts whose signature is true and whose header is odd: fuzzing found members that joserfc takes for granted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fuzz import party

from ownerd.credential.jwe import thumbprint
from ownerd.credential.receipt import ReceiptSignature, read_receipt
from ownerd.model.errors import NotAllowed

HEADER = {"alg": "ES256", "typ": "ownerd-receipt+jwt", "jwk": party.jwk(2)}


def read(**more: Any) -> ReceiptSignature:
    header, payload = (json.dumps(one).encode() for one in ({**HEADER, **more}, {"iat": 1}))
    return read_receipt(party.sign(header, payload, 2), thumbprint(party.jwk(2))).signature


def test_a_plain_header_is_good() -> None:
    assert read() is ReceiptSignature.GOOD


@pytest.mark.parametrize(
    "odd",
    [{"crit": 2**31}, {"crit": [1]}, {"crit": [[]]}, {"crit": None}, {"alg": []}, {"alg": {}}, {"alg": None}],
)
def test_members_of_another_type_are_refused_by_name(odd: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        read(**odd)
