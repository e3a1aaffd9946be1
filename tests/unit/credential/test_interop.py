"""What we make is checked by libraries that nobody here wrote: `sd_jwt` and `jwcrypto`."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest
from demo import provider_kit as kit
from joserfc import jws
from joserfc.jwk import ECKey
from msgspec.structs import replace

from ownerd.credential import presentation as p
from ownerd.credential.did import did_jwk
from ownerd.credential.jwe import new_key, public_members, seal_jwe
from ownerd.model.encoding import format_b64u, parse_b64u

KEY = new_key()
CLAIMS = [
    (("given_name",), "Jana"),
    (("email",), "jana@example.org"),
    (("address", "locality"), "Köln"),
    (("address", "country"), "DE"),
    (("locale",), ["de", "en"]),
    (("profile",), {"a": None, "b": [1, True]}),
]
SHOWN = {
    "given_name": "Jana",
    "email": "jana@example.org",
    "address": {"locality": "Köln", "country": "DE"},
    "locale": ["de", "en"],
    "profile": {"a": None, "b": [1, True]},
}


NOW = int(time.time())


def presented(request, key):
    holder = public_members(key)
    prepared = p.prepare(CLAIMS, request, holder_jwk=holder, issued_at=NOW, rng=os.urandom)
    return p.finish(prepared, key)


@pytest.fixture
def exchange(provider_rig):
    """Parameters of a request, the request as read, and a finished presentation that answers it."""
    parameters = provider_rig.parameters()
    request = provider_rig.read(kit.signed_request(parameters, provider_rig.party))
    return parameters, request, presented(request, KEY)


def verify(presentation, parameters, **changes):
    # The tests may come to this long after they were collected.
    wanted = {"client_id": parameters["client_id"], "nonce": parameters["nonce"], "now": NOW, **changes}
    return kit.verify_presentation(presentation, **wanted)


def test_a_provider_reads_exactly_what_was_disclosed(provider_rig, exchange):
    parameters, request, presentation = exchange
    answer = p.build_response(request, {request.query.credentials[0].id: presentation})
    disclosed = kit.verify_response(answer, parameters, provider_rig.answer_key, now=NOW)
    assert disclosed.claims == SHOWN
    assert disclosed.did == did_jwk(public_members(KEY))


def test_nobody_on_the_way_can_narrow_what_the_owner_approved(exchange):
    parameters, _, presentation = exchange
    parts = p.parse_presentation(presentation)
    fewer = p.format_presentation(replace(parts, disclosures=parts.disclosures[1:]))
    with pytest.raises(kit.Refused, match="digest"):
        verify(fewer, parameters)


def test_every_changed_character_is_refused(exchange):
    parameters, _, presentation = exchange
    assert verify(presentation, parameters)
    for place in range(0, len(presentation), 17):
        swapped = "A" if presentation[place] != "A" else "B"
        with pytest.raises(kit.Refused):
            verify(presentation[:place] + swapped + presentation[place + 1 :], parameters)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nonce": "another-nonce-of-the-verifier"}, "nonce"),
        ({"client_id": "x509_san_dns:other.example"}, "audience"),
        ({"client_id": "shop.example"}, "audience"),
        ({"now": NOW + 600}, "not fresh"),
        ({"now": NOW - 600}, "from the future"),
    ],
)
def test_another_audience_nonce_or_time_is_refused(exchange, changes, named):
    parameters, _, presentation = exchange
    with pytest.raises(kit.Refused, match=named):
        verify(presentation, parameters, **changes)


def test_parts_of_two_presentations_do_not_mix(exchange):
    parameters, request, presentation = exchange
    one = p.parse_presentation(presentation)
    for key in (KEY, new_key()):
        two = p.parse_presentation(presented(request, key))
        assert verify(p.format_presentation(two), parameters)
        for mixed in (
            replace(one, kb_jwt=two.kb_jwt),
            replace(one, issuer_jwt=two.issuer_jwt),
            replace(one, disclosures=two.disclosures),
        ):
            with pytest.raises(kit.Refused):
                verify(p.format_presentation(mixed), parameters)


def remade(presentation, *, key, header=None, payload=None, kb_header=None, kb=None):
    """The same presentation with changes, consistently signed anew by ``key``."""
    parts = p.parse_presentation(presentation)
    signer = ECKey.import_key(key)

    def sign(jwt, header_changes, payload_changes):
        head, body = (json.loads(parse_b64u(part)) for part in jwt.split(".")[:2])
        head, body = {**head, **(header_changes or {})}, {**body, **(payload_changes or {})}
        return jws.serialize_compact(head, json.dumps(body), signer, algorithms=["ES256"])

    bound = "~".join((sign(parts.issuer_jwt, header, payload), *parts.disclosures, ""))
    digest = hashlib.sha256(bound.encode()).digest()
    return bound + sign(parts.kb_jwt, kb_header, {**(kb or {}), "sd_hash": format_b64u(digest)})


def test_the_remade_presentation_is_good_without_changes(exchange):
    parameters, _, presentation = exchange
    assert verify(remade(presentation, key=KEY), parameters).claims == SHOWN


STRANGER = new_key()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key": STRANGER}, "does not verify"),
        ({"payload": {"cnf": {"jwk": public_members(STRANGER)}}}, "bound to another key"),
        ({"payload": {"iss": did_jwk(public_members(STRANGER))}}, "another kid"),
        ({"payload": {"sub": "did:jwk:x"}}, "somebody else"),
        ({"payload": {"iss": "https://x"}}, "no did:jwk"),
        ({"payload": {"vct": "urn:x"}}, "another type"),
        ({"payload": {"exp": NOW - 1}}, "expired"),
        ({"payload": {"_sd_alg": "sha-512"}}, "hashes otherwise"),
        ({"header": {"typ": "JWT"}}, "another typ"),
        ({"header": {"kid": "x"}}, "another kid"),
        ({"kb": {"iat": NOW - 400}}, "not fresh"),
        ({"kb": {"aud": "x"}}, "audience"),
        ({"kb_header": {"typ": "JWT"}}, "another header"),
    ],
)
def test_the_provider_notices_each_rule_that_is_broken(exchange, changes, named):
    parameters, _, presentation = exchange
    with pytest.raises(kit.Refused, match=named):
        verify(remade(presentation, **{"key": KEY, **changes}), parameters)


def test_the_envelope_opens_for_the_requested_key_only(provider_rig, exchange):
    parameters, request, presentation = exchange
    answer = p.build_response(request, {request.query.credentials[0].id: presentation})
    with pytest.raises(kit.Refused):
        kit.verify_response(answer, parameters, kit.new_encryption_key())


@pytest.mark.parametrize("change", [{"state": "x"}, {"vp_token": {}}, {"vp_token": {"owner": []}}])
def test_a_wrong_envelope_is_refused(provider_rig, exchange, change):
    parameters, request, presentation = exchange
    body = {"vp_token": {"owner": [presentation]}, "state": parameters["state"], **change}
    answer = seal_jwe(json.dumps(body).encode(), request.recipient.jwk)
    with pytest.raises(kit.Refused):
        kit.verify_response(answer, parameters, provider_rig.answer_key)
