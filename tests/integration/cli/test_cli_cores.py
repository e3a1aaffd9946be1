"""Signatures on all cores: the same report as in place, on good ledgers and on damaged ones; and it can be stopped."""

import os
import signal
import subprocess
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from demo.stage import BIN
from msgspec.structs import replace
from tests.rigs.bus import ROOT
from tests.rigs.ledgers import Tables
from tests.rigs.long_ledgers import long_ledger, write_long_ledger

from ownerctl import cores
from ownerd.ledger.entry import format_leaf, parse_leaf
from ownerd.ledger.findings import Damage
from ownerd.ledger.signatures import Check, holds
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.names import Kind


@pytest.fixture(scope="module")
def good() -> Tables:
    return long_ledger(2000).tables


def everywhere(tables: Tables, workers: int = 2) -> Report:
    openings = [(seq, ciphertext) for seq, _, ciphertext in tables.openings]

    def walk(settle) -> Report:
        return verify_ledger(tables.entries, tables.checkpoints, openings, settle=settle)

    return cores.verify_on_all_cores(walk, len(tables.entries), workers=workers)


def forged(tables: Tables, seq: int) -> Tables:
    """The approval of one entry is by another token, and nothing else is touched."""
    leaf = parse_leaf(tables.entries[seq][1])
    signature = bytearray(leaf.approval.signature)
    signature[-1] ^= 1
    changed = replace(leaf, approval=replace(leaf.approval, signature=bytes(signature)))
    found = tables.copy()
    found.entries[seq] = (seq, format_leaf(changed))
    return found


def of_kind(tables: Tables, kind: Kind) -> int:
    leaves = ((seq, parse_leaf(leaf)) for seq, leaf in tables.entries[5:])
    return next(seq for seq, leaf in leaves if leaf.core.kind is kind and leaf.approval is not None)


def test_a_good_ledger_is_good_everywhere(good):
    assert everywhere(good) == good.verify()
    assert everywhere(good).ok


@pytest.mark.parametrize("kind", [Kind.DISCLOSURE, Kind.KEY_ROTATED])
def test_a_forged_approval_and_all_that_follows_is_found_alike(good, kind):
    bad = forged(good, of_kind(good, kind))
    report = everywhere(bad)
    assert report == bad.verify()
    assert Damage.BAD_APPROVAL in {one.name for one in report.findings}


def test_a_forged_enrolment_takes_its_token_with_it(good):
    """What was believed about later approvals has to be judged anew."""
    report = everywhere(forged(good, 1))
    assert report == forged(good, 1).verify()
    assert sum(one.name is Damage.BAD_APPROVAL for one in report.findings) > 1


def test_forged_checkpoints_are_found_alike(good):
    bad = good.copy()
    for place in (5, 700):
        size, note = bad.checkpoints[place]
        bad.checkpoints[place] = (size, note[:-10] + (b"A" if note[-10:-9] != b"A" else b"B") + note[-9:])
    report = everywhere(bad)
    assert report == bad.verify()
    assert {one.name for one in report.findings} == {Damage.BAD_CHECKPOINT}


def test_the_last_signature_counts_as_the_others_do(good):
    """It is in the batch that is never full."""
    bad = good.copy()
    size, note = bad.checkpoints[-1]
    bad.checkpoints[-1] = (size, note[:-10] + (b"A" if note[-10:-9] != b"A" else b"B") + note[-9:])
    report = everywhere(bad)
    assert not report.ok
    assert report == bad.verify()


def test_a_few_forgeries_are_judged_by_the_workers_alone(good, monkeypatch):
    here, bad = os.getpid(), forged(good, 1)
    expected = bad.verify()

    def elsewhere(check: Check) -> bool:
        assert os.getpid() != here, "walked in place"
        return holds(check)

    monkeypatch.setattr(cores, "holds", elsewhere)
    assert everywhere(bad) == expected


def test_too_many_forgeries_are_not_walked_again_and_again(good, monkeypatch):
    monkeypatch.setattr(cores, "_MAX_FAILED", 10)
    bad = good.copy()
    bad.checkpoints = [(size, note[:-9] + b"AAAAAAA=\n") for size, note in good.checkpoints]
    walks = []

    def walk(settle) -> Report:
        walks.append(settle)
        return verify_ledger(
            bad.entries, bad.checkpoints, [(seq, text) for seq, _, text in bad.openings], settle=settle
        )

    assert not cores.verify_on_all_cores(walk, len(bad.entries), workers=2).ok
    assert len(walks) == 2
    assert walks[1] is holds


def test_a_ledger_full_of_forgeries_is_walked_in_place(good, monkeypatch):
    monkeypatch.setattr(cores, "_MAX_FAILED", 10)
    bad = good.copy()
    bad.checkpoints = [
        (size, note[:-10] + (b"A" if note[-10:-9] != b"A" else b"B") + note[-9:])
        for size, note in good.checkpoints
    ]
    assert everywhere(bad) == bad.verify()


def die(_: object) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def die_later(batch: list[Check]) -> list[int]:
    """Some batches come back, then no more."""
    with LIVES.get_lock():  # who dies with it in hand takes it along
        LIVES.value -= 1
        over = LIVES.value < 0
    return die(batch) if over else []


LIVES = get_context("fork").Value("i", 0)


@pytest.mark.parametrize("end", [die, die_later])
def test_a_worker_that_is_killed_vouches_for_nothing(good, monkeypatch, end):
    monkeypatch.setattr(cores, "_failures", end)
    bad = forged(good, of_kind(good, Kind.DISCLOSURE))
    for tables in (good, bad):
        LIVES.value = 3
        assert everywhere(tables) == tables.verify()
    assert not bad.verify().ok


def test_one_core_or_a_small_ledger_need_no_processes(good, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("no process was wanted")

    monkeypatch.setattr(cores, "_Pool", never)
    assert everywhere(good, workers=1).ok
    small = Tables(good.entries[:0])
    assert everywhere(small).entries == 0


def test_workers_are_gone_when_it_is_interrupted(tmp_path):
    """Ctrl-C reaches the whole process group, as from a terminal."""
    path = tmp_path / "ownerd.db"
    write_long_ledger(path, 4000)
    command = ["env", "--default-signal=INT", BIN / "ownerctl", "ledger", "verify", "--file", str(path)]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children(process.pid), "workers run"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode != 0
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
