"""What the software token remembers, and the sealed file that keeps it.

The file is one CBOR map ``{"n", "nonce", "p", "r", "salt", "sealed", "v"}``: ``sealed`` is AES-256-GCM
(12-byte nonce, fresh for each write) of the state as CBOR, under scrypt(passphrase, salt, n, r, p), with the
map without ``sealed`` as associated data. It is written to a new file, synced and renamed over the old one,
so that a crash at any instant leaves a whole state.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from fido2 import cbor
from msgspec import Struct, field
from msgspec.structs import asdict

from ownerd.softtoken.failure import StateError

VERSION: Final = 1
SCRYPT_N: Final = 2**16
SCRYPT_N_FLOOR: Final = 2**15
SCRYPT_N_CEILING: Final = 2**20
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
PIN_TRIES: Final = 8

# CTAP 2.1 section 6.10.2: the empty array 0x80 and the first 16 bytes of its SHA-256.
EMPTY_LARGE_BLOBS: Final = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")


class Credential(Struct, frozen=True):
    """One key pair. ``private_key`` is the P-256 scalar (32 bytes); ``order`` counts creations.

    ``protect`` is the credProtect level 1 to 3. The two secrets are hmac-secret's CredRandom (32 bytes each).
    """

    id: bytes
    rp_id: str
    user: Mapping[str, Any]
    private_key: bytes
    discoverable: bool
    protect: int
    large_blob_key: bytes
    secret_with_uv: bytes
    secret_without_uv: bytes
    order: int


class TokenState(Struct):
    """All that survives a restart. ``pin_hash``: first 16 bytes of SHA-256 of the PIN, empty without a PIN."""

    credentials: dict[bytes, Credential] = field(default_factory=dict)
    pin_hash: bytes = b""
    pin_tries: int = PIN_TRIES
    counter: int = 0
    large_blobs: bytes = EMPTY_LARGE_BLOBS

    def clear(self) -> None:
        """Back to the state of a new token (authenticatorReset)."""
        self.credentials.clear()
        self.pin_hash = b""
        self.pin_tries = PIN_TRIES
        self.counter = 0
        self.large_blobs = EMPTY_LARGE_BLOBS


def format_state(state: TokenState) -> bytes:
    """State → CBOR."""
    return cbor.encode(
        {
            "credentials": [asdict(credential) for credential in state.credentials.values()],
            "pin_hash": state.pin_hash,
            "pin_tries": state.pin_tries,
            "counter": state.counter,
            "large_blobs": state.large_blobs,
        }
    )


def parse_state(data: bytes) -> TokenState:
    """Inverse of `format_state`. Raises `StateError` (the bytes were authentic, so this is a version clash)."""
    try:
        value: Any = cbor.decode(data)
        credentials = [Credential(**entry) for entry in value.pop("credentials")]
        return TokenState(credentials={entry.id: entry for entry in credentials}, **value)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise StateError("the state was written by another version") from error


class SealedFile:
    """The state file of one token, held under an exclusive lock until `close` or process exit.

    ``scrypt_n`` is the cost for new files; a file with less than the smaller of it and 2^15 is refused.
    """

    def __init__(self, path: Path, passphrase: bytes, *, scrypt_n: int = SCRYPT_N) -> None:
        self._path = path
        self._passphrase = passphrase
        self._scrypt_n = scrypt_n
        self._header: dict[str, Any] = {}
        self._key = b""
        self._lock = self._take_lock()

    def _take_lock(self) -> int:
        directory = self._path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise StateError(f"{directory} must belong to you alone (chmod 700)")
        # The lock has a file of its own: the state's inode changes with every write.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._path.with_name(self._path.name + ".lock"), flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise StateError("another ownerd-softtoken uses this state file") from error
        return lock

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def create(self) -> TokenState:
        """Write a new, empty state. Raises `StateError` when there is a file already."""
        if self._path.exists() or self._path.is_symlink():
            raise StateError(f"{self._path} exists already; start without --new")
        state = TokenState()
        self._set_key(os.urandom(16), self._scrypt_n, SCRYPT_R, SCRYPT_P)
        self.save(state)
        return state

    def load(self) -> TokenState:
        """Open the state. Raises `StateError` for a missing or damaged file and for a wrong passphrase."""
        header = self._read()
        sealed = header.pop("sealed")
        self._set_key(header["salt"], header["n"], header["r"], header["p"])
        try:
            plain = AESGCM(self._key).decrypt(header["nonce"], sealed, cbor.encode(header))
        except (InvalidTag, ValueError) as error:
            raise StateError("wrong passphrase, or the state file is damaged") from error
        return parse_state(plain)

    def _read(self) -> dict[str, Any]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise StateError(f"there is no {self._path}; make one with --new") from error
        except OSError as error:
            raise StateError(f"cannot read {self._path}") from error
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        kinds = {"v": int, "n": int, "r": int, "p": int, "salt": bytes, "nonce": bytes, "sealed": bytes}
        try:
            header: Any = cbor.decode(data)
            sound = (
                cbor.encode(header) == data
                and header.keys() == kinds.keys()
                and all(type(header[name]) is kind for name, kind in kinds.items())
                and (header["v"], header["r"], header["p"]) == (VERSION, SCRYPT_R, SCRYPT_P)
                # A cost that someone lowered or raised in the file is neither weak nor a trap for memory.
                and min(SCRYPT_N_FLOOR, self._scrypt_n) <= header["n"] <= SCRYPT_N_CEILING
                and header["n"].bit_count() == 1
            )
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            struct.error,
            RecursionError,
        ) as error:
            raise StateError(f"{self._path} is not a state file of ours") from error
        if not sound:
            raise StateError(f"{self._path} is not a state file of ours")
        return dict(header)

    def _set_key(self, salt: bytes, n: int, r: int, p: int) -> None:
        self._key = Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(self._passphrase)
        self._header = {"v": VERSION, "n": n, "r": r, "p": p, "salt": salt}

    def save(self, state: TokenState) -> None:
        """Seal and write ``state``; durable on return. Raises `OSError`."""
        header = {**self._header, "nonce": os.urandom(12)}
        sealed = AESGCM(self._key).encrypt(header["nonce"], format_state(state), cbor.encode(header))
        data = cbor.encode({**header, "sealed": sealed})
        draft = self._path.with_name(self._path.name + ".new")
        with suppress(FileNotFoundError):  # left behind by a crash; the lock says that nobody else writes it
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
