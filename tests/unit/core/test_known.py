"""What the vault remembers of providers: records there and back, and the hosts of their answers."""

from __future__ import annotations

import pytest

from ownerd.core.known import (
    MAX_HOSTS,
    KnownProvider,
    Pin,
    format_pin,
    format_provider,
    parse_pin,
    parse_provider,
    with_host,
)
from ownerd.model.request import Trust

PROVIDER = KnownProvider(
    id="00ff",
    client_id="x509_hash:abc",
    trust=Trust.VERIFIED,
    name="Buch & Co (certificate abc)",
    public_jwk={"kty": "EC"},
    did="did:jwk:x",
    since="2026-01-01T00:00:00.000Z",
    last="2026-01-02T00:00:00.000Z",
    disclosures=3,
    request_key="key",
    tag="k7x2",
    got={"email": 2},
    handover="signed",
    hosts=("a.example", "b.example"),
)
PIN = Pin(
    "01", "decentralized_identifier:did:jwk:x", "key abc", "key", "2026-01-01T00:00:00.000Z", ("a.example",)
)


def test_records_come_back_as_they_were():
    assert parse_provider("00ff", format_provider(PROVIDER)) == PROVIDER
    assert parse_pin("01", format_pin(PIN)) == PIN
    assert PIN.trust is Trust.PINNED


def test_records_of_before_hosts_were_kept_have_none():
    provider, pin = format_provider(PROVIDER), format_pin(PIN)
    del provider["hosts"], pin["hosts"]
    assert parse_provider("00ff", provider).hosts == parse_pin("01", pin).hosts == ()


def test_a_record_without_a_member_is_malformed():
    provider = format_provider(PROVIDER)
    del provider["trust"]
    with pytest.raises(KeyError):
        parse_provider("00ff", provider)


def test_the_newest_hosts_are_kept_each_once():
    hosts: tuple[str, ...] = ()
    for host in ("a.example", "b.example", "a.example"):
        hosts = with_host(hosts, host)
    assert hosts == ("b.example", "a.example")
    for number in range(MAX_HOSTS):
        hosts = with_host(hosts, f"{number}.example")
    assert len(hosts) == MAX_HOSTS
    assert hosts[-1] == f"{MAX_HOSTS - 1}.example"
