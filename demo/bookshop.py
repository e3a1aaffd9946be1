#!/usr/bin/env python3
"""A bookshop's app: asks the owner's agent for data, checks the answer, and prints it.

    bookshop.py --ca-dir DIR make-ca
    bookshop.py --ca-dir DIR ask --claims given_name,email,address.locality

`make-ca` writes DIR/ca.pem, which the owner puts into trust.d, and the shop's own key and certificate.
`ask` prints the checked result as JSON. Exit: 0 every check passed, 3 refused, 1 anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import provider_kit as kit
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from dbus_next import Message, MessageType, Variant
from dbus_next.aio import MessageBus
from dbus_next.errors import InvalidAddressError

AGENT = "org.ownerd.Agent1"
AGENT_PATH = "/org/ownerd/Agent1"
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
GONE = f"type='signal',sender='{BUS[0]}',member='NameOwnerChanged',arg0='{AGENT}'"
COUNTER_OFFER = 3
REFUSED = {"NotAllowed", "Dismissed", "Cancelled", "TimedOut", "TouchDenied"}


class Failed(Exception):
    """The agent did not answer with data."""

    def __init__(self, name: str, message: str, hint: str = "", *, refused: bool = False) -> None:
        super().__init__(f"{name}: {message}" + (f" ({hint})" if hint else ""))
        self.refused = refused or name in REFUSED


def say(text: str) -> None:
    print(f"bookshop: {text}", file=sys.stderr, flush=True)


# -- the D-Bus part: all that an app needs --


async def present(request: str, progress: Any, *, negotiates: bool) -> tuple[str, int]:
    """Hand `request` to the agent; return the sealed answer and the number of its ledger entry.

    With `negotiates` the agent may answer with an offer, which this shop takes as it is.
    """
    bus = await MessageBus().connect()
    try:
        wishes = {"negotiate": Variant("b", True)} if negotiates else {}
        code, results = await ask_agent(bus, request, wishes, progress)
        if code == COUNTER_OFFER:
            say(f"the owner offers something else: {offered(json.loads(results['offer']))}; that will do")
            wishes = {"negotiation": Variant("s", results["negotiation"]), "accept": Variant("b", True)}
            code, results = await ask_agent(bus, request, wishes, progress)
    finally:
        bus.disconnect()
    if code != 0:
        texts = (str(results.get(name, "")) for name in ("error", "message", "hint"))
        raise Failed(*texts, refused=code == 1)
    return results["response"], results["entry"]


def offered(offer: dict[str, Any]) -> str:
    """The claims of an offer in words."""
    claims = [claim for credential in offer["credentials"] for claim in credential["claims"]]
    return ", ".join(
        ".".join(claim["path"])
        + (f" instead of {'.'.join(claim['instead_of'])}" if "instead_of" in claim else "")
        for claim in claims
    )


async def ask_agent(
    bus: MessageBus, request: str, wishes: dict[str, Variant], progress: Any
) -> tuple[int, dict[str, Any]]:
    """One call of `Present` and its Response: (code, results)."""
    token = "bookshop_" + secrets.token_hex(8)
    handle = f"{AGENT_PATH}/request/{bus.unique_name[1:].replace('.', '_')}/{token}"
    response: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def listen(message: Message) -> None:
        if message.member == "NameOwnerChanged" and message.body[0] == AGENT and not message.body[2]:
            if not response.done():
                response.set_exception(Failed("AgentGone", "the agent ended before it answered"))
        elif message.message_type is MessageType.SIGNAL and message.path == handle:
            if message.member == "Progress":
                progress(message.body[0])
            elif message.member == "Response" and not response.done():
                response.set_result(message)

    bus.add_message_handler(listen)  # listen first: the answer may come before the call returns
    watch = Message(*BUS, "AddMatch", signature="s", body=[GONE])
    await bus.call(watch)
    call = Message(AGENT, AGENT_PATH, AGENT, "Present", signature="sa{sv}")
    call.body = [request, {"handle_token": Variant("s", token), **wishes}]
    reply = await bus.call(call)
    if reply.message_type is MessageType.ERROR:
        raise Failed(reply.error_name.rpartition(".")[2], str(reply.body[0]) if reply.body else "")
    try:
        signal = await response
    except asyncio.CancelledError:  # Ctrl-C: tell the agent, so that its prompt closes
        await bus.call(Message(AGENT, handle, AGENT + ".Request", "Cancel"))
        raise
    finally:
        bus.remove_message_handler(listen)
    if signal.sender != reply.sender:
        raise Failed("Spoofed", "another process answered in the agent's place")
    return signal.body[0], {name: value.value for name, value in signal.body[1].items()}


# -- the shop --


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)


def make_ca(directory: Path, host: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    ca = kit.make_ca("Demo CA")
    shop = kit.make_provider(ca, host, subject="Bookshop")
    write(directory / "ca.pem", ca.certificate.public_bytes(Encoding.PEM))
    write(directory / "shop.pem", b"".join(entry.public_bytes(Encoding.PEM) for entry in shop.chain))
    key = shop.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(directory / "shop-key.pem", key, 0o600)
    say(f"made a CA and a certificate for {host} in {directory}")


def load_shop(directory: Path) -> kit.Party:
    key: Any = load_pem_private_key((directory / "shop-key.pem").read_bytes(), password=None)
    return kit.Party(key, x509.load_pem_x509_certificates((directory / "shop.pem").read_bytes()))


def make_request(arguments: argparse.Namespace, answer_key: kit.JWK) -> tuple[dict[str, Any], str]:
    """The parameters to remember, and the request to send."""
    uri = f"https://{arguments.host}/answer"
    client_id = f"redirect_uri:{uri}" if arguments.unsigned else f"x509_san_dns:{arguments.host}"
    more = {"purpose": arguments.purpose} if arguments.purpose else {}
    asked = kit.parameters(client_id, uri, arguments.claims.split(","), answer_key, **more)
    if arguments.unsigned:
        return asked, kit.unsigned_request(asked)
    return asked, kit.signed_request(asked, load_shop(arguments.ca_dir))


async def ask(arguments: argparse.Namespace) -> None:
    answer_key = kit.new_encryption_key("bookshop-" + secrets.token_hex(4))
    asked, request = make_request(arguments, answer_key)
    say(f"asking for {arguments.claims.replace(',', ', ')} as {asked['client_id']}")
    answer, entry = await asyncio.wait_for(
        present(
            request,
            lambda state: say(f"the agent is {state.replace('-', ' ')}"),
            negotiates=arguments.negotiate,
        ),
        arguments.timeout,
    )
    say("an answer came; decrypting and checking it")
    disclosed = kit.verify_response(answer, asked, answer_key)
    say(f"every check passed; the owner is known here as {disclosed.did[:32]}…")
    print(json.dumps({"claims": disclosed.claims, "did": disclosed.did, "entry": entry}, ensure_ascii=False))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A bookshop that asks the owner's agent for data.")
    parser.add_argument("--ca-dir", type=Path, required=True, help="where the CA and the shop's key are")
    parser.add_argument("--host", default="bookshop.example", help="the shop's DNS name")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make-ca", help="make a CA and the shop's certificate")
    asking = commands.add_parser("ask", help="ask for claims and check the answer")
    asking.add_argument("--claims", required=True, help="claim names, comma separated")
    asking.add_argument("--purpose", default="ship and bill your order", help="shown to the owner")
    asking.add_argument("--unsigned", action="store_true", help="send a request that proves nothing")
    asking.add_argument("--negotiate", action="store_true", help="take an offer of something else")
    asking.add_argument("--timeout", type=float, default=300.0, help="seconds to wait for the owner")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        if arguments.command == "make-ca":
            make_ca(arguments.ca_dir, arguments.host)
        else:
            asyncio.run(ask(arguments))
    except Failed as error:
        say(("refused: " if error.refused else "failed: ") + str(error))
        return 3 if error.refused else 1
    except kit.Refused as error:
        say(f"the answer is not accepted: {error}")
        return 1
    except TimeoutError:
        say("nobody answered in time")
        return 1
    except (OSError, EOFError, InvalidAddressError) as error:
        say(f"failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
