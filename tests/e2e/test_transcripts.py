"""Transcripts in this directory, replayed with the real ``ownerctl`` over a real bus.

One step is a command and what it does::

    # a comment
    @ {"unlock": {"error": "Dismissed"}}     plan of the scripted agent from here on
    $ ownerctl data set nickname -
    < standard input
    > standard output
    ! standard error
    = exit status, 0 where it is not given

``…`` in an expected line stands for any text within the line.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.rigs.cli import Desk

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@dataclass
class Step:
    """One command of a transcript."""

    line: int
    command: list[str]
    plan: dict[str, object] | None
    stdin: list[str] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: int = 0


def parse_transcript(text: str) -> list[Step]:
    """Read a transcript strictly: a line of another kind is an error, never skipped."""
    steps: list[Step] = []
    plan: dict[str, object] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        mark, rest = line[:1], line[2:]
        if not line or mark == "#":
            continue
        assert line[1:2] in {"", " "}, f"line {number}: no space after the mark"
        if mark == "@":
            plan = json.loads(rest)
        elif mark == "$":
            name, *arguments = shlex.split(rest)
            assert name == "ownerctl", f"line {number}: only ownerctl is run"
            steps.append(Step(number, arguments, plan))
            plan = None
        elif mark in "<>!":
            step = steps[-1]
            {"<": step.stdin, ">": step.out, "!": step.err}[mark].append(rest)
        elif mark == "=":
            steps[-1].code = int(rest)
        else:
            raise AssertionError(f"line {number} is of no kind: {line!r}")
    return steps


def _require_lines(what: str, step: Step, expected: list[str], shown: str) -> None:
    lines = shown.splitlines()
    for index in range(max(len(expected), len(lines))):
        want = expected[index] if index < len(expected) else None
        got = lines[index] if index < len(lines) else None
        pattern = None if want is None else ".*".join(re.escape(part) for part in want.split("…"))
        if got is None or pattern is None or not re.fullmatch(pattern, got):
            pytest.fail(f"line {step.line}: {what}: expected {want!r}, got {got!r}; all of it:\n{shown}")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_transcript(path: Path, cli_desk: Desk) -> None:
    steps = parse_transcript(path.read_text())
    assert steps
    for step in steps:
        if step.plan is not None:
            cli_desk.plan(**step.plan)
        ran = cli_desk.run(*step.command, stdin="".join(f"{line}\n" for line in step.stdin))
        _require_lines("standard output", step, step.out, ran.out)
        _require_lines("standard error", step, step.err, ran.err)
        assert ran.code == step.code, f"line {step.line}: exit status {ran.code}, not {step.code}"


@pytest.mark.parametrize("text", ["ownerctl status", "$ rm -rf /", "$ownerctl status", "~ x"])
def test_a_transcript_is_read_strictly(text: str) -> None:
    with pytest.raises(AssertionError):
        parse_transcript(text)
