"""Whom the owner lets vouch for providers: ``trust.d/*.pem`` and ``trust.d/*.attester.json``.

Certificates, and issuers of verifier attestations. Read anew for each request, so that a new file counts at
once. Whoever can write there can add one, which is why the first disclosure under a new one says so in its
prompt (DESIGN section 3). A file that cannot be read or parsed is left out, which only denies.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509

from ownerd.credential.attestation import Attester, parse_attester
from ownerd.model.errors import OwnerdError

MAX_FILES: Final = 64
MAX_FILE_BYTES: Final = 256 * 1024

logger = logging.getLogger(__name__)

_Read = TypeVar("_Read")


def _read_file(path: Path) -> bytes:
    """A regular file of bounded size; a pipe or device under that name neither holds us up nor fills memory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError("too large")
    return content


def _read_all(directory: Path, pattern: str, parse: Callable[[bytes], _Read], what: str) -> list[_Read]:
    found: list[_Read] = []
    for path in sorted(directory.glob(pattern))[:MAX_FILES]:
        try:
            found.append(parse(_read_file(path)))
        except (OSError, ValueError, x509.InvalidVersion, OwnerdError):
            logger.warning("a file in trust.d is not %s and is left out", what)
    return found


def read_anchors(directory: Path) -> list[x509.Certificate]:
    """All certificates of ``*.pem``, in the order of the names."""
    files = _read_all(directory, "*.pem", x509.load_pem_x509_certificates, "a list of PEM certificates")
    return [certificate for file in files for certificate in file]


def read_attesters(directory: Path) -> tuple[Attester, ...]:
    """All issuers of ``*.attester.json``, in the order of the names."""
    return tuple(_read_all(directory, "*.attester.json", parse_attester, "an attester"))
