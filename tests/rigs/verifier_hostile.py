"""A server that does what it likes over real TLS, and ``ownerctl open`` as a process that meets it.

``hostile`` makes servers; ``open_desk`` adds the scripted agent of the cli rig, whose answer is a fixed JWE.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from demo import provider_kit as kit
from tests.rigs.cli import TOOL, Desk, Ran
from tests.rigs.provider import forge_request
from tests.rigs.verifier import HOST, pem_chain, pem_key, tls_party, with_names

JWS_TYPE = "application/oauth-authz-req+jwt"
JWE = "a.jwe.for.the.provider"


@dataclass(frozen=True)
class Got:
    """One request as it came in."""

    line: str
    headers: dict[str, str]
    form: dict[str, str]


Respond = Callable[[Got], Iterable[bytes]]


def answer(body: bytes, media_type: str = JWS_TYPE, status: str = "200 OK", *headers: str) -> list[bytes]:
    """A whole HTTP answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return ["\r\n".join([*lines, "", ""]).encode() + body]


@dataclass
class Hostile:
    """One server on loopback. ``connections`` counts TCP connections, ``got`` what was asked over TLS."""

    respond: Respond
    port: int = 0
    connections: int = 0
    got: list[Got] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def base(self) -> str:
        return f"https://{HOST}:{self.port}"

    def handle(self, raw: socket.socket, context: ssl.SSLContext, manner: str) -> None:
        # What a client that gives up leaves behind is its business.
        with suppress(OSError, ValueError), raw:
            raw.settimeout(10)
            if manner == "mute":
                self.ended.wait(30)
                return
            if manner == "late and deaf":
                self.ended.wait(1.5)
            with context.wrap_socket(raw, server_side=True) as connection:
                if manner == "late and deaf":
                    self.ended.wait(30)
                    return
                self.got.append(_read(connection))
                for part in self.respond(self.got[-1]):
                    connection.sendall(part)


def _read(connection: ssl.SSLSocket) -> Got:
    with connection.makefile("rb") as file:
        line = file.readline().decode().strip()
        headers = {}
        while text := file.readline().decode().strip():
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        body = file.read(int(headers.get("content-length", "0"))).decode()
    return Got(line, headers, dict(parse_qsl(body)))


Serve = Callable[..., Hostile]


@pytest.fixture
def hostile(provider_ca: kit.Party, tmp_path: Path) -> Iterator[Serve]:
    """Start a server: ``hostile(respond, name=…, ca=…, manner=…)``; mute: no TLS, late and deaf: after 1.5 s, reads no request."""
    listeners: list[tuple[socket.socket, threading.Thread, Hostile]] = []

    def serve(
        respond: Respond, *, name: str = HOST, ca: kit.Party = provider_ca, manner: str = "talks"
    ) -> Hostile:
        party = tls_party(ca, name)
        path = tmp_path / f"tls-{len(listeners)}.pem"
        path.write_text(pem_key(party) + pem_chain(party))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        listener = socket.create_server(("127.0.0.1", 0))
        made = Hostile(respond, listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                made.connections += 1
                threading.Thread(target=made.handle, args=(raw, context, manner), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        listeners.append((listener, thread, made))
        return made

    yield serve
    for listener, thread, made in listeners:
        made.ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def request_object(server: Hostile, **changes: Any) -> str:
    """A request object whose signature nobody here looks at."""
    payload = {
        "client_id": f"x509_san_dns:{HOST}",
        "response_uri": f"{server.base}/answer",
        "state": "state-1",
        **changes,
    }
    return forge_request({"typ": "oauth-authz-req+jwt"}, payload, _KEY)


_KEY = kit.ec.generate_private_key(kit.ec.SECP256R1())


def link(server: Hostile, *, path: str = "/request", method: str = "") -> str:
    more = f"&request_uri_method={method}" if method else ""
    client_id = quote(f"x509_san_dns:{HOST}", safe="")
    return f"openid4vp://?client_id={client_id}&request_uri={quote(server.base + path, safe='')}{more}"


@dataclass
class OpenDesk:
    """``ownerctl open`` without a terminal; it trusts the tests' CA and may reach loopback, unless told not to."""

    desk: Desk

    @property
    def opened(self) -> list[str]:
        """What the browser was started with."""
        path = self.desk.home / "opened"
        return path.read_text().splitlines() if path.exists() else []

    def wait_opened(self) -> list[str]:
        """As `opened`, once the browser, which nobody waits for, has started."""
        deadline = time.monotonic() + 10
        while not self.opened and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.opened

    def allow_private(self, text: str = "web_allow_private = true\n") -> None:
        path = self.desk.home / "config" / "ownerd" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)

    def run(self, *arguments: str, names: tuple[str, ...] = (HOST,), **env: str) -> Ran:
        programs = self.desk.home / "programs"
        programs.mkdir(exist_ok=True)
        browser = programs / "xdg-open"
        browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {self.desk.home / "opened"}\n')
        browser.chmod(0o755)
        base = self.desk.env
        addresses = dict.fromkeys(names, "127.0.0.1")
        done = subprocess.run(
            with_names(self.desk.home, addresses, [*TOOL, "open", *arguments]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={
                **base,
                "PATH": f"{programs}:{base['PATH']}",
                "SSL_CERT_FILE": str(self.desk.home / "ca.pem"),
                **env,
            },
            cwd=self.desk.home,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def _prepare(desk: Desk, ca: kit.Party) -> OpenDesk:
    (desk.home / "ca.pem").write_text(pem_chain(ca))
    made = OpenDesk(desk)
    made.allow_private()
    return made


@pytest.fixture
def lone_desk(bare_desk: Desk, provider_ca: kit.Party) -> OpenDesk:
    """Nobody is on the bus: whatever happens, happens before the daemon is asked."""
    return _prepare(bare_desk, provider_ca)


@pytest.fixture
def open_desk(cli_desk: Desk, provider_ca: kit.Party) -> OpenDesk:
    """The scripted agent answers with `JWE`."""
    cli_desk.plan(present={"response": JWE})
    return _prepare(cli_desk, provider_ca)


def provider(server_answer: bytes, media_type: str = "application/json", status: str = "200 OK") -> Respond:
    """A provider whose request is good and whose answer to the answer is as given."""

    def respond(got: Got) -> list[bytes]:
        if got.line.startswith("POST /answer"):
            return answer(server_answer, media_type, status)
        port = int(got.headers["host"].rpartition(":")[2])
        return answer(request_object(Hostile(respond, port)).encode())

    return respond


def json_body(**members: object) -> bytes:
    return json.dumps(members).encode()
