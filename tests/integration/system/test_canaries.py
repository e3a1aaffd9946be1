"""Invariant 5: canary values, PIN and provider name are searched for wherever they must not be."""

import array
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from demo.stage import Screen, Stage
from tests.rigs.bus_raw import RawConnection
from tests.rigs.system import World

from ownerd.dbuslib import Message

VALUES = ("Canary-Given-7c1f", "canary-5e0b@example.org", "Canary-Town-93aa")
NICKNAME = "Canary-Nick-2b8d"
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


class Spy(threading.Thread):
    """A monitor that also takes every descriptor that is passed, and reads what is behind it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.seen = bytearray()
        self.descriptors = 0
        self._raw = RawConnection(f"{stage.home}/bus", descriptors=True)
        bus = "org.freedesktop.DBus"
        become = Message(bus, "/org/freedesktop/DBus", f"{bus}.Monitoring", "BecomeMonitor", signature="asu")
        become.body = [[], 0]
        self._raw.send(become)
        self._raw.wait_for(b"NameLost")
        self._raw.socket.settimeout(None)
        self.start()

    def run(self) -> None:
        room = socket.CMSG_SPACE(64 * 4)
        with suppress(OSError):
            while (data := self._raw.socket.recvmsg(1 << 16, room))[0]:
                self.seen += data[0]
                for _, _, passed in data[1]:
                    for descriptor in array.array("i", passed):
                        # dbus 1.16 hands out who a connection's process is; nothing lies behind that.
                        if "pidfd" not in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                            self.descriptors += 1
                            self.seen += os.pread(descriptor, 1 << 16, 0)
                        os.close(descriptor)

    def wait_for(self, needle: bytes) -> None:
        deadline = time.monotonic() + 10
        while needle not in self.seen:
            assert time.monotonic() < deadline, "the spy does not see everything"
            time.sleep(0.01)


def show_the_spy(stage: Stage, spy: Spy) -> None:
    """A file handed to the daemon reaches the spy, so it would have seen any other."""
    shown = stage.home / "shown"
    shown.write_bytes(b"what lies behind a descriptor")
    raw = RawConnection(f"{stage.home}/bus", descriptors=True)
    call = Message("org.ownerd.Agent1", "/org/ownerd/Agent1", "org.ownerd.Agent1", "Present", signature="h")
    call.body = [0]
    with shown.open("rb") as file:
        raw.send(call, descriptors=[file.fileno()])
        raw.wait_for(b"descriptors are not accepted")
    spy.wait_for(shown.read_bytes())
    raw.close()


def import_card(world: World, path: Path, values: tuple[str, str, str]) -> None:
    given, mail, town = values
    lines = [
        "BEGIN:VCARD",
        "VERSION:4.0",
        f"FN:{given}",
        f"N:;{given};;;",
        f"EMAIL:{mail}",
        f"ADR:;;;{town};;;",
    ]
    path.write_text("\r\n".join([*lines, "END:VCARD", ""]))
    tool = world.stage.tool("data", "import", str(path))
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    path.unlink()


def crash(daemon: Screen, directory: Path) -> None:
    """The daemon ends by a fault while its vault is open: no core file."""
    pid = daemon.process.pid
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert " ".join(limits.partition("Max core file size")[2].split()[:2]) == "0 0"
    working = Path(f"/proc/{pid}/cwd").readlink()
    before = set(working.glob("core*"))
    os.kill(pid, signal.SIGSEGV)
    daemon.process.wait(10)
    assert set(working.glob("core*")) == before, "a core file"
    if Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core":
        # Another process of ours leaves one, here and now.
        shell = f"ulimit -c unlimited; exec {shutil.which('sleep')} 30"
        other = subprocess.Popen(["/bin/sh", "-c", shell], cwd=directory)
        while b"sleep" not in Path(f"/proc/{other.pid}/comm").read_bytes():
            time.sleep(0.01)
        other.send_signal(signal.SIGSEGV)
        other.wait(10)
        assert list(directory.glob("core*"))


def test_no_value_pin_or_name_is_where_it_must_not_be(stage: Stage, monitored: Path, tmp_path: Path):
    spy = Spy(stage)
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
    import_card(world, tmp_path / "card.vcf", VALUES)
    world.set("nickname", NICKNAME)
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
    for secret in (*VALUES, NICKNAME, PIN, HOST):
        for name, data in raw.items():
            assert secret.encode() not in data, f"{secret} lies in clear in {name}"
        assert secret not in daemon.text, f"{secret} was logged"
    bus = monitored.read_text()
    assert "Present" in bus
    assert "Response" in bus
    assert spy.descriptors == 0, "a descriptor crossed the bus"
    show_the_spy(stage, spy)
    for secret in (*VALUES, NICKNAME, PIN):
        assert secret not in bus, f"{secret} crossed the bus in clear"
        assert secret.encode() not in spy.seen, f"{secret} reached who takes descriptors"
        for process, line in lines.items():
            assert secret not in line, f"{secret} stands in the arguments or environment of {process}"
    crash(daemon, tmp_path)
