"""``ownerd-softtoken``: a software FIDO2 token in a process of its own.

Exit status: 0 ended by its owner, 1 cannot start, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import getpass
import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from fido2.ctap import CtapError

from ownerd.model.paths import data_dir, runtime_dir
from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.client_pin import PIN_MAX_BYTES, PIN_MIN_CHARACTERS, PinAuthority
from ownerd.softtoken.core import Core
from ownerd.softtoken.failure import Failure, StateError
from ownerd.softtoken.server import Server, open_socket
from ownerd.softtoken.state import SealedFile, TokenState
from ownerd.softtoken.terminal import WARNING, Terminal, error, show

MAX_PASSPHRASE_BYTES: Final = 1024
MIN_NEW_PASSPHRASE: Final = 8
PR_SET_DUMPABLE: Final = 4


def main(argv: list[str] | None = None) -> int:
    """Run the token until EOF, Ctrl-C or SIGTERM. Returns the exit status."""
    options = _parse(argv)
    _harden()
    path = options.state or data_dir().with_name("ownerd-softtoken") / f"{options.name}.token"
    try:
        _run(options, path)
    except Failure as failure:
        error(str(failure))
        return 1
    except KeyboardInterrupt:
        return 0
    except OSError as failure:
        error(f"{failure.strerror or 'input or output failed'}")
        return 1
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ownerd-softtoken",
        description="A FIDO2 security token in software, for trying ownerd out without hardware. It stays in "
        "this terminal: it shows what is asked, Enter is the touch, n Enter refuses, Ctrl-D ends it.",
        epilog="It is not a security key: programs that run as you can copy its state file, read its memory "
        "or press its Enter. The socket is $XDG_RUNTIME_DIR/ownerd/softtoken-NAME.sock.",
    )
    parser.add_argument(
        "--name", default="1", help="which token, when you run several (default: %(default)s)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="sealed state file (default: $XDG_DATA_HOME/ownerd-softtoken/NAME.token)",
    )
    parser.add_argument("--new", action="store_true", help="make a new token; never overwrites one")
    parser.add_argument(
        "--passphrase-fd",
        type=int,
        metavar="N",
        help="read the passphrase from this file descriptor, up to a newline (default: ask at the terminal)",
    )
    parser.add_argument("--pin-setup", action="store_true", help="ask at the terminal for a PIN and set it")
    options = parser.parse_args(argv)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", options.name):
        parser.error("--name takes 1 to 32 letters, digits, - and _")
    return options


def _harden() -> None:
    """No core file and no tracing by others of the same user: both would hold the keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _run(options: argparse.Namespace, path: Path) -> None:
    show(WARNING)
    file = SealedFile(path, _passphrase(options))
    state = file.create() if options.new else file.load()
    if options.pin_setup:
        _set_pin(state, file)
    socket_path = runtime_dir() / f"softtoken-{options.name}.sock"
    listener = open_socket(socket_path)
    try:
        asyncio.run(_serve(state, file, listener))
    finally:
        socket_path.unlink(missing_ok=True)


async def _serve(state: TokenState, file: SealedFile, listener: socket.socket) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    terminal = Terminal(loop, ended)
    server = Server(Authenticator(Core(state, file.save, terminal)), listener)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    try:
        terminal.start()
        terminal.say(f"listening on {listener.getsockname()}; Ctrl-D ends it")
        await server.run(ended)
    except PermissionError as failure:  # epoll refuses plain files
        raise Failure("standard input must be a terminal or a pipe") from failure
    finally:
        terminal.stop()


def _passphrase(options: argparse.Namespace) -> bytes:
    if options.passphrase_fd is not None:
        given = _read_line(options.passphrase_fd)
    elif sys.stdin.isatty():
        given = getpass.getpass("Passphrase of this token: ").encode()
        if options.new and getpass.getpass("The same again: ").encode() != given:
            raise StateError("the two passphrases differ")
    else:
        raise StateError("no terminal to ask for the passphrase; use --passphrase-fd")
    if options.new and len(given) < MIN_NEW_PASSPHRASE:
        raise StateError(f"the passphrase must have at least {MIN_NEW_PASSPHRASE} characters")
    return given


def _read_line(descriptor: int) -> bytes:
    """One line, byte by byte: what follows it on standard input belongs to the touches."""
    line = b""
    try:
        while len(line) <= MAX_PASSPHRASE_BYTES:
            byte = os.read(descriptor, 1)
            if byte in {b"", b"\n"}:
                return line
            line += byte
    except OSError as failure:
        raise StateError("cannot read the passphrase from that file descriptor") from failure
    raise StateError("the passphrase is too long")


def _set_pin(state: TokenState, file: SealedFile) -> None:
    if not sys.stdin.isatty():
        raise StateError("no terminal to ask for the PIN")
    authority = PinAuthority(state, lambda: file.save(state))
    if authority.is_set:
        raise StateError("this token has a PIN; start without --pin-setup")
    pin = getpass.getpass("New PIN: ")
    if getpass.getpass("The same again: ") != pin:
        raise StateError("the two PINs differ")
    try:
        authority.set_pin(pin.encode())
    except CtapError as failure:
        raise StateError(f"a PIN has {PIN_MIN_CHARACTERS} characters to {PIN_MAX_BYTES} bytes") from failure
