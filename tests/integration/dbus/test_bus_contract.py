"""Live introspection equals docs/dbus/*.xml, and the documents say something about every part of it."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.rigs.bus import ROOT, Served, client

from ownerd.model import names

DOCUMENTS = ROOT / "docs/dbus"
_OBJECTS = {"org.ownerd.Agent1.xml": names.AGENT_PATH, "org.ownerd.Owner1.xml": names.OWNER_PATH}
_STANDARD = "org.freedesktop.DBus."
Members = set[tuple[str, ...]]


def _members(xml: str) -> dict[str, Members]:
    """Interface → its members with their arguments. What an out argument is called is not on the wire."""
    found: dict[str, Members] = {}
    for interface in ET.fromstring(xml).iter("interface"):
        name = interface.get("name", "")
        if name.startswith(_STANDARD):
            continue
        assert name not in found
        found[name] = set()
        for member in interface:
            parts = [member.tag, member.get("name", ""), member.get("type", ""), member.get("access", "")]
            for arg in member.iter("arg"):
                is_in = arg.get("direction") == "in"
                parts += [arg.get("type", ""), "in" if is_in else "out", arg.get("name", "") if is_in else ""]
            found[name].add(tuple(parts))
    return found


@pytest.mark.parametrize("document", _OBJECTS)
def test_the_exported_interfaces_equal_their_document(served: Served, document: str) -> None:
    async def run() -> str:
        async with client(served.address) as app:
            reply = await app.call(_OBJECTS[document], _STANDARD + "Introspectable", "Introspect")
            return str(reply.body[0])

    documented = _members((DOCUMENTS / document).read_text())
    assert documented
    assert _members(asyncio.run(run())) == documented


def test_a_live_request_equals_its_document(served: Served) -> None:
    async def run() -> str:
        async with client(served.address) as app:
            path = (await app.present({"do": "wait"})).body[0]
            reply = await app.call(path, _STANDARD + "Introspectable", "Introspect")
            return str(reply.body[0])

    documented = _members((DOCUMENTS / "org.ownerd.Agent1.Request.xml").read_text())
    assert set(documented) == {names.REQUEST_INTERFACE}
    assert _members(asyncio.run(run())) == documented


def test_request_signals_name_their_arguments_as_documented(served: Served) -> None:
    """Code generators use the names of signal arguments, so they are held too."""

    async def run() -> str:
        async with client(served.address) as app:
            path = (await app.present({"do": "wait"})).body[0]
            reply = await app.call(path, _STANDARD + "Introspectable", "Introspect")
            return str(reply.body[0])

    def arguments(xml: str) -> list[tuple[str | None, str | None]]:
        return [
            (signal.get("name"), arg.get("name"))
            for signal in ET.fromstring(xml).iter("signal")
            if signal.get("name") in {"Progress", "Response"}
            for arg in signal.iter("arg")
        ]

    document = (DOCUMENTS / "org.ownerd.Agent1.Request.xml").read_text()
    assert arguments(asyncio.run(run())) == arguments(document) != []


@pytest.mark.parametrize("document", sorted(DOCUMENTS.glob("*.xml")), ids=lambda path: path.name)
def test_every_member_and_argument_is_described(document: Path) -> None:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(document, parser).getroot()
    for interface in root.iter("interface"):
        comment = ""
        for child in interface:
            if child.tag is ET.Comment:
                comment = child.text or ""
                continue
            assert comment.split()[:1] == [f"{child.get('name')}:"], child.get("name")
            for arg in child.iter("arg"):
                assert f"@{arg.get('name')}:" in comment, (child.get("name"), arg.get("name"))
            comment = ""
