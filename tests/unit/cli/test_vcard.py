"""vCards of the two versions that are read, and the one that is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerctl.vcard import format_vcard, parse_vcard
from ownerd.model.claim import LABELS
from ownerd.model.errors import InvalidArgument
from ownerd.model.plain import is_plain

ROOT = Path(__file__).parents[3]


def card(*lines: str, version: str = "4.0") -> str:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", "FN:Ada Example", *lines, "END:VCARD", ""])


def claims(*lines: str, version: str = "4.0") -> dict[str, str]:
    found = dict(parse_vcard(card(*lines, version=version)).claims)
    assert found.pop("name") == "Ada Example"
    return found


def skipped(*lines: str, version: str = "4.0") -> list[str]:
    return parse_vcard(card(*lines, version=version)).skipped


# Text that the owner sees as it is; what would be hidden is left out at reading.
TEXT = st.text(
    st.one_of(
        st.sampled_from(list("\\;:,\"^n'\n =äß家🔑")),
        st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"]),
    ),
    min_size=1,
    max_size=90,
).filter(lambda text: bool(text.strip()) and is_plain(text, newlines=True))
WORD = st.from_regex(r"[A-Za-z0-9_+-]{1,12}", fullmatch=True)
VALUES = dict.fromkeys(LABELS, TEXT) | {
    "birthdate": st.dates().map(lambda day: day.isoformat()),
    "gender": st.one_of(st.sampled_from(["male", "female"]), TEXT),
    "phone_number": st.one_of(TEXT, st.from_regex(r"\+[0-9]{3,15}(;ext=[0-9]{1,5})?", fullmatch=True)),
    "locale": st.from_regex(r"[a-z]{2,3}([-_][A-Z]{2})?", fullmatch=True),
    "zoneinfo": st.builds("{}/{}".format, st.from_regex(r"[A-Z][a-z_]{1,12}", fullmatch=True), WORD),
    **dict.fromkeys(
        ("website", "picture", "profile"),
        st.one_of(
            TEXT, st.from_regex(r"https://[a-z0-9.]{1,40}/[a-zA-Z0-9/?&=;,%~_-]{0,90}", fullmatch=True)
        ).filter(lambda text: not text.lower().startswith("data:")),
    ),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    text = format_vcard(values)
    found = parse_vcard(text)
    assert dict(found.claims) == values
    assert found.skipped == []
    assert parse_vcard(text.encode()) == found
    lines = text.encode().split(b"\r\n")
    assert lines[:2] == [b"BEGIN:VCARD", b"VERSION:4.0"]
    assert lines[-2:] == [b"END:VCARD", b""]
    for line in lines:
        assert len(line) <= 75
        line.decode()  # no character is torn
        assert b"\n" not in line
        assert b"\r" not in line


@pytest.mark.parametrize(
    "text",
    [
        "^",
        "^n",
        "^^n",
        "^'",
        '"',
        "\\",
        "\\n",
        "\\\\n",
        "\\\n",
        "\\,;:",
        ",;",
        "a\nb",
        "\n x",
        " x ",
        "\\:",
        "x\\",
        "+43 1; <b>",
        "é" * 80,
    ],
)
def test_awkward_characters_survive_in_every_free_text(text: str) -> None:
    """Each on its own, since together they hide each other's faults."""
    free = set(LABELS) - {"birthdate", "locale", "zoneinfo"}
    values = {name: f"x{text}" if text.startswith("\n") else text for name in free}
    assert dict(parse_vcard(format_vcard(values)).claims) == values


def test_a_claim_name_outside_the_table_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        format_vcard({"shoe_size": "38"})


def test_blank_claims_are_left_out_and_line_ends_made_one() -> None:
    text = format_vcard({"name": "  ", "nickname": "", "address.formatted": "a\r\nb\rc"})
    assert dict(parse_vcard(text).claims) == {"address.formatted": "a\nb\nc"}


def test_a_name_that_is_only_derived_is_not_read_as_a_claim() -> None:
    text = format_vcard({"given_name": "Ada", "family_name": "Grünwald"})
    assert "FN;DERIVED=TRUE:Ada Grünwald\r\n" in text
    assert "name" not in dict(parse_vcard(text).claims)


def test_the_sample_owner_is_read_whole() -> None:
    raw = (ROOT / "demo" / "owner.vcf").read_bytes()
    found = parse_vcard(raw)
    assert found.skipped == []
    assert dict(found.claims)["address.locality"] == "Wien"
    assert format_vcard(dict(found.claims)).encode() == raw


# -- 4.0 property by property --


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "N:Stevenson;John;Philip,Paul;;",
            {"family_name": "Stevenson", "given_name": "John", "middle_name": "Philip Paul"},
        ),
        ("N:Public;John", {"family_name": "Public", "given_name": "John"}),
        ("NICKNAME:Jim\\, the cat", {"nickname": "Jim, the cat"}),
        ("BDAY:19960415", {"birthdate": "1996-04-15"}),
        ("BDAY:1996-04-15", {"birthdate": "1996-04-15"}),
        ("BDAY:19531015T231000Z", {"birthdate": "1953-10-15"}),
        ("BDAY;VALUE=date:20000229", {"birthdate": "2000-02-29"}),
        ("GENDER:M", {"gender": "male"}),
        ("GENDER:f", {"gender": "female"}),
        ("GENDER:O;intersex", {"gender": "intersex"}),
        ("GENDER:;it's complicated", {"gender": "it's complicated"}),
        ("EMAIL;TYPE=work:ada@example.org", {"email": "ada@example.org"}),
        ("item1.EMAIL:ada@example.org", {"email": "ada@example.org"}),
        (
            'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-555-555-5555;ext=5555',
            {"phone_number": "+1-555-555-5555;ext=5555"},
        ),
        ("TEL;VALUE=URI:TEL:+431", {"phone_number": "+431"}),
        ("TEL:(01) 55 5", {"phone_number": "(01) 55 5"}),
        ("LANG;PREF=1:de-AT", {"locale": "de-AT"}),
        ("TZ:Europe/Vienna", {"zoneinfo": "Europe/Vienna"}),
        ("TZ;VALUE=text:America/Argentina/Ushuaia", {"zoneinfo": "America/Argentina/Ushuaia"}),
        ("URL:https://example.org/?a=b;c,d", {"website": "https://example.org/?a=b;c,d"}),
        ("PHOTO:https://example.org/ada.jpg", {"picture": "https://example.org/ada.jpg"}),
        ("SOCIALPROFILE:https://social.example.org/@ada", {"profile": "https://social.example.org/@ada"}),
        ('email;x-unknown=1;X-2="a;b:c":a@example.org', {"email": "a@example.org"}),
    ],
)
def test_a_property_becomes_a_claim(line: str, expected: dict[str, str]) -> None:
    assert claims(line) == expected
    assert skipped(line) == []


def test_an_address_has_its_parts_and_its_label() -> None:
    line = 'ADR;LABEL="Mr. John Q. Public, Esq.\\nMail Drop ^n5^^^\'":;;123 Main Street;Any Town;CA;91921-1234;U.S.A.'
    assert claims(line) == {
        "address.formatted": 'Mr. John Q. Public, Esq.\nMail Drop \n5^"',
        "address.street_address": "123 Main Street",
        "address.locality": "Any Town",
        "address.region": "CA",
        "address.postal_code": "91921-1234",
        "address.country": "U.S.A.",
    }


def test_a_flat_number_is_not_lost() -> None:
    assert claims("ADR:Box 7;Top 12;Main Street 1,House B;Wien;;;") == {
        "address.street_address": "Main Street 1\nHouse B\nTop 12\nBox 7",
        "address.locality": "Wien",
    }


@pytest.mark.parametrize(
    ("lines", "email"),
    [
        (["EMAIL:a@x", "EMAIL:b@x"], "a@x"),
        (["EMAIL:a@x", "EMAIL;PREF=50:b@x", "EMAIL;PREF=2:c@x"], "c@x"),
        (["EMAIL;PREF=1000:a@x", "EMAIL;PREF=100:b@x"], "b@x"),
        (["EMAIL;PREF=x:a@x", "EMAIL:b@x"], "a@x"),
        (["EMAIL;PREF=0:a@x", "EMAIL;PREF=1:b@x"], "b@x"),
        (["EMAIL;TYPE=home:a@x", "EMAIL;TYPE=work,pref:b@x"], "b@x"),
        (["EMAIL:a@x", "EMAIL;HOME;PREF:b@x"], "b@x"),
    ],
)
def test_the_preferred_or_first_one_is_read_and_the_rest_told(lines: list[str], email: str) -> None:
    assert claims(*lines) == {"email": email}
    assert skipped(*lines) == ["EMAIL (another one is preferred or first)"] * (len(lines) - 1)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("BDAY:--0412", "BDAY (no full date)"),
        ("BDAY:1996", "BDAY (no full date)"),
        ("BDAY:1996-04", "BDAY (no full date)"),
        ("BDAY:19960230", "BDAY (no such date)"),
        ("BDAY:00000415", "BDAY (no such date)"),
        ("BDAY;VALUE=text:circa 1800", "BDAY (no date)"),
        ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12", "BDAY (no full date)"),
        ("BDAY:١٩٩٦٠٤١٥", "BDAY (no full date)"),
        ("GENDER:U", "GENDER (no word for it)"),
        ("GENDER:M;Fellow", "GENDER (text)"),
        ("N:A;B;;Dr.;", "N (prefix)"),
        ("N:A;B;;;Jr.", "N (suffix)"),
        ("N:A;B;C;D;E;F", "N (too many components)"),
        ("NICKNAME:Jim,Jimmie", "NICKNAME (further names)"),
        ("TEL;VALUE=uri:sip:ada@example.org", "TEL (not a tel: number)"),
        ("TEL;VALUE=uri:tel:+43 1<b>", "TEL (not a tel: number)"),
        ("LANG:Deutsch (Wien)", "LANG (not a language tag)"),
        ("TZ:-0500", "TZ (not the name of a time zone)"),
        ("TZ;VALUE=utc-offset:-05:00", "TZ (not the name of a time zone)"),
        ("TZ:-05:00; EST; Raleigh/North America", "TZ (not the name of a time zone)"),
        ("PHOTO:data:image/jpeg;base64,MIICajCCAdOgAwIBAgICBEUwDQYJ", "PHOTO (embedded data)"),
        ("ORG:ABC\\, Inc.;North American Division", "ORG"),
        ("X-ABLABEL:_$!<HomePage>!$_", "X-ABLABEL"),
        ("UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1", "UID"),
        ("EMAIL:" + "a" * 17_000, "EMAIL (too long)"),
        ("EMAIL:" + "a" * 200_000, "EMAIL (too long)"),
    ],
)
def test_what_is_left_out_is_told_without_its_value(line: str, told: str) -> None:
    assert skipped(line) == [told]


def test_what_is_about_the_card_alone_is_left_out() -> None:
    assert (
        skipped(
            "PRODID:-//ONLINE DIRECTORY//NONSGML Version 1//EN", "REV:19951031T222710Z", "KIND:individual"
        )
        == []
    )


# -- 3.0 --


def test_a_card_of_a_telephone_is_read() -> None:
    found = parse_vcard(
        "BEGIN:VCARD\nVERSION:3.0\nPRODID:-//Phone//1//EN\nN:Grünwald;Ada;;;\nFN:Ada Grünwald\n"
        "EMAIL;type=INTERNET;type=HOME:home@example.org\nEMAIL;type=INTERNET;type=pref:ada@example.org\n"
        "TEL;type=CELL;type=VOICE;type=pref:+43 1 555\n"
        "item1.ADR;type=HOME;type=pref:;;Beispielgasse 7\\nTop 12;Wien;;1070;Österreich\n"
        "item2.URL;type=pref:https\\://ada.example.org/\nBDAY;value=date:1987-03-14\n"
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/4gxYSUNDX1BST0ZJ\n TEUAAQEAAAxITGlubwIQAABtbnRy\nEND:VCARD\n"
    )
    assert dict(found.claims) == {
        "name": "Ada Grünwald",
        "given_name": "Ada",
        "family_name": "Grünwald",
        "website": "https://ada.example.org/",
        "email": "ada@example.org",
        "birthdate": "1987-03-14",
        "phone_number": "+43 1 555",
        "address.street_address": "Beispielgasse 7\nTop 12",
        "address.locality": "Wien",
        "address.postal_code": "1070",
        "address.country": "Österreich",
    }
    assert found.skipped == ["EMAIL (another one is preferred or first)", "PHOTO (embedded data)"]


def test_the_version_of_3_0_may_stand_anywhere() -> None:
    text = "BEGIN:VCARD\nFN:Ada\nVERSION:3.0\nEND:VCARD\n"
    assert dict(parse_vcard(text).claims) == {"name": "Ada"}
    with pytest.raises(InvalidArgument, match="line 3: VERSION"):
        parse_vcard(text.replace("3.0", "4.0"))


def test_folds_blank_lines_and_a_byte_order_mark_are_read() -> None:
    text = "\ufeffbegin:vcard\r\n\r\nVERSION:4.0\r\nFN:A\r\n d\r\n\ta\r\n  E\r\nend:VCard"
    assert dict(parse_vcard(text).claims) == {"name": "Ada E"}
