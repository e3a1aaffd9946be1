"""``./dev bench``: every figure next to its floor of the same run, and how many floors it is high.

``--json`` prints one JSON value; ``--quick`` shows that everything runs, its figures say little; ``--only NAME``
(again and again) takes a group, or rows whose name begins so. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import describe
from bench.measure import Row, Scale, note

# name: (module, its rows), in the order of the report
GROUPS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "append": ("bench.append", ("append-small", "append-disclosure")),
    "disclosure": ("bench.disclosure", ("disclosure-known", "disclosure-claimed")),
    "bus": ("bench.bus", ("bus-next", "bus-grant-next", "bus-fast", "bus-grant-fast")),
    "touch": ("bench.touch", ("touch-approve", "touch-unlock")),
    "added": (
        "bench.added",
        ("added-unlock-fido2", "added-approve-fido2", "added-unlock-piv", "added-approve-piv"),
    ),
    "unlock": ("bench.unlocking", ("unlock-ten",)),
    "ledger": ("bench.ledger", ("verify-1k", "verify-10k", "append-100k", "append-1m", "load-100k")),
    "ledger-file": (
        "bench.ledger_file",
        tuple(
            f"{row}-{size}"
            for size in ("1k", "100k", "1m")
            for row in ("verify-bytes", "verify-all", "prove", "room")
        ),
    ),
    "negotiation": ("bench.negotiation", ("negotiate-50", "negotiate-rules", "request-50")),
    "whole": (
        "bench.whole",
        tuple(
            f"{row}-{library}"
            for library in ("next", "fast")
            for row in ("whole", "whole-unlock", "memory-locked", "memory-unlocked")
        ),
    ),
    "cold": ("bench.cold", ("cold-next", "cold-fast")),
    "beside": ("bench.beside", ("beside-ssh-agent", "beside-gpg-agent", "beside-secret-service")),
    "start": ("bench.startup", ("start-daemon", "memory-daemon", "start-help")),
}


def wanted_rows(group: str, only: list[str]) -> list[str]:
    """Rows of ``group`` that ``--only`` asks for: by the group's name, or by how their own begins."""
    names = GROUPS[group][1]
    if not only or group in only:
        return list(names)
    return [name for name in names if name.startswith(tuple(only))]


def run(only: list[str], scale: Scale) -> Iterator[Row]:
    """Measure the wanted groups in order."""
    for group, (module, names) in GROUPS.items():
        wanted = wanted_rows(group, only)
        if not wanted:
            continue
        note(group)
        for row in import_module(module).rows(replace(scale, rows=frozenset(wanted))):
            if row.name not in names:
                raise RuntimeError(f"{row.name} is missing in GROUPS")
            if row.name in wanted:
                yield row


def format_value(value: float, unit: str) -> str:
    """A figure with three digits and a unit that suits it."""
    if unit == "B":
        return f"{value / 2**20:.3g} MiB" if value >= 2**20 else f"{value:.0f} B"
    for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or name == "µs":
            return f"{value * factor:.3g} {name}"
    raise AssertionError(value)


def format_table(rows: list[Row], machine: dict[str, str]) -> str:
    """The report as text."""
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines.append(f"{'row':<20}{'ours':>10}{'floor':>10}{'ratio':>8}  what")
    for row in rows:
        ours, floor = format_value(row.ours, row.unit), format_value(row.floor, row.unit)
        lines.append(f"{row.name:<20}{ours:>10}{floor:>10}{row.ratio:>8.2f}  {row.what}")
        lines.append(f"{'':<50}against {row.against}")
    return "\n".join(lines)


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure against the floor.")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these rows alone")
    arguments = parser.parse_args()
    if not any(wanted_rows(group, arguments.only) for group in GROUPS):
        parser.error("no row has such a name")
    scale, machine = Scale(arguments.quick), describe()
    rows = list(run(arguments.only, scale))
    if arguments.json:
        report = {"machine": machine, "quick": scale.quick, "rows": [row.as_json() for row in rows]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(format_table(rows, machine))
    return 0


if __name__ == "__main__":
    sys.exit(main())
