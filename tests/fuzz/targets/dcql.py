"""DCQL, as it stands in a request."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.credential.dcql import parse_dcql, unbound_ids
from ownerd.model.encoding import parse_json


def run(data: bytes) -> None:
    value = parse_json(data)
    query = parse_dcql(value)
    ids = {credential.id for credential in query.credentials}
    assert len(ids) == len(query.credentials)
    assert set(unbound_ids(value)) <= ids
    assert all(set(option) <= ids for one in query.sets for option in one.options)


TARGET = Target(
    "dcql",
    run,
    form="json",
    words=(
        "credentials", "id", "format", "dc+sd-jwt", "mso_mdoc", "meta", "vct_values", "urn:ownerd:owner:1", "claims", "path",
        "values", "claim_sets", "credential_sets", "options", "required", "multiple", "require_cryptographic_holder_binding",
        "trusted_authorities", "type", "aki", "doctype_value", "address", "locality", "given_name", "age_over_18",
    ),
)  # fmt: skip
