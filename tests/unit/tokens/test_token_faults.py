"""Every CTAP status, transport error and parse error becomes its own error of the table."""

from __future__ import annotations

import errno
import struct

import pytest
from cryptography.exceptions import InvalidSignature
from fido2.ctap import CtapError
from fido2.hid import ConnectionFailure
from smartcard.Exceptions import CardConnectionException, NoCardException
from smartcard.pcsc.PCSCExceptions import EstablishContextException

from ownerd.model.errors import OwnerdError, PinWrong, TouchTimeout
from ownerd.tokens.faults import ERR, Undecided, as_token_errors, token_error
from ownerd.tokens.limit import GaveUp

CTAP = {
    ERR.PIN_INVALID: "PinWrong",
    ERR.PIN_BLOCKED: "PinBlocked",
    ERR.PIN_AUTH_BLOCKED: "PinBlocked",
    ERR.NO_CREDENTIALS: "TokenMissing",
    ERR.USER_ACTION_TIMEOUT: "TouchTimeout",
    ERR.ACTION_TIMEOUT: "TouchTimeout",
    ERR.OPERATION_DENIED: "TouchDenied",
    ERR.KEEPALIVE_CANCEL: "Cancelled",
    ERR.CHANNEL_BUSY: "Busy",
    ERR.PUAT_REQUIRED: "PinNeeded",
    ERR.PIN_NOT_SET: "Unsupported",
    ERR.UNSUPPORTED_ALGORITHM: "Unsupported",
    ERR.KEY_STORE_FULL: "Unsupported",
    ERR.INVALID_CBOR: "ProtocolBroken",
    ERR.OTHER: "ProtocolBroken",
    ERR.PIN_AUTH_INVALID: "ProtocolBroken",
}


@pytest.mark.parametrize(("code", "name"), CTAP.items())
def test_a_ctap_status_has_its_error(code: int, name: str) -> None:
    assert token_error(CtapError(code), 1.0).id == name


def test_every_possible_status_byte_has_an_error() -> None:
    for code in range(1, 256):
        assert isinstance(token_error(CtapError(code), 0.0), OwnerdError)


def test_denied_after_half_a_minute_is_a_touch_that_did_not_come() -> None:
    assert token_error(CtapError(ERR.OPERATION_DENIED), 24.9).id == "TouchDenied"
    assert isinstance(token_error(CtapError(ERR.OPERATION_DENIED), 30.0), TouchTimeout)


def test_a_wrong_pin_without_a_counter_claims_none() -> None:
    error = token_error(CtapError(ERR.PIN_INVALID), 0.0)
    assert isinstance(error, PinWrong)
    assert error.tries_left is None


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENODEV, "gone"), "TokenRemoved"),
        (OSError(errno.EIO, "gone"), "TokenRemoved"),
        (BrokenPipeError(), "TokenRemoved"),
        (ConnectionRefusedError(), "TokenRemoved"),
        (NoCardException("no card", hresult=-0x7FEFFFF4), "TokenRemoved"),
        (CardConnectionException("gone", hresult=0x80100069), "TokenRemoved"),
        (CardConnectionException("shared", hresult=-0x7FEFFFF5), "Busy"),
        (CardConnectionException("shared", hresult=0x8010000B), "Busy"),
        (CardConnectionException("reset", hresult=0x80100068), "Busy"),
        (EstablishContextException(0x8010001D), "TokenRemoved"),
        (ConnectionFailure("Wrong channel"), "ProtocolBroken"),
        (struct.error("short"), "ProtocolBroken"),
        (ValueError("Non-canonical CBOR"), "ProtocolBroken"),
        (RecursionError(), "ProtocolBroken"),
        (KeyError(3), "ProtocolBroken"),
        (InvalidSignature(), "ProtocolBroken"),
        (GaveUp(), "ProtocolBroken"),
    ],
)
def test_what_transports_and_parsers_raise_has_its_error(error: Exception, name: str) -> None:
    assert token_error(error, 0.0).id == name


def test_the_bytes_of_an_answer_stay_out_of_the_message() -> None:
    with pytest.raises(OwnerdError) as raised, as_token_errors():
        raise ValueError("Non-canonical CBOR from Authenticator.\nGot: c0ffee")
    assert "c0ffee" not in str(raised.value)
    assert isinstance(raised.value.__cause__, ValueError)


def test_our_own_errors_pass_as_they_are() -> None:
    for error in (PinWrong(tries_left=3), Undecided()):
        with pytest.raises(type(error)) as raised, as_token_errors():
            raise error
        assert raised.value is error
