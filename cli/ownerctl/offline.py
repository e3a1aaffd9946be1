"""The ledger straight from the file: ``verify`` and ``log --offline``, without daemon and token."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.erasures import Erasures
    from ownerd.ledger.findings import Finding
    from ownerd.ledger.verify import Report
    from ownerd.model.encoding import Json

TAMPERED = 5
_BAR_AFTER_SECONDS = 1.0
_REDRAW_SECONDS = 0.1
_BAR_CELLS = 30
_MAX_HEAD_BYTES = 16 * 1024


def database(path: str | None) -> Path:
    """The file that was named, or the one of this user. Raises `NothingThere`."""
    from ownerctl.errors import NothingThere
    from ownerd.model.paths import database_path

    found = Path(path) if path is not None else database_path()
    if not found.exists():
        raise NothingThere("there is no ledger file", hint="run ownerctl setup, or name a file with --file")
    return found


def offline_entries(path: str | None, count: int) -> list[dict[str, Json]]:
    """The newest entries as far as the file shows them: no values, and nothing verified."""
    from collections import deque

    from ownerctl.ledger_file import open_ledger
    from ownerd.ledger.entry import parse_leaf

    with open_ledger(database(path)) as found:
        rows = deque(found.entries(), maxlen=count)
    entries: list[dict[str, Json]] = []
    for seq, data in rows:
        leaf = parse_leaf(data)
        entries.append(
            {
                "seq": seq,
                "time": leaf.core.time,
                "kind": leaf.core.kind.value,
                "approval": leaf.approval is not None,
                "facts": dict(leaf.core.facts),
                "values": None,
            }
        )
    return entries


class Bar:
    """A progress bar on standard error, on a terminal and after a second only."""

    def __init__(self, total: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._total = max(1, total)
        self._now = now
        self._live = sys.stderr.isatty()
        self._started = self._drawn = now()
        self._shown = False

    def __call__(self, done: int) -> None:
        """``done`` of the total are done."""
        now = self._now()
        if not self._live or now - self._started < _BAR_AFTER_SECONDS or now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn, self._shown = now, True
        share = min(1.0, done / self._total)
        filled = round(share * _BAR_CELLS)
        cells = "#" * filled + "-" * (_BAR_CELLS - filled)
        render.draw(f"verifying [{cells}] {share:4.0%}  {done} of {self._total} entries")

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            render.draw("")


def _read_head(path: str) -> bytes:
    from ownerctl.errors import FileTrouble
    from ownerctl.given_file import read_given

    head = read_given(path, "head", _MAX_HEAD_BYTES)
    if len(head) > _MAX_HEAD_BYTES:
        raise FileTrouble("the head is too large to be one")
    if not head.startswith(b"ownerd/"):  # one that is damaged is a finding
        raise FileTrouble(
            "the head is no checkpoint of ownerd",
            hint="ownerctl ledger head prints one, to be kept elsewhere",
        )
    return head


@click.command(epilog=examples("ownerctl ledger verify --key ownerd/0f…+1a2b3c4d+AZ…"))
@click.option("--file", "path", type=click.Path(), help="Verify this database instead of your own.")
@click.option(
    "--key", metavar="VKEY", help="The log's verifier key, as printed at set-up and kept elsewhere."
)
@click.option(
    "--head", "heads", multiple=True, type=click.Path(), help="A checkpoint kept elsewhere (ledger head)."
)
@click.option("--against", type=click.Path(), help="Another copy of the ledger, from another machine or day.")
@click.option(
    "--quick", is_flag=True, help="Only that the bytes are those that the newest checkpoint signed."
)
@output_options
def verify(
    path: str | None,
    key: str | None,
    heads: tuple[str, ...],
    against: str | None,
    quick: bool,  # noqa: FBT001 -- click passes by name
    output: Output,
) -> int:
    """Verify the whole ledger from its file, without daemon and token."""
    from ownerctl.erasures import Erasures
    from ownerctl.errors import UsageTrouble

    kept = [_read_head(head) for head in heads]
    if quick:
        if kept or against is not None:
            raise UsageTrouble("--quick compares with no other head or copy")
        return _quickly(path, key, output)
    file, erasures = database(path), Erasures()
    if against is not None:
        kept += _notes_of(against, file)
    report = _verified(file, key, kept, erasures)
    if against is not None:
        report = _heard(report, file, against, alone=not heads)
    if output.json:
        render.emit_json({**report_json(report), "erasures": erasures.rows})
    else:
        _show(report)
        erasures.show()
    return 0 if report.ok else TAMPERED


def _verified(path: Path, key: str | None, heads: list[bytes], erasures: Erasures) -> Report:
    """The whole report: the log beside the file, then the file, with every signature on all cores."""
    from msgspec.structs import replace

    from ownerctl.cores import verify_on_all_cores
    from ownerctl.ledger_file import open_ledger
    from ownerctl.wal import wal_findings
    from ownerd.ledger.signatures import Settle
    from ownerd.ledger.verify import verify_ledger

    beside = wal_findings(path)
    with open_ledger(path) as found:
        total = found.count()
        bar = Bar(total)

        def walk(settle: Settle) -> Report:
            rows = erasures.watch(found.entries()), found.checkpoints(), found.openings()
            return verify_ledger(*rows, verifier_key=key, heads=heads, progress=bar, settle=settle)

        try:
            report = verify_on_all_cores(walk, total)
        finally:
            bar.clear()
    return replace(report, findings=(*beside, *report.findings))


def _notes_of(against: str, file: Path) -> list[bytes]:
    """The newest checkpoint of another copy, and its newest that signs no more than ``file`` has.

    The second tells a fork that went on longer over there from a later day of this log. Raises `NothingThere`.
    """
    from ownerctl.errors import NothingThere
    from ownerctl.ledger_file import open_ledger

    with open_ledger(database(against)) as other:
        newest = other.newest_checkpoint()
        if newest is None:
            raise NothingThere("the other copy has no checkpoint")
        with open_ledger(file) as mine:
            shared = other.newest_checkpoint(mine.count())
    return [newest[1]] if shared in (None, newest) else [shared[1], newest[1]]


def _heard(report: Report, file: Path, against: str, *, alone: bool) -> Report:
    """The same report, where the other copy names a key that this one does not know: it is asked what it makes of this one.

    A rotation stands in entries that only the longer copy has. What it says counts only if it holds by itself. ``alone``:
    no head was given beside it, so that `BadHead` is about the other copy.
    """
    from msgspec.structs import replace

    from ownerctl.erasures import Erasures
    from ownerctl.ledger_file import open_ledger
    from ownerd.ledger.findings import Damage, Finding

    with open_ledger(file) as found:
        newest = found.newest_checkpoint()
    if newest is None or Damage.BAD_HEAD not in {one.name for one in report.findings}:
        return report
    other = _verified(database(against), None, [newest[1]], Erasures())
    if other.ok and other.entries > report.entries:
        sentence = f"the other copy has {other.entries} entries, and a newer key of the log"
        told = Finding(Damage.ROLLED_BACK, report.entries, other.entries - 1, sentence)
    elif {one.name for one in other.findings} == {Damage.FORKED}:
        sentence = "the other copy has another history, and a newer key of the log"
        told = Finding(Damage.FORKED, 0, newest[0] - 1, sentence)
    else:
        return report
    kept = (one for one in report.findings if not alone or one.name is not Damage.BAD_HEAD)
    return replace(report, findings=(*kept, told))


def _quickly(path: str | None, key: str | None, output: Output) -> int:
    from ownerctl.ledger_file import open_ledger
    from ownerctl.wal import wal_findings
    from ownerd.ledger.quick import verify_quickly
    from ownerd.model.encoding import format_b64u

    file = database(path)
    beside = wal_findings(file)
    with open_ledger(file) as found:
        report = verify_quickly(found.entry_chunks(), found.newest_checkpoint(), verifier_key=key)
    findings, ok = (*beside, *report.findings), report.ok and not beside
    if output.json:
        render.emit_json(
            {
                "ok": ok,
                "quick": True,
                "entries": report.entries,
                "signed": report.signed,
                "root": format_b64u(report.root),
                "verifier_key": report.verifier_key,
                "key_was_given": report.key_was_given,
                "findings": [_finding_json(one) for one in findings],
            }
        )
        return 0 if ok else TAMPERED
    for finding in findings:
        render.emit_line(finding)
    key_from = "given" if report.key_was_given else "the log's own, origin unproven"
    rows: list[tuple[str, object]] = [
        ("result", "the bytes are those that were signed" if ok else "TAMPERED OR DAMAGED"),
        ("key", key_from),
        ("entries", report.entries),
        ("unsigned tail", report.entries - report.signed),
    ]
    render.emit_table(rows)
    render.note("no approval, grant, time or opening was looked at: verify without --quick does")
    return 0 if ok else TAMPERED


def _finding_json(one: Finding) -> dict[str, Json]:
    return {"name": one.name.value, "first": one.first, "last": one.last, "sentence": one.sentence}


def report_json(report: Report) -> dict[str, Json]:
    """The report as JSON; times stay RFC 3339, the root is base64url."""
    from ownerd.model.encoding import format_b64u

    return {
        "ok": report.ok,
        "origin": report.origin,
        "proven_by": report.proven_by,
        "rotations": report.rotations,
        "log": report.log_id,
        "verifier_key": report.verifier_key,
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "root": None if report.root is None else format_b64u(report.root),
        "approvals": report.approvals,
        "unsigned_tail": report.unsigned_tail,
        "erased": report.erased,
        "first_time": report.first_time,
        "last_time": report.last_time,
        "findings": [_finding_json(one) for one in report.findings],
        "findings_left_off": report.findings_left_off,
    }


def _origin(report: Report) -> str:
    """The origin, and which of the log's keys proves it where it had several."""
    if report.proven_by is None or not report.rotations:
        return report.origin
    key = "the first key" if report.proven_by == 0 else f"the key of entry {report.proven_by}"
    return f"{report.origin}, by {key}"


def _show(report: Report) -> None:
    for finding in report.findings:
        render.emit_line(finding)
    if report.findings_left_off:
        render.emit_line(f"and {report.findings_left_off} findings more")
    rows: list[tuple[str, object]] = [
        ("result", "holds" if report.ok else "TAMPERED OR DAMAGED"),
        ("origin", _origin(report)),
        ("log", report.log_id),
        ("entries", report.entries),
        ("checkpoints", report.checkpoints),
        ("approvals", report.approvals),
        ("unsigned tail", report.unsigned_tail),
        ("erased", report.erased),
    ]
    if report.first_time and report.last_time:
        rows.append(("from", render.local_time(report.first_time)))
        rows.append(("to", render.local_time(report.last_time)))
    render.emit_table(rows)
    if not report.ok:
        render.error("the ledger is not what it should be", "keep the file, compare with a backup")
    elif report.origin != "proven":
        render.note("who wrote it is not proven: give --key with the verifier key that setup printed")
