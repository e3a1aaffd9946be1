"""``ownerctl backup``: everything in one sealed file, and what such a file says of itself.

The daemon writes the file; nothing in clear passes through here. `check` reads what stands in clear in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

# docs/BACKUP.md, sections 1 and 2.
_MAGIC: Final = b"ownerd backup 1\n"
_MAX_HEADER: Final = 1 << 18
_CHUNK: Final = 1 << 20
_TAG: Final = 16
_AFTER = """what you erase or remove later stays in this file: destroy it when it is no longer needed
  keep it on another disk; ownerctl restore brings it back with a touch, or with the recovery code"""


@click.group()
def backup() -> None:
    """Back up vault and ledger into one sealed file.

    Your tokens and the recovery code open it, and nothing else does.
    """


@backup.command(epilog=examples("ownerctl backup make /media/stick/ownerd.backup"))
@click.argument("path", metavar="FILE", type=click.Path())
@output_options
def make(path: str, output: Output) -> None:
    """Write everything into one new file. Takes a touch."""
    from ownerctl.owner import change
    from ownerctl.private_file import require_place

    target = Path(path).absolute()
    require_place(target)
    answer = change(output, {"change": "backup", "file": str(target)}, unlocked=True)
    if output.json:
        render.emit_json(answer)
    else:
        ways = answer.get("ways")
        names = ", ".join(str(one) for one in ways) if isinstance(ways, list) else ""
        rows = [
            ("file", path),
            ("entries", answer.get("entries")),
            ("bytes", answer.get("bytes")),
            ("opens with", f"{names}{', recovery code' if answer.get('recovery') else ''}"),
            ("entry", answer.get("entry")),
        ]
        render.emit_table(rows)
    render.note(_AFTER)


@backup.command(epilog=examples("ownerctl backup check ownerd.backup"))
@click.argument("path", metavar="FILE", type=click.Path())
@click.option("--key", metavar="VKEY", help="The log's verifier key, as printed and kept elsewhere.")
@output_options
def check(path: str, key: str | None, output: Output) -> None:
    """Show what a backup says of itself, and compare its length.

    That every part of it opens, only a restore can tell.
    """
    found = read_backup(Path(path), key)
    if output.json:
        render.emit_json(found)
        return
    rows = [
        ("log", found["log"]),
        ("entries", found["entries"]),
        ("newest entry", render.local_time(str(found["made"]))),
        ("tokens that open it", found["tokens"]),
        ("recovery code", "opens it too" if found["recovery"] else "does not open it"),
        ("length", "as it should be"),
        ("origin", "signed by the key that was given" if found["proven"] else "unproven: give --key"),
    ]
    render.emit_table(rows)


def read_backup(path: Path, key: str | None) -> dict[str, Json]:
    """The header of a backup, its length compared, its checkpoint verified by ``key`` where there is one.

    Raises `BackupDamaged`, `BadSignature`, `InvalidArgument` for a bad key.
    """
    from ownerd.ledger.note import open_note, parse_checkpoint, parse_note, parse_verifier_key
    from ownerd.ledger.shape import Members, parse_canonical
    from ownerd.model.errors import BackupDamaged, InvalidArgument, LedgerError, Malformed

    header, rest = _read(path)
    try:
        members = Members(
            parse_canonical(header, max_bytes=_MAX_HEADER),
            ("v", "made", "checkpoint", "bytes", "ways", "recovery"),
        )
        size, ways, note = members.count("bytes"), members.value("ways"), members.text("checkpoint").encode()
        signed = parse_checkpoint(parse_note(note).text)
        made = members.text("made")
    except LedgerError as error:
        raise BackupDamaged("the backup's header is malformed") from error
    if members.count("v") != 1 or not isinstance(ways, list) or rest != size + _TAG * -(-size // _CHUNK):
        raise BackupDamaged("the backup was cut, or something was added to it")
    if key is not None:
        try:
            verifier = parse_verifier_key(key)
        except Malformed as error:
            raise InvalidArgument("not a verifier key") from error
        open_note(note, verifier)
    return {
        "log": signed.origin.partition("/")[2],
        "entries": signed.size,
        "made": made,
        "bytes": size,
        "tokens": len(ways),
        "recovery": members.value("recovery") is not None,
        "proven": key is not None,
    }


def _read(path: Path) -> tuple[bytes, int]:
    """The header, and how many bytes follow it. Raises `BackupDamaged`, `FileTrouble`."""
    from ownerctl.errors import FileTrouble
    from ownerd.model.errors import BackupDamaged

    if not path.is_file():
        raise FileTrouble("there is no such file")
    try:
        with path.open("rb") as file:
            prefix = file.read(len(_MAGIC) + 4)
            length = int.from_bytes(prefix[len(_MAGIC) :], "big")
            if not prefix.startswith(_MAGIC) or not 0 < length <= _MAX_HEADER:
                raise BackupDamaged("the file is no backup of ownerd, or one of a newer version")
            header = file.read(length)
            rest = path.stat().st_size - len(prefix) - len(header)
    except OSError as error:
        raise FileTrouble("the backup cannot be read") from error
    if len(header) != length:
        raise BackupDamaged("the backup's header is cut short")
    return header, rest
