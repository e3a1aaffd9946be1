"""Providers on the web: an HTTPS verifier of npm libraries, and what ``ownerctl open`` needs to meet it.

Names lead to loopback through an ``/etc/hosts`` that only the tool's own mount namespace sees; TLS is by a
throw-away CA in ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import functools
import json
import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from demo import provider_kit as kit
from demo.stage import BIN, Screen
from tests.rigs.bus import ROOT, require_rig
from tests.rigs.system import World

HOST = "shop.example"
ROOM = ROOT / "tests" / "verifier"
NODE = BIN / "node"
ASKED = ["given_name", "email"]


def tls_party(ca: kit.Party, *names: str) -> kit.Party:
    """A server certificate for ``names``, as a CA of the web makes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    made = kit.make_certificate(names[0], key.public_key(), ca, signing_key=ca.key, extensions=extensions)
    return kit.Party(key, [made])


def pem_key(party: kit.Party) -> str:
    return party.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pem_chain(party: kit.Party) -> str:
    return "".join(entry.public_bytes(Encoding.PEM).decode() for entry in party.chain)


def _unshare() -> list[str]:
    mine = [] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]
    return ["unshare", "--mount", *mine, "--"]


@functools.cache
def _stands() -> bool:
    return subprocess.run([*_unshare(), "true"], check=False, capture_output=True).returncode == 0


def with_names(directory: Path, names: dict[str, str], argv: list[str]) -> list[str]:
    """``argv`` in a mount namespace where ``names`` lead to these addresses; skips where it cannot be."""
    if not _stands():
        assert not os.environ.get("CI"), "no mount namespace"
        pytest.skip("no mount namespace")
    hosts = directory / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()))
    # A bare system may have no such file, and a mount needs something to lie on.
    script = f'{{ [ -e /etc/hosts ] || : > /etc/hosts; }} && mount --bind {hosts} /etc/hosts && exec "$@"'
    return [*_unshare(), "sh", "-c", script, "sh", *argv]


@dataclass
class Verifier:
    """One running verifier. ``link`` is what its page shows."""

    process: subprocess.Popen[str]
    link: str

    @property
    def port(self) -> int:
        return int(self.link.partition(f"{HOST}%3A")[2].partition("%2F")[0])

    def is_silent(self) -> bool:
        """Whether it has nothing to say, with a moment of patience."""
        return not select.select([self.process.stdout], [], [], 0.3)[0]

    def said(self) -> dict[str, Any]:
        """Its next line; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the verifier ended"
        return json.loads(line)


@dataclass
class Web:
    """A world whose owner trusts one CA, for signatures and for TLS, and who may reach loopback."""

    world: World
    ca: kit.Party
    directory: Path
    verifiers: list[Verifier] = field(default_factory=list)

    def start(self, method: str = "get", claims: list[str] | None = None) -> Verifier:
        require_rig(str(NODE))
        if not (ROOM / "node_modules").exists():
            assert not os.environ.get("CI"), "the npm packages of tests/verifier are missing"
            pytest.skip("the npm packages of tests/verifier are missing, ./dev test installs them")
        tls, signer = tls_party(self.ca, HOST), kit.make_provider(self.ca, HOST)
        config = self.directory / "verifier.json"
        config.write_text(
            json.dumps(
                {
                    "host": HOST,
                    "tls": {"key": pem_key(tls), "cert": pem_chain(tls)},
                    "signer": {"key": pem_key(signer), "x5c": signer.x5c()},
                    "method": method,
                    "claims": claims or ASKED,
                }
            )
        )
        process = subprocess.Popen(
            [str(NODE), str(ROOM / "verifier.mjs"), str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        verifier = Verifier(process, "")
        self.verifiers.append(verifier)
        verifier.link = verifier.said()["link"]
        return verifier

    def tool(self, *arguments: str) -> Screen:
        """``ownerctl open ARGUMENTS`` on a terminal of its own."""
        argv = with_names(self.directory, {HOST: "127.0.0.1"}, [str(BIN / "ownerctl"), "open", *arguments])
        return self.world.stage.run("ownerctl", *argv)


@pytest.fixture
def web(world: World, provider_ca: kit.Party, tmp_path: Path) -> Iterator[Web]:
    """A vault with two claims, and a CA that the owner trusts."""
    stage = world.stage
    world.set_up()
    world.set("given_name", "Ada")
    world.set("email", "ada@example.org")
    (stage.trust_directory / "web.pem").write_text(pem_chain(provider_ca))
    stage.env["SSL_CERT_FILE"] = str(stage.trust_directory / "web.pem")
    config = stage.trust_directory.parent / "config.toml"
    config.write_text("web_allow_private = true\n")
    config.chmod(0o600)
    made = Web(world, provider_ca, tmp_path)
    yield made
    for verifier in made.verifiers:
        assert verifier.process.stdin is not None
        assert verifier.process.stdout is not None
        verifier.process.stdin.close()
        verifier.process.wait(10)
        verifier.process.stdout.close()
