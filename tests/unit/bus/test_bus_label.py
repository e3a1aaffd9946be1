"""Labels: what is read from a caller's surroundings, and what may be shown of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.bus.label import (
    clean_label,
    clean_text,
    is_interpreter,
    name_program,
    parse_cgroup,
    parse_flatpak_info,
    parse_security_label,
    parse_start_ticks,
)


@pytest.mark.parametrize(
    ("unit", "app"),
    [
        ("app-gnome-org.example.Mail-1234.scope", "org.example.Mail"),
        ("app-org.example.Mail-1234.scope", "org.example.Mail"),
        ("app-flatpak-org.example.Mail-1234.scope", "org.example.Mail"),
        (r"app-gnome-my\x2deditor-7.scope", "my-editor"),
        ("app-org.example.Mail@autostart.service", "org.example.Mail"),
        ("app-gnome-org.example.Mail@12.service", "org.example.Mail"),
        ("app-org.example.Mail.service", "org.example.Mail"),
        ("app-org.example.Mail.service/helper", "org.example.Mail"),
        ("app-outer-1.scope/app-inner-2.scope", "inner"),
        ("app-a-b-c-1.scope", None),
        ("app--1.scope", None),
        ("app-mail.scope", None),
        ("app-.service", None),
        ("app-org.example.Terminal.slice/vte-spawn-1.scope", None),
        ("session-2.scope", None),
        ("myapp-x-1.scope", None),
    ],
)
def test_cgroup_names_are_those_that_systemd_documents(unit: str, app: str | None) -> None:
    assert parse_cgroup(f"0::/user.slice/user@1000.service/app.slice/{unit}\n") == app


@pytest.mark.parametrize(
    "text", ["", "0::/", "1:name=systemd:/app-x-1.scope\n", "0::/app-x-1.scope\n0::/app-y-1.scope\n"]
)
def test_other_hierarchies_and_doubled_lines_name_no_app(text: str) -> None:
    assert parse_cgroup(text) is None


@pytest.mark.parametrize(
    ("text", "app"),
    [
        (
            "[Application]\nname=org.example.Mail\nruntime=x\n\n[Instance]\ninstance-id=1\n",
            "org.example.Mail",
        ),
        ("[Application]\nname=org.example.Mail\n[Application]\nname=org.example.B\n", None),
        ("[Application]\nname=a\nname=b\n", None),
        ("[Application]\nname=mail\n", None),
        ("[Application]\nname=org.example.Mail \u202e\n", None),
        ("[Application]\nname=" + "a." * 200 + "b\n", None),
        ("[Runtime]\nname=org.example.Mail\n", None),
        ("name=org.example.Mail\n", None),
        ("", None),
        ("[Application]\nname=%(x)s.y\n", None),
    ],
)
def test_flatpak_info_is_read_strictly(text: str, app: str | None) -> None:
    assert parse_flatpak_info(text) == app


@pytest.mark.parametrize(
    ("label", "app"),
    [
        (b"snap.browser.browser (enforce)\0", "browser"),
        (b"snap.browser.hook.configure (enforce)", None),
        (b"snap.browser.browser (complain)", None),
        (b"unconfined\0", None),
        (b"snap.\xff.x (enforce)", None),
        (b"", None),
    ],
)
def test_only_an_enforced_snap_profile_is_a_sandbox(label: bytes, app: str | None) -> None:
    assert parse_security_label(label) == app


def test_start_ticks_are_found_behind_any_process_name() -> None:
    fields = " ".join(str(n) for n in range(4, 53))
    assert parse_start_ticks(f"7 (a) S 1 2) S {fields}\n") == 22
    assert parse_start_ticks("7 (x) S 1 2") is None
    assert parse_start_ticks("") is None
    assert parse_start_ticks("7 (x) " + "S " * 30) is None


@given(st.text(max_size=300), st.integers(1, 100))
def test_cleaned_text_is_one_bounded_printable_line(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= limit
    assert cleaned.isprintable()
    assert clean_text(cleaned, limit) == cleaned


def test_ordinary_text_stays_as_it_is() -> None:
    assert clean_text("Почта №2, e-mail", 64) == "Почта №2, e-mail"


@pytest.mark.parametrize("text", ["", " \n", "\u202e\u2066\u200b", "\x00\x1b"])
def test_nothing_to_show_is_no_label(text: str) -> None:
    assert clean_label(text) is None


@pytest.mark.parametrize(
    ("executable", "arguments", "name"),
    [
        ("python3.11", ["python3", "/usr/bin/ownerctl", "status"], "ownerctl (python3.11)"),
        ("python3.11", ["python3", "-I", "-m", "shop.app"], "shop.app (python3.11)"),
        ("python3.11", ["python3", "-c", "import os"], "python3.11"),
        ("python3.11", ["python3"], "python3.11"),
        ("bash", ["bash", "-m"], "bash"),
        ("node20", ["node", "./x/app.js"], "app.js (node20)"),
    ],
)
def test_a_script_is_named_with_its_interpreter(executable: str, arguments: list[str], name: str) -> None:
    assert is_interpreter(executable)
    assert name_program(executable, arguments) == name


def test_a_program_that_is_no_interpreter_is_not_looked_into() -> None:
    assert not is_interpreter("mail-reader")
    assert not is_interpreter("pythonista")
