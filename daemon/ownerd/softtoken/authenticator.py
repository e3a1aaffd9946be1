"""The authenticator: CTAP 2.1 command bytes in, status and CBOR out.

One instance is one power cycle of one token. It knows no transport; ``server`` and the tests put one before
it. Calls are served one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import Event
from typing import Any, Final

from fido2 import cbor
from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2

from ownerd.softtoken.client_pin import PIN_MIN_CHARACTERS
from ownerd.softtoken.core import AAGUID, FIRMWARE_VERSION, Core, Keepalive
from ownerd.softtoken.get_assertion import Assertions
from ownerd.softtoken.large_blobs import MAX_ARRAY_BYTES, LargeBlobs
from ownerd.softtoken.make_credential import MAX_CREDENTIALS, make_credential
from ownerd.softtoken.parameters import ERR, MAX_LIST, parse_parameters
from ownerd.softtoken.touch import Act

CMD = Ctap2.CMD
MAX_MESSAGE_BYTES: Final = 2048
# CTAP 2.1 section 6.6: a token with a power switch resets only in its first ten seconds.
RESET_WINDOW_SECONDS: Final = 10.0


class Authenticator:
    """A CTAP 2.1 authenticator on top of a `Core`."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._started = core.monotonic()
        self._busy = threading.Lock()
        self._assertions = Assertions(core)
        self._large_blobs = LargeBlobs(
            core.state, core.save, core.pin, max_fragment_bytes=MAX_MESSAGE_BYTES - 64
        )
        self._commands: dict[int, Callable[[dict[int, Any]], dict[int, Any]]] = {
            CMD.MAKE_CREDENTIAL: lambda params: make_credential(core, params),
            CMD.GET_ASSERTION: self._assertions.first,
            CMD.GET_NEXT_ASSERTION: lambda _params: self._assertions.following(),
            CMD.GET_INFO: lambda _params: self.info(),
            CMD.CLIENT_PIN: core.pin.command,
            CMD.RESET: lambda _params: self._reset(),
            CMD.SELECTION: lambda _params: self._select(),
            CMD.LARGE_BLOBS: self._large_blobs.command,
        }

    def call(
        self, request: bytes, cancel: Event | None = None, on_keepalive: Keepalive | None = None
    ) -> bytes:
        """Serve one command. ``cancel`` ends a wait for a touch; ``on_keepalive`` hears of its state.

        Never raises `CtapError`: every error is a status byte.
        """
        with self._busy:
            self.core.cancel = cancel or Event()
            self.core.keepalive = on_keepalive
            try:
                answer = self._serve(request)
            except CtapError as error:
                return bytes([error.code])
            return bytes([ERR.SUCCESS]) + (cbor.encode(answer) if answer else b"")

    def _serve(self, request: bytes) -> dict[int, Any]:
        if not request:
            raise CtapError(ERR.INVALID_LENGTH)
        if len(request) > MAX_MESSAGE_BYTES:
            raise CtapError(ERR.REQUEST_TOO_LARGE)
        command = self._commands.get(request[0])
        if command is None:
            raise CtapError(ERR.INVALID_COMMAND)
        if request[0] != CMD.GET_NEXT_ASSERTION:
            self._assertions.forget()
        return command(parse_parameters(request[1:]))

    def info(self) -> dict[int, Any]:
        """Answer authenticatorGetInfo (6.4)."""
        return {
            0x01: ["FIDO_2_0", "FIDO_2_1"],
            0x02: ["credProtect", "hmac-secret", "largeBlobKey"],
            0x03: bytes(AAGUID),
            0x04: {
                "rk": True,
                "up": True,
                "plat": False,
                "clientPin": self.core.pin.is_set,
                "largeBlobs": True,
                "pinUvAuthToken": True,
            },
            0x05: MAX_MESSAGE_BYTES,
            0x06: [2],
            0x07: MAX_LIST,
            0x08: 32,
            0x09: ["usb"],
            0x0A: [{"alg": ES256.ALGORITHM, "type": "public-key"}],
            0x0B: MAX_ARRAY_BYTES,
            0x0D: PIN_MIN_CHARACTERS,
            0x0E: FIRMWARE_VERSION,
            0x14: MAX_CREDENTIALS - len(self.core.state.credentials),
        }

    def _select(self) -> dict[int, Any]:
        self.core.require_touch(Act.SELECT)
        return {}

    def _reset(self) -> dict[int, Any]:
        if self.core.monotonic() - self._started > RESET_WINDOW_SECONDS:
            raise CtapError(ERR.NOT_ALLOWED)
        self.core.require_touch(Act.RESET)
        self.core.state.clear()
        self.core.pin.forget()
        self.core.save()
        return {}
