"""Hardening of our own process: what the kernel can do against a curious neighbour of the same user.

Not dumpable (no core file, no ``/proc/PID/mem``, no ptrace by the same user), no core size, memory locked
where the limit allows. None of it stops root or a debugger that was attached before.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_GET_DUMPABLE: Final = 3
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2

logger = logging.getLogger(__name__)


def harden_process() -> None:
    """Harden this process. Raises `OSError` when it stays dumpable; memory locking is best effort."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 or libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process stays dumpable")
    # With a small limit, MCL_FUTURE would make later allocations fail: lock only where all may be locked.
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = soft == resource.RLIM_INFINITY
    if not unlimited or libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        logger.info("memory is not locked; keep swap encrypted")
