"""The real finders: USB through hidraw, cards through PC/SC, software tokens through their sockets."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Final

from fido2.ctap import CtapDevice
from fido2.hid import CtapHidDevice, list_descriptors
from fido2.hid.base import HidDescriptor

from ownerd.tokens.candidate import Candidate, Finder, printable_name
from ownerd.tokens.limit import Limit
from ownerd.tokens.packets import open_hidraw
from ownerd.tokens.softtoken_socket import find_software

logger = logging.getLogger(__name__)


def find_usb() -> list[Candidate]:
    """FIDO tokens behind /dev/hidraw* that we may open. Not thread-safe: one thread at a time."""
    return [_usb_candidate(descriptor) for descriptor in _descriptors()]


def find_pcsc() -> list[Candidate]:
    """FIDO tokens behind PC/SC readers; none where pyscard or pcscd is missing."""
    try:
        from ownerd.tokens import card
    except ImportError:
        logger.debug("pyscard is not installed")
        return []
    return card.find_cards()


DEFAULT_FINDERS: Final[tuple[Finder, ...]] = (find_usb, find_pcsc, find_software)


def open_usb(descriptor: HidDescriptor, limit: Limit) -> CtapDevice:
    """Open a USB token. Raises `Busy`, `OSError`."""
    connection = open_hidraw(descriptor, limit)
    try:
        return CtapHidDevice(descriptor, connection)
    except BaseException:
        connection.close()
        raise


def _descriptors() -> list[HidDescriptor]:
    # python-fido2 leaves this function untyped.
    found: list[HidDescriptor] = list_descriptors()  # type: ignore[no-untyped-call]
    return found


def _usb_candidate(descriptor: HidDescriptor) -> Candidate:
    path = descriptor.path
    node = Path(path.decode() if isinstance(path, bytes) else path).name
    name = printable_name(descriptor.product_name, "FIDO2 token")
    return Candidate(f"usb-{node}", "usb", name, functools.partial(open_usb, descriptor))
