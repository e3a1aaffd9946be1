"""The open vault: what the sealed records say, in memory, while the vault key is here.

Owns the outer layer: every record but keyslots is AES-256-GCM under a key derived from the vault key, bound
to its kind, id and generation. Trusts nothing in the database: a record that does not open or parse stops
the unlock. Changes are made as sealed records; only after they are durable does `Vault.apply` take them in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ownerd.core import anchor_places, grant_record, keyslot, known, provider_keys, recovery_code, seal
from ownerd.core.anchor_places import Place
from ownerd.core.grant_record import Grant
from ownerd.core.keys_record import LOG_KEYS, keys_record, parse_keys_record
from ownerd.core.keyslot import Approver, Enrolled, Keyslot
from ownerd.core.known import KnownProvider, Pin
from ownerd.core.ports import Record, Rng
from ownerd.core.provider_keys import KeyCopy
from ownerd.core.recovery_code import RecoverySlot
from ownerd.model.canonical import format_canonical
from ownerd.model.claim import Claim
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, VaultDamaged
from ownerd.model.policy import Policy
from ownerd.model.request import Trust
from ownerd.model.secret import Secret
from ownerd.negotiation.policy_text import parse_policy

CLAIM: Final = "claim"
POLICY: Final = "policy"
ANCHOR: Final = "anchor"
SYSTEM: Final = "system"
LOG_KEY: Final = "log-key"
OPENING_KEY: Final = "opening-key"
ID_BYTES: Final = 8


class Vault:
    """Claims, providers and keys, decrypted. Never leaves the process; ends with it."""

    def __init__(self, key: Secret, generation: int, rng: Rng) -> None:
        self.root = key
        self._key = seal.derive(key, "ownerd/vault/v1")
        self._rng = rng
        self.generation = generation
        self.claims: dict[str, Claim] = {}
        self._claim_ids: dict[str, str] = {}
        self.providers: dict[str, KnownProvider] = {}
        self.copies: dict[str, KeyCopy] = {}
        self.keyslots: dict[str, Keyslot] = {}
        self.approvers: dict[str, Approver] = {}
        self.recovery: RecoverySlot | None = None
        self.keys_entry = 0
        self.anchors: set[str] = set()
        self.places: dict[str, Place] = {}
        self.pins: dict[str, Pin] = {}
        self.grants: dict[str, Grant] = {}
        self.policy = Policy()
        self._system: dict[str, bytes] = {}

    # -- what it says --

    @property
    def log_key(self) -> Ed25519PrivateKey:
        """The ledger's signing key."""
        return Ed25519PrivateKey.from_private_bytes(self._system_key(LOG_KEY))

    @property
    def opening_key(self) -> X25519PrivateKey:
        """The private half of the key that openings are sealed to."""
        return X25519PrivateKey.from_private_bytes(self._system_key(OPENING_KEY))

    def opening_keys(self) -> list[X25519PrivateKey]:
        """All keys that openings were ever sealed to, the newest first."""
        names = sorted((name for name in self._system if name.startswith(OPENING_KEY)), key=_age)
        return [X25519PrivateKey.from_private_bytes(self._system[name]) for name in names]

    def _system_key(self, name: str) -> bytes:
        try:
            return self._system[name]
        except KeyError as error:
            raise VaultDamaged("a key of the vault is missing") from error

    @property
    def enrolled(self) -> dict[str, Enrolled]:
        """Every token that may approve, by id; those that open stand first and so are found first."""
        return {**self.keyslots, **self.approvers}

    def provider_for(self, client_id: str, trust: Trust) -> KnownProvider | None:
        """Find a provider by identity and trust level; a key of one level never serves another."""
        for provider in self.providers.values():
            if provider.client_id == client_id and provider.trust is trust:
                return provider
        return None

    # -- making records --

    def seal_record(self, kind: str, record_id: str, members: dict[str, Json]) -> Record:
        """Seal ``members`` for their place."""
        where = seal.place(kind, record_id, self.generation)
        sealed = seal.seal(self._key, format_canonical(members), where, self._rng)
        return Record(kind, record_id, self.generation, sealed)

    def system_record(self, name: str, private: bytes) -> Record:
        """Record of the log key or the opening key."""
        return self.seal_record(SYSTEM, name, {"v": 1, "private": format_b64u(private)})

    def claim_record(self, claim: Claim) -> Record:
        """Record of a claim; the id in clear is random and stays with the claim's name."""
        record_id = self._claim_ids.get(claim.name) or self._rng(ID_BYTES).hex()
        members: dict[str, Json] = {
            "v": 1,
            "name": claim.name,
            "value": claim.value,
            "source": claim.source,
            "changed": claim.changed,
            "version": claim.version,
        }
        return self.seal_record(CLAIM, record_id, members)

    def claim_key(self, name: str) -> tuple[str, str]:
        """(kind, id) of a claim's record. Raises `KeyError`."""
        return CLAIM, self._claim_ids[name]

    def provider_record(self, provider: KnownProvider) -> Record:
        """Record of a provider."""
        return self.seal_record(known.PROVIDER, provider.id, known.format_provider(provider))

    def pin_record(self, pin: Pin) -> Record:
        """Record of a request key that the owner has accepted."""
        return self.seal_record(known.PIN, pin.id, known.format_pin(pin))

    def grant_record(self, grant: Grant) -> Record:
        """Record of a grant, its key included."""
        return self.seal_record(grant_record.KIND, grant.id, grant_record.format_grant(grant))

    def policy_record(self, text: str) -> Record:
        """Record of the policy's text, which `parse_policy` has read."""
        return self.seal_record(POLICY, "current", {"v": 1, "text": text})

    def copy_record(self, copy: KeyCopy) -> Record:
        """Record of one token's copy of a provider key: the outer layer."""
        return self.seal_record(provider_keys.KIND, copy.record_id, provider_keys.format_copy(copy))

    def token_record(self, token: Enrolled) -> Record:
        """Record of an enrolled token: its keyslot, in clear, or what only signs, sealed."""
        if isinstance(token, Keyslot):
            return keyslot.format_keyslot(token)
        return self.seal_record(keyslot.APPROVER, token.id, keyslot.format_approver(token))

    def anchor_record(self, fingerprint: str) -> Record:
        """Record that the owner has approved a trust anchor (SHA-256 of its DER, hex)."""
        return self.seal_record(ANCHOR, self._rng(ID_BYTES).hex(), {"v": 1, "sha256": fingerprint})

    def place_record(self, place: Place) -> Record:
        """Record of a place where heads of the ledger are kept."""
        return self.seal_record(anchor_places.KIND, place.id, anchor_places.format_place(place))

    def rotated(
        self, records: Iterable[Record], log_key: bytes, opening_key: bytes, entry: int
    ) -> tuple[Vault, list[Record]]:
        """Reseal ``records`` for a new vault key, with new log and opening keys from ``entry`` on.

        Needs no token: keyslots and the recovery slot get the new key by their public halves. Keys that older
        openings were sealed to are kept, under the new key. Returns the vault as it will be, empty until it
        applies the records, and the records.
        """
        generation = self.generation + 1
        later = Vault(Secret(self._rng(seal.KEY_BYTES)), generation, self._rng)
        put = [
            keys_record(entry, generation),
            later.system_record(LOG_KEY, log_key),
            later.system_record(OPENING_KEY, opening_key),
            later.system_record(f"{OPENING_KEY}/{self.generation}", self._system_key(OPENING_KEY)),
        ]
        made = {(record.kind, record.id) for record in put}
        for record in records:
            if record.kind == keyslot.KIND:
                slot = keyslot.wrap_vault_key(keyslot.parse_keyslot(record), later.root, generation)
                put.append(keyslot.format_keyslot(slot))
            elif record.kind == recovery_code.KIND:
                opened = recovery_code.parse_slot(record)
                put.append(
                    recovery_code.format_slot(recovery_code.wrap_vault_key(opened, later.root, generation))
                )
            elif (record.kind, record.id) not in made:
                put.append(later.seal_record(record.kind, record.id, self._open(record)))
        return later, put

    # -- taking records in --

    def apply(self, put: Iterable[Record], delete: Iterable[tuple[str, str]]) -> None:
        """Take in committed records. Raises `VaultDamaged` when one does not open or parse."""
        for kind, record_id in delete:
            self._forget(kind, record_id)
        for record in put:
            if record.kind == keyslot.KIND:
                self.keyslots[record.id] = keyslot.parse_keyslot(record)
            elif record.kind == recovery_code.KIND:
                self.recovery = recovery_code.parse_slot(record)
            elif record.kind == LOG_KEYS:
                self.keys_entry = parse_keys_record(record)
            else:
                self._take(record, self._open(record))

    def _open(self, record: Record) -> dict[str, Json]:
        if record.generation != self.generation:
            raise VaultDamaged("a record belongs to another generation of the vault key")
        where = seal.place(record.kind, record.id, record.generation)
        try:
            members = parse_json_object(seal.unseal(self._key, record.sealed, where))
        except InvalidArgument as error:
            raise VaultDamaged("a record is malformed") from error
        if members.get("v") != 1:
            raise VaultDamaged("a record is of a newer version")
        return members

    def _take(self, record: Record, members: dict[str, Json]) -> None:
        try:
            match record.kind:
                case "claim":
                    claim = Claim(
                        members["name"],
                        members["value"],
                        members["source"],
                        members["changed"],
                        members["version"],
                    )
                    self.claims[claim.name] = claim
                    self._claim_ids[claim.name] = record.id
                case known.PROVIDER:
                    self.providers[record.id] = known.parse_provider(record.id, members)
                case known.PIN:
                    pin = known.parse_pin(record.id, members)
                    self.pins[pin.client_id] = pin
                case grant_record.KIND:
                    self.grants[record.id] = grant_record.parse_grant(record.id, members)
                case "policy":
                    self.policy = parse_policy(members["text"])
                case provider_keys.KIND:
                    self.copies[record.id] = provider_keys.parse_copy(record.id, members)
                case "anchor":
                    self.anchors.add(members["sha256"])
                case anchor_places.KIND:
                    self.places[record.id] = anchor_places.parse_place(record.id, members)
                case keyslot.APPROVER:
                    self.approvers[record.id] = keyslot.parse_approver(record.id, members)
                case "system":
                    self._system[record.id] = parse_b64u(members["private"])
                case _:
                    raise VaultDamaged("a record is of an unknown kind")
        except (InvalidArgument, KeyError, TypeError, ValueError) as error:
            raise VaultDamaged("a record is malformed") from error

    def _forget(self, kind: str, record_id: str) -> None:
        if kind == CLAIM:
            for name, claim_id in list(self._claim_ids.items()):
                if claim_id == record_id:
                    del self._claim_ids[name], self.claims[name]
        elif kind == known.PROVIDER:
            self.providers.pop(record_id, None)
        elif kind == known.PIN:
            self.pins = {name: pin for name, pin in self.pins.items() if pin.id != record_id}
        elif kind == grant_record.KIND:
            self.grants.pop(record_id, None)
        elif kind == provider_keys.KIND:
            self.copies.pop(record_id, None)
        elif kind == anchor_places.KIND:
            self.places.pop(record_id, None)
        elif kind == keyslot.KIND:
            self.keyslots.pop(record_id, None)
        elif kind == keyslot.APPROVER:
            self.approvers.pop(record_id, None)


def _age(name: str) -> int:
    # "opening-key" is in force; "opening-key/3" was in generation 3.
    generation = name.partition("/")[2]
    return -int(generation) if generation else -(1 << 62)
