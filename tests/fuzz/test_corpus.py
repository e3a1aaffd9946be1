"""Every input that was kept still comes to a good end: what fuzzing once found stays fixed."""

from __future__ import annotations

import json
import random
import tracemalloc

import pytest
from tests.fuzz.chunks import Answers, format_answers
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import SEEDS
from tests.fuzz.target import CORPUS, Finding, Target, corpus_of, judge, load_target, target_names

from ownerd.model.errors import InvalidArgument

MAX_CORPUS_BYTES = 200 * 1024
MAX_PEAK_BYTES = 64 << 20


@pytest.mark.parametrize("name", target_names())
def test_every_kept_input_is_taken_or_refused_by_name_within_bounds(name: str) -> None:
    target, kept = load_target(name), corpus_of(name)
    assert kept, "the target has no corpus"
    tracemalloc.start()
    try:
        outcomes = []
        for path in kept:
            tracemalloc.reset_peak()
            outcomes.append(judge(target, path.read_bytes()))
            assert tracemalloc.get_traced_memory()[1] < MAX_PEAK_BYTES, path.name
    finally:
        tracemalloc.stop()
    assert None in outcomes, "no kept input is taken: the target reaches nothing"


def test_the_corpus_is_small_and_every_part_of_it_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(target_names()) == set(SEEDS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MAX_CORPUS_BYTES


def test_other_errors_long_messages_and_long_runs_are_findings() -> None:
    def raising(error: Exception) -> Target:
        def run(_: bytes) -> None:
            raise error

        return Target("x", run, may_raise=(PermissionError,))

    assert judge(raising(PermissionError()), b"") is None
    assert isinstance(judge(raising(InvalidArgument("not so")), b""), InvalidArgument)
    with pytest.raises(KeyError):
        judge(raising(KeyError()), b"")
    for message in ("", "a" * 301, "a\x1b[2J"):
        with pytest.raises(Finding):
            judge(raising(InvalidArgument(message)), b"")


def test_a_run_that_takes_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.target.MAX_SECONDS", -1.0)
    with pytest.raises(Finding):
        judge(Target("x", lambda _: None), b"")


def test_changes_come_from_the_seed_alone_and_mostly_keep_json_json() -> None:
    data = json.dumps({"a": [1, {"b": "c"}], "d": None}).encode()
    made = [mutate(data, random.Random(seed), ("word",), is_json=True) for seed in range(200)]
    assert made == [mutate(data, random.Random(seed), ("word",), is_json=True) for seed in range(200)]
    assert len(set(made)) > 100
    assert sum(_is_json(one) for one in made) > 120
    assert (
        len({mutate(data, random.Random(seed), (b"w",), is_json=False, other=b"xyz") for seed in range(99)})
        > 50
    )


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def test_answers_are_read_as_they_were_written() -> None:
    written = [b"", b"a", bytes(300)]
    answers = Answers(b"\7" + format_answers(written))
    assert answers.byte() == 7
    assert [answers.next() for _ in range(4)] == [*written, None]
    assert Answers(b"\0\5ab").next() == b"ab"
