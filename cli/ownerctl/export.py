"""``ownerctl ledger export``: the ledger for other programs. docs/EXPORTS.md has the forms, field by field.

Through the daemon it takes one touch, however large the ledger is; from the file alone it takes nothing and has no
values. Nothing is kept in memory but entry numbers, and nothing is written but the export.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.export_record import Later
    from ownerctl.export_source import FileSource, Source, VaultSource, Wanted
    from ownerctl.export_text import Document

_FORMS = ("json", "csv", "consent", "ts10")
_NEEDS_LATER = frozenset({"consent", "ts10"})
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command(
    epilog=examples(
        "ownerctl ledger export --format json --out ledger.json",
        "ownerctl ledger export --format consent --provider shop.example --out consent.jsonld",
        "ownerctl ledger export --format ts10 --seal --out log.jwe",
        "ownerctl ledger export --format csv --offline",
    )
)
@click.option("--format", "form", type=click.Choice(_FORMS), required=True, help="What to write; see above.")
@click.option("--from", "since", type=_DAY, metavar="DATE", help="Leave out what was before this day.")
@click.option("--to", "until", type=_DAY, metavar="DATE", help="Leave out what came after this day.")
@click.option("--provider", metavar="NAME", help="Only what is about this provider, by name or client id.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write this file, for you alone to read."
)
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
@click.option(
    "--seal", is_flag=True, help="With ts10: as a JWE, under a password that is made and shown once."
)
@click.option("--offline", is_flag=True, help="From the database, without daemon, touch and values.")
@click.option("--file", "path", type=click.Path(), help="Read this database with --offline.")
@output_options
def export(
    *,
    form: str,
    since: datetime | None,
    until: datetime | None,
    provider: str | None,
    out: Path | None,
    force: bool,
    seal: bool,
    offline: bool,
    path: str | None,
    output: Output,
) -> None:
    """Write the ledger for other programs: one touch for all of it.

    json has everything, csv a row for each claim; consent is consent records after ISO/IEC TS 27560 in DPV JSON-LD and
    ts10 the transaction log of the EUDI wallet, both without values. An exported file holds what it says in clear.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.export_source import Wanted, day_begins, open_file, open_vault
    from ownerctl.offline import database
    from ownerctl.private_file import require_place

    if path is not None and not offline:
        raise UsageTrouble("--file needs --offline")
    if provider is not None and offline:
        raise UsageTrouble("the file alone does not know the providers")
    if force and out is None:
        raise UsageTrouble("--force needs --out")
    if seal and form != "ts10":
        raise UsageTrouble("--seal is for ts10")
    if out is not None:
        require_place(out, replace=force)
    period = day_begins(since), day_begins(until, days=1)
    if all(period) and period[0] >= period[1]:
        raise UsageTrouble("the period ends before it begins")
    opened = open_file(database(path)) if offline else open_vault(output, values=form not in _NEEDS_LATER)
    password = _password(seal)
    sink = _sealed_sink(out, password, force=force) if seal else _sink(out, force=force)
    count = asyncio.run(_write(form, opened, lambda: Wanted(*period, provider or ""), sink))
    if out is not None:
        if output.json:
            render.emit_json({"entries": count, **({"password": password} if seal else {})})
            return
        render.emit_line(f"wrote {count} entries")
    if seal:
        render.note(f"password: {password}\n  it is kept nowhere; whoever has it and the file reads the log")


def _password(seal: bool) -> str:  # noqa: FBT001
    if not seal:
        return ""
    from ownerctl.export_seal import make_password

    return make_password()


async def _write(
    form: str,
    opened: AbstractAsyncContextManager[VaultSource | FileSource],
    wanted: Callable[[], Wanted],
    sink: AbstractContextManager[Callable[[str], None]],
) -> int:
    """Write the export; returns how many entries are in it."""
    from ownerctl.export_record import Later

    count = left_out = 0
    async with opened as source:
        later = Later()
        if form in _NEEDS_LATER:
            async for record in source.records(values=False):
                later.add(record)
        document, choice = _document(form, source, later), wanted()
        with sink as write:
            write(document.begin())
            async for record in source.records(values=source.values):
                if not choice.takes(record):
                    continue
                written = document.entry(record)
                count, left_out = count + bool(written), left_out + (not written)
                write(written)
            write(document.end())
    if left_out:
        render.note(f"{left_out} entries have no place in this format; json has them")
    if choice.nameless:
        render.note(f"{choice.nameless} entries do not say whose they are, because their values are gone")
    return count


def _document(form: str, source: Source, later: Later) -> Document:
    match form:
        case "csv":
            from ownerctl.export_csv import CsvDocument

            return CsvDocument(values=source.values)
        case "consent":
            from ownerctl.export_consent import ConsentDocument

            return ConsentDocument(source.log, later, values=source.values)
        case "ts10":
            from ownerctl.export_ts10 import Ts10Document

            return Ts10Document(source.log, later)
        case _:
            from ownerctl.export_json import JsonDocument

            return JsonDocument(source.log, values=source.values)


@contextmanager
def _sink(out: Path | None, *, force: bool) -> Iterator[Callable[[str], None]]:
    """Where the text goes: a new private file, or standard output. What is written there is safe for a terminal."""
    from ownerctl.private_file import private_file

    if out is None:
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", newline="")  # what all four forms are, whatever the locale

        def show(piece: str) -> None:
            sys.stdout.write(piece)

        yield show
        sys.stdout.flush()
        return
    with private_file(out, replace=force) as file:

        def write(piece: str) -> None:
            file.write(piece.encode("utf-8"))

        yield write


@contextmanager
def _sealed_sink(out: Path | None, password: str, *, force: bool) -> Iterator[Callable[[str], None]]:
    """Where a sealed text goes, once all of it is there."""
    from ownerctl.export_seal import seal_text

    with _sink(out, force=force) as write:
        pieces: list[str] = []
        yield pieces.append
        write(seal_text("".join(pieces), password) + "\n")
