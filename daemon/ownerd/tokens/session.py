"""One short hold of one token: open, a few CTAP commands, close. Blocking; a worker thread runs it.

CTAP 2.1: getInfo 6.4, clientPIN 6.5, makeCredential 6.1, getAssertion 6.2, hmac-secret 12.5. What a token
answers is untrusted: it is parsed strictly by python-fido2, checked by `ownerd.tokens.verify`, and every way in which
that can fail leaves as an error of the table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Info
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.ctap2.pin import ClientPin
from fido2.hid import CAPABILITY

from ownerd.core.ports import PIN_TRIES_AT_RISK
from ownerd.model.errors import PinAtRisk, PinBlocked, PinUnfit, PinWrong, Unsupported
from ownerd.model.names import RP_ID
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential, TokenInfo
from ownerd.tokens import verify
from ownerd.tokens.answer_guard import AnswerGuard
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.ctap import Assertion, Ctap, HmacSecret, parse_assertion
from ownerd.tokens.faults import ERR, Undecided, as_token_errors
from ownerd.tokens.fido2_blobs import LARGE_BLOB_KEY, LARGE_BLOB_KEY_BYTES, bounded
from ownerd.tokens.limit import Limit
from ownerd.tokens.pin_text import new_pin_text, pin_text

# The software token's AAGUID, whatever transport it comes through.
SOFTWARE_AAGUID: Final = "6f776e65-7264-4073-8066-74746f6b656e"
MAX_CREDENTIALS_AT_ONCE: Final = 8
# Not discoverable without the PIN, yet usable with an allowList: a preflight needs neither PIN nor touch.
CRED_PROTECT_LEVEL: Final = 2

# OTHER is all that some tokens say over PC/SC.
WANTS_TOUCH: Final = frozenset(
    {ERR.UNSUPPORTED_OPTION, ERR.INVALID_OPTION, ERR.UP_REQUIRED, ERR.PUAT_REQUIRED, ERR.OTHER}
)

Permission = ClientPin.PERMISSION


class Session:
    """A token held open. Every method blocks, and raises errors of the table only (and `Undecided`)."""

    def __init__(self, candidate: Candidate, limit: Limit) -> None:
        self._candidate = candidate
        self._limit = limit
        self._device: CtapDevice | None = None
        self._opened: Ctap | None = None
        self._pin_token: bytes | None = None
        self._hmac: HmacSecret | None = None

    # -- holding --

    def open(self) -> None:
        """Open the device and read its getInfo; nothing when that is done. Raises `Unsupported` without CTAP2."""
        if self._opened is not None:
            return
        assert self._device is None, "opening failed before"
        with as_token_errors():
            self._device = AnswerGuard(self._candidate.open(self._limit))
            if not self._device.capabilities & CAPABILITY.CBOR:
                raise Unsupported("the token has no CTAP2")
            self._opened = Ctap(self._device)
            self._limit.begun = True

    def close(self) -> None:
        """Close the device. A token that is gone already is as good as closed."""
        device, self._device, self._opened, self._pin_token, self._hmac = self._device, None, None, None, None
        if device is not None:
            with suppress(Exception):
                device.close()

    @property
    def info(self) -> Info:
        """The getInfo of this session."""
        return self._ctap.info

    @property
    def _ctap(self) -> Ctap:
        assert self._opened is not None, "session is not open"
        return self._opened

    # -- without touch, without PIN --

    def always_verifies(self) -> bool:
        """Whether the token asks for its PIN at every use (getInfo alwaysUv)."""
        return self.info.options.get("alwaysUv") is True

    def describe(self) -> TokenInfo:
        """What the token says of itself; the retry counter is read without using a try."""
        with as_token_errors():
            info = self.info
            has_pin = info.options.get("clientPin") is True
            aaguid = str(info.aaguid)
            firmware = info.firmware_version
            if not isinstance(firmware, int) or isinstance(firmware, bool):
                raise TypeError("firmware version is not an integer")
            return TokenInfo(
                id=self._candidate.id,
                name=self._candidate.name,
                transport=self._candidate.transport,
                aaguid=aaguid,
                firmware=firmware,
                has_pin=has_pin,
                pin_tries=self._pin_tries() if has_pin else None,
                software=self._candidate.transport == "software" or aaguid == SOFTWARE_AAGUID,
            )

    def require_supported(self) -> None:
        """Raise `Unsupported` unless the token has what ownerd needs."""
        with as_token_errors():
            info = self.info
            if HmacSecretExtension.NAME not in info.extensions:
                raise Unsupported("the token has no hmac-secret")
            if not any(p.VERSION in info.pin_uv_protocols for p in ClientPin.PROTOCOLS):
                raise Unsupported("the token has no PIN protocol that we know")
            if info.algorithms and not any(entry.get("alg") == verify.ES256 for entry in info.algorithms):
                raise Unsupported("the token has no ES256")

    def require_pin_tries(self, *, at_risk: bool = False) -> None:
        """Raise `PinBlocked` when the token would refuse even the right PIN. Uses no try.

        Unless ``at_risk``, raise `PinAtRisk` when so few tries are left that no PIN is to be asked for.
        """
        with as_token_errors():
            tries = self._require_tries()
            if tries <= PIN_TRIES_AT_RISK and not at_risk:
                raise PinAtRisk(tries_left=tries)

    def require_pin_support(self) -> None:
        """Raise `Unsupported` when the token can have no PIN."""
        with as_token_errors():
            if "clientPin" not in self.info.options:
                raise Unsupported("the token takes no PIN")

    def preflight(self, credentials: Sequence[TokenCredential]) -> TokenCredential | None:
        """Ask without touch and PIN which of ``credentials`` is on this token.

        The answer's signature is verified, so a token that merely repeats an id does not count, and no PIN is
        ever typed for it. Raises `Undecided` when the token refuses a question without a touch.
        """
        with as_token_errors():
            room = self.info.max_cred_id_length or verify.MAX_CREDENTIAL_ID_BYTES
            fitting = [item for item in credentials if len(item.credential_id) <= room]
            size = min(max(self.info.max_creds_in_list, 1), MAX_CREDENTIALS_AT_ONCE)
            for start in range(0, len(fitting), size):
                found = self._preflight_some(fitting[start : start + size])
                if found is not None:
                    return self._first_on_token(fitting[start : start + size], found)
            return None

    def held(self, credentials: Sequence[TokenCredential]) -> list[TokenCredential]:
        """All of ``credentials`` that `preflight` finds. Raises `Undecided`."""
        rest, found = list(credentials), []
        while rest and (one := self.preflight(rest)) is not None:
            found.append(one)
            rest.remove(one)
        return found

    def large_blobs(self, credential: TokenCredential) -> tuple[LargeBlobs, bytes]:
        """The token's blobs and the key of this credential's (CTAP 2.1, 6.10 and 12.3), without a touch.

        They can be written after `enter_pin` with the permission for it, or where the token has no PIN. Raises
        `Unsupported` for a token or credential without, `Undecided` for a token that answers nothing without a touch.
        """
        with as_token_errors():
            if not LargeBlobs.is_supported(self.info):
                raise Unsupported("the token has no large blobs")
            client_data_hash = os.urandom(32)
            wanted = {LARGE_BLOB_KEY: True}
            try:
                raw = self._ask([credential], client_data_hash, extensions=wanted, touch=False)
            except CtapError as error:
                if error.code in WANTS_TOUCH:
                    raise Undecided from error
                raise
            verify.verify_preflight(parse_assertion(raw), client_data_hash, [credential])
            key = raw.get(7)
            if not isinstance(key, bytes) or len(key) != LARGE_BLOB_KEY_BYTES:
                raise Unsupported("the credential has no large blob")
            protocol = None if self._pin_token is None else ClientPin(self._ctap).protocol
            return LargeBlobs(bounded(self._ctap), protocol, self._pin_token), key

    # -- with the PIN --

    def enter_pin(self, pin: Secret, permission: ClientPin.PERMISSION) -> None:
        """Trade the PIN for a pinUvAuthToken; sends the PIN once.

        Raises `PinWrong` with the tries that are left (also for a PIN that no token can have, which is not
        sent), `PinBlocked`; `PinAtRisk`, without sending it, when tries were used up while it was typed.
        """
        with as_token_errors():
            before = self._require_tries()
            if before <= PIN_TRIES_AT_RISK:
                raise PinAtRisk("PIN tries were used up elsewhere meanwhile; the PIN was not sent")
            text = pin_text(pin, before)
            with self._sending_pin(before):
                self._pin_token = ClientPin(self._ctap).get_pin_token(text, permission, RP_ID)

    def set_pin(self, old: Secret | None, new: Secret) -> None:
        """Change the PIN, or set the first one where ``old`` is None (6.5.5.5, 6.5.5.6); sends both once.

        Raises `PinUnfit` for a new PIN that the token cannot have, before anything is sent; else as `enter_pin`.
        """
        with as_token_errors():
            wanted = new_pin_text(new, verify.small_count(self.info.min_pin_length))
            client = ClientPin(self._ctap)
            before = 0 if old is None else self._require_tries()
            typed = None if old is None else pin_text(old, before)
            try:
                with self._sending_pin(before):
                    if typed is None:
                        client.set_pin(wanted)
                    else:
                        client.change_pin(typed, wanted)
            except CtapError as error:
                if error.code == ERR.PIN_POLICY_VIOLATION:
                    raise PinUnfit("the token does not take this new PIN") from error
                raise

    # -- with a touch --

    def make_credential(self, described: TokenInfo, *, user_verification: bool) -> TokenCredential:
        """Make and verify a credential for `RP_ID` with hmac-secret: one touch."""
        with as_token_errors():
            info = self.info
            discoverable = info.options.get("rk") is True and info.remaining_disc_creds != 0
            client_data_hash = os.urandom(32)
            answer = self._ctap.make_credential(
                client_data_hash,
                {"id": RP_ID, "name": "ownerd"},
                {"id": os.urandom(32), "name": "owner", "displayName": "owner"},
                [{"type": "public-key", "alg": verify.ES256}],
                extensions=self._creation_extensions(discoverable=discoverable),
                options={"rk": True} if discoverable else None,
                **self._pin_param(client_data_hash),
                event=self._limit.event,
            )
            made = verify.verify_creation(answer.auth_data, user_verified=self._pin_token is not None)
            return TokenCredential(
                type="fido2",
                id=verify.token_id(made.credential_id),
                credential_id=made.credential_id,
                public_key=made.public_key,
                user_verification=user_verification,
                aaguid=described.aaguid,
                firmware=described.firmware,
                software=described.software,
                name=described.name,
            )

    def prepare(self, handles: Sequence[SecretHandle]) -> TokenInfo:
        """Describe the token, and agree on the key that salts and secrets travel under.

        Before the touch, so that after `TokenUi.touch_needed` one command alone goes to the token.
        """
        described = self.describe()
        if not handles:
            return described
        with as_token_errors():
            if HmacSecretExtension.NAME not in self.info.extensions:
                raise Unsupported("the token has no hmac-secret")
            self._hmac = HmacSecret(self._ctap)
        return described

    def get_assertion(
        self, credential: TokenCredential, client_data_hash: bytes, handles: Sequence[SecretHandle]
    ) -> tuple[Assertion, tuple[Secret, ...]]:
        """Sign ``client_data_hash`` and open the prepared secrets: one touch. Not yet verified."""
        with as_token_errors():
            if not handles:
                return self._assert([credential], client_data_hash, touch=True), ()
            assert self._hmac is not None, "secrets were not prepared"
            salts = self._hmac.format_salts([handle.salt for handle in handles])
            answer = self._assert([credential], client_data_hash, extensions=salts, touch=True)
            output = verify.verify_secret_output(
                answer.auth_data, len(handles), ClientPin(self._ctap).protocol.VERSION
            )
            return answer, tuple(Secret(value) for value in self._hmac.parse_secrets(output))

    # -- parts --

    @contextmanager
    def _sending_pin(self, before: int) -> Iterator[None]:
        """While a PIN goes to the token: never repeated; a wrong one is told with the tries that are left."""
        self._limit.send_once = True
        try:
            yield
        except CtapError as error:
            if error.code == ERR.PIN_INVALID or self._used_a_try(error, before):
                raise PinWrong(tries_left=self._pin_tries()) from error
            raise
        finally:
            self._limit.send_once = False

    def _assert(
        self,
        credentials: Sequence[TokenCredential],
        client_data_hash: bytes,
        *,
        extensions: Mapping[str, Any] | None = None,
        touch: bool,
    ) -> Assertion:
        return parse_assertion(self._ask(credentials, client_data_hash, extensions=extensions, touch=touch))

    def _ask(
        self,
        credentials: Sequence[TokenCredential],
        client_data_hash: bytes,
        *,
        extensions: Mapping[str, Any] | None,
        touch: bool,
    ) -> dict[int, Any]:
        allow = [{"type": "public-key", "id": item.credential_id} for item in credentials]
        parameters: dict[int, Any] = {1: RP_ID, 2: client_data_hash, 3: allow}
        if extensions:
            parameters[4] = extensions
        if not touch:
            parameters[5] = {"up": False}
        elif self._pin_token is not None:
            proof = self._pin_param(client_data_hash)
            parameters[6], parameters[7] = proof["pin_uv_param"], proof["pin_uv_protocol"]
        answer = dict(
            self._ctap.send_cbor(
                Ctap.CMD.GET_ASSERTION,
                parameters,
                event=self._limit.event,
            )
        )
        if len(credentials) == 1:
            # 6.2.2: may be left out when the allowList has exactly one.
            answer.setdefault(1, allow[0])
        return answer

    def _preflight_some(self, credentials: Sequence[TokenCredential]) -> TokenCredential | None:
        client_data_hash = os.urandom(32)
        try:
            answer = self._assert(credentials, client_data_hash, touch=False)
        except CtapError as error:
            if error.code in {ERR.NO_CREDENTIALS, ERR.INVALID_CREDENTIAL}:
                return None
            if error.code in WANTS_TOUCH:
                raise Undecided from error
            raise
        return verify.verify_preflight(answer, client_data_hash, credentials)

    def _first_on_token(
        self, credentials: Sequence[TokenCredential], found: TokenCredential
    ) -> TokenCredential:
        """A token that was enrolled twice answers for whichever it likes (6.2.2); the first of both counts."""
        while True:
            earlier = credentials[: credentials.index(found)]
            alike = [one for one in earlier if one.aaguid == found.aaguid]
            better = self._preflight_some(alike) if alike else None
            if better is None:
                return found
            found = better

    def _creation_extensions(self, *, discoverable: bool) -> dict[str, Any]:
        info = self.info
        wanted: dict[str, Any] = {HmacSecretExtension.NAME: True}
        if "credProtect" in info.extensions:
            wanted["credProtect"] = CRED_PROTECT_LEVEL
        if discoverable and LARGE_BLOB_KEY in info.extensions and info.options.get("largeBlobs") is True:
            wanted[LARGE_BLOB_KEY] = True
        return wanted

    def _pin_param(self, client_data_hash: bytes) -> dict[str, Any]:
        if self._pin_token is None:
            return {}
        protocol = ClientPin(self._ctap).protocol
        return {
            "pin_uv_param": protocol.authenticate(self._pin_token, client_data_hash),
            "pin_uv_protocol": protocol.VERSION,
        }

    def _pin_tries(self) -> int:
        tries, _ = ClientPin(self._ctap).get_pin_retries()
        return verify.small_count(tries)

    def _require_tries(self) -> int:
        tries, until_power_cycle = ClientPin(self._ctap).get_pin_retries()
        if until_power_cycle:
            raise PinBlocked("the token takes no more PINs until it is re-plugged")
        if verify.small_count(tries) == 0:
            raise PinBlocked("the token takes no more PINs")
        return tries

    def _used_a_try(self, error: CtapError, before: int) -> bool:
        """Whether an unspecific error was a wrong PIN (some tokens say OTHER for everything over PC/SC)."""
        return error.code == ERR.OTHER and self._pin_tries() < before
