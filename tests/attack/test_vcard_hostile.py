"""Hostile cards: refused with line and property, in bounded time, and never with a value in the message."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerctl.vcard import format_vcard, parse_vcard
from ownerd.model.errors import InvalidArgument
from ownerd.model.plain import is_plain

HEAD = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada\r\n"
TAIL = "END:VCARD\r\n"
VALUE = "TheOwnersSecretValue"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not start"),
        (VALUE, "line 1: this is not a content line"),
        (f"FN:{VALUE}\n", "does not start"),
        (f"BEGIN:VCALENDAR\nFN:{VALUE}\nEND:VCALENDAR\n", "does not start"),
        (f"BEGIN:VCARD\nVERSION:4.0\nFN:{VALUE}\n", "no END"),
        (f"BEGIN:VCARD\nVERSION:4.0\nFN:{VALUE}\nEND:VCALENDAR\n", "line 4: END does not end the card"),
        (HEAD + TAIL + HEAD + TAIL, "several cards"),
        (HEAD + TAIL + f"FN:{VALUE}\n", "line 5: FN after the end"),
        (HEAD + "BEGIN:VCARD\n" + TAIL + TAIL, "line 4: BEGIN inside a card"),
        (HEAD + "AGENT:\nBEGIN:VCARD\n" + TAIL + TAIL, "line 5: BEGIN inside a card"),
        (f"BEGIN:VCARD\nFN:{VALUE}\nEND:VCARD\n", "no VERSION"),
        (HEAD + "VERSION:4.0\n" + TAIL, "no VERSION, or more than one"),
        (f"BEGIN:VCARD\nVERSION:2.1\nFN:{VALUE}\nEND:VCARD\n", "line 2: VERSION is neither 3.0 nor 4.0"),
        (f"BEGIN:VCARD\nVERSION:5.0\nFN:{VALUE}\nEND:VCARD\n", "neither"),
        (f"BEGIN:VCARD\nVERSION:4.0\nNOTE:{VALUE}\nEND:VCARD\n", "no FN"),
        (HEAD + f"KIND:group\nMEMBER:{VALUE}\n" + TAIL, "line 4: KIND"),
        (HEAD + f"NOTE;ENCODING=QUOTED-PRINTABLE:{VALUE}=\n" + TAIL, "line 4: NOTE is quoted-printable"),
        (HEAD + f"NOTE;QUOTED-PRINTABLE:{VALUE}\n" + TAIL, "line 4: NOTE is quoted-printable"),
        (HEAD + f"NOTE;CHARSET=ISO-8859-1:{VALUE}\n" + TAIL, "line 4: NOTE names another character set"),
        (HEAD + f"NOTE{VALUE}\n" + TAIL, "line 4: this is not a content line"),
        (HEAD + f'NOTE;X="{VALUE}\n' + TAIL, "line 4: NOTE is not a content line"),
        (HEAD + f'NOTE;X=a"{VALUE}":b\n' + TAIL, "line 4: NOTE is not a content line"),
        (HEAD + f"{VALUE * 5} NOTE:b\n" + TAIL, "line 4: this is not a content line"),
        (f" {VALUE}\n" + HEAD + TAIL, "not a content line"),
    ],
)
def test_what_is_no_card_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        parse_vcard(text)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("character", ["\0", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\x9b"])
def test_control_characters_are_refused(character: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^line 5 has a control character$"):
        parse_vcard(HEAD + f"NOTE:a\r\nNICKNAME:a{character}b\r\n" + TAIL)


def test_a_lone_carriage_return_is_no_line_end() -> None:
    with pytest.raises(InvalidArgument, match="line 4 has a control character"):
        parse_vcard(HEAD + "NICKNAME:a\rEMAIL:b\r\n" + TAIL)


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u2066", "\u200f", "\u200b", "\ufeff", "\u2028", "\u00ad", "\u115f", "\U000e0041"],
)
def test_hidden_and_bidi_characters_never_become_a_claim(character: str) -> None:
    found = parse_vcard(HEAD + f"NICKNAME:a{character}b\r\nEMAIL:a@example.org\r\n" + TAIL)
    assert dict(found.claims) == {"name": "Ada", "email": "a@example.org"}
    assert found.skipped == ["NICKNAME (hidden characters)"]


def test_escapes_make_no_control_characters_and_no_new_properties() -> None:
    found = parse_vcard(HEAD + "NICKNAME:a\\nEMAIL:evil@example.org\\0\\r\\x41\\\r\n" + TAIL)
    assert dict(found.claims) == {"name": "Ada", "nickname": "a\nEMAIL:evil@example.org\\0\\r\\x41\\"}


def test_a_claim_cannot_break_out_of_its_line() -> None:
    evil = 'x"\r\nEND:VCARD\r\nBEGIN:VCARD\nEMAIL:evil@example.org;"^n:\\'
    text = format_vcard(
        {"name": evil, "address.formatted": evil, "website": evil, "gender": evil, "phone_number": evil}
    )
    assert text.count("\r\nEND:VCARD") == text.count("BEGIN:VCARD\r\nVERSION") == 1
    assert "email" not in dict(parse_vcard(text).claims)


@pytest.mark.parametrize("codec", ["latin-1", "utf-16", "utf-7", "cp437"])
def test_another_character_set_is_refused_or_harmless(codec: str) -> None:
    raw = (HEAD + "NICKNAME:Änni\r\n" + TAIL).encode(codec)
    if codec == "utf-7":  # is ASCII; what it says is then said literally
        assert dict(parse_vcard(raw).claims)["nickname"] == "+AMQ-nni"
    else:
        with pytest.raises(InvalidArgument, match="not UTF-8"):
            parse_vcard(raw)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        parse_vcard(HEAD + "NICKNAME:\ud800\r\n" + TAIL)


def test_the_bounds_hold() -> None:
    note = "NOTE:" + "a" * (1 << 20) + "\r\n"
    with pytest.raises(InvalidArgument, match="larger than 1048576 bytes"):
        parse_vcard(HEAD + note + TAIL)
    parse_vcard(HEAD + note[: (1 << 20) - len(HEAD + TAIL) - 2] + "\r\n" + TAIL)
    parse_vcard(HEAD + "NOTE:a\r\n" * 496 + TAIL)
    with pytest.raises(InvalidArgument, match="more than 500 properties"):
        parse_vcard(HEAD + "NOTE:a\r\n" * 497 + TAIL)
    with pytest.raises(InvalidArgument, match="more than 500 properties"):
        parse_vcard("BEGIN:VCARD\r\n" + "X:a\r\n" * 500)


MEGABYTE = (1 << 20) - 200
SLOW = {
    "parameters of equal signs": "A;B" + "=" * 5000 + '"',
    "a megabyte of equal signs": "A;B" + "=" * MEGABYTE,
    "quotes that never close": "A;B=" + '"",' * 100_000 + '"',
    "parameters without end": "A" + ";B=c,d" * 150_000,
    "bare parameters": "A" + ";B" * 400_000 + "\t",
    "a name without end": "A" * MEGABYTE,
    "a group without end": "A." * (MEGABYTE // 2),
    "folds without end": "NOTE:" + "\r\n " * 300_000,
    "carriage folds": "NOTE:" + "\n\t" * 400_000,
    "empty lines": "\n" * MEGABYTE,
    "spaces": " " * MEGABYTE,
    "backslashes": "N:" + "\\" * MEGABYTE,
    "components": "N:" + ";" * MEGABYTE,
    "a list": "ADR:" + "," * MEGABYTE,
    "an address of lists": "ADR:" + ";".join(["a," * 70_000] * 7),
    "a time zone": "TZ:" + "a/" * (MEGABYTE // 2) + "!",
    "a language": "LANG:" + "aa-" * (MEGABYTE // 3) + "!",
    "a link": "URL:" + "a" * MEGABYTE,
    "carets": 'ADR;LABEL="' + "^" * MEGABYTE + '":;;;;;;',
}


@pytest.mark.parametrize("line", SLOW.values(), ids=SLOW)
def test_no_card_takes_long(line: str) -> None:
    """vobject's own expression for a line takes exponential time on the first of these."""
    started = time.process_time()
    try:
        said = parse_vcard(HEAD + line + "\r\n" + TAIL).skipped
    except InvalidArgument as error:
        said = [str(error)]
    assert all(len(text) < 100 for text in said)
    assert time.process_time() - started < 1.2


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_nothing_but_invalid_argument_comes_out(body: str | bytes) -> None:
    whole = (
        HEAD.encode()
        + (body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
        + TAIL.encode()
    )
    for card in (body, whole):
        try:
            found = parse_vcard(card)
        except InvalidArgument:
            continue
        assert all(is_plain(value, newlines=True) for _, value in found.claims)


def test_cards_with_flipped_characters_raise_nothing_else() -> None:
    text = format_vcard(
        {"name": "Ada", "address.formatted": "a\nb", "birthdate": "1987-03-14", "phone_number": "+431"}
    )
    dice = random.Random(4)
    read = 0
    for _ in range(3000):
        broken = list(text)
        for _ in range(dice.choice([1, 2, 5])):
            broken[dice.randrange(len(broken))] = dice.choice('\r\n \t;:,="\\^.0-ß\u202e\0AZ')
        try:
            parse_vcard("".join(broken))
            read += 1
        except InvalidArgument:
            pass
    assert 300 < read < 2900
