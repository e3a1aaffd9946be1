"""What a provider asks for: a DCQL query (OpenID4VP 1.0, section 6), parsed and bounded.

Only `ownerd.credential.dcql` makes these. Whether a credential query could be met at all by what an owner holds
(format, type, trusted authorities) is settled there; which claims are in the vault is not known here.
"""

from __future__ import annotations

from msgspec import Struct

PathElement = str | int | None


class ClaimQuery(Struct, frozen=True):
    """One claims query: optional id, path (member name, array index ≥ 0, or None for all elements of an array).

    ``values``, where there are any, are the only ones that would do, compared by JSON type and value.
    """

    id: str | None
    path: tuple[PathElement, ...]
    values: tuple[str | int | bool, ...] = ()


class CredentialQuery(Struct, frozen=True):
    """One credential query.

    ``claims`` may be empty: then nothing but the credential itself is asked. ``claim_sets`` are alternatives in the
    provider's order, each a tuple of claim ids; empty means all of ``claims``. ``unmet`` says in a few words why
    no credential of ours can ever match (another format or type, trusted authorities), None where one may.
    """

    id: str
    claims: tuple[ClaimQuery, ...]
    claim_sets: tuple[tuple[str, ...], ...] = ()
    unmet: str | None = None


class CredentialSet(Struct, frozen=True):
    """One credential set query: ``options`` in the provider's order, each a tuple of credential query ids."""

    options: tuple[tuple[str, ...], ...]
    required: bool = True


class Query(Struct, frozen=True):
    """A whole query. Without ``sets`` every credential is required."""

    credentials: tuple[CredentialQuery, ...]
    sets: tuple[CredentialSet, ...] = ()
