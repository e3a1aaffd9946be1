"""Attack: use one provider's answer or request at another."""

from __future__ import annotations

import os
import time

import pytest
from demo import provider_kit as kit

from ownerd.credential import presentation as p
from ownerd.credential.jwe import new_key, open_jwe, public_jwk, public_members
from ownerd.model.encoding import parse_json_object
from ownerd.model.errors import NotAllowed
from ownerd.model.request import Trust


def answer(request, key):
    claims = [(("email",), "jana@example.org")]
    prepared = p.prepare(
        claims, request, holder_jwk=public_members(key), issued_at=int(time.time()), rng=os.urandom
    )
    return p.build_response(request, {request.query.credentials[0].id: p.finish(prepared, key)})


def test_an_answer_replayed_to_another_provider_is_refused_there(provider_rig):
    """A provider that forwards what it got, sealed anew, fails at audience and nonce."""
    mine = new_key()
    asked = provider_rig.parameters()
    asked["client_metadata"]["jwks"]["keys"] = [public_jwk(mine)]
    request = provider_rig.read(kit.signed_request(asked, provider_rig.party))
    response = parse_json_object(open_jwe(answer(request, new_key()), mine))
    stolen = response["vp_token"]["owner"][0]
    victim = provider_rig.parameters(client_id="x509_san_dns:victim.example")
    with pytest.raises(kit.Refused, match="audience"):
        kit.verify_presentation(stolen, client_id=victim["client_id"], nonce=asked["nonce"])
    with pytest.raises(kit.Refused, match="nonce"):
        kit.verify_presentation(stolen, client_id=asked["client_id"], nonce=victim["nonce"])
    assert kit.verify_presentation(stolen, client_id=asked["client_id"], nonce=asked["nonce"])


def test_an_answer_replayed_to_the_same_provider_fails_at_the_nonce(provider_rig):
    first, second = provider_rig.parameters(), provider_rig.parameters()
    request = provider_rig.read(kit.signed_request(first, provider_rig.party))
    sealed = answer(request, new_key())
    assert kit.verify_response(sealed, first, provider_rig.answer_key)
    with pytest.raises(kit.Refused):
        kit.verify_response(sealed, {**second, "state": first["state"]}, provider_rig.answer_key)
    with pytest.raises(kit.Refused, match="state"):
        kit.verify_response(sealed, second, provider_rig.answer_key)


def test_an_old_answer_is_refused(provider_rig):
    asked = provider_rig.parameters()
    sealed = answer(provider_rig.read(kit.signed_request(asked, provider_rig.party)), new_key())
    with pytest.raises(kit.Refused, match="fresh"):
        kit.verify_response(sealed, asked, provider_rig.answer_key, now=time.time() + 301)


def test_the_answer_goes_to_the_key_inside_the_signature_only(provider_rig):
    """A man in the middle who hands the request on cannot name another key for the answer."""
    asked = provider_rig.parameters()
    sealed = answer(provider_rig.read(kit.signed_request(asked, provider_rig.party)), new_key())
    with pytest.raises(kit.Refused):
        kit.verify_response(sealed, asked, kit.new_encryption_key())


def test_a_request_for_another_wallet_is_not_served(provider_rig):
    with pytest.raises(NotAllowed, match="another wallet"):
        provider_rig.read(provider_rig.signed(aud="https://wallet.example"))


def test_an_unsigned_request_that_poses_as_a_provider_stays_claimed(provider_rig):
    """Its audience is the redirect_uri id, so what it yields is worth nothing at the posed-as name."""
    posed = provider_rig.claimed()
    mine = new_key()
    posed["client_metadata"]["jwks"]["keys"] = [public_jwk(mine)]
    request = provider_rig.read(kit.unsigned_request(posed))
    assert request.provider.trust is Trust.CLAIMED
    response = parse_json_object(open_jwe(answer(request, new_key()), mine))
    with pytest.raises(kit.Refused, match="audience"):
        kit.verify_presentation(
            response["vp_token"]["owner"][0], client_id="x509_san_dns:shop.example", nonce=posed["nonce"]
        )


def test_two_answers_under_two_keys_share_nothing_but_their_values(provider_rig):
    seen = []
    for _ in range(2):
        mine = new_key()
        asked = provider_rig.parameters()
        asked["client_metadata"]["jwks"]["keys"] = [public_jwk(mine)]
        request = provider_rig.read(kit.signed_request(asked, provider_rig.party))
        response = parse_json_object(open_jwe(answer(request, new_key()), mine))
        seen.append(p.parse_presentation(response["vp_token"]["owner"][0]))
    one, two = seen
    assert one.issuer_jwt.split(".")[1] != two.issuer_jwt.split(".")[1]
    assert set(one.disclosures).isdisjoint(two.disclosures)
