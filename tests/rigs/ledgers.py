"""Small real ledgers: every signature is made by a key of this rig, so that verification has nothing to excuse.

`LedgerMaker` writes like the daemon does, with an in-test authenticator (P-256, FIDO2 assertions); `Tables` holds
the three tables as lists that tests may damage, and `write_database` makes the SQLite file of them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, settings

from ownerd.ledger.approval import card_message, client_data, recovery_message
from ownerd.ledger.entry import Leaf, LeafCore, challenge, commit, format_leaf, origin
from ownerd.ledger.facts import EnrolledCard, EnrolledToken, format_token
from ownerd.ledger.merkle import Frontier, leaf_hash
from ownerd.ledger.note import format_checkpoint, format_verifier_key, sign_note
from ownerd.ledger.opening import OpeningValue, SealedOpening, seal_opening
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.clock import format_time
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.names import RP_ID, Kind
from ownerd.model.token import Approval, CardApproval, Fido2Approval, RecoveryApproval

# A loaded machine is slow, not wrong.
steady = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

SCHEMA = """
CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
CREATE TABLE opening (seq INTEGER PRIMARY KEY, wrapped_key BLOB NOT NULL, ciphertext BLOB NOT NULL) STRICT;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
PRAGMA application_id = 0x6f776e64;
PRAGMA user_version = 1;
"""


def counting_rng(seed: bytes):
    """Bytes that are the same at every run: SHA-256 of a counter."""
    counter = 0

    def rng(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(seed + counter.to_bytes(8, "big")).digest(size)

    return rng


class TestToken:
    """A FIDO2 authenticator as far as approvals go: one P-256 credential that signs assertions."""

    __test__ = False

    def __init__(self, name: str = "token-1", *, user_verification: bool = False) -> None:
        number = int.from_bytes(hashlib.sha256(b"token " + name.encode()).digest(), "big")
        self.key = ec.derive_private_key(number % (1 << 250) + 1, ec.SECP256R1())
        public = self.key.public_key().public_numbers()
        self.enrolled = EnrolledToken(
            id=name,
            credential_id=hashlib.sha256(b"credential " + name.encode()).digest(),
            public_key={
                "kty": "EC",
                "crv": "P-256",
                "x": format_b64u(public.x.to_bytes(32, "big")),
                "y": format_b64u(public.y.to_bytes(32, "big")),
            },
            user_verification=user_verification,
            aaguid="00000000-0000-0000-0000-000000000000",
            software=True,
        )
        self.counter = 0

    def authenticator_data(
        self, *, flags: int | None = None, rp_id: str = RP_ID, extensions: bytes = b""
    ) -> bytes:
        self.counter += 1
        if flags is None:
            flags = 0x05 if self.enrolled.user_verification else 0x01
        if extensions:
            flags |= 0x80
        head = hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")
        return head + extensions

    def approve(self, digest: bytes, **how) -> Fido2Approval:
        data, client = self.authenticator_data(**how), client_data(digest)
        signed = data + hashlib.sha256(client).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return Fido2Approval(self.enrolled.id, self.enrolled.credential_id, client, data, signature)


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key per size and process: making them is slow."""
    return rsa.generate_private_key(65537, bits)


def number(value: int, size: int | None = None) -> str:
    """Base64url of an integer, of ``size`` bytes or as short as it can be."""
    return format_b64u(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class TestCard:
    """A smart card as far as approvals go: one signing key, P-256, P-384 or RSA."""

    __test__ = False

    def __init__(self, name: str = "card-1", algorithm: str = "ES256", type_: str = "piv") -> None:
        if algorithm == "RS256":
            self.key = rsa_key()
            public = self.key.public_key().public_numbers()
            jwk = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
        else:
            curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
            seed = int.from_bytes(hashlib.sha256(b"card " + name.encode()).digest(), "big")
            self.key = ec.derive_private_key(seed % (1 << 250) + 1, curve)
            self.size = curve.key_size // 8
            public = self.key.public_key().public_numbers()
            x, y = number(public.x, self.size), number(public.y, self.size)
            jwk = {"kty": "EC", "crv": f"P-{curve.key_size}", "x": x, "y": y}
        self.enrolled = EnrolledCard(type_, name, jwk, algorithm, software=True)

    def sign(self, message: bytes) -> bytes:
        if self.enrolled.algorithm == "RS256":
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        digest = hashes.SHA256() if self.enrolled.algorithm == "ES256" else hashes.SHA384()
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(digest, deterministic_signing=True)))
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")

    def approve(self, digest: bytes) -> CardApproval:
        signature = self.sign(card_message(digest))
        return CardApproval(self.enrolled.id, self.enrolled.algorithm, signature, self.enrolled.type)


class TestRecovery:
    """A recovery code as far as approvals go: one Ed25519 key."""

    __test__ = False

    def __init__(self, name: str = "code-1") -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"code " + name.encode()).digest())
        self.public_key = self.key.public_key().public_bytes_raw()

    def approve(self, digest: bytes) -> RecoveryApproval:
        return RecoveryApproval(self.key.sign(recovery_message(digest)))


Approver = TestToken | TestCard | TestRecovery


@dataclass
class Tables:
    """The three tables, as lists of rows in ascending order."""

    entries: list[tuple[int, bytes]] = field(default_factory=list)
    checkpoints: list[tuple[int, bytes]] = field(default_factory=list)
    openings: list[tuple[int, bytes, bytes]] = field(default_factory=list)

    def copy(self) -> Tables:
        return Tables(self.entries.copy(), self.checkpoints.copy(), self.openings.copy())

    def verify(self, **options) -> Report:
        ciphertexts = [(seq, ciphertext) for seq, _, ciphertext in self.openings]
        return verify_ledger(self.entries, self.checkpoints, ciphertexts, **options)


def log_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"log " + seed.encode()).digest())


def opening_key(seed: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(hashlib.sha256(b"op " + seed.encode()).digest())


class LedgerMaker:
    """Writes entries as the daemon would. Options of `append` make what the daemon never would."""

    def __init__(self, seed: str = "ledger", *, log: str | None = None) -> None:
        self.rng = counting_rng(seed.encode())
        self.log = log or hashlib.sha256(seed.encode()).hexdigest()[:32]
        self.log_key = log_key(seed)
        self.opening_key = opening_key(seed)
        self.tables = Tables()
        self.frontier = Frontier()
        self.now_ms = 1_795_442_400_000

    @property
    def verifier_key(self) -> str:
        return format_verifier_key(origin(self.log), self.log_key.public_key())

    def core(
        self, kind: Kind, values: Mapping[str, OpeningValue] | None = None, facts: Json = None
    ) -> LeafCore:
        self.now_ms += 1000
        return LeafCore(
            log=self.log,
            time=format_time(self.now_ms),
            kind=kind,
            nonce=self.rng(16),
            size=self.frontier.size,
            root=self.frontier.root(),
            commitments={label: commit(label, one.salt, one.value) for label, one in (values or {}).items()},
            facts=facts or {},
        )

    def salted(self, values: Mapping[str, Json]) -> dict[str, OpeningValue]:
        return {label: OpeningValue(self.rng(16), value) for label, value in values.items()}

    def append(
        self,
        kind: Kind,
        values: Mapping[str, Json] | None = None,
        facts: Json = None,
        *,
        token: Approver | None = None,
        core: LeafCore | None = None,
        approval: Approval | None = None,
        outcome: Mapping[str, Json] | None = None,
        checkpoint: bool = True,
    ) -> int:
        """Append one entry; return its sequence number."""
        salted, after = self.salted(values or {}), self.salted(outcome or {})
        core = core or self.core(kind, salted, facts)
        sealed = None
        if salted or after:
            sealed = self.seal(salted | after, core)
        leaf = Leaf(
            core=core,
            approval=approval or (token.approve(challenge(core)) if token else None),
            outcome={label: commit(label, one.salt, one.value) for label, one in after.items()},
            vault_generation=1,
            vault_digest=hashlib.sha256(b"vault").digest(),
            opening=sealed.digest if sealed else None,
        )
        seq = self.append_bytes(format_leaf(leaf), checkpoint=checkpoint)
        if sealed is not None:
            self.tables.openings.append((seq, sealed.wrapped_key, sealed.ciphertext))
        return seq

    def seal(self, values: dict[str, OpeningValue], core: LeafCore) -> SealedOpening:
        return seal_opening(values, core, self.opening_key.public_key(), self.rng)

    def append_bytes(self, leaf: bytes, *, checkpoint: bool = True) -> int:
        seq = self.frontier.size
        self.tables.entries.append((seq, leaf))
        self.frontier.append(leaf_hash(leaf))
        if checkpoint:
            self.sign()
        return seq

    def sign(self) -> None:
        """Sign the tree as it is."""
        self.tables.checkpoints.append((self.frontier.size, self.head()))

    def head(self) -> bytes:
        text = format_checkpoint(origin(self.log), self.frontier.size, self.frontier.root())
        return sign_note(text, origin(self.log), self.log_key)

    def set_up(self, token: TestToken) -> None:
        """Genesis and the first token: one transaction, one checkpoint."""
        opening_key = format_b64u(self.opening_key.public_key().public_bytes_raw())
        facts = {"verifier_key": self.verifier_key, "opening_key": opening_key}
        self.append(Kind.GENESIS, facts=facts, checkpoint=False)
        self.enrol(token, by=token)

    def enrol(self, token: TestToken | TestCard, *, by: Approver | None) -> int:
        return self.append(Kind.TOKEN_ENROLLED, facts={"token": format_token(token.enrolled)}, token=by)

    def set_recovery(self, code: TestRecovery, *, by: Approver | None) -> int:
        return self.append(Kind.RECOVERY_SET, facts={"public_key": format_b64u(code.public_key)}, token=by)

    def rotated(self, seed: str) -> dict[str, Json]:
        """Facts of a rotation to the keys of ``seed``."""
        public = log_key(seed).public_key()
        opening = opening_key(seed).public_key().public_bytes_raw()
        return {
            "verifier_key": format_verifier_key(origin(self.log), public),
            "opening_key": format_b64u(opening),
        }

    def rotate(self, seed: str, *, by: Approver | None, kind: Kind = Kind.KEY_ROTATED) -> int:
        """Append a rotation to the keys of ``seed``; from its own checkpoint on they are in use."""
        facts = self.rotated(seed)
        self.log_key, self.opening_key = log_key(seed), opening_key(seed)
        return self.append(kind, facts=facts, token=by)

    def grant_facts(
        self, *, seconds: float = 30 * 24 * 3600, count: int = 1000, per_hour: int = 3600
    ) -> dict[str, Json]:
        """Facts of a grant that ends ``seconds`` after the entry which is made next."""
        until = format_time(self.now_ms + 1000 + int(seconds * 1000))
        return {"until": until, "count": count, "per_hour": per_hour}

    def grant(self, token: Approver | None, **limits: float) -> int:
        """Append a grant with these limits of `grant_facts`."""
        return self.append(Kind.GRANT, {"statement": {"v": 1}}, self.grant_facts(**limits), token=token)

    def receipt(self, entry: int) -> int:
        """Append what a provider returned for the disclosure ``entry``."""
        return self.append(Kind.RECEIPT, {"receipt": "thank you"}, {"entry": entry})

    def disclose(self, token: Approver | None, facts: Json = None) -> int:
        values = {
            "statement": {"v": 1},
            "provider": "x509_san_dns:shop.example",
            "claim/0": ["email", "a@b.example"],
        }
        outcome = {"presentation": "eyJ…", "response": "eyJ…"}
        return self.append(Kind.DISCLOSURE, values, facts, token=token, outcome=outcome)


def small_ledger(seed: str = "ledger") -> LedgerMaker:
    """Every kind of thing that version 1 writes, 20 entries: a day in the life of one owner."""
    maker, first, second = (
        LedgerMaker(seed),
        TestToken("token-1"),
        TestToken("token-2", user_verification=True),
    )
    maker.set_up(first)  # 0, 1
    maker.append(Kind.OWNER_CHANGE, {"claim/0": ["email", "a@b.example"]}, token=first)  # 2
    maker.append(Kind.REQUEST, {"provider": "shop.example", "app": "browser"})  # 3
    maker.append(Kind.DELIVERED, facts={"entry": maker.disclose(first)})  # 4, 5
    maker.append(Kind.REFUSED, {"error": "said no"}, {"error": "Dismissed"})  # 6
    maker.enrol(second, by=first)  # 7
    grant = maker.grant(second)  # 8
    maker.append(Kind.DELIVERED, facts={"entry": maker.disclose(None, {"grant": grant})})  # 9, 10
    maker.append(Kind.GRANT_ENDED, facts={"grant": grant})  # 11
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-1"}, token=second)  # 12
    maker.append(Kind.LOCKED, facts={"reason": "suspend"}, checkpoint=False)  # 13
    maker.append(Kind.REQUEST, {"app": "browser"}, checkpoint=False)  # 14
    maker.append(Kind.FAILED, {"error": "no token"}, {"error": "TokenMissing"}, checkpoint=False)  # 15
    maker.append(Kind.UNLOCKED, token=second)  # 16
    maker.append(Kind.ERASED, facts={"entries": [3, 6]}, token=second)  # 17
    maker.tables.openings = [row for row in maker.tables.openings if row[0] not in (3, 6)]
    maker.append(Kind.LOCKED, facts={"reason": "idle"})  # 18
    maker.append(Kind.REQUEST, {"app": "mail"}, checkpoint=False)  # 19
    return maker


def bad_day_ledger(seed: str = "bad day") -> LedgerMaker:
    """A card, a recovery code, a lost token, two rotations: 14 entries, keys in force from 0, 8 and 12."""
    maker, token, card, code = LedgerMaker(seed), TestToken(), TestCard(), TestRecovery()
    maker.set_up(token)  # 0, 1
    maker.set_recovery(code, by=token)  # 2
    maker.enrol(card, by=token)  # 3
    maker.disclose(card)  # 4
    maker.append(Kind.LOCKED, facts={"reason": "token removed"}, checkpoint=False)  # 5
    maker.append(Kind.UNLOCKED, token=card)  # 6
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-1"}, token=card)  # 7
    maker.rotate("second", by=card)  # 8
    maker.append(Kind.UNLOCKED, token=code)  # 9
    maker.enrol(TestCard("card-2", "ES384", "pkcs11"), by=code)  # 10
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "card-1"}, token=code)  # 11
    maker.rotate("third", by=TestCard("card-2", "ES384", "pkcs11"))  # 12
    maker.append(Kind.REQUEST, {"app": "mail"})  # 13
    return maker


def write_database(path: Path, tables: Tables) -> Path:
    """Write the tables as the SQLite file that the daemon would have made."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO entry VALUES (?, ?)", tables.entries)
    connection.executemany("INSERT INTO checkpoint VALUES (?, ?)", tables.checkpoints)
    connection.executemany("INSERT INTO opening VALUES (?, ?, ?)", tables.openings)
    connection.commit()
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return path


@pytest.fixture(scope="session")
def ledger_maker() -> LedgerMaker:
    """One small ledger, shared: copy its tables before you damage them."""
    return small_ledger()
