"""A token that a finder saw, before anybody spoke to it.

A finder is a callable without arguments that lists candidates and opens nothing that a token would notice.
`Fido2Tokens` takes finders as constructor arguments; `ownerd.tokens.finders` has the real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ownerd.model.token import Transport

if TYPE_CHECKING:
    from fido2.ctap import CtapDevice

    from ownerd.tokens.limit import Limit

MAX_NAME_CHARS: Final = 64


class Candidate(Struct, frozen=True):
    """``id`` is stable while the token stays plugged in; ``open`` runs on the token's worker thread."""

    id: str
    transport: Transport
    name: str
    open: Callable[[Limit], CtapDevice]


Finder = Callable[[], Iterable[Candidate]]


def printable_name(text: str | None, fallback: str) -> str:
    """Make a device's own name fit for a prompt: printable, one line, at most `MAX_NAME_CHARS`."""
    plain = "".join(char if char.isprintable() else " " for char in text or "")
    return " ".join(plain.split())[:MAX_NAME_CHARS].strip() or fallback


def reader_id(name: str) -> str:
    """Id of the candidate in the PC/SC reader of this name."""
    return f"pcsc-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
