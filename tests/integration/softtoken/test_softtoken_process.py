"""The real process: its terminal, its socket, its file."""

from __future__ import annotations

import base64
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CTAPHID, TYPE_INIT, CtapHidDevice
from fido2.hid.base import HidDescriptor
from tests.rigs.softtoken import SeqpacketConnection

ERR = CtapError.ERR
RP = {"id": "ownerd:owner", "name": "ownerd"}
USER = {"id": b"owner", "name": "owner"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"h" * 32


def _make(ctap, rp=RP):
    return ctap.make_credential(HASH, rp, USER, ES256)


def _allow(made):
    return [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]


class Asking(threading.Thread):
    """A client call on its own thread, because it waits for a touch."""

    def __init__(self, call, *args, **options) -> None:
        super().__init__(daemon=True)
        self.result = None
        self.error = None
        self._call = (call, args, options)
        self.start()

    def run(self) -> None:
        call, args, options = self._call
        try:
            self.result = call(*args, **options)
        except (CtapError, OSError) as error:
            self.error = error

    def done(self):
        self.join(15)
        assert not self.is_alive()
        return self


@pytest.mark.parametrize("pty", [False, True])
def test_enter_is_the_touch_on_a_pipe_and_on_a_terminal(softtoken_processes, pty) -> None:
    token = softtoken_processes(pty=pty).ready()
    token.touch_always()
    with token.connect() as device:
        ctap = Ctap2(device)
        made = _make(ctap)
        answer = ctap.get_assertion("ownerd:owner", HASH, _allow(made))
    answer.verify(HASH, made.auth_data.credential_data.public_key)
    assert 'approve for "ownerd:owner"' in token.output
    assert "NOT a security key" in token.output


def test_fido2_assert_accepts_the_assertion(softtoken_process, tmp_path) -> None:
    softtoken_process.touch_always()
    with softtoken_process.connect() as device:
        ctap = Ctap2(device)
        made = _make(ctap)
        answer = ctap.get_assertion("ownerd:owner", HASH, _allow(made))
    key = made.auth_data.credential_data.public_key
    pem = tmp_path / "key.pem"
    # SubjectPublicKeyInfo of an uncompressed P-256 point.
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + key[-2] + key[-3]
    body = base64.b64encode(spki).decode()
    pem.write_text(f"-----BEGIN PUBLIC KEY-----\n{body[:64]}\n{body[64:]}\n-----END PUBLIC KEY-----\n")
    for client_data_hash, accepted in ((HASH, True), (b"x" * 32, False)):
        lines = [
            base64.b64encode(client_data_hash).decode(),
            "ownerd:owner",
            base64.b64encode(cbor.encode(bytes(answer.auth_data))).decode(),
            base64.b64encode(answer.signature).decode(),
        ]
        done = subprocess.run(
            ["fido2-assert", "-V", "-p", str(pem), "es256"],
            input="\n".join(lines) + "\n",
            text=True,
            check=False,
            capture_output=True,
        )
        assert (done.returncode == 0) is accepted, done.stderr


def test_n_refuses_and_other_text_is_no_touch(softtoken_process) -> None:
    token = softtoken_process
    with token.connect() as device:
        asking = Asking(_make, Ctap2(device))
        token.touch("yes\n")
        token.wait_for("Enter alone is the touch")
        assert asking.is_alive()
        token.type("n\n")
        assert asking.done().error.code == ERR.OPERATION_DENIED


@pytest.mark.parametrize("pty", [False, True])
def test_enters_from_before_the_question_do_not_count(softtoken_processes, pty) -> None:
    token = softtoken_processes(pty=pty).ready()
    with token.connect() as device:
        ctap = Ctap2(device)
        os.kill(token.process.pid, signal.SIGSTOP)  # so that Enter and command wait side by side
        token.type("\n\n\n")
        asking = Asking(ctap.selection)
        time.sleep(0.1)
        os.kill(token.process.pid, signal.SIGCONT)
        token.wait_for("Enter = touch")
        time.sleep(0.3)
        assert asking.is_alive()
        token.type("\n")
        assert asking.done().error is None


def test_cancel_reaches_it_while_it_waits_for_a_touch_and_late_enters_do_nothing(softtoken_process) -> None:
    token = softtoken_process
    cancel = threading.Event()
    with token.connect() as device:
        ctap = Ctap2(device)
        asking = Asking(ctap.selection, event=cancel)
        token.wait_for("Enter = touch")
        began = time.monotonic()
        cancel.set()
        assert asking.done().error.code == ERR.KEEPALIVE_CANCEL
        assert time.monotonic() - began < 1
        token.type("\n")
        token.wait_for("nothing is asked")
        asking = Asking(ctap.selection)
        token.wait_for("Enter = touch", count=2)
        token.type("\n")
        assert asking.done().error is None


def test_keepalives_come_every_tenth_of_a_second(softtoken_process) -> None:
    connection = SeqpacketConnection(softtoken_process.socket_path)
    device = CtapHidDevice(HidDescriptor("x", 0, 0, 64, 64, None, None), connection)
    connection.write_packet(
        (device._channel_id.to_bytes(4) + bytes([TYPE_INIT | CTAPHID.CBOR, 0, 1, 0x0B])).ljust(64, b"\0")
    )
    reports, began = [], time.monotonic()
    while time.monotonic() - began < 1.0:
        reports.append(connection.read_packet())
    assert 7 <= len(reports) <= 13
    assert {report[4] for report in reports} == {TYPE_INIT | CTAPHID.KEEPALIVE}
    assert reports[-1][7] == 2
    connection.close()


def test_a_client_that_goes_away_ends_its_question(softtoken_process) -> None:
    token = softtoken_process
    device = token.connect()
    Asking(Ctap2(device).selection)
    token.wait_for("Enter = touch")
    device._connection.socket.shutdown(socket.SHUT_RDWR)
    token.wait_for("cancelled by the client")
    with token.connect() as other:
        assert other.ping(b"alive") == b"alive"


def test_a_second_client_is_served_after_the_first(softtoken_process) -> None:
    token = softtoken_process
    with token.connect() as one, token.connect() as two:
        first = Asking(Ctap2(one).selection)
        token.wait_for("Enter = touch")
        second = Asking(two.call, CTAPHID.CBOR, b"\4")
        time.sleep(0.3)
        assert second.is_alive()
        token.type("\n")
        assert first.done().error is None
        assert second.done().result[0] == 0


def test_control_characters_of_a_client_do_not_reach_the_terminal(softtoken_process) -> None:
    token = softtoken_process
    with token.connect() as device:
        asking = Asking(_make, Ctap2(device), {"id": "a\x1b[2Jb\r\nc\u202e" + "x" * 200, "name": "x"})
        token.touch()
        assert asking.done().error is None
    shown = next(line for line in token.output.splitlines() if "make a new credential" in line)
    assert "a\ufffd[2Jb\ufffd\ufffdc\ufffdx" in shown
    assert len(shown) < 120
    assert "\x1b" not in token.output


def test_credentials_and_pin_survive_kill_9(softtoken_processes) -> None:
    token = softtoken_processes().ready()
    token.touch_always()
    token.set_pin("1234")
    with token.connect() as device:
        ctap = Ctap2(device)
        pin = ClientPin(ctap)
        value = pin.get_pin_token("1234", ClientPin.PERMISSION.MAKE_CREDENTIAL, "ownerd:owner")
        proof = pin.protocol.authenticate(value, HASH)
        made = ctap.make_credential(HASH, RP, USER, ES256, pin_uv_param=proof, pin_uv_protocol=2)
        with pytest.raises(CtapError):
            pin.get_pin_token("9999")
    token.kill()
    again = softtoken_processes(new=False).ready()  # its stale socket file is in the way
    again.touch_always()
    with again.connect() as device:
        ctap = Ctap2(device)
        assert ClientPin(ctap).get_pin_retries()[0] == 7
        answer = ctap.get_assertion("ownerd:owner", HASH, _allow(made))
    answer.verify(HASH, made.auth_data.credential_data.public_key)
    assert answer.auth_data.counter > made.auth_data.counter


def test_kill_9_at_any_moment_leaves_a_state_that_opens(softtoken_processes) -> None:
    new, least = True, 0
    for delay in (0.01, 0.03, 0.07):
        token = softtoken_processes(new=new).ready()
        new = False
        with token.connect() as device:
            ctap = Ctap2(device)
            token.touch_always()
            made = _make(ctap)
            assert made.auth_data.counter > least
            counters = []

            def hammer(ctap=ctap, made=made, counters=counters) -> None:
                while True:
                    answer = ctap.get_assertion("ownerd:owner", HASH, _allow(made), options={"up": False})
                    counters.append(answer.auth_data.counter)

            asking = Asking(hammer)
            time.sleep(delay)
            token.kill()
            asking.done()
        least = max([made.auth_data.counter, *counters])


def test_eof_and_interrupt_end_it_and_remove_the_socket(softtoken_processes) -> None:
    for name, end in (
        ("eof", lambda token: os.close(token._terminal)),
        ("int", lambda token: token.process.send_signal(signal.SIGINT)),
    ):
        token = softtoken_processes(name=name).ready()
        assert stat.S_IMODE(token.socket_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(token.socket_path.parent.stat().st_mode) == 0o700
        end(token)
        assert token.process.wait(10) == 0
        assert not token.socket_path.exists()
        assert "Traceback" not in token.output


def test_ctrl_d_on_a_terminal_ends_it_in_the_middle_of_a_question(softtoken_processes) -> None:
    token = softtoken_processes(pty=True).ready()
    with token.connect() as device:
        Asking(Ctap2(device).selection)
        token.wait_for("Enter = touch")
        token.type("\x04")
        assert token.process.wait(10) == 0
    assert "Traceback" not in token.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new": False}, "make one with --new"),
        ({"passphrase": "short"}, "at least 8"),
        ({"name": "../up"}, "--name takes"),
    ],
)
def test_it_says_why_it_does_not_start(softtoken_processes, options, message) -> None:
    token = softtoken_processes(**options)
    assert token.process.wait(20) in {1, 2}
    token.wait_for(message)
    assert "Traceback" not in token.output


def test_a_wrong_passphrase_and_a_second_start_are_refused(softtoken_processes) -> None:
    first = softtoken_processes().ready()
    second = softtoken_processes(new=False)
    assert second.process.wait(20) == 1
    second.wait_for("another ownerd-softtoken uses this state file")
    first.kill()
    third = softtoken_processes(new=False, passphrase="not the passphrase")
    assert third.process.wait(20) == 1
    third.wait_for("wrong passphrase")


def test_a_live_socket_is_not_taken_away(softtoken_processes, tmp_path) -> None:
    first = softtoken_processes().ready()
    second = softtoken_processes(arguments=("--state", str(tmp_path / "own" / "other.token")))
    assert second.process.wait(20) == 1
    second.wait_for("another software token listens")
    with first.connect() as device:
        assert device.ping(b"alive") == b"alive"


def test_reports_of_another_size_close_the_connection_and_nothing_else(softtoken_process) -> None:
    token = softtoken_process
    for packet in (b"x", b"x" * 63, b"x" * 65, b"x" * 5000):
        connection = SeqpacketConnection(token.socket_path, timeout_seconds=5)
        connection.write_packet(packet)
        with pytest.raises(OSError, match="closed"):
            connection.read_packet()
        connection.close()
    with token.connect() as device:
        assert device.ping(b"alive") == b"alive"


def test_another_user_is_not_served(softtoken_process) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    token = softtoken_process
    # Open the file modes wide, so that what refuses is the check of the peer and nothing else.
    for directory in [token.socket_path.parent, *token.socket_path.parents[:-1]]:
        directory.chmod(directory.stat().st_mode | 0o055)
    token.socket_path.chmod(0o666)
    script = (
        "import os,socket,sys; os.setgid(65534); os.setuid(65534)\n"
        "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.settimeout(5); s.connect(sys.argv[1])\n"
        "s.send(b'\\xff\\xff\\xff\\xff\\x86\\x00\\x08'.ljust(64,b'n')); print(len(s.recv(64)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(token.socket_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "0" or "Broken pipe" in done.stderr or "reset" in done.stderr, done


def test_its_secrets_are_nowhere_to_see(softtoken_process) -> None:
    token = softtoken_process
    proc = Path("/proc") / str(token.process.pid)
    for name in ("cmdline", "environ"):
        assert b"correct horse" not in (proc / name).read_bytes()
    assert "correct horse" not in token.output
    limits = (proc / "limits").read_text().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_clients_that_come_and_go_leave_nothing_behind(softtoken_process) -> None:
    token = softtoken_process
    descriptors = Path("/proc") / str(token.process.pid) / "fd"
    with token.connect() as device:
        device.ping()
    before = len(list(descriptors.iterdir()))
    for number in range(40):
        device = token.connect()
        if number % 2:  # leave in the middle of a message
            head = device._channel_id.to_bytes(4) + bytes([TYPE_INIT | CTAPHID.CBOR, 1, 0])
            device._connection.write_packet(head.ljust(64, b"\0"))
        device.close()
    with token.connect() as device:
        device.ping()
    assert len(list(descriptors.iterdir())) <= before + 1
