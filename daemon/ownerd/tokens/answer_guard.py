"""A bound on what a token may answer, before anything parses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Final

from fido2.ctap import STATUS, CtapDevice

from ownerd.model.errors import ProtocolBroken

# An attestation with its certificates takes 1 to 2 KB; everything else is far smaller.
MAX_ANSWER_BYTES: Final = 4096


class AnswerGuard(CtapDevice):
    """A device whose answers have 1 to `MAX_ANSWER_BYTES` bytes. Raises `ProtocolBroken` for others."""

    def __init__(self, device: CtapDevice) -> None:
        self._device = device

    @property
    def capabilities(self) -> int:
        """As the device says."""
        return self._device.capabilities

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Pass a command on and look at the size of what comes back."""
        answer = self._device.call(cmd, data, event, on_keepalive)
        if not 0 < len(answer) <= MAX_ANSWER_BYTES:
            raise ProtocolBroken("the token's answer has an impossible size")
        return answer

    def close(self) -> None:
        """Close the device."""
        self._device.close()

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """Finders do that."""
        return iter(())
