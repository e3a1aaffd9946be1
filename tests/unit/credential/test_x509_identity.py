from __future__ import annotations

import base64
import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from demo import provider_kit as kit
from tests.rigs.provider import HOST, now_ms

from ownerd.credential import x509_identity as identity
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported, OwnerdError

SAN = x509.SubjectAlternativeName([x509.DNSName(HOST)])


def custom(ca: kit.Party, *extensions, key=None, subject="shop", **times) -> kit.Party:
    """A leaf with exactly these extensions beside the authority key identifier."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    made = kit.make_certificate(
        subject, key.public_key(), ca, signing_key=ca.key, extensions=extensions, **times
    )
    return kit.Party(key, [made])


def digest_of(certificate: x509.Certificate) -> str:
    return format_b64u(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


def by_name(party, ca, name=HOST, at=None):
    return identity.verify_san_dns(
        name, party.chain, [ca.certificate] if ca else [], now_ms=now_ms() if at is None else at
    )


def by_hash(party, anchors, digest=None, at=None):
    return identity.verify_hash(
        digest or digest_of(party.certificate),
        party.chain,
        anchors,
        now_ms=now_ms() if at is None else at,
    )


def test_a_name_is_verified_up_to_its_anchor(provider_ca):
    party = kit.make_provider(provider_ca, HOST)
    found = by_name(party, provider_ca)
    assert found == identity.Identity(
        HOST, party.jwk().thumbprint(), provider_ca.certificate.fingerprint(hashes.SHA256()).hex()
    )


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
@pytest.mark.parametrize("critical", [True, False])
def test_any_extended_key_usage_is_taken(provider_ca, usage, critical):
    party = custom(provider_ca, (SAN, False), (x509.ExtendedKeyUsage([usage]), critical))
    assert by_name(party, provider_ca).name == HOST
    assert by_hash(party, [provider_ca.certificate])


def test_a_certificate_without_dns_name_does_for_its_hash_only(provider_ca):
    party = kit.make_provider(provider_ca, None, subject="Buch & Co")
    assert by_hash(party, [provider_ca.certificate]).name.startswith("Buch & Co (certificate ")
    with pytest.raises(NotAllowed):
        by_name(party, provider_ca)


def test_a_leaf_that_is_an_anchor_needs_no_chain():
    party = kit.make_provider(None, None, subject="Kiosk")
    found = by_hash(party, [party.certificate])
    assert found.anchor == party.certificate.fingerprint(hashes.SHA256()).hex()
    with pytest.raises(NotAllowed):
        by_hash(party, [kit.make_provider(None, None, subject="Kiosk").certificate])
    with pytest.raises(NotAllowed):
        by_hash(party, [])
    year = 365 * 24 * 3600 * 1000
    for moment in (now_ms() - year, now_ms() + year):
        with pytest.raises(NotAllowed):
            by_hash(party, [party.certificate], at=moment)


def test_the_hash_must_be_that_of_the_leaf(provider_ca):
    party = kit.make_provider(provider_ca, HOST)
    for digest in (digest_of(provider_ca.certificate), digest_of(party.certificate) + "=", "A" * 43):
        with pytest.raises(NotAllowed):
            by_hash(party, [provider_ca.certificate], digest)


@pytest.mark.parametrize(
    "extensions",
    [
        [(SAN, False), (x509.BasicConstraints(ca=True, path_length=None), True)],
        [(SAN, False), (kit._usage("key_agreement"), True)],
        [(SAN, False), (kit._usage("digital_signature", "key_cert_sign"), True)],
        [(SAN, False), (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)],
    ],
    ids=["ca", "not for signatures", "signs certificates", "unknown critical extension"],
)
def test_certificates_that_are_not_for_this_are_refused(provider_ca, extensions):
    party = custom(provider_ca, *extensions)
    with pytest.raises(NotAllowed):
        by_name(party, provider_ca)
    with pytest.raises(NotAllowed):
        by_hash(party, [provider_ca.certificate])


@pytest.mark.parametrize(
    "san",
    [
        x509.SubjectAlternativeName([x509.DNSName("*.example")]),
        x509.SubjectAlternativeName([x509.DNSName("other.example")]),
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"https://{HOST}")]),
        x509.SubjectAlternativeName([x509.RFC822Name(f"a@{HOST}")]),
    ],
    ids=["wildcard", "other name", "URI", "mail"],
)
def test_only_the_very_name_in_the_san_does(provider_ca, san):
    with pytest.raises(NotAllowed):
        by_name(custom(provider_ca, (san, False), subject=HOST), provider_ca)


def test_chains_hold_through_intermediates_but_not_through_providers(provider_ca):
    middle = kit.make_ca("Middle", issuer=provider_ca)
    assert by_name(kit.make_provider(middle, HOST), provider_ca)
    shop = kit.make_provider(provider_ca, "villain.example")
    shop_as_ca = kit.Party(shop.key, shop.chain)
    with pytest.raises(NotAllowed):
        by_name(custom(shop_as_ca, (SAN, False)), provider_ca)
    forged = custom(shop_as_ca, (SAN, False))
    forged.chain += shop.chain
    with pytest.raises(NotAllowed):
        by_name(forged, provider_ca)


def test_a_name_constrained_ca_is_held_to_its_names(provider_ca):
    key = ec.generate_private_key(ec.SECP256R1())
    constrained = kit.make_certificate(
        "Constrained",
        key.public_key(),
        provider_ca,
        signing_key=provider_ca.key,
        extensions=[
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (kit._usage("key_cert_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.NameConstraints([x509.DNSName("allowed.example")], None), True),
        ],
    )
    ca = kit.Party(key, [constrained])
    assert by_name(kit.make_provider(ca, "a.allowed.example"), provider_ca, "a.allowed.example")
    with pytest.raises(NotAllowed):
        by_name(kit.make_provider(ca, HOST), provider_ca)


def test_times_bound_leaf_and_intermediate(provider_ca):
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    for times in ({"starts": past, "days": 20}, {"starts": future}):
        with pytest.raises(NotAllowed):
            by_name(kit.make_provider(provider_ca, HOST, **times), provider_ca)
        with pytest.raises(NotAllowed):
            by_hash(kit.make_provider(provider_ca, None, **times), [provider_ca.certificate])
        middle = kit.make_ca("Middle", issuer=provider_ca, **times)
        with pytest.raises(NotAllowed):
            by_name(kit.make_provider(middle, HOST), provider_ca)


def test_the_time_is_the_callers(provider_ca):
    party = kit.make_provider(provider_ca, HOST)
    year = 365 * 24 * 3600 * 1000
    for moment in (now_ms() - year, now_ms() + year):
        with pytest.raises(NotAllowed):
            by_name(party, provider_ca, at=moment)
        with pytest.raises(NotAllowed):
            by_hash(party, [provider_ca.certificate], at=moment)


def test_without_anchors_nobody_is_verified(provider_ca):
    party = kit.make_provider(provider_ca, HOST)
    with pytest.raises(NotAllowed, match="no trust anchor"):
        by_name(party, None)
    with pytest.raises(NotAllowed, match="no trust anchor"):
        by_hash(party, [])
    with pytest.raises(NotAllowed):
        by_name(party, kit.make_ca("Test CA"))
    with pytest.raises(NotAllowed):
        by_hash(party, [kit.make_ca("Test CA").certificate])


def test_keys_for_other_algorithms_are_not_supported(provider_ca):
    party = custom(provider_ca, (SAN, False), key=ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(NotSupported):
        identity.leaf_key(party.certificate)


@pytest.mark.filterwarnings("ignore:Attribute's length")
@pytest.mark.parametrize("subject", ["shop.example\u202e", "x" * 65, "a\x1bb", " "])
def test_a_subject_that_cannot_be_shown_leaves_the_hash(provider_ca, subject):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject, _validate=False)])
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        .not_valid_after(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    party = kit.Party(key, [made])
    assert by_hash(party, [made]).name == f"certificate {digest_of(made)[:8]}"


def test_x5c_is_read_in_order_and_in_bounds(provider_ca):
    middle = kit.make_ca("Middle", issuer=provider_ca)
    party = kit.make_provider(middle, HOST)
    leaf, above = party.x5c()
    root = provider_ca.x5c()[0]
    assert len(identity.parse_x5c([leaf, above])) == 2
    assert len(identity.parse_x5c([leaf, above, root])) == 3
    for chain in ([above, leaf], [leaf, root], [leaf, above, above], [leaf, above, root, leaf]):
        with pytest.raises(InvalidArgument):
            identity.parse_x5c(chain)
    for entry in (leaf.rstrip("="), leaf + "\n", leaf.replace("+", "-"), leaf[:-8], "AAAA"):
        if entry != leaf:
            with pytest.raises(InvalidArgument):
                identity.parse_x5c([entry])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_any_bit_of_a_certificate_may_be_wrong(provider_ca):
    """cryptography parses parts late; whatever it raises, and where, ends in an error of the table."""
    genuine = kit.make_provider(provider_ca, HOST).certificate
    der = genuine.public_bytes(Encoding.DER)
    refused = 0
    for place in range(len(der)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(der)
            changed[place] ^= flip
            try:
                chain = identity.parse_x5c([base64.b64encode(changed).decode()])
                identity.leaf_key(chain[0])
                identity.verify_hash(digest_of(chain[0]), chain, [chain[0]], now_ms=now_ms())
            except OwnerdError:
                refused += 1
                continue
            if (chain[0].tbs_certificate_bytes, chain[0].signature) == (
                genuine.tbs_certificate_bytes,
                genuine.signature,
            ):
                continue  # the count of unused bits in the signature's BIT STRING says nothing
            with pytest.raises(OwnerdError):
                identity.verify_san_dns(HOST, chain, [provider_ca.certificate], now_ms=now_ms())
    assert refused > len(der)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("shop.example", True),
        ("a.b-c.xn--p1ai", True),
        ("1.2.3.example", True),
        ("shop", False),
        ("Shop.example", False),
        ("shop.example.", False),
        ("-a.example", False),
        ("a-.example", False),
        ("a..example", False),
        ("a_b.example", False),
        ("*.example", False),
        ("1.2.3.4", False),
        ("shop.example\n", False),
        ("bücher.example", False),
        ("a" * 64 + ".example", False),
        ("a." * 124 + "example", False),
    ],
)
def test_dns_names_have_one_form(text, good):
    assert identity.is_dns_name(text) is good
