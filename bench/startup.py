"""Row 8: from exec to ready, ``ownerctl --help``, and the memory of a daemon that waits."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from demo.stage import BIN, Stage

from bench.measure import Row, Scale, medians, timed
from ownerd.dbuslib import LIBRARY

PASS: Final = [sys.executable, "-c", "pass"]
LIBRARIES: Final = (
    f"import fido2.ctap2, {LIBRARY.replace('-', '_')}.aio, sqlite_utils\n"
    "from cryptography import x509\n"
    "from cryptography.hazmat.primitives import hashes, hpke\n"
    "from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519\n"
    "from cryptography.hazmat.primitives.ciphers import aead\n"
)
IMPORTS: Final = [
    sys.executable,
    "-c",
    LIBRARIES + "import sys; sys.stderr.write('ready\\n'); sys.stdin.read()",
]
DAEMON: Final = [str(BIN / "ownerd")]
HELP: Final = [str(BIN / "ownerctl"), "--help"]


def rows(scale: Scale) -> Iterator[Row]:
    """Start-up of daemon and tool, and memory of the idle daemon."""
    with Stage() as stage:
        stage.start_bus()
        memory: dict[str, list[int]] = {"ours": [], "floor": []}

        def until_ready(name: str, argv: list[str]) -> float:
            process = _Process(argv, stage.env)
            seconds = timed(process.wait_ready)
            memory[name].append(process.memory())
            process.end()
            return process.started + seconds

        imports = medians(
            {"ours": lambda: until_ready("ours", DAEMON), "floor": lambda: until_ready("floor", IMPORTS)},
            scale.rounds(11),
            warm_up=1,
        )
        pass_ = {"pass": medians({"pass": lambda: _whole(PASS, stage)}, scale.rounds(11), warm_up=1)["pass"]}
        against = f"python that imports fido2, cryptography, {LIBRARY} and sqlite_utils"
        yield Row(
            "start-daemon",
            "ownerd from exec to ready",
            against,
            imports["ours"],
            imports["floor"],
            more=pass_,
        )
        kind = "proportional set size" if _may_read_pss() else "resident set size"
        ours, floor = (sorted(memory[name])[len(memory[name]) // 2] for name in ("ours", "floor"))
        yield Row("memory-daemon", f"idle ownerd, {kind}, memory not locked", against, ours, floor, "B")
        found = medians(
            {"ours": lambda: _whole(HELP, stage), "floor": lambda: _whole(PASS, stage)},
            scale.rounds(21),
            warm_up=1,
        )
        yield Row("start-help", "ownerctl --help", "python -c pass", found["ours"], found["floor"])


def _whole(argv: list[str], stage: Stage) -> float:
    """Seconds of one program from exec to its end."""
    return timed(lambda: subprocess.run(argv, env=stage.env, stdout=subprocess.DEVNULL, check=True))


def _do_not_lock_memory() -> None:
    """A daemon that locks its memory counts pages that it never touches; the floor locks nothing."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))


def _may_read_pss() -> bool:
    return os.geteuid() == 0  # the daemon is not dumpable: its smaps are root's


class _Process:
    """A program that says ``ready`` on standard error and then waits."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.started = timed(lambda: self._start(argv, env))

    def _start(self, argv: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_do_not_lock_memory,  # noqa: PLW1509  this process has no other thread yet
        )

    def wait_ready(self) -> None:
        """Read until it says so."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "ready" in line:
                return
        raise RuntimeError("the program ended before it was ready")

    def memory(self) -> int:
        """Bytes: PSS where we may read it, else RSS."""
        directory = Path(f"/proc/{self.process.pid}")
        path, label = (
            (directory / "smaps_rollup", "Pss:") if _may_read_pss() else (directory / "status", "VmRSS:")
        )
        (line,) = [line for line in path.read_text().splitlines() if line.startswith(label)]
        return int(line.split()[1]) * 1024

    def end(self) -> None:
        """End it and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()
