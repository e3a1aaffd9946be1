"""What is fuzzed and what must hold: one `Target` a parser, and the judge over all of them.

A target's ``run`` takes any bytes. It may return, or raise an error of `ownerd.model.errors` (and ``may_raise``, where
a function documents another one); it does so within `MAX_SECONDS` of its own CPU time, with a message fit for a
terminal. What it parses it formats back where there is a formatter, and asserts that the bytes are the same.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ownerd.model.errors import InternalError, OwnerdError
from ownerd.model.plain import is_plain

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
MAX_SECONDS: Final = 2.0
MAX_MESSAGE_CHARS: Final = 300


class Finding(AssertionError):
    """An input for which a target does what it must not."""


@dataclass(frozen=True, slots=True)
class Target:
    """``form`` says how inputs are mutated; ``words`` are pieces that the fuzzer may put in."""

    name: str
    run: Callable[[bytes], object]
    form: Literal["bytes", "text", "json"] = "bytes"
    words: tuple[str | bytes, ...] = ()
    may_raise: tuple[type[Exception], ...] = ()
    max_bytes: int = 4096


def target_names() -> list[str]:
    """All targets, by the names of their modules."""
    return sorted(path.stem for path in (HERE / "targets").glob("[!_]*.py"))


def load_target(name: str) -> Target:
    """Import one target's module. Raises `KeyError` for a name that is none."""
    if name not in target_names():
        raise KeyError(name)
    target: Target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
    assert target.name == name
    return target


def corpus_of(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((CORPUS / name).glob("*"))


def judge(target: Target, data: bytes) -> OwnerdError | None:
    """Run one input; return the table's error that came out, or None. Raises `Finding` or what else came out."""
    started = time.perf_counter()
    refused = _run(target, data)
    if time.perf_counter() - started > MAX_SECONDS:
        # Perhaps the machine was busy: its own time counts, which is slow to read.
        started = time.thread_time()
        _run(target, data)
        if time.thread_time() - started > MAX_SECONDS:
            raise Finding("the input takes too long")
    return refused


def _run(target: Target, data: bytes) -> OwnerdError | None:
    try:
        target.run(data)
    except InternalError:
        raise
    except OwnerdError as error:
        _require_fit(str(error))
        return error
    except target.may_raise:
        pass
    return None


def _require_fit(message: str) -> None:
    if not message or len(message) > MAX_MESSAGE_CHARS or not is_plain(message):
        raise Finding("an error's message is empty, too long or not plain")
