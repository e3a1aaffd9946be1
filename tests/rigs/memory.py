"""What is in the memory of the stage's processes, read as root; and the keys that must not be."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from demo.stage import PASSPHRASE, Stage
from fido2.utils import hmac_sha256

from ownerd.core import keyslot as keyslots
from ownerd.core.ports import Record
from ownerd.core.vault import Vault
from ownerd.model.secret import Secret
from ownerd.softtoken.state import SealedFile


def require_root() -> None:
    """The daemon is not dumpable: its memory is root's alone to read."""
    if os.getuid() == 0:
        return
    if os.environ.get("CI"):
        pytest.fail("reading memory needs root")
    pytest.skip("reading memory needs root")


def proportional(pid: int) -> float:
    """MiB of memory that are this process's own, and its share of the rest (PSS); all of it where that is root's to read."""
    place, name = ("smaps_rollup", "Pss:") if os.getuid() == 0 else ("status", "VmRSS:")
    lines = Path(f"/proc/{pid}/{place}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def stage_processes(stage: Stage) -> dict[int, str]:
    """Name of every process that was started on this stage, by its environment; nobody else's is touched."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(stage.home) in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "comm").read_text().strip()
        except OSError:
            continue
    return found


def search(pid: int, wanted: Iterable[bytes]) -> set[bytes]:
    """Which of ``wanted`` lie anywhere in the memory of process ``pid``."""
    missing, found = set(wanted), set()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            first, permissions, *_ = line.split()
            if not permissions.startswith("r") or "[v" in line:
                continue
            start, end = (int(number, 16) for number in first.split("-"))
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except OSError:
                continue  # a mapping without pages behind it
            found |= {one for one in missing if one in data}
    return found


def vault_keys(stage: Stage) -> dict[str, bytes]:
    """The keys of a vault that the software token "1" (without PIN) opens, got without the daemon.

    The token's file and the database are read; nothing is written but a copy.
    """
    copied = stage.home / "copy" / "1.token"
    copied.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(stage.home / "data" / "ownerd-softtoken" / "1.token", copied)
    file = SealedFile(copied, PASSPHRASE.encode())
    state = file.load()
    file.close()
    connection = sqlite3.connect(stage.database)
    rows = connection.execute("SELECT kind, id, generation, sealed FROM record").fetchall()
    connection.close()
    records = [Record(*row) for row in rows]
    slot = next(keyslots.parse_keyslot(record) for record in records if record.kind == keyslots.KIND)
    credential = state.credentials[slot.credential.credential_id]
    secret = Secret(hmac_sha256(credential.secret_without_uv, slot.slot.handle.salt))
    vault_key = keyslots.open_vault_key(slot, secret)
    vault = Vault(vault_key, slot.generation, os.urandom)
    vault.apply(records, ())
    return {
        "the slot secret": secret.reveal(),
        "the vault key": vault_key.reveal(),
        "the vault's sealing key": vault._key.reveal(),
        "the log key": vault.log_key.private_bytes_raw(),
        "the opening key": vault.opening_key.private_bytes_raw(),
    }
