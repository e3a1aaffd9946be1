"""authenticatorLargeBlobs (CTAP 2.1 section 6.10): one serialized array, read and written in fragments."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from fido2.ctap import CtapError
from fido2.utils import sha256

from ownerd.softtoken.client_pin import PERMISSION, PinAuthority
from ownerd.softtoken.parameters import ERR, optional, required
from ownerd.softtoken.state import TokenState

MAX_ARRAY_BYTES: Final = 4096
MIN_ARRAY_BYTES: Final = 17


class LargeBlobs:
    """The large-blob array; a write becomes visible when its last fragment is in and its checksum holds."""

    def __init__(
        self, state: TokenState, save: Callable[[], None], pin: PinAuthority, *, max_fragment_bytes: int
    ) -> None:
        self._state = state
        self._save = save
        self._pin = pin
        self._max_fragment_bytes = max_fragment_bytes
        self._draft = b""
        self._expected = 0

    def command(self, params: Mapping[int, Any]) -> dict[int, Any]:
        """Answer one get or one set. Raises `CtapError`."""
        count, fragment = optional(params, 1, int), optional(params, 2, bytes)
        offset = required(params, 3, int)
        if (count is None) == (fragment is None) or offset < 0:
            raise CtapError(ERR.INVALID_PARAMETER)
        if fragment is not None:
            return self._write(params, fragment, offset)
        if count is None or count < 0 or any(key in params for key in (4, 5, 6)):
            raise CtapError(ERR.INVALID_PARAMETER)
        if count > self._max_fragment_bytes:
            raise CtapError(ERR.INVALID_LENGTH)
        if offset > len(self._state.large_blobs):
            raise CtapError(ERR.INVALID_PARAMETER)
        return {1: self._state.large_blobs[offset : offset + count]}

    def _write(self, params: Mapping[int, Any], fragment: bytes, offset: int) -> dict[int, Any]:
        length = optional(params, 4, int)
        if len(fragment) > self._max_fragment_bytes:
            raise CtapError(ERR.INVALID_LENGTH)
        if offset == 0:
            if length is None or length < MIN_ARRAY_BYTES:
                raise CtapError(ERR.INVALID_PARAMETER)
            if length > MAX_ARRAY_BYTES:
                raise CtapError(ERR.LARGE_BLOB_STORAGE_FULL)
        elif length is not None:
            raise CtapError(ERR.INVALID_PARAMETER)
        elif offset != len(self._draft):
            raise CtapError(ERR.INVALID_SEQ)
        self._verify_permission(params, fragment, offset)
        if length is not None:
            self._draft, self._expected = b"", length
        if offset + len(fragment) > self._expected:
            raise CtapError(ERR.INVALID_PARAMETER)
        self._draft += fragment
        if len(self._draft) == self._expected:
            self._finish()
        return {}

    def _verify_permission(self, params: Mapping[int, Any], fragment: bytes, offset: int) -> None:
        if not self._pin.is_set:
            return
        mac = optional(params, 5, bytes)
        if mac is None:
            raise CtapError(ERR.PUAT_REQUIRED)
        message = b"\xff" * 32 + b"\x0c\x00" + struct.pack("<I", offset) + sha256(fragment)
        self._pin.verify_token(optional(params, 6, int), mac, message, PERMISSION.LARGE_BLOB_WRITE, None)

    def _finish(self) -> None:
        array, self._draft, self._expected = self._draft, b"", 0
        if sha256(array[:-16])[:16] != array[-16:]:
            raise CtapError(ERR.INTEGRITY_FAILURE)
        self._state.large_blobs = array
        self._save()
