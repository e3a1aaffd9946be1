from __future__ import annotations

import itertools
import json

import pytest
from msgspec.structs import replace

from ownerd.credential import presentation as p
from ownerd.credential.did import did_jwk, parse_did_jwk
from ownerd.credential.jwe import new_key, open_jwe, public_jwk, public_members, thumbprint
from ownerd.model.encoding import format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InternalError, InvalidArgument
from ownerd.model.query import ClaimQuery, CredentialQuery, Query
from ownerd.model.request import Provider, RecipientKey, Request, Trust

CLAIMS = [
    (("given_name",), "Jana"),
    (("email",), "jana@example.org"),
    (("address", "locality"), "Köln"),
    (("address", "country"), "DE"),
]


def make_request(recipient: dict, *, state: str | None = "s-1") -> Request:
    return Request(
        provider=Provider(Trust.VERIFIED, "x509_san_dns:shop.example", "shop.example", None, None),
        query=Query((CredentialQuery("owner", tuple(ClaimQuery(None, path) for path, _ in CLAIMS)),)),
        nonce="n" * 22,
        state=state,
        response_uri="https://shop.example/cb",
        recipient=RecipientKey(recipient, thumbprint(recipient), "ECDH-ES", "A128GCM"),
        digest=bytes(32),
        purpose=None,
    )


def counting_rng():
    counter = itertools.count(1)
    return lambda size: next(counter).to_bytes(size, "big")


def prepared_for(key, claims=CLAIMS):
    request = make_request(public_jwk(new_key()))
    holder = public_members(key)
    return p.prepare(claims, request, holder_jwk=holder, issued_at=1_700_000_000, rng=counting_rng())


def issuer_payload(prepared):
    return parse_json_object(parse_b64u(prepared.issuer_signing_input.partition(".")[2]))


def test_the_credential_is_self_asserted_under_the_pairwise_key():
    key = new_key()
    prepared = prepared_for(key)
    did = did_jwk(public_members(key))
    header = parse_json_object(parse_b64u(prepared.issuer_signing_input.partition(".")[0]))
    assert header == {"alg": "ES256", "typ": "dc+sd-jwt", "kid": did + "#0"}
    payload = issuer_payload(prepared)
    digests = payload.pop("_sd")
    assert digests == sorted(digests)
    assert len(digests) == 2
    assert len(payload.pop("address")["_sd"]) == 2
    assert payload == {
        "iss": did,
        "sub": did,
        "iat": 1_700_000_000,
        "exp": 1_700_086_400,
        "vct": "urn:ownerd:owner:1",
        "cnf": {"jwk": public_members(key)},
        "_sd_alg": "sha-256",
    }
    assert prepared.kb_payload == {
        "iat": 1_700_000_000,
        "aud": "x509_san_dns:shop.example",
        "nonce": "n" * 22,
    }


def test_each_disclosure_has_its_own_salt_of_128_bits():
    salts = [parse_b64u(json.loads(parse_b64u(d))[0]) for d in prepared_for(new_key()).disclosures]
    assert [len(salt) for salt in salts] == [16] * 4
    assert len(set(salts)) == 4


def test_finish_changes_nothing_but_sd_hash_and_signatures():
    key = new_key()
    prepared = prepared_for(key)
    parts = p.parse_presentation(p.finish(prepared, key))
    assert parts.issuer_jwt.rpartition(".")[0] == prepared.issuer_signing_input
    assert parts.disclosures == prepared.disclosures
    kb = parse_json_object(parse_b64u(parts.kb_jwt.split(".")[1]))
    assert kb.pop("sd_hash")
    assert kb == prepared.kb_payload


def test_finish_refuses_another_key():
    with pytest.raises(InternalError):
        p.finish(prepared_for(new_key()), new_key())


@pytest.mark.parametrize(
    "change",
    [
        lambda q: replace(q, disclosures=q.disclosures[1:]),
        lambda q: replace(q, disclosures=q.disclosures[::-1]),
        lambda q: replace(q, kb_payload={**q.kb_payload, "aud": "x509_san_dns:other.example"}),
        lambda q: replace(q, kb_payload={**q.kb_payload, "extra": 1}),
        lambda q: replace(q, kb_header={**q.kb_header, "typ": "jwt"}),
        lambda q: replace(
            q,
            issuer_signing_input=q.issuer_signing_input.partition(".")[0] + "." + format_b64u(b'{"iss":"x"}'),
        ),
    ],
)
def test_what_left_is_held_against_what_was_stated(change):
    key = new_key()
    prepared = prepared_for(key)
    finished = p.finish(prepared, key)
    with pytest.raises(InternalError):
        p.require_as_stated(finished, change(prepared))


@pytest.mark.parametrize("field", ["header", "payload", "nothing"])
def test_finish_signs_the_very_bytes_that_were_stated_or_nothing(field):
    """A header that another encoder wrote would come out of the signer as other bytes."""
    key = new_key()
    prepared = prepared_for(key)
    header, payload = (parse_b64u(part) for part in prepared.issuer_signing_input.split("."))
    spaced = {"header": header.replace(b":", b": "), "payload": header, "nothing": b""}[field]
    stated = f"{format_b64u(spaced)}.{format_b64u(payload)}"
    with pytest.raises(InternalError):
        p.finish(replace(prepared, issuer_signing_input=stated if field != "payload" else "." + stated), key)


def test_a_key_binding_without_the_right_hash_is_caught():
    key = new_key()
    one, two = prepared_for(key), prepared_for(key)
    mixed = p.parse_presentation(p.finish(one, key))
    other = p.parse_presentation(p.finish(two, key))
    # Same statement, but the KB-JWT of another signature over the credential.
    text = p.format_presentation(replace(mixed, kb_jwt=other.kb_jwt))
    with pytest.raises(InternalError, match="does not cover"):
        p.require_as_stated(text, one)


@pytest.mark.parametrize(
    "claims",
    [
        [(("iss",), "x")],
        [(("cnf",), {})],
        [(("_sd",), [])],
        [(("address", "..."), "x")],
        [((), "x")],
        [(("email",), "a"), (("email",), "b")],
        [(("address",), "a"), (("address", "country"), "DE")],
        [(("address", "country"), "DE"), (("address",), {"country": "FR"})],
        [(("profile",), {"_sd": []})],
        [(("profile",), [{"a": {"...": "x"}}])],
        [(("profile",), {"a": {"_sd_alg": "md5"}})],
    ],
)
def test_reserved_repeated_and_nested_claims_are_refused(claims):
    with pytest.raises(InvalidArgument):
        prepared_for(new_key(), claims)


def test_the_response_names_the_query_and_returns_the_state():
    key = new_key()
    request = make_request(public_jwk(key))
    opened = parse_json_object(open_jwe(p.build_response(request, {"owner": "a~b~c"}), key))
    assert opened == {"vp_token": {"owner": ["a~b~c"]}, "state": "s-1"}
    without = parse_json_object(open_jwe(p.build_response(replace(request, state=None), {"owner": "x"}), key))
    assert without == {"vp_token": {"owner": ["x"]}}


def test_the_statement_holds_all_of_it():
    prepared = prepared_for(new_key())
    part = p.statement_part(prepared)
    assert p.Prepared(**{**part, "disclosures": tuple(part["disclosures"])}) == prepared


def test_did_jwk_is_reversible_and_ignores_other_members():
    key = new_key()
    did = did_jwk(public_jwk(key))
    assert did == did_jwk(public_members(key))
    assert parse_did_jwk(did) == {name: public_members(key)[name] for name in ("kty", "crv", "x", "y")}
    with pytest.raises(InvalidArgument):
        parse_did_jwk(did + "#0")
    reordered = json.dumps(dict(reversed(public_members(key).items())))
    with pytest.raises(InvalidArgument):
        parse_did_jwk("did:jwk:" + format_b64u(reordered.encode()))
