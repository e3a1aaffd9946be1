"""The backup file, byte by byte (docs/BACKUP.md): a header in clear, and the database sealed in chunks. Pure.

The content key is fresh for each file and wrapped (HPKE) to every keyslot's own pair and to the recovery key, so
that what opens the vault opens its backup. Each chunk's nonce is its number and whether it is the last; the header's
hash is additional data: no chunk fits another place, another header or another file. Nothing is compressed, so
the header's ``bytes`` says how long the file must be before anything is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import seal
from ownerd.core.keyslot import Keyslot, format_way_in, parse_way_in
from ownerd.core.recovery_code import RecoverySlot
from ownerd.ledger.note import Checkpoint, parse_checkpoint, parse_note
from ownerd.ledger.shape import Members, format_canonical, parse_canonical
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import BackupDamaged, InvalidArgument, LedgerError, VaultDamaged
from ownerd.model.secret import Secret

MAGIC: Final = b"ownerd backup 1\n"
MAX_HEADER_BYTES: Final = 1 << 18
MAX_BYTES: Final = 1 << 40
CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
MAX_WAYS: Final = 64
WRAPPED_BYTES: Final = 80
PREFIX_BYTES: Final = len(MAGIC) + 4
_INFO: Final = "ownerd/backup/v1"


class Way(Struct, frozen=True):
    """One token that opens the backup, and the content key wrapped to its slot."""

    keyslot: Keyslot
    content_key: bytes


class RecoveryWay(Struct, frozen=True):
    """The recovery key's public half, and the content key wrapped to it."""

    public: bytes
    content_key: bytes


class Header(Struct, frozen=True):
    """What stands in clear. ``made`` is the time of the newest entry, ``size`` bytes that of the database."""

    made: str
    checkpoint: bytes
    size: int
    ways: tuple[Way, ...]
    recovery: RecoveryWay | None

    @property
    def signed(self) -> Checkpoint:
        """The checkpoint's text; nobody has verified its signature yet."""
        return parse_checkpoint(parse_note(self.checkpoint).text)

    @property
    def log_id(self) -> str:
        """The ledger that it says to be of."""
        return self.signed.origin.partition("/")[2]

    @property
    def chunks(self) -> int:
        """How many chunks the database is sealed in."""
        return -(-self.size // CHUNK_BYTES)

    @property
    def sealed_bytes(self) -> int:
        """Bytes after the header."""
        return self.size + TAG_BYTES * self.chunks


def make_header(
    made: str,
    checkpoint: bytes,
    size: int,
    content_key: Secret,
    keyslots: Iterable[Keyslot],
    recovery: RecoverySlot | None,
) -> Header:
    """Wrap a content key to every way in."""
    key = content_key.reveal()
    ways = tuple(Way(one, seal.wrap(one.slot.public, key, _where(one.id))) for one in keyslots)
    by_code = None
    if recovery is not None:
        by_code = RecoveryWay(recovery.public, seal.wrap(recovery.public, key, _where("recovery")))
    return Header(made, checkpoint, size, ways, by_code)


def _where(way: str) -> bytes:
    return seal.place("backup", way)


def unwrap(way: Way | RecoveryWay, private: Secret) -> Secret:
    """Return the content key with the raw private half of the way's pair. Raises `BackupDamaged`."""
    name = way.keyslot.id if isinstance(way, Way) else "recovery"
    try:
        return seal.unwrap(private, way.content_key, _where(name))
    except VaultDamaged as error:
        raise BackupDamaged("the backup's key does not open") from error


def format_header(header: Header) -> bytes:
    """Everything before the chunks: magic, length, canonical JSON."""
    ways: list[Json] = [
        {**format_way_in(way.keyslot), "content_key": format_b64u(way.content_key)} for way in header.ways
    ]
    recovery: Json = None
    if header.recovery is not None:
        recovery = {
            "public": format_b64u(header.recovery.public),
            "content_key": format_b64u(header.recovery.content_key),
        }
    text = format_canonical(
        {
            "v": 1,
            "made": header.made,
            "checkpoint": header.checkpoint.decode(),
            "bytes": header.size,
            "ways": ways,
            "recovery": recovery,
        }
    )
    return MAGIC + len(text).to_bytes(4, "big") + text


def header_bytes(prefix: bytes) -> int:
    """Length of the header's JSON, from the file's first `PREFIX_BYTES`. Raises `BackupDamaged`."""
    if prefix[: len(MAGIC)] != MAGIC:
        raise BackupDamaged("the file is no backup of ownerd, or one of a newer version")
    length = int.from_bytes(prefix[len(MAGIC) : PREFIX_BYTES], "big")
    if len(prefix) != PREFIX_BYTES or not 0 < length <= MAX_HEADER_BYTES:
        raise BackupDamaged("the backup has no good header")
    return length


def parse_header(data: bytes) -> Header:
    """Exact inverse of `format_header`. Raises `BackupDamaged`."""
    if header_bytes(data[:PREFIX_BYTES]) != len(data) - PREFIX_BYTES:
        raise BackupDamaged("the backup's header is cut short")
    try:
        members = Members(
            parse_canonical(data[PREFIX_BYTES:], max_bytes=MAX_HEADER_BYTES),
            ("v", "made", "checkpoint", "bytes", "ways", "recovery"),
        )
        if members.count("v") != 1:
            raise BackupDamaged("the backup is of a newer version")
        parse_time(members.text("made"))
        header = Header(
            members.text("made"),
            members.text("checkpoint").encode(),
            members.count("bytes"),
            _parse_ways(members.value("ways")),
            _parse_recovery(members.value("recovery")),
        )
        named = header.signed.origin
    except (LedgerError, InvalidArgument, VaultDamaged) as error:
        raise BackupDamaged("the backup's header is malformed") from error
    if not named.startswith("ownerd/") or not 0 < header.size <= MAX_BYTES or format_header(header) != data:
        raise BackupDamaged("the backup's header contradicts itself")
    return header


def _parse_ways(value: Json) -> tuple[Way, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_WAYS:
        raise BackupDamaged("the backup names no token, or too many")
    ways = []
    for one in value:
        if not isinstance(one, dict):
            raise BackupDamaged("a token of the backup is malformed")
        wrapped = Members({"content_key": one.get("content_key")}, ("content_key",))
        rest = {name: member for name, member in one.items() if name != "content_key"}
        ways.append(Way(parse_way_in(rest), wrapped.data("content_key", WRAPPED_BYTES)))
    if len({way.keyslot.id for way in ways}) != len(ways):
        raise BackupDamaged("the backup names a token twice")
    return tuple(ways)


def _parse_recovery(value: Json) -> RecoveryWay | None:
    if value is None:
        return None
    members = Members(value, ("public", "content_key"))
    return RecoveryWay(members.data("public", seal.KEY_BYTES), members.data("content_key", WRAPPED_BYTES))


# -- the chunks --


def _cipher(content_key: Secret, head: bytes) -> tuple[AESGCM, bytes]:
    return AESGCM(seal.derive(content_key, _INFO).reveal()), hashlib.sha256(head).digest()


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def seal_chunks(header: Header, content_key: Secret, plain: Iterable[bytes]) -> Iterator[bytes]:
    """The whole file: header, then each of ``plain`` (`CHUNK_BYTES` each, the last the rest) sealed."""
    head = format_header(header)
    cipher, about = _cipher(content_key, head)
    yield head
    for number, chunk in enumerate(plain):
        yield cipher.encrypt(_nonce(number, last=number == header.chunks - 1), chunk, about)


def open_chunks(header: Header, content_key: Secret, sealed: Iterable[bytes]) -> Iterator[bytes]:
    """Inverse of `seal_chunks` for what follows the header. Raises `BackupDamaged` at the first bad chunk.

    What came before it was whole, but only the last chunk says that it is all: use nothing of it sooner.
    """
    cipher, about = _cipher(content_key, format_header(header))
    opened = 0
    for number, chunk in enumerate(sealed):
        try:
            plain = cipher.decrypt(_nonce(number, last=number == header.chunks - 1), chunk, about)
        except (InvalidTag, ValueError) as error:
            raise BackupDamaged("a part of the backup was changed, moved or cut") from error
        opened += len(plain)
        yield plain
    if opened != header.size:
        raise BackupDamaged("the backup has another length than its header says")


def without_names(keyslot: Keyslot) -> Keyslot:
    """The same way in, without what the owner calls it: that is not for whoever finds the file."""
    return replace(keyslot, credential=replace(keyslot.credential, name=""))
