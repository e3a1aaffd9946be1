"""A day of a real core, exported: consent records against DPV's terms and the guide's mandatory fields, TS10 against its tables."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from demo import provider_kit as kit
from tests.rigs.core import APP, TOOL, CoreRig, make_core, seal, set_up
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, ProviderRig
from tests.rigs.stores import FakeStore

from ownerctl.export_consent import ConsentDocument
from ownerctl.export_dpv import CATEGORIES, CONTEXT
from ownerctl.export_record import Later, Record, export_id, read_record
from ownerctl.export_ts10 import Ts10Document
from ownerd.core.entry_reads import ApprovedRead, read_page
from ownerd.core.service import CounterOffer, Wishes
from ownerd.credential.jwe import open_jwe, seal_jwe
from ownerd.model.claim import DERIVED_LABELS, LABELS
from ownerd.model.errors import Dismissed
from ownerd.model.names import VCT
from ownerd.model.terms import PURPOSES

VECTORS = Path(__file__).parents[2] / "vectors"
POLICY = """
version = 1

[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"

[[rule]]
provider = "shop.example"
claims = ["email"]
do = "grant"
days = 7
count = 4
per_hour = 4

[[terms]]
retention = "P30D"
recipients = ["Parcels Ltd"]
"""
MANDATORY = {  # the guide's fields that "MUST be present", by the part of the record that has them
    "record": ("dct:conformsTo", "dpv:hasIdentifier", "dct:identifier", "dpv:hasDataSubject", "dpv:hasNotice",
               "dpv:hasProcess", "dpv:hasEntity", "dpv:hasConsentStatus"),
    "notice": ("@type", "dct:language"),
    "process": ("dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasStorageCondition", "dpv:hasDataController",
                "dpv:hasRecipient", "dpv:hasConsentControl", "dpv:hasJurisdiction", "dpv:hasRight"),
    "controller": ("dpv:hasName", "dpv:hasIdentifier", "@type", "schema:contactPoint"),
    "event": ("@type", "dpv:isIndicatedAtTime", "dpv:hasDuration", "dpv:isIndicatedBy"),
}  # fmt: skip


async def _day(provider_rig: ProviderRig) -> tuple[str, list[Record]]:
    """Terms of the owner's with a receipt, a grant used twice and revoked, a login, a refusal, nothing delivered once."""
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, given_name="Ada", email="ada@example.org", birthdate="1990-02-03")
    await _change(rig, change="policy", text=POLICY)

    async def ask(*claims: str, deliver: bool = True, wishes: Wishes = Wishes(), **more):  # noqa: B008 -- frozen
        parameters = kit.parameters(CLIENT_ID, RESPONSE_URI, claims, provider_rig.answer_key, **more)
        text = kit.signed_request(parameters, provider_rig.party)
        released = await rig.agent.present(APP, text, rig.job(), wishes)
        if isinstance(released, CounterOffer):
            wishes = Wishes(negotiation=released.negotiation, accept=True)
            released = await rig.agent.present(APP, text, rig.job(), wishes)
        if deliver:
            await rig.agent.delivered(released)
        return released

    long = kit.terms(purpose=["dpv:DeliveryOfGoods"], retention="P400D", recipients=["Ads Ltd"])
    bargains = Wishes(negotiate=True)
    shopping = await ask(
        "given_name", "birthdate", wishes=bargains, transaction_data=[long], purpose="your parcel"
    )
    receipt = json.dumps({"v": 1, "entry": shopping.entry, "receipt": "thanks"}).encode()
    await rig.agent.receive(APP, seal_jwe(receipt, json.loads(rig.agent.session_key())), rig.job())
    await ask("email")
    await ask("email")
    (grant,) = (await _read(rig, what="grants"))["grants"]
    await _change(rig, change="grant-revoke", id=grant["id"])
    login = kit.login_parameters(CLIENT_ID, RESPONSE_URI, provider_rig.answer_key)
    text = kit.signed_request(login, provider_rig.party)
    await rig.agent.delivered(await rig.agent.present(APP, text, rig.job()))
    await ask("given_name", deliver=False)
    rig.owner.decision = False
    with pytest.raises(Dismissed):
        await ask("given_name", "birthdate")
    vault, size = rig.session.require_vault(), len(rig.store.entries)
    page = await read_page(rig.store, vault, ApprovedRead(0, "", "", 0, size), 0, values=True)
    assert page["next"] is None
    return rig.session.require_journal().log_id, [read_record(one) for one in page["entries"]]


async def _change(rig: CoreRig, **members) -> dict:
    return json.loads(open_jwe(await rig.agent.change(APP, seal(rig, **members), rig.job()), TOOL))


async def _read(rig: CoreRig, **members) -> dict:
    return json.loads(open_jwe(await rig.agent.read(APP, seal(rig, **members), rig.job()), TOOL))


@pytest.fixture(scope="module")
def day(provider_rig: ProviderRig) -> tuple[str, list[Record]]:
    return asyncio.run(_day(provider_rig))


def written(document, records: list[Record]) -> dict:
    return json.loads("".join([document.begin(), *map(document.entry, records), document.end()]))


def noted(records: list[Record]) -> Later:
    later = Later()
    for record in records:
        later.add(record)
    return later


def consent(log: str, records: list[Record]) -> dict:
    return written(ConsentDocument(log, noted(records), values=True), records)


def bare(records: list[Record]) -> list[Record]:
    """As the file alone has them."""
    return [Record(one.seq, one.time, one.kind, one.approval, one.facts, None) for one in records]


# -- consent --


def dpv_terms() -> set[str]:
    modules = json.loads((VECTORS / "dpv" / "terms-2.2.json").read_text())["modules"]
    return (
        {f"{one['prefix']}:{term}" for one in modules for term in one["terms"]}
        | PURPOSES.keys()
        | {"dpv:Purpose"}
    )


def used_terms(value) -> set[str]:
    if isinstance(value, dict):
        return {name for name in value if name.startswith(("dpv:", "pd:"))}.union(
            *map(used_terms, value.values())
        )
    if isinstance(value, list):
        return set().union(*map(used_terms, value))
    return {value} if isinstance(value, str) and re.match(r"(dpv|pd):", value) else set()


def test_every_term_is_one_that_dpv_publishes(day):
    log, records = day
    for some in (records, bare(records)):
        document = consent(log, some)
        assert used_terms(document) <= dpv_terms()
        assert len(used_terms(document)) > 30
    assert used_terms(CONTEXT) <= dpv_terms()
    assert set(CATEGORIES.values()) <= dpv_terms()
    assert CATEGORIES.keys() == LABELS.keys() | DERIVED_LABELS.keys()


def test_the_document_is_a_receipt_over_records_with_every_mandatory_field(day):
    log, records = day
    for some in (records, bare(records)):
        document = consent(log, some)
        assert document["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#receipt"
        for name in (
            "@context",
            "@id",
            "@type",
            "dpv:hasIdentifier",
            "dct:created",
            "dpv:hasRecordOfActivity",
        ):
            assert document[name]
        found = [one for one in document["dpv:hasRecordOfActivity"] if one["@type"] == "dpv:ConsentRecord"]
        for record in found:
            controller = record["dpv:hasEntity"][0]
            parts = {
                "record": [record],
                "notice": [record["dpv:hasNotice"]],
                "process": record["dpv:hasProcess"],
                "controller": [controller],
                "event": record["dpv:hasConsentStatus"],
            }
            for part, mandatory in MANDATORY.items():
                assert parts[part]
                for one in parts[part]:
                    assert all(one.get(name) not in (None, "", [], {}) for name in mandatory), (part, one)
            for process in record["dpv:hasProcess"]:
                stored = {one["@type"] for one in process["dpv:hasStorageCondition"]}
                assert stored == {"dpv:StorageLocation", "dpv:StorageDuration"}
                assert process["dpv:hasDataController"] == controller["@id"]
        assert len({one["@id"] for one in found}) == len(found)


def test_records_say_what_was_agreed_and_no_value(day):
    log, records = day
    document = consent(log, records)
    assert not re.search(r"\bAda\b|example\.org|1990-02", json.dumps(document))
    found = {one["ownerd:entry"]: one for one in document["dpv:hasRecordOfActivity"]}
    shopping, grant, login, lost, refusal = (
        one for one in found.values() if one["@type"] == "dpv:ConsentRecord"
    )
    (process,) = shopping["dpv:hasProcess"]
    assert process["ownerd:terms"] == "own"
    assert {"@type": "dpv:Purpose", "dct:description": "your parcel"} in process["dpv:hasPurpose"]
    assert process["dpv:hasRecipient"][1]["dpv:hasName"] == "Parcels Ltd"
    assert process["dpv:hasStorageCondition"][1]["dpv:hasDuration"]["rdf:value"] == "P30D"
    assert [(one["dct:identifier"], one["skos:broader"], one.get("ownerd:insteadOf")) for one in process["dpv:hasPersonalData"]] == [
        ("given_name", "pd:Name", None), ("age_over_18", "pd:AgeRange", "birthdate")
    ]  # fmt: skip
    assert shopping["dpv:hasDataSubject"].startswith("did:jwk:")
    assert shopping["dpv:hasDataSubject"] == login["dpv:hasDataSubject"] == grant["dpv:hasDataSubject"]
    assert shopping["dpv:hasEntity"][0]["ownerd:trust"] == "verified"
    assert shopping["dpv:hasEntity"][0]["dpv:hasIdentifier"] == CLIENT_ID
    (receipt,) = (one for one in found.values() if one["@type"] == "ownerd:ProviderReceipt")
    assert (shopping["ownerd:receipt"], receipt["dct:source"]) == ([receipt["@id"]], shopping["@id"])
    assert [one["@type"][0] for one in grant["dpv:hasConsentStatus"]] == [
        "dpv:ConsentGiven",
        "dpv:ConsentWithdrawn",
    ]
    uses = [one for one in found.values() if one["@type"] == "dpv:Process"]
    assert grant["ownerd:disclosedIn"] == [one["@id"] for one in uses]
    assert len(uses) == 2
    assert login["dpv:hasProcess"][0]["dpv:hasPurpose"][-1] == "dpv:IdentityAuthentication"
    assert (shopping["ownerd:delivered"], lost["ownerd:delivered"]) == (True, False)
    assert refusal["dpv:hasConsentStatus"][0]["@type"] == ["dpv:ConsentRefused"]
    assert refusal["dpv:hasConsentStatus"][0]["dpv:hasIndicationMethod"] == "refused at the prompt"


def test_a_grant_that_ran_out_has_expired(day):
    log, records = day
    ended = [
        Record(one.seq, "2099-01-01T00:00:00.000Z", one.kind, one.approval, one.facts, one.values)
        if one.kind == "grant-ended"
        else one
        for one in records
    ]
    statuses = re.findall(r"dpv:Consent(?:Expired|Withdrawn)", json.dumps(consent(log, ended)))
    assert statuses == ["dpv:ConsentExpired"]


# -- ts10 --


def test_transactions_have_the_members_that_the_tables_name(day):
    log, records = day
    tables = json.loads((VECTORS / "ts10" / "classes-1.1.1.json").read_text())
    for some in (records, bare(records)):
        document = written(Ts10Document(log, noted(some)), some)
        assert document.keys() == {"transactionLogObject"}
        for one in document["transactionLogObject"]:
            _holds(one, tables["Transaction"])
            (part,) = one.keys() & {"presentation", "pseudonymousAuthentication", "otherTransaction"}
            _holds(one[part], tables[part])
            assert one["transactionType"] in tables["transactionType"]
            assert one["transactionResult"] in tables["transactionResult"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", one["time"])
            assert ("reasonOfNoncompletion" in one[part]) == (one["transactionResult"] == "NotCompleted")
            _holds_parts(one[part], tables)


def _holds(found: dict, table: dict) -> None:
    assert found.keys() <= table.keys()
    assert {name for name, times in table.items() if times.startswith("1")} <= found.keys()


def _holds_parts(part: dict, tables: dict) -> None:
    if (party := part.get("interactingPartyIdentifier")) is not None:
        _holds(party, tables["Identifier"])
    if "pseudonym" in part and part["pseudonym"] is not None:
        _holds(part["pseudonym"], tables["Pseudonym"])
    words = [part.get("interactingPartyName"), *part.get("purpose", [])]
    for one in filter(None, words):
        _holds(one, tables["MultiLangString"])
    for name in ("listOfClaimsRequested", "listOfClaimsPresented"):
        for claims in part.get(name) or []:
            _holds(claims, tables["ClaimInfo"])
            assert claims["credentialIdentifier"] == VCT
            assert claims["claims"]


def test_transactions_say_what_happened_and_no_value(day):
    log, records = day
    document = written(Ts10Document(log, noted(records)), records)
    assert not re.search(r"\bAda\b|example\.org|1990-02", json.dumps(document))
    rows = document["transactionLogObject"]
    assert [(one["transactionType"], one["transactionResult"]) for one in rows] == [
        ("Presentation", "Completed"),
        ("OtherTransaction", "Completed"),
        ("OtherTransaction", "Completed"),
        ("Presentation", "Completed"),
        ("Presentation", "Completed"),
        ("OtherTransaction", "Completed"),
        ("PseudonymPresentation", "Completed"),
        ("Presentation", "NotCompleted"),
        ("Presentation", "NotCompleted"),
    ]
    shopping, lost, refusal = rows[0]["presentation"], rows[7]["presentation"], rows[8]["presentation"]
    assert shopping["listOfClaimsRequested"][0]["claims"] == ["given_name", "birthdate"]
    assert shopping["listOfClaimsPresented"][0]["claims"] == ["given_name", "age_over_18"]
    assert shopping["transactionalData"]["terms"][0]["recipients"] == ["Ads Ltd"]
    assert shopping["purpose"][0] == {"lang": "en", "content": "deliver goods to you"}
    assert lost["listOfClaimsPresented"][0]["claims"] == ["given_name"], "it may have reached them"
    assert (refusal["listOfClaimsPresented"], refusal["reasonOfNoncompletion"]) == ([], "Dismissed")
    assert rows[6]["pseudonymousAuthentication"]["pseudonym"]["value"].startswith("did:jwk:")


def test_ids_are_the_same_in_every_export_and_differ_between_logs(day):
    log, _ = day
    assert export_id(log, "entry 4") == export_id(log, "entry 4")
    assert len({export_id(log, "entry 4"), export_id(log, "entry 5"), export_id("0" * 32, "entry 4")}) == 3
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", export_id(log, "x")
    )
