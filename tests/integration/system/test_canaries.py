"""Invariant 5: canary values, PIN and provider name are searched for wherever they must not be."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.stage import Stage
from tests.rigs.system import World

VALUES = ("Canary-Given-7c1f", "canary-5e0b@example.org", "Canary-Town-93aa")
PIN = "canary-pin-4821"
HOST = "canary-shop-6d2e.example"


def processes(stage: Stage) -> dict[int, str]:
    """Command line and environment of every process on the stage, children of the daemon included."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(stage.home).encode() in environment:
                found[int(entry.name)] = (line + environment).decode("utf-8", "replace")
    return found


@pytest.fixture
def monitored(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """Everything that crosses the bus, as any process of the same user may read it."""
    log = tmp_path / "monitor.log"
    with log.open("w") as out:
        monitor = subprocess.Popen(
            ["dbus-monitor", "--address", stage.env["DBUS_SESSION_BUS_ADDRESS"]], stdout=out, env=stage.env
        )
        deadline = time.monotonic() + 10
        while "NameAcquired" not in log.read_text():
            assert time.monotonic() < deadline, "dbus-monitor does not start"
            time.sleep(0.02)
        yield log
        monitor.terminate()
        monitor.wait(5)


def test_no_value_pin_or_name_is_where_it_must_not_be(stage: Stage, monitored: Path):
    daemon = stage.start_daemon("--log-level", "debug")
    token = stage.run("token", "ownerd-softtoken", "--new", "--pin-setup")
    for _ in range(2):
        token.wait_for(r"(Passphrase of this token|The same again): ")
        token.type("correct horse battery staple\n")
    for _ in range(2):
        token.wait_for(r"(PIN|again)[^\n]*: ")
        token.type(PIN + "\n")
    token.wait_for("listening on")
    world = World(stage, daemon, token, pin=PIN)
    world.set_up()
    for name, value in zip(("given_name", "email", "address.locality"), VALUES, strict=True):
        world.set(name, value)
    world.make_shop(HOST)
    terminal = world.lend()
    app = world.ask(host=HOST)
    world.approve(terminal)
    lines = processes(stage)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert all(value in out for value in VALUES), "the canaries did go through"
    time.sleep(0.2)

    raw = {str(path): path.read_bytes() for path in (stage.home / "data").rglob("*") if path.is_file()}
    assert any(name.endswith("ownerd.db") for name in raw)
    for secret in (*VALUES, PIN, HOST):
        for name, data in raw.items():
            assert secret.encode() not in data, f"{secret} lies in clear in {name}"
        assert secret not in daemon.text, f"{secret} was logged"
    bus = monitored.read_text()
    assert "Present" in bus
    assert "Response" in bus
    for secret in (*VALUES, PIN):
        assert secret not in bus, f"{secret} crossed the bus in clear"
        for process, line in lines.items():
            assert secret not in line, f"{secret} stands in the arguments or environment of {process}"
    # A debugger of the same user: the daemon is not dumpable, so its memory is not there to be read.
    status = Path(f"/proc/{daemon.process.pid}/mem").stat()
    assert status.st_uid == 0
    assert "core file size" in Path(f"/proc/{daemon.process.pid}/limits").read_text().lower()
