"""Attack: callers that hide, lie about themselves, die, or belong to somebody else (invariant 7)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.bus import LIBRARIES, PrivateBus, client, first_line, start_service, stop_service

from ownerd.bus.caller import MAX_CONNECTIONS, MAX_READERS, Callers, Credentials
from ownerd.dbuslib import BUS_DAEMON, Message, MessageType, Variant
from ownerd.model.caller import Caller, Confidence
from ownerd.model.errors import NotAllowed

PID = 4711
UNKNOWN = ("unknown", Confidence.UNKNOWN)


class BusDaemon:
    """Answers ``GetConnectionCredentials`` with what a test says."""

    connected = True

    def __init__(self, descriptors: list[int] | None = None, **values: Variant) -> None:
        self.values = {"UnixUserID": Variant("u", 1000), "ProcessID": Variant("u", PID), **values}
        self.descriptors = descriptors or []
        self.sender = BUS_DAEMON
        self.error: Exception | None = None
        self.calls = 0
        self.ready = asyncio.Event()
        self.ready.set()

    async def call(self, message: Message) -> Message:
        self.calls += 1
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return Message(
            message_type=MessageType.METHOD_RETURN,
            reply_serial=1,
            sender=self.sender,
            signature="a{sv}",
            body=[self.values],
            unix_fds=self.descriptors,
        )


def _stat(ticks: int) -> str:
    return f"{PID} (a) b) S " + " ".join(["0"] * 18) + f" {ticks} 0 0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs with one ordinary process."""
    directory = tmp_path / str(PID)
    (directory / "root").mkdir(parents=True)
    (directory / "stat").write_text(_stat(1))
    (directory / "cgroup").write_text("0::/user.slice/session-2.scope\n")
    (directory / "exe").symlink_to("/usr/bin/mail-reader")
    return tmp_path


def _look_up(daemon: BusDaemon, proc: Path) -> Caller:
    async def run() -> Caller:
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        try:
            return await callers.look_up(":1.7")
        finally:
            callers.forget(":1.7")
            await asyncio.sleep(0)

    return asyncio.run(run())


def _label(daemon: BusDaemon, proc: Path) -> tuple[str, Confidence]:
    caller = _look_up(daemon, proc)
    return caller.label, caller.confidence


def test_an_ordinary_process_is_labelled_by_what_it_executes(proc: Path) -> None:
    assert _look_up(BusDaemon(), proc) == Caller(":1.7", 1000, "mail-reader", Confidence.EXECUTABLE)


def test_a_scope_is_better_and_a_sandbox_best(proc: Path) -> None:
    (proc / str(PID) / "cgroup").write_text("0::/u/app.slice/app-gnome-org.example.Mail-12.scope\n")
    assert _label(BusDaemon(), proc) == ("org.example.Mail", Confidence.SCOPE)
    (proc / str(PID) / "root/.flatpak-info").write_text("[Application]\nname=org.example.Boxed\n")
    assert _label(BusDaemon(), proc) == ("org.example.Boxed", Confidence.SANDBOX)
    snap = BusDaemon(LinuxSecurityLabel=Variant("ay", b"snap.browser.browser (enforce)\0"))
    assert _label(snap, proc) == ("browser", Confidence.SANDBOX)


def _hide_root(directory: Path) -> None:
    (directory / "root").rmdir()


def _hide_cgroup(directory: Path) -> None:
    (directory / "cgroup").unlink()


def _hide_exe(directory: Path) -> None:
    (directory / "exe").unlink()


def _spoil_flatpak(directory: Path) -> None:
    (directory / "root/.flatpak-info").write_text("[Application]\nname=org.example.A\nname=org.example.B\n")


def _link_flatpak(directory: Path) -> None:
    (directory / "elsewhere").write_text("[Application]\nname=org.example.Boxed\n")
    (directory / "root/.flatpak-info").symlink_to(directory / "elsewhere")


def _block_flatpak(directory: Path) -> None:
    os.mkfifo(directory / "root/.flatpak-info")


def _feed_flatpak(directory: Path) -> None:
    """A pipe with a writer, which never comes to an end."""
    os.mkfifo(directory / "root/.flatpak-info")
    pipe = os.open(directory / "root/.flatpak-info", os.O_RDWR)
    os.write(pipe, b"[Application]\nname=org.example.Boxed\n")  # the pipe stays open until the tests end


def _bloat_cgroup(directory: Path) -> None:
    (directory / "cgroup").write_text("0::/app-x-1.scope\n" + "x" * 100_000)


def _spoil_stat(directory: Path) -> None:
    (directory / "stat").write_text("4711 (x) S\n")


def _start_later(directory: Path) -> None:
    """The number was given to another process after the call."""
    later = time.clock_gettime(time.CLOCK_BOOTTIME) + 60
    (directory / "stat").write_text(_stat(int(later * os.sysconf("SC_CLK_TCK"))))


def _vanish(directory: Path) -> None:
    (directory / "stat").unlink()


_TRICKS: list[Callable[[Path], None]] = [
    _hide_root,
    _hide_cgroup,
    _hide_exe,
    _spoil_flatpak,
    _link_flatpak,
    _block_flatpak,
    _feed_flatpak,
    _bloat_cgroup,
    _spoil_stat,
    _start_later,
    _vanish,
]


@pytest.mark.parametrize("trick", _TRICKS)
def test_whatever_cannot_be_looked_up_is_unknown(proc: Path, trick: Callable[[Path], None]) -> None:
    trick(proc / str(PID))
    assert _label(BusDaemon(), proc) == UNKNOWN


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionError(), OSError(5, "no"), ValueError()])
def test_a_failed_question_to_the_bus_is_unknown_with_no_uid(proc: Path, error: Exception) -> None:
    daemon = BusDaemon()
    daemon.error = error
    assert _look_up(daemon, proc) == Caller(":1.7", None, *UNKNOWN)


def test_an_answer_that_is_not_the_bus_daemons_is_not_used(proc: Path) -> None:
    daemon = BusDaemon()
    daemon.sender = ":1.66"
    assert _look_up(daemon, proc) == Caller(":1.7", None, *UNKNOWN)


def test_values_of_another_type_or_missing_are_unknown(proc: Path) -> None:
    assert _look_up(BusDaemon(ProcessID=Variant("s", "../self")), proc) == Caller(":1.7", 1000, *UNKNOWN)
    assert _look_up(BusDaemon(UnixUserID=Variant("s", "1000")), proc).uid is None


def test_another_uid_is_not_served(proc: Path) -> None:
    with pytest.raises(NotAllowed):
        _look_up(BusDaemon(UnixUserID=Variant("u", 0)), proc)


def test_a_process_descriptor_reveals_that_the_process_ended(proc: Path) -> None:
    """The socket lives on in a child, the number in somebody else; the descriptor knows."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    living, again = os.pidfd_open(process.pid), os.pidfd_open(process.pid)
    extra = os.dup(living)
    daemon = BusDaemon([extra, living], ProcessFD=Variant("h", 1))
    assert _label(daemon, proc) == ("mail-reader", Confidence.EXECUTABLE)
    process.communicate(b"\n")
    assert _label(BusDaemon([again], ProcessFD=Variant("h", 0)), proc) == UNKNOWN
    for descriptor in (living, again, extra):  # none stays open
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_look_up_that_is_cancelled_leaves_no_descriptor_open(proc: Path) -> None:
    descriptor = os.pidfd_open(os.getpid())

    async def run() -> None:
        daemon = BusDaemon([descriptor], ProcessFD=Variant("h", 0))
        daemon.ready.clear()
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        asking = asyncio.ensure_future(callers.look_up(":1.7"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.sleep(0)
        daemon.ready.set()
        await asyncio.wait([asking])
        callers.forget(":1.7")
        await asyncio.sleep(0.01)

    asyncio.run(run())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_bus_is_asked_once_for_a_connection_and_proc_each_time(proc: Path) -> None:
    """What the bus says of a connection never changes; what its process executes may, and must not be remembered."""
    descriptors = [os.pidfd_open(os.getpid())]
    daemon = BusDaemon(descriptors, ProcessFD=Variant("h", 0))

    async def run() -> list[Caller]:
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        found = list(await asyncio.gather(*(callers.look_up(":1.7") for _ in range(3))))
        (proc / str(PID) / "exe").unlink()
        (proc / str(PID) / "exe").symlink_to("/usr/bin/another")
        found.append(await callers.look_up(":1.7"))
        assert daemon.calls == 1
        callers.forget(":1.7")
        await asyncio.sleep(0)
        return found

    assert [caller.label for caller in asyncio.run(run())] == ["mail-reader"] * 3 + ["another"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_a_caller_that_leaves_while_the_bus_is_asked_is_unknown(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor is closed by then, and the number may be another's already."""
    theirs, foreign = os.pidfd_open(os.getpid()), os.pidfd_open(os.getpid())
    daemon = BusDaemon([theirs], ProcessFD=Variant("h", 0))
    daemon.ready.clear()
    monkeypatch.setattr(Credentials, "close", lambda found: os.dup2(foreign, found.pid_fd))

    async def run() -> Caller:
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        asking = asyncio.ensure_future(callers.look_up(":1.7"))
        await asyncio.sleep(0)
        callers.forget(":1.7")
        daemon.ready.set()
        return await asking

    assert asyncio.run(run()) == Caller(":1.7", None, *UNKNOWN)
    os.close(theirs)
    os.close(foreign)


def test_a_question_that_failed_is_asked_again(proc: Path) -> None:
    daemon = BusDaemon()
    daemon.error = TimeoutError()

    async def run() -> tuple[str, str]:
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        first = await callers.look_up(":1.7")
        daemon.error = None
        return first.label, (await callers.look_up(":1.7")).label

    assert asyncio.run(run()) == (UNKNOWN[0], "mail-reader")


def test_the_credentials_of_so_many_connections_are_kept_and_no_more(proc: Path) -> None:
    daemon = BusDaemon()

    async def run() -> None:
        callers = Callers(daemon, own_uid=1000, proc=proc)  # type: ignore[arg-type]
        for number in (*range(MAX_CONNECTIONS + 1), MAX_CONNECTIONS, 0):
            await callers.look_up(f":1.{number}")

    asyncio.run(run())
    assert daemon.calls == MAX_CONNECTIONS + 2  # the first one was let go, and asked for again


def test_labels_show_no_control_or_bidirectional_character(proc: Path) -> None:
    exe = proc / str(PID) / "exe"
    exe.unlink()
    exe.symlink_to("/tmp/mail\u202egpj.\x1b[2J\n\u200breader" + "x" * 200)
    label, confidence = _label(BusDaemon(), proc)
    assert confidence is Confidence.EXECUTABLE
    assert label.isprintable()
    assert len(label) == 64
    exe.unlink()
    exe.symlink_to("/tmp/\u202e\u200b\u2066")
    assert _label(BusDaemon(), proc) == UNKNOWN


def test_a_root_that_hangs_makes_its_caller_unknown_and_delays_nobody_for_long(proc: Path) -> None:
    """A caller may have mounted a file system of its own making, which never answers."""
    release = threading.Event()
    entered: list[Any] = []

    def hang(*arguments: object) -> None:
        entered.append(arguments)
        release.wait(20)

    async def run() -> list[Caller]:
        callers = Callers(BusDaemon(), own_uid=1000, proc=proc, read=hang, read_seconds=0.2)  # type: ignore[arg-type]
        return list(await asyncio.gather(*(callers.look_up(f":1.{n}") for n in range(20))))

    started = time.monotonic()
    found = asyncio.run(run())
    assert time.monotonic() - started < 5
    release.set()
    assert {(caller.label, caller.confidence) for caller in found} == {UNKNOWN}
    assert len(entered) == MAX_READERS


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_users_process_is_served_nothing(private_bus: PrivateBus, library: str) -> None:
    service = start_service(private_bus, library, own_uid=os.getuid() + 1)
    assert first_line(service) == "ready"

    async def run() -> None:
        async with client(service.address) as app:
            path = (await app.present("x")).body[0]
            code, results = await app.response(path)
            assert (code, results["error"]) == (1, "NotAllowed")
            for interface, member, signature, *body in [
                ("Agent", "Status", ""),
                ("Agent", "Lock", ""),
                ("Tokens", "List", ""),
                ("Requests", "List", ""),
                ("Requests", "Refuse", "s", "7"),
                ("Requests", "Approve", "sa{sv}", "7", {}),
                ("Requests", "Watch", "a{sv}", {}),
                ("Requests", "Unwatch", ""),
            ]:
                reply = await app.owner(interface, member, signature, *body)
                assert reply.error_name == "org.ownerd.Error.NotAllowed", member
            for interface, member in (("Data", "Read"), ("Data", "Change"), ("Agent", "Setup")):
                path = (await app.owner(interface, member, "sa{sv}", "x", {})).body[0]
                assert (await app.response(path))[1]["error"] == "NotAllowed"
        assert service.calls() == []

    asyncio.run(run())
    stop_service(service)
