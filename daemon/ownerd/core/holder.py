"""Whose key signs towards a provider, which token opens it, and what the vault then remembers.

One touch opens at most one provider key. A claimed asker gets a key that is used once and stored nowhere; a key of
one trust level never serves another (invariants 3 and 4).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import provider_keys as keys
from ownerd.core import recovery_code
from ownerd.core.desk import Act
from ownerd.core.keyslot import Enrolled, Keyslot
from ownerd.core.known import KnownProvider, with_host
from ownerd.core.ports import Record, Rng
from ownerd.core.provider_keys import KeyCopy
from ownerd.core.session import Session
from ownerd.core.vault import ID_BYTES, Vault
from ownerd.credential.did import did_jwk
from ownerd.credential.jwe import public_members
from ownerd.model.encoding import Json
from ownerd.model.errors import TokenMissing
from ownerd.model.offer import KnownAsker, OfferedClaim
from ownerd.model.request import Provider, Trust
from ownerd.model.token import SecretHandle, TokenAnswer

_TAG_BYTES: Final = 5  # 8 characters in base32: short enough to type, too many to guess


class Holder(Struct, frozen=True):
    """The key that will sign: of a provider known before, new for this one, or one-time (``id`` None, not stored).

    ``id`` is the provider's in the vault, ``tag`` the random part of its aliases.
    """

    id: str | None
    known: KnownProvider | None
    new_key: ec.EllipticCurvePrivateKey | None
    public_jwk: dict[str, Json]
    tag: str | None

    @property
    def asker(self) -> KnownAsker:
        """What negotiation may know of it."""
        return KnownAsker(tag=self.tag) if self.known is None else self.known.asker


class Opened(Struct, frozen=True):
    """One touch that opened a holder's key: who was touched, what was asked of it, what it yielded."""

    key: ec.EllipticCurvePrivateKey
    token: Enrolled
    handles: Sequence[SecretHandle]
    answer: TokenAnswer


def holder_for(vault: Vault, provider: Provider, rng: Rng) -> Holder:
    """Find the provider's key, or make one; nothing is stored before `changes` is committed."""
    if provider.trust is Trust.CLAIMED:
        key = keys.new_private_key()
        return Holder(None, None, key, public_members(key), None)
    known = vault.provider_for(provider.client_id, provider.trust)
    if known is not None:
        return Holder(known.id, known, None, known.public_jwk, known.tag)
    key = keys.new_private_key()
    tag = base64.b32encode(rng(_TAG_BYTES)).decode().lower()
    return Holder(rng(ID_BYTES).hex(), None, key, public_members(key), tag)


def able(vault: Vault, holder: Holder) -> dict[str, Enrolled]:
    """Who may approve, in the order in which they are looked for: who has this provider's key goes first."""
    if holder.known is None:
        return vault.enrolled
    copies = vault.copies
    return dict(sorted(vault.enrolled.items(), key=lambda one: f"{holder.id}/{one[0]}" not in copies))


class Opening:
    """The way to a holder's key by one token: chosen before the touch, used after it."""

    def __init__(self, vault: Vault, holder: Holder, token: Enrolled, rng: Rng) -> None:
        """Raise `TokenMissing` when this token cannot open the key."""
        self.token = token
        self._holder = holder
        self._copy: KeyCopy | None = None
        self.handles: list[SecretHandle] = []
        if holder.id is None:
            return
        if not isinstance(token, Keyslot):
            if holder.known is not None:
                raise TokenMissing(
                    "the token that is present only signs; this provider's key needs one that opens"
                )
            return  # It approves the first disclosure: the new key is sealed to all that open.
        if holder.known is not None:
            self._copy = vault.copies.get(f"{holder.id}/{token.id}")
            if self._copy is None:
                raise TokenMissing("the token that is present does not hold this provider's key yet")
        self.handles = keys.handles_for(self._copy, token, rng)

    def finish(self, answer: TokenAnswer) -> Opened:
        """Open the key with what the touch yielded. Raises `VaultDamaged`."""
        if self._holder.new_key is not None:
            return Opened(self._holder.new_key, self.token, self.handles, answer)
        assert self._copy is not None and isinstance(self.token, Keyslot)  # noqa: PT018 -- as __init__ left it
        key = keys.open_key(self._copy, self.token, answer.secrets)
        return Opened(key, self.token, self.handles, answer)


async def find_opening(session: Session, act: Act, vault: Vault, holder: Holder) -> Opening:
    """Wait for a token that may approve, and choose the way. Raises `TokenMissing`."""
    token = await session.locate(act, able(vault, holder))
    return Opening(vault, holder, token, session.rng)


def remember(
    holder: Holder, provider: Provider, claims: Sequence[OfferedClaim], time: str, *, leaves: bool = True
) -> KnownProvider | None:
    """The provider as it is known then, None for a one-time key.

    ``leaves`` unless only a grant is made: its uses are counted by themselves.
    """
    if holder.id is None:
        return None
    got: Mapping[str, int] = {claim.name: claim.version for claim in claims}
    if holder.known is not None:
        return replace(
            holder.known,
            last=time,
            disclosures=holder.known.disclosures + leaves,
            request_key=provider.key_thumbprint,
            got={**holder.known.got, **got},
            hosts=with_host(holder.known.hosts, provider.host),
        )
    return KnownProvider(
        id=holder.id,
        client_id=provider.client_id,
        trust=provider.trust,
        name=provider.name,
        public_jwk=holder.public_jwk,
        did=did_jwk(holder.public_jwk),
        since=time,
        last=time,
        disclosures=int(leaves),
        request_key=provider.key_thumbprint,
        tag=holder.tag or "",
        got=got,
        hosts=(provider.host,),
    )


def changes(
    vault: Vault, provider: Provider, known: KnownProvider | None, opened: Opened, rng: Rng
) -> list[Record]:
    """Records that change with a disclosure: provider, its key's copies, a new trust anchor."""
    anchor = provider.anchor
    put = [] if anchor is None or anchor in vault.anchors else [vault.anchor_record(anchor)]
    if known is None:
        return put
    return [*put, vault.provider_record(known), *key_copies(vault, known.id, opened, rng)]


def key_copies(
    vault: Vault, provider_id: str, opened: Opened, rng: Rng, *, anew: bool = False
) -> list[Record]:
    """Copies of a provider key that are missing, or with ``anew`` all of them: it is another key now."""
    put: list[Record] = []
    have = {} if anew else vault.copies
    if vault.recovery is not None and f"{provider_id}/{recovery_code.ID}" not in have:
        spare = keys.copy_transfer(provider_id, recovery_code.ID, vault.recovery.public, opened.key)
        put.append(vault.copy_record(spare))
    for keyslot in vault.keyslots.values():
        copy = have.get(f"{provider_id}/{keyslot.id}")
        if keyslot.id == opened.token.id:
            if copy is None or copy.handle is None:
                salt, secret = opened.handles[-1].salt, opened.answer.secrets[-1]
                fresh = keys.copy_direct(provider_id, keyslot.id, opened.key, salt, secret, rng)
                put.append(vault.copy_record(fresh))
        elif copy is None:
            waiting = keys.copy_transfer(provider_id, keyslot.id, keyslot.transfer.public, opened.key)
            put.append(vault.copy_record(waiting))
    return put
