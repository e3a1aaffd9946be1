from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from ownerd.credential import jwe
from ownerd.model.encoding import format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, NotSupported, OwnerdError

KEY = jwe.new_key()
OTHER = jwe.new_key()


def jwcrypto_key(key: ec.EllipticCurvePrivateKey, **more: str) -> JWK:
    d = format_b64u(key.private_numbers().private_value.to_bytes(32, "big"))
    return JWK(**jwe.public_members(key), d=d, **more)


def sealed_elsewhere(header: dict, key: JWK, plaintext: bytes = b"hello") -> str:
    algs = ["ECDH-ES", "ECDH-ES+A128KW", "A128GCM", "A256GCM", "A128CBC-HS256"]
    made = JWE(plaintext, protected=json.dumps(header), algs=algs)
    made.add_recipient(key)
    return made.serialize(compact=True)


def with_header(compact: str, **changes: object) -> str:
    first, _, rest = compact.partition(".")
    header = {**json.loads(parse_b64u(first)), **changes}
    return format_b64u(json.dumps(header).encode()) + "." + rest


@pytest.mark.parametrize("enc", jwe.ENCS)
@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(200_000)])
def test_what_is_sealed_opens(enc, plaintext):
    assert jwe.open_jwe(jwe.seal_jwe(plaintext, jwe.public_jwk(KEY), enc=enc), KEY) == plaintext


def test_the_header_names_key_and_algorithms_and_nothing_else():
    header = json.loads(parse_b64u(jwe.seal_jwe(b"x", jwe.public_jwk(KEY)).split(".")[0]))
    epk = header.pop("epk")
    assert header == {"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwe.thumbprint(jwe.public_jwk(KEY))}
    assert set(epk) == {"kty", "crv", "x", "y"}


def test_a_recipients_own_kid_is_carried():
    recipient = {**jwe.public_jwk(KEY), "kid": "answer-7"}
    assert json.loads(parse_b64u(jwe.seal_jwe(b"x", recipient).split(".")[0]))["kid"] == "answer-7"
    del recipient["kid"]
    assert "kid" not in json.loads(parse_b64u(jwe.seal_jwe(b"x", recipient).split(".")[0]))


@pytest.mark.parametrize("enc", jwe.ENCS)
def test_jwcrypto_opens_ours_and_we_open_its(enc):
    opened = JWE()
    opened.deserialize(jwe.seal_jwe(b"hello", jwe.public_jwk(KEY), enc=enc), jwcrypto_key(KEY))
    assert opened.payload == b"hello"
    theirs = sealed_elsewhere({"alg": "ECDH-ES", "enc": enc}, JWK(**jwe.public_members(KEY)))
    assert jwe.open_jwe(theirs, KEY) == b"hello"


def test_the_thumbprint_is_that_of_rfc_7638():
    assert jwe.thumbprint(jwe.public_jwk(KEY)) == jwcrypto_key(KEY).thumbprint()


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"alg": "ECDH-ES+A128KW", "enc": "A256GCM"}, InvalidArgument),
        ({"alg": "ECDH-ES", "enc": "A128CBC-HS256"}, NotSupported),
        ({"alg": "ECDH-ES", "enc": "A256GCM", "zip": "DEF"}, NotSupported),
        ({"alg": "ECDH-ES", "enc": "A256GCM", "apu": "QQ"}, NotSupported),
        ({"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT"}, NotSupported),
        ({"alg": "ECDH-ES", "enc": "A256GCM", "kid": "somebody"}, InvalidArgument),
    ],
)
def test_other_algorithms_and_header_members_are_refused(header, error):
    with pytest.raises(error):
        jwe.open_jwe(sealed_elsewhere(header, JWK(**jwe.public_members(KEY))), KEY)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"alg": "dir"}, NotSupported),
        ({"alg": "none"}, NotSupported),
        ({"alg": "ECDH-ES+A256KW"}, NotSupported),
        ({"epk": None}, InvalidArgument),
        ({"epk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}}, InvalidArgument),
        ({"epk": {**jwe.public_members(OTHER), "y": jwe.public_members(KEY)["y"]}}, InvalidArgument),
        ({"epk": {**jwe.public_members(OTHER), "d": "A" * 43}}, InvalidArgument),
        ({"crit": ["exp"]}, NotSupported),
    ],
)
def test_a_changed_header_is_refused(changes, error):
    with pytest.raises(error):
        jwe.open_jwe(with_header(jwe.seal_jwe(b"x", jwe.public_jwk(KEY)), **changes), KEY)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"epk": {**jwe.public_members(OTHER), "x5c": []}}, "foreign"), ({"zip": "DEF"}, "compressed")],
)
def test_what_a_header_must_not_have_is_refused_before_the_key_is_used(changes, named):
    """By name: the authentication tag would catch it too, but only after decryption began."""
    with pytest.raises((InvalidArgument, NotSupported), match=named):
        jwe.open_jwe(with_header(jwe.seal_jwe(b"x", jwe.public_jwk(KEY)), **changes), KEY)


def test_a_coordinate_has_its_leading_zeros():
    """RFC 7518, 6.2.1.2: without them one key would have two encodings, and two thumbprints."""
    keys = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 5000))
    short = next(key for key in keys if key.public_key().public_numbers().x < 1 << 248)
    members = jwe.public_members(short)
    assert jwe.require_p256_public(members) == members
    with pytest.raises(InvalidArgument, match="coordinate"):
        jwe.require_p256_public({**members, "x": format_b64u(parse_b64u(members["x"])[1:])})


def test_every_changed_character_is_noticed():
    compact = jwe.seal_jwe(b"jana@example.org", jwe.public_jwk(KEY))
    for place in range(0, len(compact), 3):
        swapped = "A" if compact[place] != "A" else "B"
        with pytest.raises(OwnerdError):
            jwe.open_jwe(compact[:place] + swapped + compact[place + 1 :], KEY)


def test_another_key_does_not_open_it():
    recipient = jwe.public_jwk(KEY)
    with pytest.raises(InvalidArgument):
        jwe.open_jwe(jwe.seal_jwe(b"x", recipient), OTHER)
    del recipient["kid"]
    with pytest.raises(InvalidArgument):
        jwe.open_jwe(jwe.seal_jwe(b"x", recipient), OTHER)


def test_sizes_are_bounded():
    with pytest.raises(InvalidArgument):
        jwe.seal_jwe(bytes(jwe.MAX_PLAINTEXT_BYTES + 1), jwe.public_jwk(KEY))
    largest = jwe.seal_jwe(bytes(jwe.MAX_PLAINTEXT_BYTES), jwe.public_jwk(KEY))
    assert len(jwe.open_jwe(largest, KEY)) == jwe.MAX_PLAINTEXT_BYTES
    with pytest.raises(InvalidArgument, match="too large"):
        jwe.open_jwe("a" * (jwe.MAX_JWE_CHARS + 1), KEY)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"d": "A" * 43}, InvalidArgument),
        ({"kty": "OKP"}, InvalidArgument),
        ({"crv": "P-384"}, InvalidArgument),
        ({"x": jwe.public_members(OTHER)["x"]}, InvalidArgument),
        ({"x": jwe.public_members(KEY)["x"] + "="}, InvalidArgument),
        ({"x": 5}, InvalidArgument),
        ({"x": format_b64u(bytes(31))}, InvalidArgument),
        ({"kid": 7}, InvalidArgument),
        ({"kid": "x" * 257}, InvalidArgument),
        ({"kid": "a\nb"}, InvalidArgument),
        ({"use": "sig"}, InvalidArgument),
        ({"alg": "ECDH-ES+A256KW"}, NotSupported),
    ],
)
def test_a_bad_recipient_key_is_refused(changes, error):
    with pytest.raises(error):
        jwe.seal_jwe(b"x", {**jwe.public_jwk(KEY), **changes})


def test_another_content_encryption_is_refused():
    with pytest.raises(NotSupported):
        jwe.seal_jwe(b"x", jwe.public_jwk(KEY), enc="A128CBC-HS256")


def test_keys_on_other_curves_are_refused():
    with pytest.raises(InvalidArgument):
        jwe.public_jwk(ec.generate_private_key(ec.SECP384R1()))


def test_other_members_of_a_key_are_dropped():
    assert jwe.require_p256_public({**jwe.public_members(KEY), "x5u": "https://x"}) == jwe.public_members(KEY)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ABCZaz019-_.{}=é", max_size=200))
def test_any_text_ends_in_an_error_of_the_table(text):
    with pytest.raises(OwnerdError):
        jwe.open_jwe(text, KEY)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "kid", "use", "d"]), st.text(max_size=50)))
def test_any_key_ends_in_an_error_of_the_table(jwk):
    with pytest.raises(OwnerdError):
        jwe.require_p256_public(jwk)
