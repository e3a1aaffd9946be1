"""A real world that needs nobody: `ownerd`, `ownerd-softtoken` and pinentry, with a person who answers at once.

Nothing of it is a fake: the token is a process of its own behind its socket, prompts are pinentry's on a lent
terminal. A thread for each of the two terminals presses what the person would, as soon as it is asked.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from demo.stage import Screen, Stage, StageError
from tests.rigs.system import World

from bench.rig import OWNER, Provider
from ownerd.dbuslib import LIBRARY_VARIABLE

_FOREVER: Final = 3600.0


@contextmanager
def living_world(library: str, provider: Provider) -> Iterator[World]:
    """A vault that is set up, unlocked by its software token, and knows the provider's CA."""
    with memory_not_locked(), Stage() as stage:
        stage.env[LIBRARY_VARIABLE] = library
        stage.start_bus()
        (stage.trust_directory / "bench.pem").write_bytes(provider.ca.certificate.public_bytes(Encoding.PEM))
        world = World(stage, stage.start_daemon(), stage.start_token())
        world.set_up()
        for name, value in OWNER.items():
            world.set(name.replace("__", "."), value)
        yield world


def answer_at_once(screen: Screen, question: str, keys: str = "") -> None:
    """From now on type ``keys`` whenever ``question`` is shown; without ``keys`` the letter before the last ``r]``."""

    def work() -> None:
        with suppress(StageError, OSError):
            while True:
                shown = screen.wait_for(question, _FOREVER)
                screen.type(keys or shown[shown.rindex("[") + 1] + "\n")

    threading.Thread(target=work, daemon=True).start()


def lend_terminal(world: World) -> None:
    """Prompts are asked and approved on a terminal that shows values; the token is touched at once."""
    watching = world.lend()
    answer_at_once(watching, r"\[(\w)r\]\? ")
    answer_at_once(world.token, "Enter = touch", "\n")


@contextmanager
def memory_not_locked() -> Iterator[None]:
    """A daemon that locks its memory counts pages that it never touches: what is started meanwhile locks nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (min(65536, hard) if hard >= 0 else 65536, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process. Raises `PermissionError` where it is not ours to read."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("smaps_rollup has another form")
