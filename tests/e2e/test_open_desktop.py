"""The link handler: its .desktop file, and the tool as that file starts it."""

from __future__ import annotations

import configparser
import shlex
import subprocess

from demo.stage import BIN, Stage
from tests.rigs.bus import ROOT, require_rig

from ownerctl.openid_uri import SCHEMES

HANDLER = ROOT / "systemd" / "ownerctl-open.desktop"


def _entry() -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(HANDLER.read_text())
    assert parser.sections() == ["Desktop Entry"]
    return dict(parser["Desktop Entry"])


def test_the_desktop_file_validates_without_a_word() -> None:
    require_rig("desktop-file-validate")
    done = subprocess.run(
        ["desktop-file-validate", str(HANDLER)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_takes_the_schemes_that_the_tool_takes_and_lends_a_terminal() -> None:
    entry = _entry()
    handled = {f"x-scheme-handler/{scheme}" for scheme in SCHEMES}
    assert set(entry["MimeType"].rstrip(";").split(";")) == handled
    assert (entry["Terminal"], entry["NoDisplay"]) == ("true", "true")


def test_what_it_starts_shows_an_error_until_it_was_read(stage: Stage) -> None:
    program, *arguments = shlex.split(_entry()["Exec"])
    assert program == "/usr/bin/ownerctl"
    assert arguments[-1] == "%u"
    tool = stage.run(
        "ownerctl", str(BIN / "ownerctl"), *arguments[:-1], "openid4vp://?client_id=a&client_id=b"
    )
    shown = tool.wait_for("press enter to close: ")
    assert "ownerctl: error: the link has client_id twice" in shown
    tool.type("\n")
    assert tool.wait() == 2
