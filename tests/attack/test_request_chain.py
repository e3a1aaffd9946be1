"""Attack: a certificate chain that is not what it claims."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from demo import provider_kit as kit
from tests.rigs.provider import HOST

from ownerd.model.errors import InvalidArgument, NotAllowed


def signed_by(provider_rig, party, **changes):
    return kit.signed_request(provider_rig.parameters(**changes), party)


def test_a_ca_of_the_same_name_is_not_the_ca(provider_rig):
    impostor = kit.make_ca("Test CA")
    party = kit.make_provider(impostor, HOST)
    with pytest.raises(NotAllowed):
        provider_rig.read(signed_by(provider_rig, party))
    party.chain += impostor.chain  # bringing the root along does not make it trusted
    with pytest.raises(NotAllowed):
        provider_rig.read(signed_by(provider_rig, party))


def test_the_true_root_in_x5c_adds_nothing_and_harms_nothing(provider_rig):
    party = kit.make_provider(provider_rig.ca, HOST)
    party.chain += provider_rig.ca.chain
    assert provider_rig.read(signed_by(provider_rig, party))


def test_a_self_signed_certificate_for_the_name_is_refused(provider_rig):
    with pytest.raises(NotAllowed):
        provider_rig.read(signed_by(provider_rig, kit.make_provider(None, HOST)))


def test_a_provider_cannot_issue_for_another(provider_rig):
    villain = kit.make_provider(provider_rig.ca, "villain.example")
    victim = kit.make_provider(kit.Party(villain.key, villain.chain), HOST)
    victim.chain = [victim.certificate, *villain.chain]
    with pytest.raises(NotAllowed):
        provider_rig.read(signed_by(provider_rig, victim))


def test_the_victims_certificate_first_and_the_attackers_key_second_is_refused(provider_rig):
    villain = kit.make_provider(provider_rig.ca, "villain.example")
    villain_key = kit.Party(villain.key, [provider_rig.party.certificate, villain.certificate])
    with pytest.raises(InvalidArgument, match="order"):
        provider_rig.read(signed_by(provider_rig, villain_key))
    villain_key.chain = [villain.certificate, provider_rig.party.certificate]
    with pytest.raises(InvalidArgument, match="order"):
        provider_rig.read(signed_by(provider_rig, villain_key))


def test_chains_that_are_padded_or_too_long_are_refused(provider_rig):
    party = kit.make_provider(provider_rig.ca, HOST)
    stranger = kit.make_ca("Stranger")
    for extra in ([stranger.certificate], [party.certificate], [provider_rig.ca.certificate] * 6):
        padded = kit.Party(party.key, [party.certificate, *extra])
        with pytest.raises(InvalidArgument):
            provider_rig.read(signed_by(provider_rig, padded))


@pytest.mark.parametrize("days_ago", [400, 91, -1])
def test_a_certificate_that_has_expired_or_begins_tomorrow_is_refused(provider_rig, days_ago):
    starts = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
    party = kit.make_provider(provider_rig.ca, HOST, starts=starts, days=90)
    with pytest.raises(NotAllowed):
        provider_rig.read(signed_by(provider_rig, party))


def test_an_oversized_certificate_is_refused(provider_rig):
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\4\202\x24\0" + bytes(0x2400))
    party = kit.make_provider(provider_rig.ca, HOST, extra=[(filler, False)])
    with pytest.raises(InvalidArgument, match="oversized"):
        provider_rig.read(signed_by(provider_rig, party))


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/answer",
        "https://sub.shop.example/answer",
        "https://shop.example.evil.example/answer",
        "https://xshop.example/answer",
    ],
)
def test_a_verified_name_cannot_send_the_answer_elsewhere(provider_rig, uri):
    with pytest.raises(NotAllowed, match="another host"):
        provider_rig.read(provider_rig.signed(response_uri=uri))


def test_a_wildcard_certificate_does_not_speak_for_each_host(provider_rig):
    party = kit.make_provider(provider_rig.ca, "*.example")
    with pytest.raises(NotAllowed, match="wildcard"):
        provider_rig.read(signed_by(provider_rig, party))


def test_the_hash_of_one_certificate_does_not_serve_another(provider_rig):
    client_id = provider_rig.party.hash_client_id()
    assert provider_rig.read(provider_rig.signed(client_id=client_id)).provider.client_id == client_id
    villain = kit.make_provider(provider_rig.ca, "villain.example")
    with pytest.raises(NotAllowed, match="hash"):
        provider_rig.read(signed_by(provider_rig, villain, client_id=client_id))
