"""What every command of the authenticator shares: state, PIN, the touch, the call that is being served."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Event
from typing import Final

from fido2.ctap import STATUS, CtapError
from fido2.utils import sha256
from fido2.webauthn import Aaguid

from ownerd.softtoken.client_pin import PinAuthority
from ownerd.softtoken.parameters import ERR
from ownerd.softtoken.state import Credential, TokenState
from ownerd.softtoken.touch import Act, Answer, Ask, TouchSource

# Ours alone: nobody needs to trust it, but it lets a client show "software token" by name.
AAGUID: Final = Aaguid.parse("6f776e65-7264-4073-8066-74746f6b656e")
FIRMWARE_VERSION: Final = 1
TOUCH_TIMEOUT_SECONDS: Final = 30.0

Keepalive = Callable[[STATUS], None]

_ENDINGS: Final = {
    Answer.REFUSED: ERR.OPERATION_DENIED,
    Answer.TIMED_OUT: ERR.USER_ACTION_TIMEOUT,
    Answer.CANCELLED: ERR.KEEPALIVE_CANCEL,
}


class Core:
    """State and person of one authenticator for one power cycle.

    ``save`` makes ``state`` durable; it is called before anything that depends on it is answered.
    """

    def __init__(
        self,
        state: TokenState,
        save: Callable[[TokenState], None],
        touch: TouchSource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        touch_timeout_seconds: float = TOUCH_TIMEOUT_SECONDS,
    ) -> None:
        self.state = state
        self.monotonic = monotonic
        self.pin = PinAuthority(state, self.save, monotonic=monotonic)
        self._save = save
        self._touch = touch
        self._touch_timeout_seconds = touch_timeout_seconds
        self.cancel = Event()
        self.keepalive: Keepalive | None = None

    def save(self) -> None:
        """Make the state durable."""
        self._save(self.state)

    def random(self, size: int) -> bytes:
        """Random bytes of the operating system."""
        return os.urandom(size)

    def require_touch(self, act: Act, rp_id: str | None = None) -> None:
        """Wait for the touch. Raises `CtapError` for every other ending.

        A cancel that arrives together with the touch wins: nothing is signed for someone who left.
        """
        if self.keepalive is not None:
            self.keepalive(STATUS.UPNEEDED)
        answer = self._touch(Ask(act, rp_id), self.cancel, self._touch_timeout_seconds)
        if self.cancel.is_set():
            raise CtapError(ERR.KEEPALIVE_CANCEL)
        if answer is not Answer.TOUCHED:
            raise CtapError(_ENDINGS[answer])
        if self.keepalive is not None:
            self.keepalive(STATUS.PROCESSING)

    def next_counter(self) -> int:
        """Count one signature, durably, before it is made."""
        self.state.counter += 1
        self.save()
        return self.state.counter

    def find(self, rp_id: str, allow: list[bytes] | None, *, verified: bool) -> list[Credential]:
        """Credentials of ``rp_id`` that may answer, newest first (6.2.2 step 7 with credProtect, 12.1)."""
        if allow is not None:
            found = [self.state.credentials[key] for key in allow if key in self.state.credentials]
        else:
            found = [entry for entry in self.state.credentials.values() if entry.discoverable]
        hidden_from = 3 if allow is not None else 2
        found = [
            entry for entry in found if entry.rp_id == rp_id and (verified or entry.protect < hidden_from)
        ]
        return sorted(found, key=lambda entry: -entry.order)

    def verify_user(
        self, params: dict[int, object], keys: tuple[int, int], message: bytes, permission: int, rp_id: str
    ) -> bool:
        """True when a valid pinUvAuthParam came (keys: its own and its protocol's), False when none came.

        An empty one is a platform asking "which token is it?" (6.1.2 step 1): answered after a touch.
        """
        mac = params.get(keys[0])
        if mac is None:
            return False
        version = params.get(keys[1])
        if not isinstance(mac, bytes) or not (version is None or type(version) is int):
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        if not mac:
            self.require_touch(Act.SELECT)
            raise CtapError(ERR.PIN_INVALID if self.pin.is_set else ERR.PIN_NOT_SET)
        self.pin.verify_token(version, mac, message, permission, rp_id)
        return True


def rp_id_hash(rp_id: str) -> bytes:
    """SHA-256 of an RP id."""
    return sha256(rp_id.encode())
