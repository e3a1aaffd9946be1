"""Floors: the same rows in bare SQLite, the same hashes and signatures, bare. Nothing of ownerd's is called."""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

if TYPE_CHECKING:
    from ownerd.core.ports import Batch

_SCHEMA: Final = """
CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
CREATE TABLE opening (seq INTEGER PRIMARY KEY, wrapped_key BLOB NOT NULL, ciphertext BLOB NOT NULL) STRICT;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE record (kind TEXT, id TEXT, generation INTEGER, sealed BLOB, PRIMARY KEY (kind, id)) STRICT;
"""


class BareDatabase:
    """One SQLite file, write-ahead log, ``synchronous=FULL``, and no question asked."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)

    def commit(self, batch: Batch) -> None:
        """One transaction with the rows of ``batch``."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for row in batch.entries:
            execute("INSERT INTO entry VALUES (?, ?)", (row.seq, row.leaf))
            if row.wrapped_key is not None:
                execute("INSERT INTO opening VALUES (?, ?, ?)", (row.seq, row.wrapped_key, row.ciphertext))
        if batch.checkpoint is not None:
            execute("INSERT INTO checkpoint VALUES (?, ?)", batch.checkpoint)
        for one in batch.put:
            values = (one.kind, one.id, one.generation, one.sealed)
            execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", values)
        execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def hash_leaves(leaves: Iterable[bytes]) -> None:
    """Every leaf once, and as many inner nodes as there are leaves (RFC 6962, section 2.1)."""
    for leaf in leaves:
        digest = hashlib.sha256(b"\0" + leaf).digest()
        hashlib.sha256(b"\1" + digest + digest).digest()


def hash_file(path: Path) -> None:
    """What verifying the hashes of a ledger, or a start on it, cannot do without: `hash_leaves` of its rows."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        hash_leaves(map(itemgetter(0), connection.execute("SELECT leaf FROM entry ORDER BY seq")))
    finally:
        connection.close()


def verifications(checkpoints: int, approvals: int) -> Callable[[], None]:
    """As many Ed25519 and ES256 verifications as a ledger has checkpoints and approvals."""
    text, digest = bytes(200), ec.ECDSA(hashes.SHA256())
    log, token = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    log_signature, token_signature = log.sign(text), token.sign(text, digest)
    log_key, token_key = log.public_key(), token.public_key()

    def verify() -> None:
        for _ in range(checkpoints):
            log_key.verify(log_signature, text)
        for _ in range(approvals):
            token_key.verify(token_signature, text, digest)

    return verify


class BareSignatures:
    """The cryptography that a disclosure cannot do without, and the one signature of the token that answers."""

    def __init__(self) -> None:
        self._token = ec.generate_private_key(ec.SECP256R1())
        self._holder = ec.generate_private_key(ec.SECP256R1())
        self._holder_public = self._holder.public_key()
        self._signed: bytes | None = None
        self._log = Ed25519PrivateKey.generate()
        self._opening = X25519PrivateKey.generate().public_key()
        self._app = ec.generate_private_key(ec.SECP256R1()).public_key()
        self._suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

    def disclosure(self, presentation: bytes) -> None:
        """Three ES256 signatures (token, credential, key binding), one Ed25519, one HPKE, one JWE."""
        for key in (self._token, self._holder, self._holder):
            key.sign(presentation, ec.ECDSA(hashes.SHA256()))
        self._log.sign(presentation[:200])
        self._suite.encrypt(presentation[:32], self._opening, b"bench")
        self._jwe(presentation)

    def unlock(self) -> None:
        """The token's signature and the checkpoint's."""
        self._token.sign(b"bench", ec.ECDSA(hashes.SHA256()))
        self._log.sign(b"bench")

    def repeat(self, presentation: bytes) -> None:
        """Two ES256 verifications (the request, its certificate), one signature, one Ed25519, one HPKE, one JWE."""
        for _ in range(2):
            self._app_verify(presentation)
        self._holder.sign(presentation, ec.ECDSA(hashes.SHA256()))
        self._log.sign(presentation[:200])
        self._suite.encrypt(presentation[:32], self._opening, b"bench")
        self._jwe(presentation)

    def _app_verify(self, text: bytes) -> None:
        if self._signed is None:
            self._signed = self._holder.sign(text, ec.ECDSA(hashes.SHA256()))
        self._holder_public.verify(self._signed, text, ec.ECDSA(hashes.SHA256()))

    def _jwe(self, plaintext: bytes) -> bytes:
        """ECDH-ES on P-256 with A256GCM (RFC 7518, 4.6), as bare as it can be."""
        shared = ec.generate_private_key(ec.SECP256R1()).exchange(ec.ECDH(), self._app)
        key = ConcatKDFHash(hashes.SHA256(), 32, otherinfo=b"bench").derive(shared)
        nonce = os.urandom(12)
        return base64.urlsafe_b64encode(AESGCM(key).encrypt(nonce, plaintext, None))
