"""Rig for PKCS#11: real SoftHSM2 tokens of our own, and the adapter over them.

The library is loaded once in a process, so each test ends what it initialized; its token directory comes from
``SOFTHSM2_CONF``, which SoftHSM2 reads in C_Initialize.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.constants import TokenFlag
from pkcs11.util.ec import encode_named_curve_parameters

from ownerd.core.seal import key_check
from ownerd.tokens.pkcs11_port import Pkcs11Tokens

# The real path, as the adapter resolves it: a library loaded by two names would be initialized twice.
MODULE = str(Path("/usr/lib/softhsm/libsofthsm2.so").resolve())
PIN = b"2468ace"
SO_PIN = "13579bdf"
CURVES = {"P-256": "secp256r1", "P-384": "secp384r1"}


@dataclass
class SoftHsm:
    """A directory of SoftHSM2 tokens. ``module`` is what the adapter is given."""

    directory: Path
    module: str = MODULE

    def __post_init__(self) -> None:
        (self.directory / "tokens").mkdir()
        self.conf = self.directory / "softhsm2.conf"
        self.conf.write_text(
            f"directories.tokendir = {self.directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )

    def util(self, *arguments: str) -> None:
        """Run softhsm2-util on these tokens."""
        environment = {**os.environ, "SOFTHSM2_CONF": str(self.conf)}
        subprocess.run(
            ["softhsm2-util", *arguments], env=environment, check=True, capture_output=True, timeout=30
        )

    def add_token(self, label: str = "card", pin: bytes = PIN) -> None:
        """Initialize another token; the module sees it after `restart`."""
        self.util("--init-token", "--free", "--label", label, "--pin", pin.decode(), "--so-pin", SO_PIN)
        self.restart()

    def delete_token(self, label: str = "card") -> None:
        """Delete a token from below the module, as pulling it would."""
        self.util("--delete-token", "--token", label)

    def restart(self) -> None:
        """Finalize the module in this process; the next use initializes it anew."""
        for library in pkcs11._loaded.values():
            if library.initialized:
                library.finalize()

    def token(self, label: str = "card") -> pkcs11.Token:
        """A token through the library alone."""
        return pkcs11.lib(self.module).get_token(token_label=label)

    def flags(self, label: str = "card") -> TokenFlag:
        """Its flags now."""
        return self.token(label).flags

    def add_ec_key(
        self,
        key_id: bytes,
        *,
        label: str = "card",
        curve: str = "P-256",
        uses: MechanismFlag = MechanismFlag.SIGN | MechanismFlag.DERIVE,
        public: dict[Attribute, Any] | None = None,
        private: dict[Attribute, Any] | None = None,
        pin: bytes = PIN,
    ) -> None:
        """Generate an EC pair on a token."""
        with self.token(label).open(rw=True, user_pin=pin.decode()) as session:
            parameters = session.create_domain_parameters(
                KeyType.EC,
                {Attribute.EC_PARAMS: encode_named_curve_parameters(CURVES[curve])},
                local=True,
            )
            parameters.generate_keypair(
                mechanism=Mechanism.EC_KEY_PAIR_GEN,
                id=key_id,
                store=True,
                capabilities=uses | MechanismFlag.VERIFY,
                public_template=public,
                private_template=private,
            )

    def add_rsa_key(self, key_id: bytes, *, label: str = "card", bits: int = 2048) -> None:
        """Generate an RSA pair on a token."""
        with self.token(label).open(rw=True, user_pin=PIN.decode()) as session:
            session.generate_keypair(KeyType.RSA, bits, id=key_id, store=True)

    def delete_keys(self, key_id: bytes, *, label: str = "card") -> None:
        """Delete both halves of a pair."""
        with self.token(label).open(rw=True, user_pin=PIN.decode()) as session:
            for item in list(session.get_objects({Attribute.ID: key_id})):
                item.destroy()

    def exchange_private_key(self, key_id: bytes, *, label: str = "card") -> None:
        """Put another private key under ``key_id``, and leave the public key as it is."""
        with self.token(label).open(rw=True, user_pin=PIN.decode()) as session:
            for item in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: key_id}):
                item.destroy()
        self.add_ec_key(b"\xee", label=label, uses=MechanismFlag.SIGN)
        with self.token(label).open(rw=True, user_pin=PIN.decode()) as session:
            wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: b"\xee"}
            for item in session.get_objects(wanted):
                item[Attribute.ID] = key_id

    def tokens(self, **options: Any) -> Pkcs11Tokens:
        """A new adapter."""
        return Pkcs11Tokens([self.module], key_check=key_check, **options)


class HsmCard(SoftHsm):
    """SoftHSM2 behind a module that counts tries, can be pulled, and misbehaves when told to.

    Implements `tests.rigs.cards.CardRig`. ``tests/misbehaving/pkcs11_shim.c`` says what the environment does.
    """

    type = "pkcs11"
    pin = PIN

    def tries(self) -> int | None:
        """PIN tries as far as the token's flags say."""
        left = self.counter()
        return left if left < 2 else None

    def counter(self) -> int:
        """PIN tries that are left in truth."""
        path = self.directory / "tries"
        return int(path.read_text()) if path.exists() else 5

    def block(self, left: int) -> None:
        """Leave so many tries."""
        (self.directory / "tries").write_text(str(left))

    def insert(self) -> None:
        """Put the token in again."""
        os.environ.pop("OWNERD_P11_ABSENT", None)
        os.unsetenv("OWNERD_P11_ABSENT")  # the module itself may have set it

    def remove(self) -> None:
        """Take the token away."""
        os.environ["OWNERD_P11_ABSENT"] = "1"

    def misbehave(self, fault: str) -> None:
        """Set a fault, as ``C_Sign:flip``; empty: none."""
        os.environ["OWNERD_P11_FAULT"] = fault

    def calls(self) -> list[str]:
        """Calls since the last look: name, detail, result."""
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return lines


def left_open(calls: list[str]) -> tuple[int, int]:
    """(sessions, logins) that ``calls`` leave behind; C_Finalize ends them all."""
    sessions = logins = 0
    for name, user, result in (line.split() for line in calls):
        if name == "C_Finalize":
            sessions = logins = 0
        elif result == "0x0":
            sessions += {"C_OpenSession": 1, "C_CloseSession": -1}.get(name, 0)
            logins += 1 if (name, user) == ("C_Login", "1") else -1 if name == "C_Logout" else 0
    return sessions, logins


@pytest.fixture(scope="session")
def pkcs11_shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The misbehaving module, compiled."""
    source = Path(__file__).parents[1] / "misbehaving" / "pkcs11_shim.c"
    built = tmp_path_factory.mktemp("pkcs11") / "shim.so"
    options = ["-shared", "-fPIC", "-std=gnu11", "-w", f'-DSOFTHSM="{MODULE}"']
    subprocess.run(["gcc", *options, "-o", str(built), str(source)], check=True, timeout=60)
    return str(built.resolve())


@pytest.fixture
def pkcs11_card(softhsm: SoftHsm, pkcs11_shim: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HsmCard]:
    """The token of `softhsm` behind the misbehaving module, behaving."""
    softhsm.restart()
    card = HsmCard.__new__(HsmCard)
    card.__dict__ |= {**softhsm.__dict__, "module": pkcs11_shim}
    for name, value in {"TRIES": card.directory / "tries", "LOG": card.directory / "calls"}.items():
        monkeypatch.setenv(f"OWNERD_P11_{name}", str(value))
    monkeypatch.setenv("OWNERD_P11_FAULT", "")
    monkeypatch.setenv("OWNERD_P11_ABSENT", "")
    card.insert()
    yield card
    card.insert()
    card.misbehave("")
    card.restart()


@pytest.fixture
def softhsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """SoftHSM2 with one token ``card``: a signing key 01 and an agreement key 02 on P-256."""
    if not Path(MODULE).exists() or shutil.which("softhsm2-util") is None:
        if os.environ.get("CI"):
            pytest.fail("softhsm2 is not installed")
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "softhsm").mkdir()
    hsm = SoftHsm(tmp_path / "softhsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.conf))
    hsm.restart()
    hsm.add_token()
    hsm.add_ec_key(b"\x01", uses=MechanismFlag.SIGN)
    hsm.add_ec_key(b"\x02", uses=MechanismFlag.DERIVE)
    yield hsm
    hsm.restart()
