"""One short hold of one PKCS#11 token: open, perhaps log in, work, log out, close. Blocking; a worker runs it.

Whatever goes wrong, no session and no login of ours stays behind: where closing fails, or a login failed (the library
then loses its session), the module is finalized, which ends them all. Imports the library, so it is itself imported
on a module's worker only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, whatever it is called
from pkcs11.constants import Attribute, SlotFlag, TokenFlag
from pkcs11.exceptions import (
    ArgumentsBad,
    MechanismParamInvalid,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinTooWeak,
    PKCS11Error,
)
from pkcs11.mechanisms import KDF, KeyType, Mechanism
from pkcs11.types import PrivateKey, Session, Slot, Token

from ownerd.core.ports import PIN_TRIES_AT_RISK
from ownerd.model.errors import (
    PinAtRisk,
    PinBlocked,
    PinUnfit,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    Unsupported,
)
from ownerd.model.secret import Secret
from ownerd.model.token import CardAlgorithm, TokenInfo
from ownerd.tokens.candidate import printable_name
from ownerd.tokens.limit import GaveUp, Limit
from ownerd.tokens.pkcs11_faults import GONE, as_token_errors
from ownerd.tokens.pkcs11_module import Module
from ownerd.tokens.pkcs11_reference import Identity

SOFTHSM: Final = "SoftHSM project"
MAX_PIN_BYTES: Final = 255
MIN_NEW_PIN_CHARS: Final = 4
# DER of DigestInfo up to the SHA-256 digest (RFC 8017, section 9.2, note 1).
_SHA256_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")


class Place(Struct, frozen=True):
    """Where a token is, and who it says it is: enough to see that another took its place."""

    module: Module
    slot_id: int
    identity: Identity

    @property
    def id(self) -> str:
        """Id of this token while it stays where it is."""
        identity = self.identity
        parts = (self.module.path, str(self.slot_id), identity.serial, identity.label, identity.manufacturer)
        return "pkcs11-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Found(Struct, frozen=True):
    """A token that is present, described from C_GetTokenInfo alone."""

    place: Place
    info: TokenInfo


def list_tokens(module: Module, library: Library) -> list[Found]:
    """List the initialized tokens with a user PIN in the module's slots. Opens no session."""
    found = []
    with as_token_errors():
        for slot in library.get_slots(token_present=True):
            if SlotFlag.TOKEN_PRESENT not in slot.flags:
                continue
            try:
                token = slot.get_token()
            except GONE:
                continue
            flags = token.flags
            if TokenFlag.TOKEN_INITIALIZED in flags and TokenFlag.USER_PIN_INITIALIZED in flags:
                found.append(_describe(module, token))
    return found


class Held:
    """A token at its place. Each method is a short visit that leaves nothing open."""

    def __init__(self, place: Place, library: Library, limit: Limit) -> None:
        self.place = place
        self._library = library
        self._limit = limit
        self._slot: Slot | None = None

    def require_tries(self, *, at_risk: bool = False) -> TokenInfo:
        """Describe the token as it is now, using no try.

        Raises `PinBlocked`, or `PinAtRisk` when only the last try is left (not with ``at_risk``); `TokenMissing` when
        another token took its place; `Unsupported` for a token that takes no PIN from us.
        """
        token = self._find()
        if TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags:
            raise Unsupported("the token takes its PIN on its reader alone")
        tries = pin_tries(token.flags)
        if tries == 0:
            raise PinBlocked("the token takes no more PINs")
        if tries is not None and tries <= PIN_TRIES_AT_RISK and not at_risk:
            raise PinAtRisk(tries_left=tries)
        return _describe(self.place.module, token).info

    def mechanisms(self) -> set[Mechanism]:
        """What the token can do."""
        with as_token_errors():
            return self._find().slot.get_mechanisms()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session without login, closed afterwards."""
        with self._errors(), self._closing(self._find().open()) as session:
            yield session

    @contextmanager
    def login(self, pin: Secret) -> Iterator[Session]:
        """A session that is logged in with the PIN, which is sent once; logged out and closed afterwards.

        Raises `PinWrong`, also for a PIN that no token can have (which is not sent), `PinBlocked`, `PinAtRisk`.
        """
        text = pin_text(pin)
        self.require_tries()
        if self._limit.event.is_set():
            raise GaveUp("given up before the PIN was sent")
        with self._errors(), self._closing(self._log_in(text)) as session:
            yield session

    def set_pin(self, old: Secret, new: Secret) -> None:
        """Change the PIN; each is sent once, without a login. Raises `PinWrong`, `PinUnfit`, `PinBlocked`."""
        texts = pin_text(old), new_pin_text(new)
        token = self._find()
        if self._limit.event.is_set():
            raise GaveUp("given up before the PIN was sent")
        with self._errors(), self._closing(token.open(rw=True)) as session:
            try:
                session.set_pin(*texts)
            except PinIncorrect as error:
                raise PinWrong(tries_left=pin_tries(token.slot.get_token().flags)) from error
            except (PinInvalid, PinLenRange, PinTooWeak) as error:
                raise PinUnfit("the token refuses the new PIN") from error

    # -- parts --

    def _find(self) -> Token:
        """The token, asked anew who it is."""
        with as_token_errors():
            if self._slot is None:
                slots = self._library.get_slots(token_present=True)
                self._slot = next((slot for slot in slots if slot.slot_id == self.place.slot_id), None)
            token = self._slot.get_token() if self._slot is not None else None
            if token is not None and _describe(self.place.module, token).place == self.place:
                return token
        raise TokenMissing("the token is not present")

    def _log_in(self, text: str) -> Session:
        token = self._find()
        try:
            return token.open(user_pin=text)
        except PinIncorrect as error:
            tries = pin_tries(token.slot.get_token().flags)
            self.place.module.reset()
            raise PinWrong(tries_left=tries) from error
        except PKCS11Error:
            self.place.module.reset()
            raise

    @contextmanager
    def _closing(self, session: Session) -> Iterator[Session]:
        try:
            yield session
        finally:
            try:
                session.close()
            except PKCS11Error:
                self.place.module.reset()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """As `as_token_errors`; what breaks because the token is gone is called that."""
        try:
            with as_token_errors():
                yield
        except ProtocolBroken as error:
            try:
                self._find()
            except (TokenMissing, TokenRemoved, ProtocolBroken):
                raise TokenRemoved("the token went away") from error
            raise


def pin_text(pin: Secret) -> str:
    """PIN as the library takes it. Raises `PinWrong` for one that cannot be a PIN; it costs no try."""
    try:
        text = pin.reveal().decode()
    except UnicodeDecodeError as error:
        raise PinWrong("the PIN is not text") from error
    if not 0 < len(pin) <= MAX_PIN_BYTES:
        raise PinWrong("no PIN has this length")
    return text


def new_pin_text(pin: Secret) -> str:
    """PIN as the library takes it. Raises `PinUnfit`."""
    try:
        text = pin.reveal().decode()
    except UnicodeDecodeError as error:
        raise PinUnfit("the new PIN is not text") from error
    if len(text) < MIN_NEW_PIN_CHARS or len(pin) > MAX_PIN_BYTES:
        raise PinUnfit("no PIN has the new one's length")
    return text


def pin_tries(flags: TokenFlag) -> int | None:
    """Tries that are left, as far as a token says: 0, 1 or unknown (PKCS#11 2.40, section 3.2)."""
    if TokenFlag.USER_PIN_LOCKED in flags:
        return 0
    return 1 if TokenFlag.USER_PIN_FINAL_TRY in flags else None


def sign(
    key: PrivateKey, algorithm: CardAlgorithm, message: bytes, *, pin: str | None, mechanisms: set[Mechanism]
) -> bytes:
    """Sign ``message``; ``pin`` only for a key that asks for it each time. Not yet verified.

    The hash is ours, so ECDSA needs CKM_ECDSA alone, and RSA CKM_RSA_PKCS or CKM_SHA256_RSA_PKCS.
    """
    signer = cast("Any", key)
    with as_token_errors():
        if algorithm != "RS256":
            digest = hashlib.new("sha256" if algorithm == "ES256" else "sha384", message).digest()
            return bytes(signer.sign(digest, mechanism=Mechanism.ECDSA, pin=pin))
        if Mechanism.RSA_PKCS in mechanisms:
            data = _SHA256_INFO + hashlib.sha256(message).digest()
            return bytes(signer.sign(data, mechanism=Mechanism.RSA_PKCS, pin=pin))
        return bytes(signer.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS, pin=pin))


def agree(key: PrivateKey, curve: ec.EllipticCurve, point: bytes) -> Secret:
    """Return the x coordinate shared with ``point`` (uncompressed), of the curve's length.

    CKM_ECDH1_DERIVE without key derivation. The result is a session object that may be read, and is destroyed at once.
    """
    size = (curve.key_size + 7) // 8
    with as_token_errors():
        try:
            made = _derive(key, size, point)
        except (MechanismParamInvalid, ArgumentsBad):
            # Before 2.30 modules were free to want the point as an OCTET STRING (now "MUST accept" both).
            made = _derive(key, size, bytes((4, len(point))) + point)
        try:
            value = made[Attribute.VALUE]
        finally:
            made.destroy()
    if len(value) > size:
        raise ProtocolBroken("the token's secret has the wrong length")
    # Some modules drop leading zero bytes of the number.
    return Secret(value.rjust(size, b"\0"))


def _derive(key: PrivateKey, size: int, point: bytes) -> Any:
    return cast("Any", key).derive_key(
        KeyType.GENERIC_SECRET,
        size * 8,
        mechanism=Mechanism.ECDH1_DERIVE,
        mechanism_param=(KDF.NULL, None, point),
        template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
    )


def _describe(module: Module, token: Token) -> Found:
    identity = Identity(
        token.label.strip(),
        token.manufacturer_id.strip(),
        token.model.strip(),
        token.serial.decode("utf-8", "replace").strip(" \0"),
    )
    place = Place(module, token.slot.slot_id, identity)
    major, minor = token.firmware_version
    info = TokenInfo(
        id=place.id,
        name=printable_name(identity.label, printable_name(identity.model, "PKCS#11 token")),
        transport="pkcs11",
        aaguid="",
        firmware=major << 8 | minor,
        has_pin=True,
        pin_tries=pin_tries(token.flags),
        software=identity.manufacturer == SOFTHSM,
    )
    return Found(place, info)
