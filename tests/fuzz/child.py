"""One target under atheris: ``python -m tests.fuzz.child TARGET LIBFUZZER-ARGUMENTS…``; `tests.fuzz.main` starts it.

``FUZZ_SELF`` is a program that does the same: libFuzzer starts itself anew when it merges.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Final

import atheris

INSTRUMENTED: Final = [
    "ownerd",
    "ownerctl",
    "fido2",
    "vobject",
    "joserfc",
    "rfc8785",
    "tomllib",
    "tests.fuzz.targets",
]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.target import judge, load_target

    target = load_target(sys.argv[1])

from tests.fuzz.mutate import mutate


def _mutate(data: bytes, most: int, seed: int) -> bytes:
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return bytes(atheris.Mutate(data, most))
    made = mutate(data, rng, target.words, is_json=target.form == "json")
    return made if len(made) <= most else made[:most]


def _judge(data: bytes) -> None:
    judge(target, data)


if __name__ == "__main__":
    judge(target, b"")  # what is made once and kept is made now, and counts for nothing below
    atheris.Setup([os.environ.get("FUZZ_SELF", sys.argv[0]), *sys.argv[2:]], _judge, custom_mutator=_mutate)
    atheris.Fuzz()
