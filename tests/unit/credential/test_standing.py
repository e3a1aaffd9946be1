"""Downgrade: who proves less than the provider of the same host did before."""

from __future__ import annotations

import pytest

from ownerd.credential.standing import Standing, host_of, standing
from ownerd.model.request import Provider, Trust

SIGNED = "x509_san_dns:shop.example"
DID = "decentralized_identifier:did:web:shop.example:books"
ATTESTED = "verifier_attestation:shop.example"


def known(trust, client_id):
    return Provider(trust, client_id, "name", None, None)


def asks(trust, host, client_id=None):
    return Provider(trust, client_id or f"redirect_uri:https://{host}/a", host, None, None)


@pytest.mark.parametrize(
    ("asking", "host", "before", "expected"),
    [
        (Trust.CLAIMED, "shop.example", known(Trust.VERIFIED, SIGNED), Standing.UNSIGNED),
        (Trust.CLAIMED, "shop.example", known(Trust.VERIFIED, ATTESTED), Standing.UNSIGNED),
        (Trust.CLAIMED, "shop.example", known(Trust.PINNED, DID), Standing.UNSIGNED),
        (Trust.CLAIMED, "pay.shop.example", known(Trust.VERIFIED, SIGNED), Standing.UNSIGNED),
        (Trust.PINNED, "shop.example", known(Trust.VERIFIED, SIGNED), Standing.UNVOUCHED),
        (Trust.PINNED, "a.b.shop.example", known(Trust.VERIFIED, SIGNED), Standing.UNVOUCHED),
        (Trust.PINNED, "shop.example", known(Trust.PINNED, DID), None),
        (Trust.VERIFIED, "shop.example", known(Trust.VERIFIED, SIGNED), None),
        (Trust.VERIFIED, "shop.example", known(Trust.PINNED, DID), None),
        (Trust.CLAIMED, "shop.example", known(Trust.CLAIMED, "redirect_uri:https://shop.example/a"), None),
        (Trust.CLAIMED, "workshop.example", known(Trust.VERIFIED, SIGNED), None),
        (Trust.CLAIMED, "example", known(Trust.VERIFIED, SIGNED), None),
        (Trust.CLAIMED, "shop.example.evil.test", known(Trust.VERIFIED, SIGNED), None),
        (Trust.CLAIMED, "shop.example", known(Trust.VERIFIED, "x509_hash:" + "A" * 43), None),
        (Trust.CLAIMED, "shop.example", known(Trust.VERIFIED, "verifier_attestation:shop"), None),
    ],
)
def test_a_request_stands_below_what_its_host_proved(asking, host, before, expected):
    others = [known(Trust.VERIFIED, "x509_san_dns:other.example"), before]
    assert standing(asks(asking, host), host, others) == expected
    assert standing(asks(asking, host), host, others[::-1]) == expected


def test_nothing_is_a_downgrade_of_nothing():
    assert standing(asks(Trust.CLAIMED, "shop.example"), "shop.example", []) is None


@pytest.mark.parametrize(
    ("client_id", "host"),
    [
        (SIGNED, "shop.example"),
        (DID, "shop.example"),
        (ATTESTED, "shop.example"),
        ("redirect_uri:https://Shop.example:8443/a", "shop.example"),
        ("redirect_uri:http://shop.example/a", None),
        ("verifier_attestation:Buch & Co", None),
        ("decentralized_identifier:did:web:shop.example%3A8443", None),
        ("decentralized_identifier:did:jwk:eyJ9", None),
        ("x509_hash:shop.example", None),
        ("", None),
    ],
)
def test_the_host_that_a_client_id_names(client_id, host):
    assert host_of(client_id) == host
