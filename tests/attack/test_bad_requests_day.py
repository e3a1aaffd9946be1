"""Attack: every bad request that issue and standard name, against the real daemon: an error by name, and nothing half-done."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from demo import provider_kit as kit
from tests.rigs.bad_days import HOST, Asked, BadWorld, Nobody
from tests.rigs.provider import forge_request

from ownerctl.client import Client
from ownerd.model.errors import InvalidArgument, NotAllowed, OwnerdError
from ownerd.model.names import Kind

REFUSED: tuple[type[OwnerdError], ...] = (InvalidArgument, NotAllowed)
HIDDEN = ("\x1b[2J", "\r\nSent to: nobody", "a\x00b", "\u202epay", "pay\u200bpal", "\u2066x\u2069", "\x9b31m")
MARKUP = "<b>a &amp; b</b> %0A ~/~ \u0440\u0430\u0443"
TYPE = "oauth-authz-req+jwt"


class Forger:
    """Requests of a real provider, spoilt."""

    def __init__(self, world: BadWorld) -> None:
        self.world = world
        self.shop, self.ca = world._shop, world._ca
        self.good = world.request().parameters

    def signed(self, signer: kit.Party | None = None, **changes: Any) -> str:
        made = {name: value for name, value in {**self.good, **changes}.items() if value is not ...}
        return str(kit.signed_request(made, signer or self.shop))

    def forged(self, payload: Any = None, **header: Any) -> str:
        base = {"alg": "ES256", "typ": TYPE, "x5c": self.shop.x5c()}
        return forge_request({**base, **header}, payload or self.good, self.shop.key)

    def certified(self, usage: str = "digital_signature", **times: Any) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [
            (x509.SubjectAlternativeName([x509.DNSName(HOST)]), False),
            (kit._usage(usage), True),
        ]
        made = kit.make_certificate(
            HOST, key.public_key(), self.ca, signing_key=self.ca.key, extensions=extensions, **times
        )
        return self.signed(kit.Party(key, [made]))

    def texts(self) -> dict[str, str]:
        now = int(time.time())
        tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        doubled = json.dumps(self.good)[:-1] + ',"nonce":"another-nonce-of-length"}'
        flipped = self.signed()
        flipped = flipped[:-6] + ("A" if flipped[-6] != "A" else "B") + flipped[-5:]
        deep: Any = []
        for _ in range(400):
            deep = [deep]
        query = kit.ask_for(["given_name"])
        unknown = json.loads(json.dumps(query))
        unknown["credentials"][0]["claims"] = [{"path": ["shoe_size"]}]
        made = {
            "malformed": "{" * 9,
            "oversized": self.signed(purpose="x" * (1 << 20)),
            "a long reason": self.signed(purpose="x" * 10_000),
            "nested": self.forged({**self.good, "x": deep}),
            "a duplicate member": self.forged(doubled.encode()),
            "another typ": self.forged(typ="JWT"),
            "another aud": self.signed(aud="https://wallet.example"),
            "another client_id": self.signed(client_id="x509_san_dns:bank.example"),
            "no nonce": self.signed(nonce=...),
            "a short nonce": self.signed(nonce="1"),
            "another signature": flipped,
            "expired": self.signed(exp=now - 600),
            "not yet valid": self.signed(nbf=now + 600),
            "an expired certificate": self.certified(starts=tomorrow - dt.timedelta(days=99)),
            "a certificate of tomorrow": self.certified(starts=tomorrow),
            "a certificate for another use": self.certified("key_agreement"),
            "a certificate for another name": self.signed(kit.make_provider(self.ca, "bank.example")),
            "an unknown claim": self.signed(dcql_query=unknown),
        }
        hidden = {f"hidden text {text!a}": self.signed(purpose=f"Delivery{text}") for text in HIDDEN}
        return made | hidden


@pytest.mark.timeout(120)
def test_every_bad_request_has_an_error_by_name_and_leaves_nothing_half_done(bad_world: BadWorld) -> None:
    world = bad_world

    async def refused(app: Client, text: str) -> str:
        with pytest.raises(REFUSED) as caught:
            await asyncio.wait_for(app.present(text, {"tty": world.person.tty}, Nobody()), 20)
        return type(caught.value).__name__

    async def story() -> None:
        world.start()
        await world.set_up()
        await world.set("given_name", "Ada")
        before, shown = len(world.verified()), world.person.shown.count(HOST)
        texts = Forger(world).texts()
        async with world.client() as app:
            for what, text in texts.items():
                assert await refused(app, text) in ("InvalidArgument", "NotAllowed"), what
            (status,) = await app.owner_call("Agent", "Status")
        assert status["pending"] == 0
        assert world.person.shown.count(HOST) == shown, "nobody was asked"
        kinds = {leaf.core.kind for leaf in world.verified()[before:]}
        assert kinds <= {Kind.FAILED, Kind.REFUSED}
        assert world.daemon is not None
        assert "Traceback" not in world.daemon.text

    asyncio.run(story())


def test_markup_and_look_alike_letters_are_shown_as_they_are(bad_world: BadWorld) -> None:
    world = bad_world

    async def story() -> None:
        world.start()
        await world.set_up()
        await world.set("given_name", "Ada")
        forger = Forger(world)
        asked = Asked(forger.signed(purpose=MARKUP), forger.good, world.request().key)
        world.person.shown = ""
        await world.present(asked)
        assert MARKUP in world.person.shown

    asyncio.run(story())
