"""A PIN as CTAP 2.1, section 6.5.1, has it: text in Unicode NFC, of a bounded length."""

from __future__ import annotations

import unicodedata
from typing import Final

from ownerd.model.errors import PinUnfit, PinWrong
from ownerd.model.secret import Secret

MIN_PIN_CHARS: Final = 4
MAX_PIN_BYTES: Final = 63


def pin_text(pin: Secret, tries: int) -> str:
    """CTAP 2.1, 6.5.1: Unicode NFC, at least 4 code points, at most 63 bytes of UTF-8."""
    try:
        text = unicodedata.normalize("NFC", pin.reveal().decode())
    except UnicodeDecodeError as error:
        raise PinWrong("the PIN is not text", tries_left=tries) from error
    if len(text) < MIN_PIN_CHARS or len(text.encode()) > MAX_PIN_BYTES:
        raise PinWrong("no PIN has this length", tries_left=tries)
    return text


def new_pin_text(pin: Secret, min_chars: int) -> str:
    """As `pin_text`, and as long as the token wants it (getInfo minPINLength). Raises `PinUnfit`."""
    try:
        text = unicodedata.normalize("NFC", pin.reveal().decode())
    except UnicodeDecodeError:
        # The cause is cut off: it holds the bytes that were typed.
        raise PinUnfit("the new PIN is not text") from None
    at_least = max(MIN_PIN_CHARS, min_chars)
    if len(text) < at_least:
        raise PinUnfit(f"the new PIN has fewer than {at_least} characters")
    if len(text.encode()) > MAX_PIN_BYTES or "\0" in text:
        raise PinUnfit(f"the new PIN has more than {MAX_PIN_BYTES} bytes, or a NUL")
    return text
