"""``./dev fuzz [MINUTES] [TARGET…]``: the parsers against inputs that coverage chose, MINUTES for each target.

Needs atheris, which ``./dev fuzz`` puts beside the environment and not into it. Without it, or with ``--plain``, inputs are
changed at random with nothing to guide them, and this is said. What is found lies in .fuzz/findings/TARGET; new inputs
that reached new code in .fuzz/corpus/TARGET, and ``--keep`` takes the best of them into tests/fuzz/corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.mutate import mutate
from tests.fuzz.target import CORPUS, HERE, corpus_of, judge, load_target, target_names

ROOM: Final = HERE.parents[1] / ".fuzz"
MAX_MEGABYTES: Final = 1024
UNIT_SECONDS: Final = 20
KEPT_BYTES: Final = 3 * 1024  # of a target, beside its seeds and findings
KEPT_INPUT_BYTES: Final = 1024
_COVERAGE = re.compile(rb"^#\d+\s+(INITED|NEW|REDUCE|RELOAD|pulse|DONE)\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
_RUNS = re.compile(rb"^stat::number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One target's run; coverage is None where nothing measured it."""

    runs: int
    before: int | None
    after: int | None
    findings: list[Path]
    log: str = ""


def has_atheris() -> bool:
    """Whether this interpreter has it."""
    return importlib.util.find_spec("atheris") is not None


def fuzz_guided(name: str, seconds: int) -> Outcome:
    """Run one target under atheris."""
    found, working = _folder("findings", name), _folder("corpus", name)
    earlier = set(found.iterdir())
    made = _child(
        name,
        f"-max_total_time={seconds}",
        f"-max_len={load_target(name).max_bytes}",
        f"-rss_limit_mb={MAX_MEGABYTES}",
        f"-timeout={UNIT_SECONDS}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        str(working),
        str(CORPUS / name),
    )
    coverage = [int(one[1]) for one in _COVERAGE.findall(made.stdout)]
    runs = [int(a or b) for a, b in _RUNS.findall(made.stdout)]
    findings = sorted(set(found.iterdir()) - earlier)
    if made.returncode and not findings:
        raise SystemExit(f"{name}: the fuzzer itself failed\n{made.stdout.decode(errors='replace')[-3000:]}")
    log = made.stdout.decode(errors="replace") if findings else ""
    log = log[max(0, log.find("=== Uncaught")) :].partition("SUMMARY: libFuzzer")[0]
    return Outcome(
        runs[-1] if runs else 0, *((coverage[0], coverage[-1]) if coverage else (None, None)), findings, log
    )


def _child(name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tests.fuzz.child", name]
    again = _folder("again", name) / "again"
    again.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    again.chmod(0o700)
    return subprocess.run(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "FUZZ_SELF": str(again)},
        check=False,
    )


def fuzz_plain(name: str, seconds: int, seed: int) -> Outcome:
    """Replay the corpus and its random changes, unguided; stops at the first finding."""
    target, rng = load_target(name), random.Random(seed)
    inputs = [path.read_bytes() for path in corpus_of(name)]
    end, runs = time.monotonic() + seconds, 0
    pending = list(inputs)
    while time.monotonic() < end:
        data = (
            pending.pop()
            if pending
            else mutate(
                rng.choice(inputs), rng, target.words, is_json=target.form == "json", other=rng.choice(inputs)
            )
        )
        runs += 1
        try:
            judge(target, data)
        except Exception:  # noqa: BLE001 -- whatever comes out is what was looked for
            path = _folder("findings", name) / f"plain-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            return Outcome(runs, None, None, [path], traceback.format_exc())
    return Outcome(runs, None, None, [])


def keep(name: str) -> int:
    """Take inputs from the working corpus that reach what the kept ones do not; returns how many bytes were added."""
    kept = CORPUS / name
    best = _folder("best", name)
    shutil.rmtree(best)
    shutil.copytree(kept, best)
    _child(name, "-merge=1", f"-max_len={KEPT_INPUT_BYTES}", str(best), str(_folder("corpus", name)))
    have = {path.read_bytes() for path in kept.iterdir()}
    room = KEPT_BYTES
    for path in sorted(best.iterdir(), key=lambda one: one.stat().st_size):
        data = path.read_bytes()
        if data in have or len(data) > room:
            continue
        (kept / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        room -= len(data)
    return KEPT_BYTES - room


def _folder(kind: str, name: str) -> Path:
    path = ROOM / kind / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _say(name: str, outcome: Outcome, seconds: float) -> None:
    grown = "unguided" if outcome.before is None else f"coverage {outcome.before} -> {outcome.after}"
    print(f"{name:18} {outcome.runs:9} runs {seconds:6.0f} s  {grown}", flush=True)
    if outcome.log:
        print(outcome.log[-4000:])
    for path in outcome.findings:
        print(f"  FOUND: {os.path.relpath(path)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when something was found."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="coverage-guided fuzzing of every parser")
    parser.add_argument(
        "minutes", nargs="?", type=float, default=1.0, metavar="MINUTES", help="for each target"
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(target_names()))
    parser.add_argument("--plain", action="store_true", help="random changes, without atheris")
    parser.add_argument(
        "--keep", action="store_true", help="afterwards take the best inputs into tests/fuzz/corpus"
    )
    given = parser.parse_intermixed_args(arguments)
    unknown = set(given.targets) - set(target_names())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    guided = has_atheris() and not given.plain
    if not guided:
        seed = random.SystemRandom().getrandbits(32)
        print(f"WITHOUT coverage: {'as asked' if given.plain else 'this Python has no atheris'}; seed {seed}")
    found = False
    for name in given.targets or target_names():
        started, seconds = time.monotonic(), max(1, round(given.minutes * 60))
        outcome = fuzz_guided(name, seconds) if guided else fuzz_plain(name, seconds, seed)
        _say(name, outcome, time.monotonic() - started)
        found = found or bool(outcome.findings)
        if given.keep and guided:
            print(f"  kept {keep(name)} bytes more")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
