"""python-fido2 and pyscard can log every byte, PINs included. They may not."""

from __future__ import annotations

import logging
from typing import Final

_LOGGERS: Final = ("fido2", "fido2.hid", "fido2.pcsc", "fido2.ctap1", "fido2.ctap2")


def forbid_traffic_log() -> None:
    """Pin python-fido2's loggers above its traffic level (5), whatever was configured. Cheap; call often.

    Set on each logger that has the level, because a logger's own level wins over its parents'.
    """
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)
