"""Trust anchors: the certificates in ``trust.d/*.pem``.

Read anew for each request, so that a new file counts at once. Whoever can write there can add an anchor,
which is why the first disclosure under a new one says so in its prompt (DESIGN section 3).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from cryptography import x509

MAX_FILES: Final = 64
MAX_FILE_BYTES: Final = 256 * 1024

logger = logging.getLogger(__name__)


def read_anchors(directory: Path) -> list[x509.Certificate]:
    """Return all certificates; a file that cannot be read or parsed is left out, which only denies."""
    anchors: list[x509.Certificate] = []
    for path in sorted(directory.glob("*.pem"))[:MAX_FILES]:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("too large")
            anchors += x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError):
            logger.warning("a file in trust.d is not a list of PEM certificates and is left out")
    return anchors
