"""Row 7: long ledgers of every kind of entry, in files: verify, prove, and how much room an entry takes.

``verify-bytes``: every leaf, the root, the newest checkpoint, against reading and hashing the same rows, bare.
``verify-all``: everything, on all cores, against the same number of signatures on all cores, bare. ``prove``: one
proof with the upper nodes at hand, against the bound of two milliseconds; what fetching the nodes costs is in ``more``.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.rigs.long_ledgers import write_long_ledger

from bench.floors import hash_file, hash_leaves, verifications
from bench.measure import Row, Scale, medians, note, timed
from bench.rig import scratch
from ownerctl.cores import cores, verify_on_all_cores
from ownerctl.ledger_file import open_ledger
from ownerctl.proof import nodes_of
from ownerd.ledger.proof import make_proof
from ownerd.ledger.quick import verify_quickly
from ownerd.ledger.verify import Report, verify_ledger

PROOF_BOUND: Final = 0.002
_SIZES: Final = (("1k", 1000), ("100k", 100_000), ("1m", 1_000_000))


def rows(scale: Scale) -> Iterator[Row]:
    """Three sizes; a quick run makes them small and leaves the largest out."""
    for name, entries in _SIZES[:2] if scale.quick else _SIZES:
        size = scale.pick(entries, min(entries, 2500))
        with scratch() as directory:
            path = directory / "ownerd.db"
            note(f"ledger file of {size} entries: making it")
            count = write_long_ledger(path, size)
            rounds = 1 if entries > 100_000 else scale.rounds(3)
            yield _bytes(name, path, count, rounds)
            yield _all(name, path, count, rounds)
            yield _prove(name, path, count, scale.rounds(50))
            yield _room(name, path, count)


def _bytes(name: str, path: Path, count: int, rounds: int) -> Row:
    def ours() -> None:
        with open_ledger(path) as file:
            assert verify_quickly(file.entry_chunks(), file.newest_checkpoint()).ok

    samples = {
        "ours": lambda: timed(ours),
        "floor": lambda: timed(lambda: hash_file(path)),
        "hashing": lambda: _hashing_alone(path),
    }
    found = medians(samples, rounds, warm_up=1)
    against = "bare SELECT of the same rows, SHA-256 of every leaf and node"
    more = {"entries": float(count), "hashing_alone": found["hashing"]}
    what = f"hashes, root and checkpoint of {count} entries"
    return Row(f"verify-bytes-{name}", what, against, found["ours"], found["floor"], more=more)


def _hashing_alone(path: Path) -> float:
    """Seconds of the hashing without SQLite, in portions that fit into memory."""
    connection, seconds = sqlite3.connect(f"file:{path}?mode=ro", uri=True), 0.0
    try:
        cursor = connection.execute("SELECT leaf FROM entry ORDER BY seq")
        while leaves := cursor.fetchmany(10_000):
            begin = time.perf_counter()
            hash_leaves(leaf for (leaf,) in leaves)
            seconds += time.perf_counter() - begin
    finally:
        connection.close()
    return seconds


def _everything(path: Path) -> Report:
    with open_ledger(path) as file:
        total = file.count()
        return verify_on_all_cores(
            lambda settle: verify_ledger(file.entries(), file.checkpoints(), file.openings(), settle=settle),
            total,
        )


def _all(name: str, path: Path, count: int, rounds: int) -> Row:
    report = _everything(path)
    assert report.ok, report.findings[:3]
    raw = _raw_signatures(report.checkpoints, report.approvals)
    samples = {"ours": lambda: timed(lambda: _everything(path)), "raw": lambda: timed(raw)}
    found = medians(samples, rounds, warm_up=0)
    against = (
        f"{report.checkpoints} Ed25519 and {report.approvals} ES256 verifications on {cores()} cores, bare"
    )
    more = {
        "entries_per_second": count / found["ours"],
        "signatures": float(report.checkpoints + report.approvals),
        "memory_bytes": _memory(path),
    }
    what = f"everything in {count} entries"
    return Row(f"verify-all-{name}", what, against, found["ours"], found["raw"], more=more)


def _raw_signatures(checkpoints: int, approvals: int) -> Callable[[], None]:
    workers = cores()

    def run() -> None:
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            shares = [(checkpoints // workers, approvals // workers)] * workers
            list(pool.map(_share, shares))

    return run


def _share(counts: tuple[int, int]) -> None:
    verifications(*counts)()


def _memory(path: Path) -> float:
    """The most that a whole verification held, in bytes, workers apart: a process of its own."""
    command = [
        sys.executable,
        "-c",
        "from bench.ledger_file import measure_memory; measure_memory()",
        str(path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def measure_memory() -> None:
    """Verify the file of the first argument and print how much memory that took."""
    _everything(Path(sys.argv[1]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _prove(name: str, path: Path, count: int, rounds: int) -> Row:
    with open_ledger(path) as file:
        begin = time.perf_counter()
        nodes = nodes_of(file)
        cold = time.perf_counter() - begin
        newest = file.newest_checkpoint()
        assert newest is not None
        size, checkpoint = newest

        def prove(seq: int) -> None:
            leaf = file.leaf(seq)
            assert leaf is not None
            make_proof(leaf, seq, nodes.inclusion_proof(seq, size), checkpoint, {})

        places = iter(range(0, size, max(1, size // (rounds + 10))))
        found = medians({"ours": lambda: timed(lambda: prove(next(places)))}, rounds)
    what = f"prove one of {count} entries"
    return Row(
        f"prove-{name}", what, "a bound of 2 ms", found["ours"], PROOF_BOUND, more={"nodes_seconds": cold}
    )


def _room(name: str, path: Path, count: int) -> Row:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (leaves,) = connection.execute("SELECT sum(length(leaf)) FROM entry").fetchone()
    finally:
        connection.close()
    against = "the bytes of its leaf"
    each = path.stat().st_size / count
    return Row(f"room-{name}", f"one of {count} entries in the file", against, each, leaves / count, unit="B")
