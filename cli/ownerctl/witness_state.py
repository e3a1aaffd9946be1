"""What a witness keeps on its own device: its key, and for each log the key and the last checkpoint that it cosigned.

A directory of its own, 0700, files 0600. Whoever changes it can let the witness sign an older or another history: it is
what the witness vouches with.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from ownerctl.errors import FileTrouble, NothingThere
from ownerctl.private_file import write_private
from ownerd.ledger.cosignature import WitnessKey, witness_key
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, UnsafeFile
from ownerd.model.paths import data_dir

_KEY = "key.json"
_LOGS = "logs"
_MAX_BYTES = 64 * 1024
_INIT = "run ownerctl witness init"


class Seen(Struct, frozen=True):
    """One log: its verifier key, and the note that was cosigned last."""

    log: str
    note: bytes


class Signer(Struct, frozen=True):
    """The witness's own key."""

    name: str
    key: Ed25519PrivateKey

    @property
    def public(self) -> WitnessKey:
        """Its verifier key."""
        return witness_key(self.name, self.key.public_key())


class WitnessState:
    """The directory. Methods raise `FileTrouble`, `UnsafeFile`, `NothingThere`."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory or data_dir().with_name("ownerd-witness")

    def create(self, name: str) -> Signer:
        """Make the key. Raises `FileTrouble` where there is one."""
        signer = Signer(name, Ed25519PrivateKey.generate())
        _ = signer.public  # raises for a name that no note may have, before anything is written
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._directory / _LOGS).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise FileTrouble("the witness's directory cannot be made") from error
        private = format_b64u(signer.key.private_bytes_raw())
        self._write(self._directory / _KEY, {"v": 1, "name": name, "private": private}, replace=False)
        return signer

    def signer(self) -> Signer:
        """Read the key. Raises `NothingThere` without one."""
        found = self._read(self._directory / _KEY)
        if found is None:
            raise NothingThere("this device has no witness key", hint=_INIT)
        try:
            private = Ed25519PrivateKey.from_private_bytes(parse_b64u(found["private"]))
            return Signer(str(found["name"]), private)
        except (KeyError, TypeError, ValueError, InvalidArgument) as error:
            raise FileTrouble("the witness's key file is damaged") from error

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else signs meanwhile: two at once could cosign two histories."""
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NothingThere("this device has no witness key", hint=_INIT) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def seen(self, origin: str) -> Seen | None:
        """What was cosigned last of a log; None where it is new."""
        found = self._read(self._log(origin))
        if found is None:
            return None
        try:
            return Seen(str(found["log"]), str(found["note"]).encode())
        except KeyError as error:
            raise FileTrouble("what the witness has seen is damaged") from error

    def remember(self, origin: str, seen: Seen) -> None:
        """Keep what is about to be cosigned, before it leaves."""
        members: dict[str, Json] = {"v": 1, "log": seen.log, "note": seen.note.decode()}
        self._write(self._log(origin), members, replace=True)
        descriptor = os.open(self._directory / _LOGS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _log(self, origin: str) -> Path:
        # By its hash: an origin comes from outside and names no path of ours.
        return self._directory / _LOGS / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"

    def _write(self, path: Path, members: dict[str, Json], *, replace: bool) -> None:
        write_private(path, json.dumps(members, ensure_ascii=False).encode(), replace=replace)

    def _read(self, path: Path) -> dict[str, Json] | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileTrouble("what the witness keeps cannot be read") from error
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise UnsafeFile("what the witness keeps is open to others, or not yours")
            content = file.read(_MAX_BYTES + 1)
        try:
            return parse_json_object(content, max_bytes=_MAX_BYTES)
        except InvalidArgument as error:
            raise FileTrouble("what the witness keeps is damaged") from error
