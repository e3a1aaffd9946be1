"""``ownerd``: the daemon. Wires every layer together and owns the life of the process.

Start: harden, read the configuration, load the ledger's tail, take the bus name; the vault is locked.
End: on lock, SIGTERM, SIGINT, a lost bus, or locked and of no use to anybody (`ownerd.app.ending`), everything in
flight fails by name and is recorded, then the process exits. The next call on the bus starts a fresh one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ownerd.app.config import Config, read_config
from ownerd.app.harden import harden_process
from ownerd.model import paths
from ownerd.model.errors import OwnerdError
from ownerd.model.names import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.x509 import Certificate

    from ownerd.app.manager import Manager
    from ownerd.bus.service import BusService
    from ownerd.core.agent import Agent
    from ownerd.core.session import Session
    from ownerd.credential.attestation import Attester
    from ownerd.model.token import TokenType
    from ownerd.tokens.presence import Adapter, Watched

logger = logging.getLogger("ownerd")


class SystemClock:
    """The system's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def passed_ms(self) -> int:
        """Milliseconds since the machine started."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def main() -> None:
    """Entry point of ``ownerd``."""
    parser = argparse.ArgumentParser(
        prog="ownerd", description="Personal authentication agent (see ownerd(8))."
    )
    parser.add_argument(
        "--config", type=Path, help="configuration file (default: in $XDG_CONFIG_HOME/ownerd)"
    )
    parser.add_argument("--idle-seconds", type=int, help="lock after this time without use")
    parser.add_argument("--locked-seconds", type=int, help="end after this time locked and uncalled")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--version", action="store_true", help="print the version and end")
    arguments = parser.parse_args()
    if arguments.version:
        from importlib.metadata import version

        sys.stdout.write(f"ownerd {version('ownerd')}\n")
        return
    logging.basicConfig(level=arguments.log_level.upper(), format="ownerd: %(levelname)s: %(message)s")
    # fido2 logs at level 5 all traffic with a token, the PIN's ciphertext included; pyscard APDUs at debug.
    for chatty in ("fido2", "smartcard", "dbus_fast", "dbus_next"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        harden_process()
        config = read_config(arguments.config or paths.config_dir() / "config.toml")
        sys.exit(asyncio.run(run(_overridden(config, arguments))))
    except OwnerdError as error:
        logger.error("%s", error)  # noqa: TRY400 -- the sentence is the message; a traceback helps nobody
        if error.hint:
            logger.error("hint: %s", error.hint)  # noqa: TRY400
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _overridden(config: Config, arguments: argparse.Namespace) -> Config:
    given = {name: getattr(arguments, name) for name in ("idle_seconds", "locked_seconds")}
    return replace(config, **{name: value for name, value in given.items() if value})


def _anchors() -> Sequence[Certificate]:
    from ownerd.app.anchors import read_anchors

    return read_anchors(paths.config_dir() / "trust.d")


def _attesters() -> Sequence[Attester]:
    from ownerd.app.anchors import read_attesters

    return read_attesters(paths.config_dir() / "trust.d")


def _fido2_tokens() -> Adapter:
    from ownerd.core.seal import key_check
    from ownerd.tokens.fido2_port import Fido2Tokens

    return Fido2Tokens(key_check=key_check)


def _piv_tokens() -> Adapter:
    from ownerd.core.seal import key_check
    from ownerd.tokens.piv_port import PivTokens

    return PivTokens(key_check=key_check)


async def run(config: Config) -> int:
    """Serve until locked; returns the exit code. Raises `OwnerdError` when it cannot start."""
    from ownerd.app.ending import LastingBudget, end_when_idle
    from ownerd.app.manager import Manager
    from ownerd.app.notebook import RuntimeNotebook
    from ownerd.bus.logind import LoginWatch
    from ownerd.bus.notifications import BusNotifications
    from ownerd.bus.service import BusService as Service
    from ownerd.core.agent import Agent as Core
    from ownerd.core.bargaining import Negotiations
    from ownerd.core.desk import Desk
    from ownerd.core.seal import key_check
    from ownerd.core.session import Session as CoreSession
    from ownerd.prompt.notify import DesktopNotifications
    from ownerd.prompt.pinentry import Pinentry
    from ownerd.prompt.port import Prompts
    from ownerd.storage.backups import BackupFiles
    from ownerd.storage.files import atomic_write, lock_file, secure_directory
    from ownerd.storage.heads import HeadFiles
    from ownerd.storage.store import SqliteStore
    from ownerd.tokens.all_tokens import AllTokens

    manager = Manager()
    secure_directory(paths.runtime_dir())
    # Before anything is written: a second daemon must not replace the first one's key and then fail.
    lock = lock_file(paths.runtime_dir() / "ownerd.lock")
    clock = SystemClock()
    notifications = await BusNotifications.connect()
    prompts = Prompts(Pinentry(program=config.pinentry), DesktopNotifications(notifications))
    makers: dict[TokenType, Callable[[], Adapter]] = {"fido2": _fido2_tokens, "piv": _piv_tokens}
    if config.pkcs11_modules:
        from ownerd.tokens.pkcs11_port import Pkcs11Tokens

        # Made at once: a path that is not safe to load ends the start, by name.
        pkcs11 = Pkcs11Tokens(config.pkcs11_modules, key_check=key_check)
        makers["pkcs11"] = lambda: pkcs11
    tokens = AllTokens(makers)
    store = SqliteStore.open(paths.database_path())
    budget = LastingBudget(clock, RuntimeNotebook(paths.runtime_dir() / "refused-today.json"))
    session = CoreSession(
        store=store,
        backups=BackupFiles(store, paths.database_path()),
        tokens=tokens,
        desk=Desk(prompts, clock),
        clock=clock,
        rng=os.urandom,
        anchors=_anchors,
        attesters=_attesters,
        heads=HeadFiles(),
        negotiations=Negotiations(clock),
        budget=budget,
    )
    ended = asyncio.Event()
    agent = Core(session, ended.set)
    await agent.start()
    atomic_write(paths.session_key_path(), agent.session_key().encode())
    service = Service(agent)
    await service.start()
    logger.info("ready, locked")
    manager.tell("locked")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.lock, "ended")
    watchers = [
        asyncio.ensure_future(end_when_idle(agent, service, budget, **_limits(config))),
        asyncio.ensure_future(_tell_unlocked(session, manager)),
        asyncio.ensure_future(_lock_when_alone(agent, service)),
        asyncio.ensure_future(LoginWatch(lambda reason: _lock_with_system(agent, reason)).run()),
    ]
    if config.lock_on_removal:
        watchers.append(asyncio.ensure_future(_lock_when_removed(agent, session, tokens)))
    await ended.wait()
    manager.tell("locked, ending", ending=True)
    for watcher in watchers:
        watcher.cancel()
    # All of ours goes before the name does: whoever is started next writes these anew.
    with suppress(OSError):
        paths.session_key_path().unlink()
    os.close(lock)
    await service.stop()
    logger.info("locked and ended")
    return 0


def _lock_with_system(agent: Agent, reason: str) -> bool:
    """Lock unless nothing is open; what waits for its owner to unlock goes on waiting, also through sleep."""
    waiting = Progress.WAITING_FOR_UNLOCK.value
    if not agent.status().unlocked and all(act.state == waiting for act in agent.pending()):
        return False
    agent.lock(reason)
    return True


def _limits(config: Config) -> dict[str, int]:
    return {"idle_seconds": config.idle_seconds, "locked_seconds": config.locked_seconds}


async def _tell_unlocked(session: Session, manager: Manager) -> None:
    await session.unlocked.wait()
    manager.tell("unlocked")


async def _lock_when_removed(agent: Agent, session: Session, tokens: Watched) -> None:
    from ownerd.tokens.presence import RemovalWatch

    await session.unlocked.wait()
    if session.unlocked_by is None:
        return
    try:
        removed = await RemovalWatch(tokens).wait_removed(session.unlocked_by)
    except Exception:
        logger.exception("the token cannot be watched any more, and counts as removed")
        removed = True
    if removed:
        agent.lock("token removed")


async def _lock_when_alone(agent: Agent, service: BusService) -> None:
    await service.wait_for_disconnect()
    agent.lock("bus lost")
