"""What the vault remembers of providers: those that have a key, and keys that the owner has accepted.

Plain values and their members as they are sealed; `ownerd.core.vault` seals and opens them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from ownerd.model.encoding import Json
from ownerd.model.offer import KnownAsker
from ownerd.model.request import Provider, Trust

PROVIDER: Final = "provider"
PIN: Final = "pin"
MAX_HOSTS: Final = 32


class KnownProvider(Struct, frozen=True):
    """A provider that has a key of its own.

    ``since`` and ``last`` are ledger times; ``disclosures`` counts those with a touch of their own. ``request_key`` is
    the thumbprint of the key that signed its last request. ``tag`` is the random part of its aliases. ``got`` maps
    claim names to the version that it holds. ``handover`` is the signed hand-over to the present key after a
    rotation. ``hosts`` are those to which its answers went, the latest `MAX_HOSTS`, newest last.
    """

    id: str
    client_id: str
    trust: Trust
    name: str
    public_jwk: dict[str, Json]
    did: str
    since: str
    last: str
    disclosures: int
    request_key: str | None = None
    tag: str = ""
    got: Mapping[str, int] = field(default_factory=dict)
    handover: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def asker(self) -> KnownAsker:
        """What negotiation may know of it."""
        return KnownAsker(new=False, got=self.got, tag=self.tag)


class Pin(Struct, frozen=True):
    """A request key that the owner has accepted as a provider's: RFC 7638 thumbprint.

    ``hosts`` has the one to which the answer would go then.
    """

    id: str
    client_id: str
    name: str
    key: str
    since: str
    hosts: tuple[str, ...] = ()

    @property
    def trust(self) -> Trust:
        """As a provider of this key has it."""
        return Trust.PINNED


def with_host(hosts: tuple[str, ...], host: str) -> tuple[str, ...]:
    """``hosts`` with ``host`` as the newest."""
    return (*(one for one in hosts if one != host), host)[-MAX_HOSTS:]


def format_provider(provider: KnownProvider) -> dict[str, Json]:
    """Members of the sealed record."""
    return {
        "v": 1,
        "client_id": provider.client_id,
        "trust": provider.trust.value,
        "name": provider.name,
        "public_jwk": provider.public_jwk,
        "did": provider.did,
        "since": provider.since,
        "last": provider.last,
        "disclosures": provider.disclosures,
        "request_key": provider.request_key,
        "tag": provider.tag,
        "got": dict(provider.got),
        "handover": provider.handover,
        "hosts": list(provider.hosts),
    }


def parse_provider(record_id: str, members: Mapping[str, Json]) -> KnownProvider:
    """Inverse of `format_provider`. Raises `KeyError`, `TypeError`, `ValueError` for malformed members."""
    return KnownProvider(
        id=record_id,
        client_id=members["client_id"],
        trust=Trust(members["trust"]),
        name=members["name"],
        public_jwk=dict(members["public_jwk"]),
        did=members["did"],
        since=members["since"],
        last=members["last"],
        disclosures=members["disclosures"],
        request_key=members["request_key"],
        tag=members["tag"],
        got={str(name): int(version) for name, version in members["got"].items()},
        handover=members["handover"],
        hosts=_hosts(members),
    )


def format_pin(pin: Pin) -> dict[str, Json]:
    """Members of the sealed record."""
    return {
        "v": 1,
        "client_id": pin.client_id,
        "name": pin.name,
        "key": pin.key,
        "since": pin.since,
        "hosts": list(pin.hosts),
    }


def parse_pin(record_id: str, members: Mapping[str, Json]) -> Pin:
    """Inverse of `format_pin`. Raises `KeyError`, `TypeError`."""
    return Pin(
        id=record_id,
        client_id=members["client_id"],
        name=members["name"],
        key=members["key"],
        since=members["since"],
        hosts=_hosts(members),
    )


def _hosts(members: Mapping[str, Json]) -> tuple[str, ...]:
    # Records that were made before hosts were kept have none; they learn theirs with the next touch.
    return tuple(str(host) for host in members.get("hosts", ()))


def provider_value(provider: Provider | KnownProvider | Pin) -> dict[str, Json]:
    """A provider as ledger openings name it."""
    anchor = None
    if isinstance(provider, KnownProvider):
        key = provider.request_key
    elif isinstance(provider, Pin):
        key = provider.key
    else:
        key, anchor = provider.key_thumbprint, provider.anchor
    return {
        "trust": provider.trust.value,
        "client_id": provider.client_id,
        "name": provider.name,
        "key": key,
        "anchor": anchor,
    }
