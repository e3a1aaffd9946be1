"""vCards and claims: RFC 6350 (4.0) written and read, RFC 2426 (3.0) read, 2.1 refused.

One table of properties in both directions; ``parse_vcard(format_vcard(claims))`` gives the claims back. What a card
says beyond them is reported by property name, never dropped in silence, and no message repeats a value:

    FN name          N family_name given_name middle_name   NICKNAME nickname      BDAY birthdate
    GENDER gender    EMAIL email       TEL phone_number     ADR address.*          LANG locale
    TZ zoneinfo      URL website       PHOTO picture        SOCIALPROFILE profile (RFC 9554)
    X-OWNERD-PREFERRED-USERNAME preferred_username
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Final, NamedTuple

from msgspec import Struct

from ownerctl.vcard_lines import (
    ContentLine,
    fold,
    format_parameter,
    format_text,
    parse_lines,
    parse_parameter,
    parse_text,
    split_value,
)
from ownerd.model.claim import LABELS, MAX_VALUE_BYTES
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument
from ownerd.model.plain import is_plain


class ParsedClaim(NamedTuple):
    """A claim that a card holds."""

    name: str
    value: Json


class ParsedCard(Struct, frozen=True):
    """Claims in the order of `LABELS`, and what was left out: property names, with a reason where it helps."""

    claims: list[ParsedClaim]
    skipped: list[str]


class _Skip(Exception):
    """A property that cannot become a claim, with the reason."""


Values = dict[str, str]

_TAG = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)+|UTC")
_DIAL = re.compile(r"\+?[0-9A-Za-z().;=*#%-]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\\\"<>^`{|}\x00-\x20\x7f-\U0010ffff]+")
_MAX_RAW: Final = 8 * MAX_VALUE_BYTES  # more cannot become claims, whatever its escapes and components
_ABOUT_THE_CARD: Final = {"BEGIN", "END", "VERSION", "KIND", "PRODID", "REV"}
_N: Final = ("family_name", "given_name", "middle_name", "prefix", "suffix")
_ADR: Final = ("box", "extension", "street_address", "locality", "region", "postal_code", "country")

# -- one property in: raises _Skip --


def _text_as(claim: str) -> Callable[[ContentLine], Values]:
    return lambda line: {claim: parse_text(line.value)}


def _components(line: ContentLine, names: tuple[str, ...], separator: str) -> Values:
    """Read a structured value; a component that is a list becomes one text."""
    parts = split_value(line.value, ";")
    if len(parts) > len(names):
        raise _Skip("too many components")
    return {
        name: separator.join(filter(None, (parse_text(item) for item in split_value(part, ","))))
        for name, part in zip(names, parts, strict=False)
    }


def _full_name(line: ContentLine) -> Values:
    if "TRUE" in (value.upper() for value in line.parameters.get("DERIVED", [])):
        return {}  # RFC 9554: made from N, only because 4.0 wants an FN
    return {"name": parse_text(line.value)}


def _name(line: ContentLine) -> Values:
    return _components(line, _N, " ")


def _nickname(line: ContentLine) -> Values:
    first, *others = split_value(line.value, ",")
    return {"nickname": parse_text(first)} | ({"further names": "".join(others)} if others else {})


def _birthdate(line: ContentLine) -> Values:
    if line.value_type() == "text":
        raise _Skip("no date")
    match = re.fullmatch(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:T.*)?", line.value, re.ASCII)
    if not match or line.parameters.get("X-APPLE-OMIT-YEAR") == [match[1]]:
        raise _Skip("no full date")
    try:
        return {"birthdate": date(*map(int, match.groups())).isoformat()}
    except ValueError as error:
        raise _Skip("no such date") from error


def _gender(line: ContentLine) -> Values:
    sex, *text = split_value(line.value, ";")
    words = {"M": "male", "F": "female"}
    if sex.upper() in words:
        return {"gender": words[sex.upper()], "text": parse_text("".join(text))}
    if not any(text):
        raise _Skip("no word for it")
    return {"gender": parse_text(text[0])}


def _phone(line: ContentLine) -> Values:
    if line.value_type() != "uri":
        return {"phone_number": parse_text(line.value)}
    number = line.value[4:] if line.value[:4].lower() == "tel:" else ""
    if not _DIAL.fullmatch(number):
        raise _Skip("not a tel: number")
    return {"phone_number": number}


def _address(line: ContentLine) -> Values:
    parts = _components(line, _ADR, "\n")
    # Section 6.3.1 wants the first two empty; where they are not, a flat number would be lost.
    lines = (parts.get("street_address", ""), parts.pop("extension", ""), parts.pop("box", ""))
    parts["street_address"] = "\n".join(filter(None, lines))
    parts["formatted"] = "".join(map(parse_parameter, line.parameters.get("LABEL", [])))
    return {f"address.{name}": value for name, value in parts.items()}


def _matching(claim: str, form: re.Pattern[str], reason: str) -> Callable[[ContentLine], Values]:
    def read(line: ContentLine) -> Values:
        value = parse_text(line.value)
        if not form.fullmatch(value):
            raise _Skip(reason)
        return {claim: value}

    return read


def _link(claim: str) -> Callable[[ContentLine], Values]:
    def read(line: ContentLine) -> Values:
        value = parse_text(line.value)
        if value.lower().startswith("data:") or "ENCODING" in line.parameters:
            raise _Skip("embedded data")
        return {claim: value}

    return read


_READERS: Final[dict[str, Callable[[ContentLine], Values]]] = {
    "FN": _full_name,
    "N": _name,
    "NICKNAME": _nickname,
    "BDAY": _birthdate,
    "GENDER": _gender,
    "EMAIL": _text_as("email"),
    "TEL": _phone,
    "ADR": _address,
    "LANG": _matching("locale", _TAG, "not a language tag"),
    "TZ": _matching("zoneinfo", _ZONE, "not the name of a time zone"),
    "URL": _link("website"),
    "PHOTO": _link("picture"),
    "SOCIALPROFILE": _link("profile"),
    "X-OWNERD-PREFERRED-USERNAME": _text_as("preferred_username"),
}

# -- the card in --


def _body(lines: Iterator[ContentLine]) -> tuple[str, list[ContentLine]]:
    """Return version and properties of the one card. Raises `InvalidArgument`."""
    first = next(lines, None)
    if first is None or (first.name, first.value.strip().upper()) != ("BEGIN", "VCARD"):
        raise InvalidArgument("not a vCard: it does not start with BEGIN:VCARD")
    body: list[ContentLine] = []
    for line in lines:
        if line.name == "BEGIN":
            raise line.refuse("inside a card; a card holds no other")
        if line.name == "END":
            break
        body.append(line)
    else:
        raise InvalidArgument("the vCard has no END:VCARD")
    if line.value.strip().upper() != "VCARD":
        raise line.refuse("does not end the card")
    after = next(lines, None)
    if after is not None:
        if after.name == "BEGIN":
            raise InvalidArgument("the file has several cards; keep the one that is yours")
        raise after.refuse("after the end of the card")
    return _version(body), body


def _version(body: list[ContentLine]) -> str:
    versions = [line for line in body if line.name == "VERSION"]
    if len(versions) != 1:
        raise InvalidArgument("the vCard has no VERSION, or more than one")
    version = versions[0].value.strip()
    if version not in {"3.0", "4.0"}:
        raise versions[0].refuse("is neither 3.0 nor 4.0; export the card in one of these")
    if version == "4.0" and body[0] is not versions[0]:
        raise versions[0].refuse("stands not at the start, where 4.0 has it")
    return version


def _preference(line: ContentLine) -> int:
    """1 is best (section 5.3); ``TYPE=pref`` of 3.0 counts as 1, none at all as 101."""
    given = next(iter(line.parameters.get("PREF", [])), "")
    if re.fullmatch(r"[0-9]{1,3}", given, re.ASCII) and 1 <= int(given) <= 100:
        return int(given)
    return 1 if "pref" in line.types() else 101


def _require_readable(line: ContentLine) -> None:
    encodings = {value.lower() for value in line.parameters.get("ENCODING", [])} | line.types()
    if "quoted-printable" in encodings:
        raise line.refuse("is quoted-printable, which no vCard since 3.0 is")
    charsets = {value.lower() for value in line.parameters.get("CHARSET", [])}
    if charsets - {"utf-8"}:
        raise line.refuse("names another character set than UTF-8")


def _read(line: ContentLine, found: Values, skipped: list[str]) -> None:
    """Add what ``line`` says to ``found``, or why it does not to ``skipped``."""
    try:
        if len(line.value) > _MAX_RAW and line.name != "PHOTO":
            raise _Skip("too long")
        values = {name: value for name, value in _READERS[line.name](line).items() if value.strip()}
    except _Skip as reason:
        skipped.append(f"{line.name} ({reason})")
        return
    for name, value in values.items():
        if name not in LABELS:
            skipped.append(f"{line.name} ({name})")
        elif len(value.encode("utf-8")) > MAX_VALUE_BYTES:
            skipped.append(f"{line.name} (too long)")
        elif not is_plain(value, newlines=True):
            skipped.append(f"{line.name} (hidden characters)")
        else:
            found[name] = value


def parse_vcard(card: str | bytes) -> ParsedCard:
    """Read the claims of one person's card, 3.0 or 4.0.

    Of several e-mail addresses and the like the preferred or first one is read. Raises `InvalidArgument` for what
    is no such card, naming line and property.
    """
    version, body = _body(parse_lines(card))
    found: Values = {}
    skipped: list[str] = []
    best: dict[str, ContentLine] = {}
    for line in body:
        _require_readable(line)
        if line.name == "KIND" and line.value.strip().lower() != "individual":
            raise line.refuse("is not individual; the card is not one person's")
        if line.name in _READERS and (
            line.name not in best or _preference(line) < _preference(best[line.name])
        ):
            best[line.name] = line
    if "FN" not in best:
        raise InvalidArgument(f"the vCard has no FN, which {version} must have")
    for line in body:
        if best.get(line.name) is line:
            _read(line, found, skipped)
        elif line.name in _READERS:
            skipped.append(f"{line.name} (another one is preferred or first)")
        elif line.name not in _ABOUT_THE_CARD:
            skipped.append(line.name[:40])
    return ParsedCard([ParsedClaim(name, found[name]) for name in LABELS if name in found], skipped)


# -- the card out --


def _structure(values: Values, names: tuple[str, ...], prefix: str = "") -> str:
    return ";".join(format_text(values.get(prefix + name, "")) for name in names)


def _format_gender(value: str) -> str:
    return {"male": "GENDER:M", "female": "GENDER:F"}.get(value, f"GENDER:;{format_text(value)}")


def _format_birthdate(value: str) -> str:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        return "BDAY:" + value.replace("-", "")
    return f"BDAY;VALUE=text:{format_text(value)}"


def _format_phone(value: str) -> str:
    if value.startswith("+") and _DIAL.fullmatch(value):
        return f"TEL;VALUE=uri:tel:{value}"
    return f"TEL:{format_text(value)}"


def _format_link(name: str) -> Callable[[str], str]:
    def write(value: str) -> str:
        return f"{name}:{value}" if _URI.fullmatch(value) else f"{name};VALUE=text:{format_text(value)}"

    return write


_WRITERS: Final[dict[str, Callable[[str], str]]] = {
    "nickname": lambda value: f"NICKNAME:{format_text(value)}",
    "birthdate": _format_birthdate,
    "gender": _format_gender,
    "email": lambda value: f"EMAIL:{format_text(value)}",
    "phone_number": _format_phone,
    "locale": lambda value: f"LANG:{format_text(value)}",
    "zoneinfo": lambda value: f"TZ:{format_text(value)}",
    "website": _format_link("URL"),
    "picture": _format_link("PHOTO"),
    "profile": _format_link("SOCIALPROFILE"),
    "preferred_username": lambda value: f"X-OWNERD-PREFERRED-USERNAME:{format_text(value)}",
}


def format_vcard(claims: Mapping[str, Json]) -> str:
    """Write a 4.0 card, CRLF and folded; `parse_vcard` gives the claims back, blank ones excepted.

    Raises `InvalidArgument` for a name that is not in `LABELS`.
    """
    values: Values = {}
    for claim, value in claims.items():
        if claim not in LABELS:
            raise InvalidArgument("a vCard has no place for one of the claims")
        text = str(value).replace("\r\n", "\n").replace("\r", "\n")
        if text.strip():
            values[claim] = text
    lines = ["BEGIN:VCARD", "VERSION:4.0"]
    if "name" in values:
        lines.append(f"FN:{format_text(values['name'])}")
    else:
        given = " ".join(
            values[part] for part in ("given_name", "middle_name", "family_name") if part in values
        )
        lines.append(f"FN;DERIVED=TRUE:{format_text(given)}")
    if values.keys() & set(_N):
        lines.append("N:" + _structure(values, _N))
    if any(name.startswith("address.") for name in values):
        formatted = values.get("address.formatted")
        label = f";LABEL={format_parameter(formatted)}" if formatted else ""
        lines.append(f"ADR{label}:" + _structure(values, _ADR, "address."))
    lines += [write(values[name]) for name, write in _WRITERS.items() if name in values]
    return "".join(map(fold, [*lines, "END:VCARD"]))
