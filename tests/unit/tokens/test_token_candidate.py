"""Names that come from a device are fit for a prompt."""

from __future__ import annotations

import pytest

from ownerd.tokens.candidate import MAX_NAME_CHARS, printable_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Yubico YubiKey OTP+FIDO+CCID", "Yubico YubiKey OTP+FIDO+CCID"),
        ("  Key\n\x1b[2Jsays:\tyes ", "Key [2Jsays: yes"),
        ("right\u202eleft", "right left"),
        (None, "FIDO2 token"),
        ("\x00\x01", "FIDO2 token"),
        ("x" * 500, "x" * MAX_NAME_CHARS),
    ],
)
def test_a_device_name_is_one_printable_line(text: str | None, shown: str) -> None:
    assert printable_name(text, "FIDO2 token") == shown
