"""Beside ours: what other agents take for the like, each where its Debian package is installed.

One Ed25519 signature of ssh-agent and of gpg-agent, each asked over its socket, beside the bare signature; one look-up
of a secret by gnome-keyring over a private bus, beside one bus round trip. None of them asks its owner, shows what goes
or records it: they say what a user is used to wait for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from demo.stage import Stage

from bench.measure import Row, Scale, medians, note, timed, timed_async
from bench.rig import scratch
from ownerd.dbuslib import Message, MessageBus, Variant, call_bus, call_bus_daemon, connect_bus

DATA: Final = b"x" * 200
BARE: Final = "one bare Ed25519 signature"
SECRETS: Final = "org.freedesktop.secrets"
SERVICE: Final = "org.freedesktop.Secret.Service"
SERVICE_PATH: Final = "/org/freedesktop/secrets"
_WAIT_SECONDS: Final = 10.0


def rows(scale: Scale) -> Iterator[Row]:
    """A row for each that is installed."""
    for programs, make in (
        (("ssh-agent", "ssh-add", "ssh-keygen"), _ssh_agent),
        (("gpg", "gpg-agent", "gpgconf"), _gpg_agent),
        (("gnome-keyring-daemon", "dbus-daemon"), _secret_service),
    ):
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            note(f"{missing[0]} is not installed: no such row")
            continue
        yield make(scale)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path.name} does not come to be")
        time.sleep(0.01)


def _against_bare(sign: Callable[[], None], scale: Scale) -> dict[str, float]:
    key = Ed25519PrivateKey.generate()
    samples = {"ours": lambda: timed(sign), "floor": lambda: timed(lambda: key.sign(DATA))}
    return medians(samples, scale.rounds(200))


# -- ssh-agent: draft-miller-ssh-agent --


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _ssh_agent(scale: Scale) -> Row:
    with scratch() as directory:
        path, key = directory / "agent", directory / "key"
        _run_quiet(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
        try:
            _wait_for(path)
            _run_quiet(["ssh-add", "-q", str(key)], SSH_AUTH_SOCK=str(path))
            blob = base64.b64decode(key.with_suffix(".pub").read_text().split()[1])
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                found = _against_bare(lambda: _ask_ssh(connection, blob), scale)
        finally:
            agent.terminate()
            agent.wait()
    return Row("beside-ssh-agent", "ssh-agent: one Ed25519 signature", BARE, found["ours"], found["floor"])


def _run_quiet(command: list[str], **more: str) -> None:
    null = subprocess.DEVNULL
    subprocess.run(command, check=True, stdin=null, stdout=null, stderr=null, env={**os.environ, **more})


def _ask_ssh(connection: socket.socket, blob: bytes) -> None:
    """SSH_AGENTC_SIGN_REQUEST (13), answered by SSH_AGENT_SIGN_RESPONSE (14)."""
    connection.sendall(_text(b"\x0d" + _text(blob) + _text(DATA) + struct.pack(">I", 0)))
    with connection.makefile("rb") as answer:
        (size,) = struct.unpack(">I", answer.read(4))
        if answer.read(size)[:1] != b"\x0e":
            raise RuntimeError("ssh-agent does not sign")


# -- gpg-agent: its Assuan commands --


def _gpg_agent(scale: Scale) -> Row:
    with scratch() as home:
        home.chmod(0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
        try:
            make = [*gpg, "--passphrase", "", "--quick-generate-key", "bench", "ed25519", "sign", "never"]
            subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
            listed = subprocess.run(
                [*gpg, "--with-colons", "--with-keygrip", "--list-secret-keys"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            grip = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("grp:"))
            path = subprocess.run(
                ["gpgconf", "--homedir", str(home), "--list-dirs", "agent-socket"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                with connection.makefile("rwb") as agent:
                    _answer(agent)
                    found = _against_bare(lambda: _ask_gpg(agent, grip), scale)
        finally:
            subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False)
    return Row("beside-gpg-agent", "gpg-agent: one Ed25519 signature", BARE, found["ours"], found["floor"])


def _ask_gpg(agent: Any, grip: str) -> None:
    digest = hashlib.sha256(DATA).hexdigest().upper()
    for command in ("RESET", f"SIGKEY {grip}", f"SETHASH --hash=sha256 {digest}", "PKSIGN"):
        agent.write(command.encode() + b"\n")
        agent.flush()
        _answer(agent)


def _answer(agent: Any) -> None:
    """Read up to ``OK``. Raises `RuntimeError` for ``ERR`` and for the end."""
    for line in agent:
        if line.startswith(b"OK"):
            return
        if line.startswith((b"ERR", b"INQUIRE")):
            raise RuntimeError("gpg-agent does not sign")
    raise RuntimeError("gpg-agent ended")


# -- gnome-keyring: the Secret Service API --


def _secret_service(scale: Scale) -> Row:
    with Stage() as stage, asyncio.Runner() as runner:
        stage.start_bus()
        command = ["gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"]
        keyring = subprocess.Popen(
            command,
            env=stage.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert keyring.stdin is not None
            keyring.stdin.write(b"bench")
            keyring.stdin.close()
            bus = runner.run(connect_bus(stage.env["DBUS_SESSION_BUS_ADDRESS"]))
            deadline = time.monotonic() + _WAIT_SECONDS
            while not runner.run(call_bus_daemon(bus, "NameHasOwner", "s", [SECRETS])).body[0]:
                if time.monotonic() > deadline:
                    raise RuntimeError("gnome-keyring does not start")
                time.sleep(0.05)
            session = runner.run(_keep_secret(bus))

            def ours() -> float:
                return runner.run(timed_async(lambda: _look_up(bus, session)))

            def floor() -> float:
                return runner.run(timed_async(lambda: call_bus_daemon(bus, "GetId")))

            found = medians({"ours": ours, "floor": floor}, scale.rounds(200))
        finally:
            keyring.terminate()
            keyring.wait()
    what = "gnome-keyring: one secret looked up by its attributes"
    return Row("beside-secret-service", what, "one bus round trip", found["ours"], found["floor"])


async def _secrets(
    bus: MessageBus, path: str, interface: str, member: str, signature: str, *body: Any
) -> list[Any]:
    message = Message(
        destination=SECRETS,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
    )
    return list((await call_bus(bus, message)).body)


async def _keep_secret(bus: MessageBus) -> str:
    """Keep one secret in the session's collection; returns the path of our Secret Service session."""
    opened = await _secrets(bus, SERVICE_PATH, SERVICE, "OpenSession", "sv", "plain", Variant("s", ""))
    item = "org.freedesktop.Secret.Item"
    properties = {
        f"{item}.Label": Variant("s", "bench"),
        f"{item}.Attributes": Variant("a{ss}", {"bench": "1"}),
    }
    await _secrets(
        bus,
        f"{SERVICE_PATH}/collection/session",
        "org.freedesktop.Secret.Collection",
        "CreateItem",
        "a{sv}(oayays)b",
        properties,
        [opened[1], b"", b"secret", "text/plain"],
        True,  # replace
    )
    return str(opened[1])


async def _look_up(bus: MessageBus, session: str) -> None:
    """SearchItems and GetSecrets, as libsecret does it."""
    found = await _secrets(bus, SERVICE_PATH, SERVICE, "SearchItems", "a{ss}", {"bench": "1"})
    secrets = await _secrets(bus, SERVICE_PATH, SERVICE, "GetSecrets", "aoo", found[0], session)
    if not secrets[0]:
        raise RuntimeError("the secret is not found")
