"""``ownerctl policy``: shown, exported, imported, explained, and edited without losing or leaving a word."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
from tests.rigs.cli import Desk

from ownerctl.policy_edit import BEGINNING
from ownerd.negotiation.policy_text import parse_policy

OLD = 'version = 1\n\n[[rule]]\ndo = "ask"\n'
ASKED = "[s]ave it, [e]dit it again, or [d]iscard it? "


def editor(desk: Desk, script: str) -> dict[str, str]:
    """An editor that runs ``script`` with the file as $1."""
    path = desk.home / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"VISUAL": f"'{path}' --wait", "EDITOR": "false"}


def sent(desk: Desk) -> list[str]:
    return [call[1]["text"] for call in desk.called("change message")]


def left(desk: Desk) -> list[Path]:
    return [path for path in (desk.home / "run/ownerd").iterdir() if path.name != "session-key.json"]


def test_the_policy_is_shown_and_exported_for_the_owner_alone(cli_desk: Desk) -> None:
    ran = cli_desk.run("policy", "show")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("there is no policy, so you are asked about everything;")
    cli_desk.plan(policy=OLD)
    assert cli_desk.run("policy", "show").out == OLD
    assert cli_desk.run("policy", "show", "--json").json == {"policy": OLD}
    path = cli_desk.home / "policy.toml"
    assert cli_desk.run("policy", "export", str(path)).code == 0
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (OLD, 0o600)
    before = len(cli_desk.calls())
    assert cli_desk.run("policy", "export", str(path)).code == 1
    assert len(cli_desk.calls()) == before, "nobody touched for nothing"
    assert cli_desk.run("policy", "export", str(path), "--force").code == 0
    assert cli_desk.run("policy", "export", "-").out == OLD


def test_a_policy_cannot_write_on_the_terminal(cli_desk: Desk) -> None:
    cli_desk.plan(policy="# \x1b[2J\u202e\x07\nversion = 1\n")
    terminal = cli_desk.terminal("policy", "show")
    assert terminal.wait() == 0
    assert "\x1b[2J" not in terminal.shown
    assert "# \\u001b[2J\\u202e\\u0007\r\nversion = 1" in terminal.shown


def test_an_import_is_accepted_whole_or_not_at_all(cli_desk: Desk) -> None:
    assert cli_desk.run("policy", "import", "-", stdin=OLD).out == "policy changed (entry 11)\n"
    ran = cli_desk.run("policy", "import", "-", stdin="broken")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "ownerctl: error: rule 2: unknown word")
    for odd in (b"\xff", "x" * (64 * 1024 + 1)):
        assert cli_desk.run("policy", "import", "-", stdin=odd).code == 1
    assert sent(cli_desk) == [OLD, "broken"]


def test_explain_prints_what_the_daemon_says(cli_desk: Desk) -> None:
    explained = {
        "asker": {"name": "shop.example", "trust": "verified", "alarms": []},
        "decisions": [
            {"claim": "email", "action": "substitute", "rule": 2, "why": "rule 2: an alias"},
            {"claim": "birthdate", "action": "ask", "rule": None, "why": "no rule"},
        ],
        "notes": ["it asks for more than it needs"],
    }
    cli_desk.plan(explained=explained)
    ran = cli_desk.run("policy", "explain", "-", stdin='{"client_id":"x"}\n')
    assert ran.code == 0, ran.err
    assert "email      substitute  2       rule 2: an alias" in ran.out
    assert "birthdate  ask                 no rule" in ran.out
    assert ran.out.endswith("notes  it asks for more than it needs\n")
    assert cli_desk.run("policy", "explain", "-", "--json", stdin="x").json == explained
    assert cli_desk.called("read message")[0][1] == {"what": "explain", "request": '{"client_id":"x"}'}


def test_edit_shows_the_difference_before_the_touch(cli_desk: Desk) -> None:
    cli_desk.plan(policy=OLD)
    keep = (
        f'stat -c %a "$2" "$(dirname "$2")" > {cli_desk.home}/modes; touch "$2~"; sed -i s/ask/refuse/ "$2"'
    )
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, keep))
    terminal.expect(ASKED)
    assert '-do = "ask"\r\n+do = "refuse"\r\n' in terminal.shown
    assert sent(cli_desk) == []
    terminal.type("\n")
    assert terminal.wait() == 0
    assert "policy changed (entry 11)" in terminal.shown
    assert sent(cli_desk) == [OLD.replace("ask", "refuse")]
    assert (cli_desk.home / "modes").read_text().split() == ["600", "700"]
    assert left(cli_desk) == [], "the editor's own copies are gone too"


def test_a_wrong_rule_is_named_and_the_text_kept_to_go_on(cli_desk: Desk) -> None:
    once = 'grep -q broken "$2" && sed -i s/broken/right/ "$2" || echo "# broken" >> "$2"'
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, once))
    terminal.expect(ASKED)
    terminal.type("s\n")
    terminal.expect("ownerctl: error: rule 2: unknown word")
    terminal.expect("is kept in")
    (directory,) = left(cli_desk)
    assert (directory / "policy.toml").read_text() == f"{BEGINNING}# broken\n"
    terminal.expect(f"{ASKED}[Eds]: ")
    terminal.type("\n")
    terminal.expect("+# right")
    terminal.type("s\n")
    assert terminal.wait() == 0
    assert sent(cli_desk) == [f"{BEGINNING}# broken\n", f"{BEGINNING}# right\n"]
    assert left(cli_desk) == []


@pytest.mark.parametrize("ends", ["TouchTimeout", "Dismissed"])
def test_a_missed_touch_loses_nothing(cli_desk: Desk, ends: str) -> None:
    cli_desk.plan(change={"error": ends})
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, 'echo "# more" >> "$2"'))
    terminal.expect(ASKED)
    terminal.type("s\n")
    terminal.expect(f"{ASKED}[Eds]: ")
    cli_desk.plan()
    terminal.type("s\n")
    assert terminal.wait() == 0
    assert sent(cli_desk) == [f"{BEGINNING}# more\n"] * 2


def test_ctrl_c_at_the_prompt_loses_nothing(cli_desk: Desk) -> None:
    cli_desk.plan(change={"do": "wait"})
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, 'echo "# more" >> "$2"'))
    terminal.expect(ASKED)
    terminal.type("s\n")
    cli_desk.wait_called("change")
    terminal.type("\x03")
    terminal.expect(f"{ASKED}[Eds]: ")
    terminal.type("d\n")
    assert terminal.wait() == 3
    assert left(cli_desk) == []


def test_what_is_discarded_or_unchanged_changes_nothing(cli_desk: Desk) -> None:
    cli_desk.plan(policy=OLD)
    terminal = cli_desk.terminal("policy", "edit", VISUAL="true")
    assert terminal.wait() == 0
    assert "nothing changed" in terminal.shown
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, 'echo "# more" >> "$2"'))
    terminal.expect(ASKED)
    terminal.type("d\n")
    assert terminal.wait() == 0
    assert "your text is gone" in terminal.shown
    assert sent(cli_desk) == []
    assert left(cli_desk) == []


def test_ctrl_c_belongs_to_the_editor(cli_desk: Desk) -> None:
    script = (
        f'trap "echo caught >> {cli_desk.home}/caught; exit 0" INT; touch {cli_desk.home}/up; sleep 9 & wait'
    )
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, script))
    while not (cli_desk.home / "up").exists():
        terminal.read(0.05)
    terminal.type("\x03")
    assert terminal.wait() == 0
    assert (cli_desk.home / "caught").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("where", ["editor", "question", "touch"])
def test_a_signal_leaves_no_text_behind(cli_desk: Desk, number: signal.Signals, where: str) -> None:
    cli_desk.plan(change={"do": "wait"})
    script = f'echo "# more" >> "$2"; touch {cli_desk.home}/up' + ("; sleep 9" if where == "editor" else "")
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, script))
    while not (cli_desk.home / "up").exists():
        terminal.read(0.05)
    assert len(left(cli_desk)) == 1
    if where != "editor":
        terminal.expect(ASKED)
    if where == "touch":
        terminal.type("s\n")
        cli_desk.wait_called("change")
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert left(cli_desk) == []


def test_what_a_killed_command_left_is_removed_by_the_next(cli_desk: Desk) -> None:
    home = cli_desk.home / "run/ownerd"
    dead = home / "policy-4194300-x_1"  # above the greatest pid of the kernel's default
    live, other = home / f"policy-{os.getpid()}-y", home / "policy-of-mine"
    for path in (dead, live, other):
        path.mkdir()
        (path / "policy.toml").write_text("SECRET")
    assert cli_desk.terminal("policy", "edit", VISUAL="true").wait() == 0
    assert sorted(left(cli_desk)) == sorted([live, other])


def test_edit_needs_a_terminal_and_an_editor(cli_desk: Desk) -> None:
    ran = cli_desk.run("policy", "edit")
    assert (ran.code, "ownerctl policy export FILE" in ran.err) == (2, True)
    for odd in ("no-such-editor-here", "'"):
        terminal = cli_desk.terminal("policy", "edit", VISUAL=odd)
        terminal.expect("hint: set VISUAL or EDITOR")
        terminal.type("d\n")
        assert terminal.wait() == 1


@pytest.mark.parametrize("spoil", ["others may write", "a link", "no place"])
def test_the_text_is_written_in_a_place_of_ours_alone(
    spoil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ownerctl.errors import FileTrouble
    from ownerctl.policy_edit import private_directory

    home = tmp_path / "run" / "ownerd"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.parent))
    home.parent.mkdir()
    with private_directory() as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IMODE(home.stat().st_mode) == 0o700
    assert list(home.iterdir()) == []
    if spoil == "others may write":
        home.chmod(0o770)
    elif spoil == "a link":
        home.rename(tmp_path / "other")
        home.symlink_to(tmp_path / "other")
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileTrouble), private_directory():
        pass


def test_who_has_no_policy_is_shown_how_one_begins(cli_desk: Desk) -> None:
    terminal = cli_desk.terminal("policy", "edit", **editor(cli_desk, f'cp "$2" {cli_desk.home}/seen'))
    assert terminal.wait() == 0
    assert "nothing changed" in terminal.shown
    assert (cli_desk.home / "seen").read_text() == BEGINNING
    assert parse_policy(BEGINNING).rules == ()
    assert (
        len(
            parse_policy(
                BEGINNING.replace("# [[", "[[")
                .replace("# claims", "claims")
                .replace("# do", "do")
                .replace("# with", "with")
            ).rules
        )
        == 1
    )
