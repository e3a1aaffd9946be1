"""The unit, the activation file and the udev rules, as the system itself judges them."""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rigs.bus import LIBRARIES, ROOT, PrivateBus, client, require_rig

from ownerd.model import names

UNIT = ROOT / "systemd/ownerd.service"
ACTIVATION = ROOT / "systemd/org.ownerd.Agent1.service"
RULES = ROOT / "udev/70-ownerd.rules"
GROUP = ROOT / "systemd/ownerd.sysusers"
POLKIT = ROOT / "udev/ownerd-pcscd.polkit"
ARCHITECTURE = ROOT / "docs/ARCHITECTURE.md"


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))  # a filter may have several lines
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(path.read_text())
    return parser


def _environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(directory)}


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert "ExecStart=/usr/bin/ownerd\n" in text
    path.write_text(text.replace("/usr/bin/ownerd", sys.executable))
    return path


def test_the_unit_verifies_without_a_word(installed_unit: Path) -> None:
    require_rig("systemd-analyze")
    command = [
        "systemd-analyze",
        "verify",
        "--user",
        "--man=no",
        "--recursive-errors=no",
        str(installed_unit),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=_environment(installed_unit.parent),
    )
    about_us = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, about_us) == (0, []), done.stderr


def test_the_unit_is_well_contained_in_systemds_own_judgement(installed_unit: Path) -> None:
    """0 is best, 10 is worst; an ordinary unit has 9.8. Options that need user namespaces are left out."""
    require_rig("systemd-analyze")
    command = ["systemd-analyze", "security", "--user", "--offline=yes", "--no-pager", str(installed_unit)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=_environment(installed_unit.parent),
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    stated = re.search(r"exposure level of ([0-9.]+)", ARCHITECTURE.read_text())
    assert stated is not None
    assert float(found[1]) <= float(stated[1]), done.stdout


def test_the_unit_denies_what_the_design_says() -> None:
    service = _read(UNIT)["Service"]
    assert service["Type"] == "dbus"
    assert service["BusName"] == names.BUS_NAME
    assert service["UMask"] == "0077"
    assert service["LimitCORE"] == "0"
    assert service["IPAddressDeny"] == "any"
    assert service["RestrictAddressFamilies"].split() == ["AF_UNIX", "AF_NETLINK"]
    for switch in ("NoNewPrivileges", "MemoryDenyWriteExecute", "RestrictNamespaces", "LockPersonality"):
        assert service[switch] == "yes"
    filters = [line for line in UNIT.read_text().splitlines() if line.startswith("SystemCallFilter=")]
    assert filters == ["SystemCallFilter=@system-service", "SystemCallFilter=~@privileged"]
    # Options that need a namespace would keep it from starting, or hide who calls.
    assert not [
        name for name in service if name.startswith(("Protect", "Private", "ReadOnly", "Inaccessible"))
    ]
    assert service["NotifyAccess"] == "main"
    # Locking ends the process; a restart would only wait, unlocked by nobody.
    assert service["Restart"] == "no"


def test_activation_and_unit_name_the_same_service() -> None:
    activation = _read(ACTIVATION)["D-BUS Service"]
    service = _read(UNIT)["Service"]
    assert activation["Name"] == service["BusName"] == names.BUS_NAME
    assert activation["Exec"] == service["ExecStart"]
    assert activation["SystemdService"] == UNIT.name
    assert ACTIVATION.stem == names.BUS_NAME  # dbus-broker insists


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_starts_the_service_and_is_answered(private_bus: PrivateBus, library: str) -> None:
    """The shipped activation file, its program replaced, under a real bus; twice, with a lock in between."""
    script = private_bus.directory / "start"
    calls = private_bus.directory / "calls"
    script.write_text(
        f"#!/bin/sh\ncd {ROOT}\nexport OWNERD_DBUS_LIBRARY={library}\n"
        f'exec {sys.executable} -m tests.rigs.bus_agent "$DBUS_STARTER_ADDRESS" {calls} >/dev/null\n'
    )
    script.chmod(0o755)
    text = ACTIVATION.read_text().replace("/usr/bin/ownerd", str(script))
    (private_bus.services / ACTIVATION.name).write_text(text)

    async def run() -> None:
        async with client(private_bus.address) as app:
            for _ in range(2):
                path = (await app.present("x")).body[0]
                assert (await app.response(path))[0] == 0
                assert (await app.owner("Agent", "Lock")).error_name is None
                while await app.has_owner():
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_the_rules_come_between_those_that_they_build_upon() -> None:
    number = int(RULES.name.partition("-")[0])
    assert 60 < number < 73


def test_udev_accepts_the_rules() -> None:
    if (
        shutil.which("udevadm") is None
        or b"verify" not in subprocess.run(["udevadm", "--help"], capture_output=True, check=False).stdout
    ):
        pytest.skip("udevadm verify came with systemd 254")
    # The group is made when the package is installed.
    command = ["udevadm", "verify", "--resolve-names=never", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tokens_and_readers_are_given_to_the_seat_and_to_the_group_of_those_without_one() -> None:
    text = RULES.read_text()
    given = [line for line in text.splitlines() if 'TAG+="uaccess"' in line]
    assert len(given) == 2
    assert all('GROUP="ownerd", MODE="0660"' in line for line in given)
    assert "g ownerd -" in GROUP.read_text().splitlines()
    assert 'subject.isInGroup("ownerd")' in POLKIT.read_text()


def test_sysusers_makes_the_group(tmp_path: Path) -> None:
    require_rig("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", "--replace=/usr/lib/sysusers.d/ownerd.conf", "-"]
    done = subprocess.run(command, input=GROUP.read_text(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/group").read_text().startswith("ownerd:")
