"""Names that pose as others: what is said, and what is not said of names that do no harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownerd.credential import lookalike
from ownerd.credential.confusables import is_all_confusable, is_mixed, reads_as, scripts, skeleton
from ownerd.credential.lookalike import MAX_NOTES, look_alike_notes

KNOWN = (
    "bookshop.example",
    "shop.example",
    "apple.test",
    "modernbank.co.uk",
    "www.clearwater.test",
    "internationalbank.example",
)
WORDS = (
    *("book", "shop", "bank", "paper", "garden", "water", "train", "music"),
    *("coffee", "bicycle", "market", "post", "news", "phone", "cloud"),
)
YOU_KNOW = "a provider that you know"


def puny(text):
    return "xn--" + text.encode("punycode").decode()


@pytest.mark.parametrize(
    "host",
    [
        *KNOWN,
        "www.shop.example",
        "a.b.bookshop.example",
        "pay.modernbank.co.uk",
        "clearwater.test",
        "login.clearwater.test",
        "SHOP.example",
        "shop.example.",
        "garden.example",
        "workshop.example",
        "ship.example",
        "modern.co.uk",
        "example",
        "localhost",
        "",
        ".",
    ],
)
def test_names_that_do_no_harm_get_no_note(host):
    assert look_alike_notes(host, KNOWN) == ()


@pytest.mark.parametrize(
    ("host", "says", "of"),
    [
        ("bokshop.example", "is 1 letter away from", "bookshop.example"),
        ("boookshop.test", "is 1 letter away from", "bookshop.example"),
        ("bookshpo.example", "is 1 letter away from", "bookshop.example"),
        ("intrenationalbnak.example", "is 2 letters away from", "internationalbank.example"),
        ("www.bokshop.example", "is 1 letter away from", "bookshop.example"),
        ("b00kshop.example", "looks like", "bookshop.example"),
        ("sh0p.example", "looks like", "shop.example"),
        ("app1e.test", "looks like", "apple.test"),
        ("rnodernbank.co.uk", "looks like", "modernbank.co.uk"),
        ("dearwater.test", "looks like", "www.clearwater.test"),
        ("bookshop.test", "has the name of", "bookshop.example"),
        ("modernbank.org.uk", "has the name of", "modernbank.co.uk"),
        ("shop.example.evil.test", "has in it the name of", "shop.example"),
        ("x.shop.example.evil.test", "has in it the name of", "shop.example"),
        ("shop-example.test", "carries the name of", "shop.example"),
        ("my-shop-example.test", "carries the name of", "shop.example"),
        ("shop-example.login.test", "carries the name of", "shop.example"),
        ("bookshop-login.test", "carries the name of", "bookshop.example"),
        ("bookshop.evil.test", "carries the name of", "bookshop.example"),
        ("b00kshop.evil.test", "carries the name of", "bookshop.example"),
    ],
)
def test_a_name_that_resembles_a_known_one_is_told(host, says, of):
    matching = [note for note in look_alike_notes(host, KNOWN) if f'"{of}"' in note]
    assert len(matching) == 1
    assert f'"{host}" {says}' in matching[0]
    assert YOU_KNOW in matching[0]


def test_where_a_name_in_front_really_belongs_is_said():
    (note,) = look_alike_notes("shop.example.evil.test", KNOWN)
    assert note.endswith('and belongs to "evil.test"')


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (
            "\u0430\u0440\u0440\u04cf\u0435",
            'is written in Cyrillic letters that look like Latin ones and reads as "apple"',
        ),
        ("\u03bf\u03c1\u03bf", 'is written in Greek letters that look like Latin ones and reads as "opo"'),
        ("p\u0430ypal", 'mixes letters of Cyrillic and Latin and reads as "paypal"'),
        ("\u043f\u0440\u0438\u043c\u0435\u0440", "has letters outside ASCII (Cyrillic)"),
        ("caf\u00e9", 'has letters outside ASCII (Latin) and reads as "cafe"'),
        ("\u4e2d\u3042a", "has letters outside ASCII (Han, Hiragana, Latin)"),
        ("\u4e2d\u0430", "mixes letters of Cyrillic and Han"),
        ("b\u200book", "has characters that are not seen: <U+200B>"),
        ("b\u202eook", "has characters that are not seen: <U+202E>"),
    ],
)
def test_letters_of_other_scripts_are_described_in_ascii(label, says):
    for host, part in ((f"{puny(label)}.test", puny(label)), (f"www.{puny(label)}.test", puny(label))):
        notes = look_alike_notes(host, ())
        assert len(notes) == 1
        assert notes[0].startswith(f'the part "{part}" of the name {says}')
    (note,) = look_alike_notes(f"{label}.test", ())  # as it would stand if punycode had been undone
    assert note.isascii()
    assert says in note


def test_a_double_in_other_letters_is_held_against_the_known_name():
    notes = look_alike_notes(f"{puny(chr(0x430) + 'pple')}.test", KNOWN)
    assert len(notes) == 2
    assert notes[1].endswith(f'looks like "apple.test", {YOU_KNOW}, and is not it')


@pytest.mark.parametrize("label", ["xn--", "xn--abc-", "xn--99999999999", "xn--a\u0430"])
def test_broken_punycode_is_told(label):
    (note,) = look_alike_notes(f"{label}.test", ())
    assert "is not valid punycode" in note


def test_notes_are_few_deterministic_and_nearest_first():
    known = [f"bookshop{letter}.example" for letter in "abcdefghij"]
    notes = look_alike_notes("bookshop.net.test.bookshopa.example.evil.test", known)
    assert "belongs to" in notes[0]
    many = look_alike_notes("bookshop.other", known)
    assert len(many) == MAX_NOTES
    assert (
        many
        == look_alike_notes("bookshop.other", known[::-1])
        == look_alike_notes("bookshop.other", set(known))
    )


def test_a_known_host_is_no_look_alike_of_another_nor_told_of_its_letters():
    known = ["bookshop.example", "bookshops.example", f"{puny('caf' + chr(0xE9))}.test"]
    for host in known:
        assert look_alike_notes(host, known) == look_alike_notes(f"www.{host}", known) == ()
        others = [other for other in known if other != host]
        assert len(look_alike_notes(host, others)) == 1


def test_siblings_of_one_domain_are_not_held_against_each_other():
    assert look_alike_notes("books1.shop.example", ["books2.shop.example"]) == ()


def test_what_is_no_host_is_held_against_nobody():
    assert look_alike_notes("bookshop.example", ["bookshop", "Buch & Co", ""]) == ()


def distance(one, other):
    """Restricted Damerau-Levenshtein, by its definition."""
    table = {(i, -1): i + 1 for i in range(-1, len(one))} | {(-1, j): j + 1 for j in range(-1, len(other))}
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            cost = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
            if i and j and a == other[j - 1] and one[i - 1] == b:
                cost = min(cost, table[i - 2, j - 2] + 1)
            table[i, j] = cost
    return table[len(one) - 1, len(other) - 1]


@settings(max_examples=400, deadline=None)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.sampled_from([1, 2]))
def test_the_distance_is_the_defined_one_up_to_its_limit(one, other, limit):
    assert lookalike._distance(one, other, limit) == min(distance(one, other), limit + 1)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"(xn--)?[a-z0-9-]{0,20}\.test", fullmatch=True))
def test_any_host_gets_plain_short_ascii_notes(host):
    for note in look_alike_notes(host, KNOWN):
        assert note.isascii()
        assert note.isprintable()
        assert len(note) < 1000


def test_two_hundred_known_providers_are_compared_in_a_moment():
    known = [f"{word}{other}.example" for word in WORDS for other in WORDS]
    assert len(known) >= 200
    look_alike_notes("bookshop.example", known)
    times = []
    for _ in range(20):
        started = time.thread_time()
        look_alike_notes("bookshop.example", known)
        times.append(time.thread_time() - started)
    assert min(times) < 0.002  # 1 ms on an idle machine


def test_the_parts_of_the_tables():
    assert reads_as("\u0440\u0430\u0443\u0440\u0430\u04cf") == "paypal"
    assert reads_as("m\u00fcller") == "muller"
    assert skeleton("c1earvvater") == skeleton("clearwater") == "dearwater"
    assert scripts("ab\u0430\u03b11-") == ("Cyrillic", "Greek", "Latin")
    assert is_mixed(("Cyrillic", "Latin"))
    assert not is_mixed(("Han", "Hiragana", "Katakana", "Latin"))
    assert is_all_confusable("\u0441\u0441\u0441")
    assert not is_all_confusable("\u0441\u0441c")
    assert not is_all_confusable("")
