"""What a token or its transport reports, as an error of the table.

Error messages of python-fido2 can hold bytes of an answer, so only our own words go into the table's errors; the
cause stays chained for a debugger and is never logged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fido2.ctap import CtapError

from ownerd.model.errors import (
    Busy,
    Cancelled,
    OwnerdError,
    PinBlocked,
    PinNeeded,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    TouchDenied,
    TouchTimeout,
    Unsupported,
)
from ownerd.tokens.holders import name_card_users

ERR = CtapError.ERR

# One authenticator answers OPERATION_DENIED over PC/SC when 30 s went by without a touch.
DENIED_MEANS_TIMEOUT_SECONDS: Final = 25.0

_SCARD_E_SHARING_VIOLATION: Final = 0x8010000B
_SCARD_W_RESET_CARD: Final = 0x80100068

_TABLE: Final[dict[int, tuple[type[OwnerdError], str]]] = {
    ERR.PIN_BLOCKED: (PinBlocked, "the token takes no more PINs"),
    ERR.PIN_AUTH_BLOCKED: (PinBlocked, "the token takes no more PINs until it is re-plugged"),
    ERR.NO_CREDENTIALS: (TokenMissing, "this token is not the enrolled one"),
    ERR.INVALID_CREDENTIAL: (TokenMissing, "this token is not the enrolled one"),
    ERR.USER_ACTION_TIMEOUT: (TouchTimeout, "the token was not touched in time"),
    ERR.ACTION_TIMEOUT: (TouchTimeout, "the token was not touched in time"),
    ERR.TIMEOUT: (TouchTimeout, "the token was not touched in time"),
    ERR.OPERATION_DENIED: (TouchDenied, "the touch was refused on the token"),
    ERR.KEEPALIVE_CANCEL: (Cancelled, "the token cancelled the operation"),
    ERR.CHANNEL_BUSY: (Busy, "another program uses the token"),
    ERR.USER_ACTION_PENDING: (Busy, "the token waits for another touch"),
    ERR.OPERATION_PENDING: (Busy, "the token is in another operation"),
    ERR.PUAT_REQUIRED: (PinNeeded, "the token asks for its PIN"),
    ERR.PIN_NOT_SET: (Unsupported, "the token has no PIN"),
    ERR.PIN_POLICY_VIOLATION: (PinNeeded, "the token wants a new PIN first"),
    ERR.UNSUPPORTED_ALGORITHM: (Unsupported, "the token has no ES256"),
    ERR.KEY_STORE_FULL: (Unsupported, "the token has no room for another credential"),
}


class Undecided(Exception):
    """The token does not say without a touch whether it holds a credential. Stays inside this package."""


def token_error(error: Exception, seconds: float) -> OwnerdError:
    """Return the table's error for ``error``, raised ``seconds`` after the call began."""
    if isinstance(error, CtapError):
        return _ctap_error(error.code, seconds)
    if _is_card_error(error):
        result = getattr(error, "hresult", -1) & 0xFFFFFFFF
        if result in {_SCARD_E_SHARING_VIOLATION, _SCARD_W_RESET_CARD}:
            return Busy(name_card_users("another program uses the token"))
        return TokenRemoved("the token went away")
    if isinstance(error, OSError):
        return TokenRemoved("the token went away")
    # Whatever else comes out of parsing a token's answer is the answer's fault.
    return ProtocolBroken("the token's answer breaks its protocol")


@contextmanager
def as_token_errors() -> Iterator[None]:
    """Translate everything that leaves the block into the error table."""
    started = time.monotonic()
    try:
        yield
    except (OwnerdError, Undecided):
        raise
    except Exception as error:
        raise token_error(error, time.monotonic() - started) from error


def _ctap_error(code: int, seconds: float) -> OwnerdError:
    if code == ERR.PIN_INVALID:
        return PinWrong()
    if code == ERR.OPERATION_DENIED and seconds >= DENIED_MEANS_TIMEOUT_SECONDS:
        return TouchTimeout("the token was not touched in time")
    kind, message = _TABLE.get(code, (ProtocolBroken, "the token reports an error that does not fit"))
    return kind(message)


def _is_card_error(error: Exception) -> bool:
    # pyscard is imported only where a reader is looked for.
    kinds = [
        getattr(sys.modules.get(module), name, None)
        for module, name in (
            ("smartcard.Exceptions", "SmartcardException"),
            ("smartcard.pcsc.PCSCExceptions", "BaseSCardException"),
        )
    ]
    return any(isinstance(error, kind) for kind in kinds if kind is not None)
