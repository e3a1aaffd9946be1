"""``./dev bench --quick`` runs whole and reports every row against a floor. No time is asserted here."""

import json
import subprocess
import sys

import pytest
from bench.main import GROUPS
from tests.rigs.bus import ROOT, require_rig

# Left out where what they measure is not there: another project's package, or the right to read the daemon's memory.
MAY_LACK = {
    "beside-ssh-agent",
    "beside-gpg-agent",
    "beside-secret-service",
    "memory-locked-next",
    "memory-locked-fast",
    "memory-unlocked-next",
    "memory-unlocked-fast",
}
ROWS = {
    "append-small",
    "append-disclosure",
    "disclosure-known",
    "disclosure-claimed",
    "bus-next",
    "bus-fast",
    "bus-grant-next",
    "bus-grant-fast",
    "touch-approve",
    "touch-unlock",
    "added-unlock-fido2",
    "added-approve-fido2",
    "added-unlock-piv",
    "added-approve-piv",
    "unlock-ten",
    "verify-1k",
    "verify-10k",
    "append-100k",
    "append-1m",
    "load-100k",
    *(
        f"{row}-{size}"
        for row in ("verify-bytes", "verify-all", "prove", "room")
        for size in ("1k", "100k", "1m")
    ),
    "negotiate-50",
    "negotiate-rules",
    "request-50",
    "whole-next",
    "whole-fast",
    "whole-unlock-next",
    "whole-unlock-fast",
    "cold-next",
    "cold-fast",
    "start-daemon",
    "memory-daemon",
    "start-help",
}
WORLDS = {"whole", "cold"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    require_rig("dbus-daemon")
    return subprocess.run(
        [sys.executable, str(ROOT / "bench" / "main.py"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
    )


def names(group: str) -> set[str]:
    return set(GROUPS[group][1])


def test_there_is_a_row_for_every_figure():
    assert set().union(*map(names, GROUPS)) == ROWS | MAY_LACK


@pytest.mark.parametrize("group", GROUPS)
def test_every_row_is_measured_against_a_floor_of_the_same_run(group: str):
    # What takes a world of its own for each D-Bus library is tried with one of them.
    rows = [name for name in GROUPS[group][1] if group not in WORLDS or not name.endswith("-fast")]
    done = bench("--quick", "--json", *(f"--only={name}" for name in rows))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    quick = {name for name in rows if not name.endswith("-1m")}  # those take minutes to make
    assert {row["name"] for row in report["rows"]} - MAY_LACK == quick - MAY_LACK
    for row in report["rows"]:
        assert row["floor"] > 0, row
        assert row["ratio"] == row["ours"] / row["floor"]
        assert row["against"], row
    assert report["quick"] is True


@pytest.mark.parametrize(
    ("only", "rows"),
    [("append-small", ["append-small"]), ("request", ["request-50"]), ("unlock", ["unlock-ten"])],
)
def test_a_group_or_a_row_can_be_taken_alone(only: str, rows: list[str]):
    done = bench("--quick", "--json", "--only", only)
    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout)["rows"]] == rows


def test_a_name_that_is_none_is_a_usage_error():
    done = bench("--only", "nothing")
    assert done.returncode == 2
    assert "no row" in done.stderr
