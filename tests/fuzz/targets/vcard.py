"""A vCard that the owner imports; what is read and written is read alike."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerctl.vcard import format_vcard, parse_vcard


def run(data: bytes) -> None:
    claims = dict(parse_vcard(data).claims)
    again = dict(parse_vcard(format_vcard(claims)).claims)
    assert again == claims, "what was written is not read alike"


TARGET = Target(
    "vcard",
    run,
    form="text",
    words=(
        "BEGIN:VCARD\r\n", "END:VCARD\r\n", "VERSION:4.0\r\n", "VERSION:3.0\r\n", "FN:", "N:", "ADR", "TEL", "EMAIL", "BDAY:", "GENDER:",
        "LANG:", "TZ:", "URL:", "PHOTO", "SOCIALPROFILE", "NICKNAME:", ";TYPE=", ";PREF=1", ";LABEL=", ";VALUE=uri:", ";VALUE=text:",
        ";DERIVED=TRUE", ";ENCODING=", "\r\n ", "\\n", "\\;", "\\,", "^n", "^'", '"', "tel:", "=\r\n", "X-OWNERD-PREFERRED-USERNAME:",
    ),
)  # fmt: skip
