"""A PIV card's answers: an act (1 byte), then answers as `tests.fuzz.chunks` has them.

An empty answer is what an honest card would say; one that begins with 0xEE changes the honest one: place (2 bytes),
then what to put there. After the last answer the card is honest.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fuzz import party
from tests.fuzz.chunks import Answers
from tests.fuzz.target import Target
from tests.rigs._piv_applet import CERTIFICATE_9C, CHUID, PIN, PivApplet, tlv

from ownerd.model.errors import OwnerdError, ProtocolBroken, TokenRemoved
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.piv_card import PivCard, padded_pin
from ownerd.tokens.piv_keys import PublicKeys
from ownerd.tokens.piv_link import MAX_SHORT_ANSWER
from ownerd.tokens.piv_setup import generate
from ownerd.tokens.piv_work import CardAct, change_pin, credential_of, look

MARK: Final = 0xEE
MAX_COMMANDS: Final = 2000


def _bare() -> PivApplet:
    applet = PivApplet(signing=party.key(5), agreement=party.key(6), certificates=False)
    applet.objects[CHUID] = tlv(0x30, bytes(25)) + tlv(0x34, bytes(16))
    return applet


@cache
def _objects() -> dict[int, bytes]:
    applet = _bare()
    applet.certify(CERTIFICATE_9C, party.key(5))
    applet.certify(CERTIFICATE_9C + 1, party.key(6), signed_by=party.key(5))
    return applet.objects


class Wire:
    """The card side of a `CardLink`. `piv_link.Link` bounds an answer in the same way."""

    is_t0 = False

    def __init__(self, answers: Answers) -> None:
        self.applet, self._answers, self._count = _bare(), answers, 0
        self.applet.objects = dict(_objects())
        self.applet.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self._count += 1
        assert self._count < MAX_COMMANDS, "the card is asked without end"
        honest = self.applet.transmit(apdu)
        raw = changed(honest, self._answers.next() or b"")
        if len(raw) < 2:
            raise TokenRemoved("the card went away")
        if len(raw) > MAX_SHORT_ANSWER:
            raise ProtocolBroken("the card's answer has an impossible length")
        return raw[:-2], int.from_bytes(raw[-2:], "big")


def changed(honest: bytes, answer: bytes) -> bytes:
    """The answer that an input stands for."""
    if not answer:
        return honest
    if answer[0] != MARK or len(answer) < 3:
        return answer
    at = int.from_bytes(answer[1:3], "big") % (len(honest) + 1)
    return honest[:at] + answer[3:] + honest[at + len(answer) - 3 :]


@cache
def _credential() -> TokenCredential:
    made = credential_of(look(PivCard(Wire(Answers(b"")))).identity, "card", PublicKeys())
    assert made is not None
    return made


def run(data: bytes) -> None:
    answers = Answers(data)
    act = answers.byte() % 4
    credential, pin = _credential(), padded_pin(Secret(PIN), None)
    card = PivCard(Wire(answers))
    if act == 0:
        found = credential_of(look(card).identity, "card", PublicKeys())
        assert found is None or found.id
    elif act == 1:
        point = party.key(7).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        wanted = CardAct(credential, bytes(32), [SecretHandle(point)])
        signature, secrets = wanted.run(card, pin)
        assert wanted.answer(signature, secrets).approval.token == credential.id
    elif act == 2:
        seen = look(card)
        try:
            change_pin(card, seen, pin, pin)
        except OwnerdError:
            look(card)
    else:
        generate(card, Secret(bytes(range(24))), "P-256")


TARGET = Target(
    "piv",
    run,
    words=(
        b"\x90\x00", b"\x61\x00", b"\x6c\x10", b"\x69\x82", b"\x63\xc3", b"\x6a\x82", b"\x00\x00", b"\x00\x02\x90\x00", b"\x7c", b"\x82",
        b"\x53\x82", b"\x70\x82", b"\x71\x01\x01", b"\x1f\x8b\x08", b"\x00\x04\xee\x00\x00\x90", b"\x04\x41\x04", b"\x7f\x49",
    ),
)  # fmt: skip
