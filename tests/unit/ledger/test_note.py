"""Notes and checkpoints beyond the vectors: inverses, bounds, and what a writer may not write."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.ledgers import steady

from ownerd.ledger.merkle import EMPTY_ROOT
from ownerd.ledger.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteSignature,
    SignedNote,
    format_checkpoint,
    format_note,
    format_verifier_key,
    open_note,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign_note,
)
from ownerd.model.errors import LedgerError, Malformed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = "ownerd/test"
VERIFIER = parse_verifier_key(format_verifier_key(NAME, KEY.public_key()))
LINE = NoteSignature(NAME, b"1234", b"signature")

printable = st.text(st.characters(exclude_categories=("Cs", "Cc")))
texts = st.lists(printable, min_size=1, max_size=5).map(lambda lines: ("\n".join(lines) + "\n").encode())
names = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="+"), min_size=1
)
lines = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))


@steady
@given(texts)
def test_what_is_signed_opens(text):
    assert open_note(sign_note(text, NAME, KEY), VERIFIER) == text


@steady
@given(texts, st.lists(lines, min_size=1, max_size=MAX_SIGNATURES))
def test_notes_read_back(text, signatures):
    note = SignedNote(text, tuple(signatures))
    assert parse_note(format_note(note)) == note


@steady
@given(names, st.binary(min_size=32, max_size=32))
def test_verifier_keys_read_back(name, public):
    key = Ed25519PrivateKey.from_private_bytes(public).public_key()
    parsed = parse_verifier_key(format_verifier_key(name, key))
    assert (parsed.name, parsed.public) == (name, key)


@steady
@given(printable.filter(bool), st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_read_back(origin, size, root):
    found = parse_checkpoint(format_checkpoint(origin, size, root))
    assert (found.origin, found.size, found.root) == (origin, size, root)


@steady
@given(st.binary(max_size=300))
def test_noise_is_malformed_or_canonical(data):
    try:
        note = parse_note(data)
    except Malformed:
        return
    assert format_note(note) == data


def test_every_flipped_bit_of_a_note_is_noticed():
    note = sign_note(format_checkpoint(NAME, 7, EMPTY_ROOT), NAME, KEY)
    for place in range(len(note)):
        for bit in range(8):
            spoiled = note[:place] + bytes([note[place] ^ 1 << bit]) + note[place + 1 :]
            with pytest.raises(LedgerError):
                open_note(spoiled, VERIFIER)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"o\n1\n",
        b"o\n1\nAAAA\n",
        b"\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n+1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "o\n\N{ARABIC-INDIC DIGIT ONE}\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".encode(),
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n",
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
        b"o\xff\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    ],
)
def test_other_texts_are_no_checkpoints(text):
    with pytest.raises(Malformed):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, EMPTY_ROOT),
        ("a\nb", 1, EMPTY_ROOT),
        ("a", -1, EMPTY_ROOT),
        ("a", 1 << 63, EMPTY_ROOT),
        ("a", 1, b""),
    ],
)
def test_other_values_are_no_checkpoints(origin, size, root):
    with pytest.raises(Malformed):
        format_checkpoint(origin, size, root)


@pytest.mark.parametrize(
    "note",
    [
        SignedNote(b"no newline", (LINE,)),
        SignedNote(b"text\n", ()),
        SignedNote(b"text\n", (LINE,) * 17),
        SignedNote(b"text\n", (NoteSignature(NAME, b"123", b"s"),)),
        SignedNote(b"text\n", (NoteSignature(NAME, b"1234", b""),)),
        SignedNote(b"text\n", (NoteSignature("a b", b"1234", b"s"),)),
        SignedNote(b"x" * MAX_NOTE_BYTES + b"\n", (LINE,)),
    ],
)
def test_what_would_not_read_back_is_not_written(note):
    with pytest.raises(Malformed):
        format_note(note)


def test_a_note_is_bounded():
    with pytest.raises(Malformed):
        parse_note(b"x" * MAX_NOTE_BYTES + b"\n")


@pytest.mark.parametrize("name", ["x\udcff", "\ud800"])
def test_a_key_whose_name_is_no_utf8_is_no_key(name):
    good = format_verifier_key("x", KEY.public_key())
    with pytest.raises(Malformed):
        parse_verifier_key(good.replace("x", name, 1))
    with pytest.raises(Malformed):
        format_verifier_key(name, KEY.public_key())
