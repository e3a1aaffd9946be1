"""What a PKCS#11 module reports (``CKR_…``), as an error of the table.

Messages of the library can name paths, so only our own words go into the table's errors; the cause stays chained.
Imports the library, so it is itself imported on a module's worker only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pkcs11 import exceptions as ckr

from ownerd.model.errors import (
    Busy,
    OwnerdError,
    PinBlocked,
    PinNeeded,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    Unsupported,
)
from ownerd.tokens.limit import GaveUp

# No token, or another one, stands where this one was.
GONE: Final = (ckr.TokenNotPresent, ckr.TokenNotRecognised, ckr.SlotIDInvalid, ckr.DeviceRemoved)

_TABLE: Final[dict[type[Exception], tuple[type[OwnerdError], str]]] = {
    ckr.PinIncorrect: (PinWrong, "wrong PIN"),
    ckr.PinInvalid: (PinWrong, "no PIN of this token has such characters"),
    ckr.PinLenRange: (PinWrong, "no PIN of this token has this length"),
    ckr.PinLocked: (PinBlocked, "the token takes no more PINs"),
    ckr.PinExpired: (PinNeeded, "the token wants a new PIN first"),
    ckr.UserPinNotInitialized: (Unsupported, "the token has no PIN"),
    ckr.DeviceRemoved: (TokenRemoved, "the token went away"),
    # Removing a token closes its sessions (PKCS#11 2.40, section 5.6).
    ckr.SessionClosed: (TokenRemoved, "the token went away"),
    ckr.SessionHandleInvalid: (TokenRemoved, "the token went away"),
    ckr.TokenNotPresent: (TokenMissing, "the token is not present"),
    ckr.TokenNotRecognised: (TokenMissing, "the token is not present"),
    ckr.SlotIDInvalid: (TokenMissing, "the token is not present"),
    ckr.SessionCount: (Busy, "another program uses the token"),
    ckr.OperationActive: (Busy, "the token is in another operation"),
    # A login is a process's own; where it is not, that of others ends with them.
    ckr.UserAlreadyLoggedIn: (Busy, "another program uses the token"),
    ckr.UserTooManyTypes: (Busy, "another program uses the token"),
    ckr.AnotherUserAlreadyLoggedIn: (Busy, "another program uses the token"),
}


def token_error(error: Exception) -> OwnerdError:
    """Return the table's error for ``error``."""
    kind, message = _TABLE.get(
        type(error), (ProtocolBroken, "the PKCS#11 module's answer breaks its protocol")
    )
    return kind(message)


@contextmanager
def as_token_errors() -> Iterator[None]:
    """Translate everything that leaves the block into the error table."""
    try:
        yield
    except (OwnerdError, GaveUp):
        raise
    except Exception as error:
        raise token_error(error) from error
