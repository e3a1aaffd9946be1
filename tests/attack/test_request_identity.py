"""Attack: ask as a provider without a certificate: DIDs of others, documents of others, keys of others."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from demo import identity_kit as kit
from tests.rigs.provider import HOST, forge_request

from ownerd.credential.did_identity import MAX_DOCUMENT_BYTES, MAX_METHODS
from ownerd.model.encoding import format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported, OwnerdError


def public(key):
    return key.export_public(as_dict=True)


def forged(provider_rig, signer, header, key=None, **changes):
    """A request under ``signer``'s client id with any header, under any key."""
    request = provider_rig.parameters(**{"client_id": signer.client_id, **changes})
    base = {"alg": "ES256", "typ": "oauth-authz-req+jwt"}
    return forge_request({**base, **header}, request, (key or signer.key).get_op_key("sign"))


def own_header(signer):
    """The header member that names the signer's key."""
    return {"jwt": signer.attestation} if isinstance(signer, kit.AttestedSigner) else {"kid": signer.kid}


def with_document(text, document, **beside):
    """The envelope of a did:web request with another document; ``...`` leaves it out."""
    outer = {**json.loads(text), **beside}
    outer["did_document"] = document
    if document is ...:
        del outer["did_document"]
    return json.dumps(outer)


@pytest.fixture
def signers(provider_rig):
    return [kit.DidJwkSigner(), kit.DidWebSigner(HOST), provider_rig.attested()]


def test_every_changed_character_is_noticed(provider_rig, signers):
    for signer in signers:
        text = provider_rig.signed_as(signer)
        assert provider_rig.read(text)
        start = text.index("eyJ")
        compact = text[start : text.index('"', start)] if text.startswith("{") else text
        for place in range(0, len(compact), 13):
            swapped = "A" if compact[place] != "A" else "B"
            changed = compact[:place] + swapped + compact[place + 1 :]
            with pytest.raises(OwnerdError):
                provider_rig.read(text.replace(compact, changed))


def test_a_strangers_signature_under_anothers_header_is_refused(provider_rig, signers):
    stranger = kit.new_signing_key()
    for signer in signers:
        text = forged(provider_rig, signer, own_header(signer), stranger)
        if isinstance(signer, kit.DidWebSigner):
            envelope = json.dumps({"client_id": signer.client_id, "request": text})
            text = with_document(envelope, signer.document())
        with pytest.raises(NotAllowed, match="signature of the request object"):
            provider_rig.read(text)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "EdDSA", "es256"])
def test_another_algorithm_is_refused(provider_rig, signers, alg):
    for signer in signers:
        text = provider_rig.signed_as(signer)
        compact = json.loads(text)["request"] if text.startswith("{") else text
        header, payload, _ = compact.split(".")
        header = format_b64u(json.dumps({**json.loads(parse_b64u(header)), "alg": alg}).encode())
        mac = hmac.HMAC(json.dumps(public(signer.key)).encode(), hashes.SHA256())
        mac.update(f"{header}.{payload}".encode())
        for signature in ("", format_b64u(mac.finalize()), format_b64u(bytes(64))):
            with pytest.raises((NotSupported, InvalidArgument)):
                provider_rig.read(text.replace(compact, f"{header}.{payload}.{signature}"))


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": {}},
        {"jku": "https://evil.test/keys"},
        {"x5u": "https://evil.test/cert"},
        {"crit": ["kid"], "kid": "x"},
        {"b64": False},
        {"x5c": ["MII"]},
    ],
)
def test_a_header_that_brings_another_key_or_meaning_is_refused(provider_rig, more):
    signer, attested = kit.DidJwkSigner(), provider_rig.attested()
    for one, own in ((signer, {"kid": f"{signer.did}#0"}), (attested, {"jwt": attested.attestation})):
        with pytest.raises((NotSupported, InvalidArgument)):
            provider_rig.read(forged(provider_rig, one, {**more, **own}))


def test_two_sources_of_a_key_are_refused(provider_rig):
    attested, did = provider_rig.attested(), kit.DidJwkSigner()
    with pytest.raises(InvalidArgument, match="x5c"):
        provider_rig.read(
            forged(provider_rig, attested, {"jwt": attested.attestation, "x5c": provider_rig.party.x5c()})
        )
    with pytest.raises(InvalidArgument, match="jwt"):
        provider_rig.read(forged(provider_rig, did, {"kid": f"{did.did}#0", "jwt": attested.attestation}))
    certified = provider_rig.forge(provider_rig.parameters(), jwt=attested.attestation)
    with pytest.raises(InvalidArgument, match="jwt"):
        provider_rig.read(certified)


def test_identities_are_not_exchanged_for_one_another(provider_rig):
    """A key that is right under one prefix does not sign for another."""
    did, attested = kit.DidJwkSigner(), provider_rig.attested()
    web = kit.DidWebSigner(HOST, key=did.key)
    for client_id in (attested.client_id, web.client_id, f"x509_san_dns:{HOST}", "x509_hash:" + "A" * 43):
        with pytest.raises(OwnerdError):
            provider_rig.read(provider_rig.signed_as(did, client_id=client_id))
        for header in ({"kid": f"{did.did}#0"}, {"kid": web.kid}, {"jwt": attested.attestation}):
            with pytest.raises(OwnerdError):
                provider_rig.read(forged(provider_rig, did, header, client_id=client_id))


def test_none_of_them_works_unsigned(provider_rig, signers):
    for signer in signers:
        with pytest.raises(NotAllowed, match="signed"):
            provider_rig.read(provider_rig.unsigned(client_id=signer.client_id))
        beside = {"did_document": kit.DidWebSigner(HOST).document()}
        with pytest.raises(NotAllowed, match="signed"):
            provider_rig.read(provider_rig.unsigned(client_id=signer.client_id, **beside))


# -- did:jwk --


@pytest.mark.parametrize("kid", [..., None, 7, "", "#0", "did:jwk:eyJ9#0", "{did}", "{did}#1", "{did}#0#0"])
def test_a_kid_that_is_not_this_did_jwks_key_is_refused(provider_rig, kid):
    signer = kit.DidJwkSigner()
    header = {} if kid is ... else {"kid": kid.replace("{did}", signer.did) if isinstance(kid, str) else kid}
    with pytest.raises(NotAllowed, match="kid"):
        provider_rig.read(forged(provider_rig, signer, header))


def test_the_kid_of_another_did_jwk_is_refused_even_with_its_signature(provider_rig):
    victim, villain = kit.DidJwkSigner(), kit.DidJwkSigner()
    text = forged(provider_rig, victim, {"kid": f"{villain.did}#0"}, villain.key)
    with pytest.raises(NotAllowed, match="kid"):
        provider_rig.read(text)


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-384"},
        {"kty": "oct", "k": "AAAA"},
        {"x": "A" * 43},
        {"use": "enc"},
        {"alg": "ECDH-ES"},
        {"key_ops": ["deriveBits"]},
        {"d": "A" * 43},
        {"note": "x" * 1024},
    ],
)
def test_a_did_jwk_that_is_no_public_p256_signing_key_is_refused(provider_rig, change):
    signer = kit.DidJwkSigner()
    raw = json.dumps({**public(signer.key), **change}).encode()
    did = "did:jwk:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    request = provider_rig.parameters(client_id=f"decentralized_identifier:{did}")
    with pytest.raises(InvalidArgument):
        provider_rig.read(kit.sign_request(request, signer.key, {"kid": f"{did}#0"}))


@pytest.mark.parametrize("did", ["did:key:zDn", "did:ebsi:z2", "did:", "", "did:jwk:", "did:jwk:e30=", "jwk"])
def test_other_did_methods_and_broken_ones_are_refused(provider_rig, did):
    request = provider_rig.parameters(client_id=f"decentralized_identifier:{did}")
    with pytest.raises((NotSupported, InvalidArgument)):
        provider_rig.read(kit.sign_request(request, kit.new_signing_key(), {"kid": f"{did}#0"}))


# -- did:web --


def test_a_document_is_taken_from_beside_a_did_web_request_alone(provider_rig, signers):
    did, web, attested = signers
    with pytest.raises(NotSupported, match="document"):
        provider_rig.read(with_document(provider_rig.signed_as(web), ...))
    inside = forged(provider_rig, web, {"kid": web.kid}, did_document=web.document())
    with pytest.raises(NotSupported, match="document"):
        provider_rig.read(inside)
    for signer in (did, attested):
        envelope = json.dumps({"client_id": signer.client_id, "request": provider_rig.signed_as(signer)})
        assert provider_rig.read(envelope)
        with pytest.raises(InvalidArgument, match="document"):
            provider_rig.read(with_document(envelope, web.document()))
    certified = json.dumps({"client_id": f"x509_san_dns:{HOST}", "request": provider_rig.signed()})
    with pytest.raises(InvalidArgument, match="document"):
        provider_rig.read(with_document(certified, web.document()))
    with pytest.raises(InvalidArgument, match="beside"):
        provider_rig.read(with_document(provider_rig.signed_as(web), web.document(), nonce="x" * 20))


def test_a_did_web_cannot_send_the_answer_elsewhere(provider_rig):
    signer = kit.DidWebSigner(HOST)
    for uri in ("https://evil.test/a", f"https://sub.{HOST}/a", f"https://{HOST}.evil.test/a"):
        with pytest.raises(NotAllowed, match="another host"):
            provider_rig.read(provider_rig.signed_as(signer, response_uri=uri))


def test_the_document_of_another_did_is_refused(provider_rig):
    victim, villain = kit.DidWebSigner(HOST), kit.DidWebSigner("evil.test")
    text = forged(provider_rig, victim, {"kid": villain.kid}, villain.key)
    envelope = json.dumps({"client_id": victim.client_id, "request": text})
    mixed = villain.document() | {"id": victim.did}
    for document in (villain.document(), mixed):
        with pytest.raises(NotAllowed):
            provider_rig.read(with_document(envelope, document))
    deeper = kit.DidWebSigner(HOST, ("user",), key=victim.key)
    with pytest.raises(NotAllowed, match="another DID"):
        provider_rig.read(with_document(provider_rig.signed_as(victim), deeper.document()))


def test_a_method_of_another_did_inside_the_document_is_refused(provider_rig):
    signer, other = kit.DidWebSigner(HOST), "did:web:evil.test#request-1"
    document = signer.document()
    document["verificationMethod"][0]["id"] = other
    document["authentication"] = [other]
    text = forged(provider_rig, signer, {"kid": other})
    envelope = json.dumps({"client_id": signer.client_id, "request": text})
    with pytest.raises(NotAllowed, match="kid"):
        provider_rig.read(with_document(envelope, document))


def _change_document(change, signer):
    document = signer.document()
    change(document, document["verificationMethod"][0])
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda document, _: document.update(id=7),
        lambda document, _: document.pop("id"),
        lambda document, _: document.pop("verificationMethod"),
        lambda document, _: document.update(verificationMethod={}),
        lambda document, _: document.update(verificationMethod=[]),
        lambda document, _: document.update(verificationMethod=["x"]),
        lambda document, method: document.update(verificationMethod=[method, method]),
        lambda document, method: document["verificationMethod"].append({**method, "id": "#request-1"}),
        lambda document, method: document.update(
            verificationMethod=[{**method, "id": f"#{index}"} for index in range(MAX_METHODS)] + [method]
        ),
        lambda document, _: document.update(filler="x" * MAX_DOCUMENT_BYTES),
        lambda document, _: document.update(authentication="request-1"),
        lambda document, _: document.update(authentication=[]),
        lambda document, _: document.update(authentication=["#other"]),
        lambda document, method: document.update(authentication=[method]),
        lambda document, _: document.update(authentication=[], assertionMethod=["#other"]),
        lambda document, _: document.update(authentication=[[]] * (MAX_METHODS + 1)),
        lambda _, method: method.update(id="did:web:evil.test#request-1"),
        lambda _, method: method.update(id=""),
        lambda _, method: method.pop("id"),
        lambda _, method: method.update(controller="did:web:evil.test"),
        lambda _, method: method.pop("controller"),
        lambda _, method: method.pop("publicKeyJwk"),
        lambda _, method: method.update(publicKeyJwk="x"),
        lambda _, method: method.update(publicKeyMultibase="zDn"),
        lambda _, method: method["publicKeyJwk"].update(crv="secp256k1"),
        lambda _, method: method["publicKeyJwk"].update(d="A" * 43),
        lambda _, method: method["publicKeyJwk"].update(use="enc"),
    ],
)
def test_a_document_that_is_not_strictly_one_is_refused(provider_rig, change):
    signer = kit.DidWebSigner(HOST)
    text = provider_rig.signed_as(signer)
    assert provider_rig.read(with_document(text, signer.document()))
    with pytest.raises((InvalidArgument, NotAllowed)):
        provider_rig.read(with_document(text, _change_document(change, signer)))


@pytest.mark.parametrize("document", [None, 7, [], "x", {}])
def test_what_is_no_document_is_refused(provider_rig, document):
    with pytest.raises((InvalidArgument, NotAllowed)):
        provider_rig.read(with_document(provider_rig.signed_as(kit.DidWebSigner(HOST)), document))


@pytest.mark.parametrize(
    "kid", [..., 7, "", "#request-1", "request-1", f"did:web:{HOST}", f"did:web:{HOST}#x"]
)
def test_a_kid_that_is_not_in_the_document_is_refused(provider_rig, kid):
    signer = kit.DidWebSigner(HOST)
    text = forged(provider_rig, signer, {} if kid is ... else {"kid": kid})
    envelope = json.dumps({"client_id": signer.client_id, "request": text})
    with pytest.raises(NotAllowed, match="kid"):
        provider_rig.read(with_document(envelope, signer.document()))


@pytest.mark.parametrize(
    "junk", [None, True, 7, 1.5, "", "x", [], {}, [[]], [{}], {"id": "x"}, "\u202e", "x" * 5000]
)
@pytest.mark.parametrize("member", ["id", "controller", "publicKeyJwk"])
def test_junk_in_a_verification_method_is_an_error_of_the_table(provider_rig, member, junk):
    signer = kit.DidWebSigner(HOST)
    document = signer.document()
    document["verificationMethod"][0][member] = junk
    with pytest.raises((InvalidArgument, NotAllowed)):
        provider_rig.read(with_document(provider_rig.signed_as(signer), document))
