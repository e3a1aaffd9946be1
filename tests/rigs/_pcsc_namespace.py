"""Runs a command next to its own pcscd and virtual reader. Started inside ``unshare --mount --net``.

``python _pcsc_namespace.py COMMAND...``: exit status of COMMAND, or `RIG_BROKEN` when the rig does not stand.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RIG_BROKEN = 97
VPCD_PORT = 0x8C7B
VPCD_LIBRARY = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
# One entry only: with two, the first reader answered from the second entry's card.
READER = f"""\
FRIENDLYNAME "Virtual PCD"
DEVICENAME   /dev/null:0x{VPCD_PORT:04X}
LIBPATH      {VPCD_LIBRARY}
CHANNELID    0x{VPCD_PORT:04X}
"""


def main(command: list[str]) -> int:
    try:
        daemon = start()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"pcsc rig: {error}", file=sys.stderr)
        return RIG_BROKEN
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        daemon.terminate()
        daemon.wait(10)
        _end_successor()


def _end_successor() -> None:
    """End the pcscd that a test may have started in place of ours: the pid file is this namespace's own."""
    with suppress(OSError, ValueError):
        os.kill(int(Path("/run/pcscd/pcscd.pid").read_text().strip("\0\n")), signal.SIGTERM)


def start() -> subprocess.Popen[bytes]:
    """Private /run and loopback, then pcscd; returns when the reader listens for its card."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True, timeout=10)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
    config = Path("/run/ownerd-reader.conf.d")
    config.mkdir()
    (config / "vpcd").write_text(READER)
    Path("/run/pcscd").mkdir()
    pcscd = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "/usr/sbin/pcscd"
    command = [pcscd, "--foreground", "--config", str(config)]
    known = subprocess.run([pcscd, "--help"], check=False, capture_output=True, text=True, timeout=10).stdout
    if "--disable-polkit" in known:  # pcscd 2: there is no polkit in here to ask
        command.append("--disable-polkit")
    with Path("/run/pcscd.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and daemon.poll() is None:
        if Path("/run/pcscd/pcscd.comm").exists() and _listens(VPCD_PORT):
            return daemon
        time.sleep(0.02)
    daemon.kill()
    daemon.wait()
    raise OSError("pcscd did not start: " + Path("/run/pcscd.log").read_text()[-500:])


def _listens(port: int) -> bool:
    """Whether the reader waits for its card, without connecting: a connection would be a card."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
