"""Downgrade: who proves less than the provider of the same host did before."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from ownerd.credential.standing import Standing, host_of, standing
from ownerd.model.request import Provider, Trust

SIGNED = "x509_san_dns:shop.example"
DID = "decentralized_identifier:did:web:shop.example:books"
ATTESTED = "verifier_attestation:shop.example"
# Client ids that name no host: only where their answers went is known.
HASH = "x509_hash:" + "A" * 43
WORDS = "verifier_attestation:Buch & Co"
KEY = "decentralized_identifier:did:jwk:eyJ9"


class Known(NamedTuple):
    trust: Trust
    client_id: str
    hosts: tuple[str, ...] = ()


def known(trust, client_id, *hosts):
    return Known(trust, client_id, hosts)


def asks(trust, host):
    return Provider(trust, f"redirect_uri:https://{host}/a", host, None, None, host)


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
        (Trust.CLAIMED, "shop.example", known(Trust.VERIFIED, HASH), None),
        *(
            (Trust.CLAIMED, host, known(level, client_id, "other.test", "pay.shop.example"), expected)
            for level, client_id in (
                (Trust.VERIFIED, HASH),
                (Trust.VERIFIED, WORDS),
                (Trust.VERIFIED, SIGNED.replace("shop", "login.shop")),
                (Trust.PINNED, KEY),
            )
            for host, expected in (
                ("pay.shop.example", Standing.UNSIGNED),
                ("a.pay.shop.example", Standing.UNSIGNED),
                ("shop.example", Standing.UNSIGNED),
                ("www.shop.example", Standing.UNSIGNED),
                ("other.test", Standing.UNSIGNED),
                ("workshop.example", None),
                ("example", None),
            )
        ),
        (Trust.CLAIMED, "dance.co.uk", known(Trust.VERIFIED, HASH, "shop.co.uk"), None),
        (Trust.CLAIMED, "www.shop.co.uk", known(Trust.VERIFIED, HASH, "pay.shop.co.uk"), Standing.UNSIGNED),
        (
            Trust.PINNED,
            "pay.shop.example",
            known(Trust.VERIFIED, HASH, "pay.shop.example"),
            Standing.UNVOUCHED,
        ),
        (
            Trust.PINNED,
            "a.pay.shop.example",
            known(Trust.VERIFIED, HASH, "pay.shop.example"),
            Standing.UNVOUCHED,
        ),
        (Trust.PINNED, "www.shop.example", known(Trust.VERIFIED, HASH, "pay.shop.example"), None),
        (Trust.PINNED, "pay.shop.example", known(Trust.PINNED, KEY, "pay.shop.example"), None),
    ],
)
def test_a_request_stands_below_what_its_host_proved(asking, host, before, expected):
    others = [known(Trust.VERIFIED, "x509_san_dns:other.example"), before]
    assert standing(asks(asking, host), others) == expected
    assert standing(asks(asking, host), others[::-1]) == expected


def test_nothing_is_a_downgrade_of_nothing():
    assert standing(asks(Trust.CLAIMED, "shop.example"), []) is None


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
