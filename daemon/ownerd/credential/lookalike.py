"""Names that pose as others, in plain sentences for the owner: what a host is written in, and whom it resembles.

It warns and decides nothing. Sentences are ASCII: a name in other letters is described, never drawn. Where a
domain ends and its owner's name begins is guessed (`_registrable`): the list of public suffixes is not here.
`registrable` is for others who have to guess the same.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Collection
from typing import Final, NamedTuple

from ownerd.credential.confusables import is_all_confusable, is_mixed, reads_as, scripts, skeleton
from ownerd.model.plain import shorten, show_plain

MAX_NOTES: Final = 6
MIN_NAME_CHARS: Final = 5  # shorter names are near too many others
MIN_LONG_NAME_CHARS: Final = 10  # from here on two slips are near
_MAX_LABEL_CHARS: Final = 63

# Second-level names under which countries register: co.uk, com.au, ne.jp.
_SECOND_LEVEL = frozenset(
    {
        "ac",
        "co",
        "com",
        "edu",
        "gob",
        "gouv",
        "gov",
        "go",
        "ltd",
        "me",
        "ne",
        "net",
        "nom",
        "or",
        "org",
        "plc",
    }
)


class _Name(NamedTuple):
    """A host taken apart, once: comparing it with many others is done with these.

    ``name`` is the label that somebody registered, decoded from punycode; ``registrable`` is it with what stands
    right of it. ``hyphened`` has the labels up to there, and ``words`` what they read as between hyphens.
    """

    host: str
    registrable: str
    name: str
    reads: str
    skeleton: str
    letters: tuple[frozenset[str], frozenset[str]]
    hyphened: str
    words: frozenset[str]


def _ascii(text: str) -> str:
    shown = show_plain(text)
    return shorten("".join(c if c.isascii() else f"<U+{ord(c):04X}>" for c in shown), 253)


def _decode(label: str) -> str | None:
    """A label in the letters that it stands for, or None where its punycode is broken."""
    if not label.startswith("xn--"):
        return label
    try:
        decoded = label.removeprefix("xn--").encode("ascii").decode("punycode")
        if decoded.isascii() or decoded.encode("punycode") != label.removeprefix("xn--").encode("ascii"):
            return None
        decoded.encode("utf-8")
    except UnicodeError:
        return None
    return decoded.lower()


def _registrable(labels: list[str]) -> int:
    """Place of the registered name: the last but one, or the one before ``co.uk`` and its like."""
    country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return max(len(labels) - (3 if country else 2), 0)


@functools.lru_cache(maxsize=2048)
def _parse(host: str) -> _Name:
    raw = [label[:_MAX_LABEL_CHARS] for label in host.lower().removesuffix(".").split(".")]
    labels = [_decode(label) or label for label in raw]
    place = _registrable(raw)
    name, own = labels[place], labels[: place + 1]
    reads, bones = reads_as(name), [skeleton(label) for label in own]
    return _Name(
        host=".".join(raw),
        registrable=".".join(raw[place:]),
        name=name,
        reads=reads,
        skeleton=bones[-1],
        letters=(frozenset(reads), frozenset(bones[-1])),
        hyphened=f"-{'-.-'.join(own)}-",
        words=frozenset("-".join(bones).split("-")),
    )


def registrable(host: str) -> str:
    """What somebody registered to have ``host``: it alone, or the domain above it."""
    return _parse(host).registrable


def _distance(one: str, other: str, limit: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours (restricted Damerau-Levenshtein).

    Exact up to ``limit`` (1 or more); ``limit`` + 1 where it is more.
    """
    start, longest = 0, min(len(one), len(other))
    while start < longest and one[start] == other[start]:
        start += 1
    end = 0
    while end < longest - start and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    if max(len(one), len(other)) <= 1:  # what is equal at both ends may stay so
        return max(len(one), len(other))
    swapped = one[:2] == other[1::-1]
    if limit == 1:
        return 1 if swapped and len(one) == len(other) == 2 else 2
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    return 1 + min(
        _distance(one[1:], other[1:], limit - 1),
        _distance(one[1:], other, limit - 1),
        _distance(one, other[1:], limit - 1),
        _distance(one[2:], other[2:], limit - 1) if swapped else limit,
    )


def _letter_note(shown: str, label: str | None) -> str | None:
    """What one label is written in, where it is not plain ASCII. ``shown`` is its ASCII form."""
    part = f'the part "{_ascii(shown)}" of the name'
    if label is None:
        return f"{part} is not valid punycode"
    if label.isascii():
        return None
    hidden = [letter for letter in label if unicodedata.category(letter)[0] in "CZ"]
    if hidden:
        return f"{part} has characters that are not seen: {_ascii(''.join(hidden[:4]))}"
    names, reads = scripts(label), reads_as(label)
    look = f' and reads as "{_ascii(reads)}"' if reads.isascii() else ""
    if is_mixed(names):
        return f"{part} mixes letters of {' and '.join(names)}{look}"
    if is_all_confusable(label):
        return (
            f"{part} is written in {names[0] if names else 'other'} letters that look like Latin ones{look}"
        )
    return f"{part} has letters outside ASCII ({', '.join(names) or 'none of a script'}){look}"


def _slips(asking: _Name, known: _Name) -> int | None:
    """By how many slips of a finger the names differ, where it is few for their length."""
    size = len(known.reads)
    limit = 2 if size >= MIN_LONG_NAME_CHARS else 1
    if size < MIN_NAME_CHARS:
        return None
    fewest = limit + 1
    for one, other, letters, known_letters in (
        (asking.reads, known.reads, asking.letters[0], known.letters[0]),
        (asking.skeleton, known.skeleton, asking.letters[1], known.letters[1]),
    ):
        # One slip changes the set of letters by two at most, and the length by one: most names end here.
        if abs(len(one) - len(other)) <= limit and len(letters ^ known_letters) <= 2 * limit:
            fewest = min(fewest, _distance(one, other, limit))
    return fewest if fewest <= limit else None


def _likeness(asking: _Name, known: _Name) -> tuple[int, str] | None:
    """How ``asking`` resembles a known name: rank (0 is nearest) and what to say, or None."""
    if f".{known.registrable}." in f".{asking.host}":
        return 0, f'has in it the name of {{}}, and belongs to "{_ascii(asking.registrable)}"'
    if asking.skeleton == known.skeleton and asking.name != known.name:
        return 1, "looks like {}, and is not it"
    long_enough = len(known.reads) >= MIN_NAME_CHARS
    if long_enough and asking.name == known.name:
        return 3, "has the name of {}, under another ending"
    slips = _slips(asking, known)
    if slips is not None:
        return 2, f"is {slips} letter{'s' * (slips > 1)} away from {{}}"
    joined = f"-{known.registrable.replace('.', '-')}-"
    if joined in asking.hyphened or (long_enough and known.skeleton in asking.words):
        return 4, "carries the name of {}, and is not it"
    return None


def look_alike_notes(host: str, known: Collection[str]) -> tuple[str, ...]:
    """What an owner should know about a host before trusting its name; at most `MAX_NOTES`, nearest first.

    ``known`` are hosts of providers that the owner dealt with. A host that is one of them, or below one, gets
    no note; one of the same registered domain is not held against its siblings.
    """
    asking = _parse(host)
    others = [_parse(other) for other in sorted(set(known)) if "." in other]
    if any(f".{asking.host}".endswith(f".{other.host}") for other in others):
        return ()
    raw = asking.host.split(".")
    letters = (_letter_note(label, _decode(label)) for label in raw)
    notes = [note for note in letters if note is not None]
    found = []
    for other in others:
        likeness = None if other.registrable == asking.registrable else _likeness(asking, other)
        if likeness is not None:
            rank, says = likeness
            who = f'"{_ascii(other.host)}", a provider that you know'
            found.append((rank, f'"{_ascii(asking.host)}" {says.format(who)}'))
    return tuple(dict.fromkeys([*notes, *(text for _, text in sorted(found))]))[:MAX_NOTES]
