"""``data import`` and ``data export``, and the private file they write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.rigs.cli import Desk

from ownerctl.errors import FileTrouble
from ownerctl.private_file import write_private

CARD = (
    "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada Lovelace\r\nEMAIL:ada@example.org\r\nNOTE:private\r\n"
    "TEL:+441234\r\nEND:VCARD\r\n"
)


def test_import_says_what_it_sets_and_skips(cli_desk: Desk) -> None:
    path = cli_desk.home / "me.vcf"
    path.write_text(CARD)
    ran = cli_desk.run("data", "import", str(path))
    assert (ran.code, ran.out) == (0, "set name, email, phone_number (entry 3)\n")
    assert ran.err.splitlines() == ["skipped: NOTE", "to be set: name, email, phone_number"]
    (message,) = cli_desk.called("change message")
    assert [claim["source"] for claim in message[1]["claims"]] == ["vcard"] * 3
    assert "private" not in str(cli_desk.calls())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Ada\r\nEND:VCARD\r\n", "is neither 3.0 nor 4.0"),
        ("hello", "ownerctl: error: "),
        ("x" * (1 << 20) + "y", "the file is larger than a megabyte"),
    ],
)
def test_what_is_no_card_changes_nothing(cli_desk: Desk, text: str, error: str) -> None:
    ran = cli_desk.run("data", "import", "-", stdin=text)
    assert (ran.code, ran.out) == (1, "")
    assert error in ran.err
    assert cli_desk.called("change message") == []


def test_export_is_private_and_replaces_nothing(cli_desk: Desk) -> None:
    path = cli_desk.home / "me.vcf"
    ran = cli_desk.run("data", "export", "me.vcf")
    assert (ran.code, ran.out) == (0, "wrote 2 claims to me.vcf\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "EMAIL:ada@example.org\r\n" in path.read_bytes().decode()
    touches = len(cli_desk.called("read"))
    ran = cli_desk.run("data", "export", "me.vcf")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "ownerctl: error: the file exists already")
    assert len(cli_desk.called("read")) == touches  # nobody touched a token for nothing
    assert cli_desk.run("data", "export", "me.vcf", "--force", "--json").json["file"] == "me.vcf"


def test_export_to_standard_output_imports_again(cli_desk: Desk) -> None:
    ran = cli_desk.run("data", "export")
    assert ran.err == ""
    back = cli_desk.run("data", "import", "-", stdin=ran.out)
    assert (back.code, back.out) == (0, "set given_name, email (entry 3)\n")
    assert cli_desk.run("data", "export", "--json").json["claims"][0]["name"] == "given_name"


def test_a_link_is_neither_followed_nor_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("kept")
    link.symlink_to(target)
    with pytest.raises(FileTrouble):
        write_private(link, b"new", replace=False)
    write_private(link, b"new", replace=True)
    assert (target.read_text(), link.read_bytes(), link.is_symlink()) == ("kept", b"new", False)


@pytest.mark.parametrize("replace", [True, False])
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileTrouble):
        write_private(tmp_path / "file", b"new", replace=replace)
    assert list(tmp_path.iterdir()) == []
