"""Random changes to inputs: of bytes, and of JSON as a tree, so that most stay JSON. Used with and without atheris."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

# What parsers trip over: borders of integers, odd text, other types in the place of a type.
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 255, 2**31, 2**53 - 1, 2**53, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e300, 5e-324,
    "", " ", "\x00", "\n", "A" * 43, "A" * 300, "\u202e", "\u00e9", "\U0001f600", "\u2028", "e\u0301", "\ud800", ".", "%",
    "https://shop.example/", "did:web:shop.example", "P1D", "AA", "=", [], [[]], {}, {"": {}}, ["a", "a"],
)  # fmt: skip
MAX_STEPS: Final = 4


def mutate_json(data: bytes, rng: random.Random, words: Sequence[str]) -> bytes | None:
    """Change a JSON text somewhere in its tree; None where it is no JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.randint(1, MAX_STEPS)):
        value = _change(value, rng, words)
    compact = rng.random() < 0.5
    text = json.dumps(
        value,
        ensure_ascii=rng.random() < 0.2,
        sort_keys=compact,
        separators=(",", ":") if compact else None,
    )
    return text.encode("utf-8", "surrogatepass")


def _change(value: Any, rng: random.Random, words: Sequence[str]) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(sorted(value))
        made = dict(value)
        match rng.randrange(8):
            case 0:
                del made[name]
            case 1:
                made[_word(rng, words)] = made[name]
            case 2:
                made[_word(rng, words)] = rng.choice(ODD)
            case _:
                made[name] = _change(made[name], rng, words)
        return made
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        made_list = list(value)
        match rng.randrange(8):
            case 0:
                del made_list[at]
            case 1:
                made_list.insert(at, made_list[rng.randrange(len(made_list))])
            case 2 if len(made_list) < 100:
                made_list *= rng.choice((2, 3, 9))
            case 3:
                rng.shuffle(made_list)
            case _:
                made_list[at] = _change(made_list[at], rng, words)
        return made_list
    return _leaf(value, rng, words)


def _leaf(value: Any, rng: random.Random, words: Sequence[str]) -> Any:
    choice = rng.randrange(6)
    if choice == 0:
        return [value] if rng.random() < 0.5 else {_word(rng, words): value}
    if choice == 1:
        return _word(rng, words)
    if isinstance(value, str) and choice < 5:
        at, end = sorted((rng.randint(0, len(value)), rng.randint(0, len(value))))
        piece = rng.choice(
            (_word(rng, words), value[at:end], "", chr(rng.choice((10, 46, 64, 97, 0x3A, 0x202E))))
        )
        return value[:at] + piece + value[end if rng.random() < 0.5 else at :]
    if isinstance(value, int) and choice < 5:
        return value + rng.choice((-1, 1, 2**32, -(2**53)))
    return rng.choice(ODD)


def _word(rng: random.Random, words: Sequence[str]) -> str:
    return rng.choice(words) if words else "x"


def mutate_bytes(data: bytes, rng: random.Random, words: Sequence[bytes], other: bytes) -> bytes:
    """Change bytes: flip, put in, take out, repeat, or splice with ``other``."""
    made = bytearray(data)
    for _ in range(rng.randint(1, MAX_STEPS)):
        at = rng.randint(0, len(made))
        end = min(len(made), at + rng.choice((1, 1, 2, 4, 16, 64)))
        match rng.randrange(7):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(made):
                made[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                del made[at:end]
            case 3:
                made[at:at] = made[at:end] * rng.choice((1, 2, 8))
            case 4 if words:
                made[at : end if rng.random() < 0.5 else at] = rng.choice(words)
            case 5:
                made[at:] = other[rng.randint(0, len(other)) :]
            case _:
                made[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4)))
    return bytes(made)


def mutate(
    data: bytes, rng: random.Random, words: Sequence[str | bytes], *, is_json: bool, other: bytes = b""
) -> bytes:
    """One random change."""
    if is_json and rng.random() < 0.8:
        texts = [word for word in words if isinstance(word, str)]
        made = mutate_json(data, rng, texts)
        if made is not None:
            return made
    raw = [word.encode("utf-8") if isinstance(word, str) else word for word in words]
    return mutate_bytes(data, rng, raw, other)
