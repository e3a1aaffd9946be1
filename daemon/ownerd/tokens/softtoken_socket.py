"""The software token's transport: CTAPHID reports of 64 bytes over a Unix SOCK_SEQPACKET socket.

Trusts the socket only as far as it is ours: the directory, the socket and the process behind it must belong to
our uid, and neither directory nor socket may be a symlink.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fido2.ctap import CtapDevice
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor

from ownerd.model.errors import NotAllowed
from ownerd.model.paths import runtime_dir
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.limit import Limit
from ownerd.tokens.packets import BoundedConnection

REPORT_BYTES: Final = 64
CONNECT_SECONDS: Final = 2.0
_NAME = re.compile(r"softtoken-([A-Za-z0-9_-]{1,32})\.sock", re.ASCII)
_UCRED = struct.Struct("3i")

logger = logging.getLogger(__name__)


def find_software(directory: Callable[[], Path] = runtime_dir) -> list[Candidate]:
    """Software tokens whose socket is in ``directory``; sockets that are not plainly ours are left out."""
    folder = directory()
    try:
        status = folder.lstat()
    except OSError:
        return []
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        logger.warning("the runtime directory is not ours alone; software tokens are left out")
        return []
    found = []
    for path in sorted(folder.glob("softtoken-*.sock")):
        match = _NAME.fullmatch(path.name)
        if match and _is_our_socket(path):
            token_id, name = f"software-{match[1]}", f"software token {match[1]} (for trying out)"
            found.append(Candidate(token_id, "software", name, functools.partial(open_software, path)))
    return found


def open_software(path: Path, limit: Limit) -> CtapDevice:
    """Connect to a software token.

    Raises `NotAllowed` when another user's process answers, `OSError` when none does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connecting:
        connecting.settimeout(CONNECT_SECONDS)
        connecting.connect(str(path))
        # The path was checked before; who really answers is only known now.
        credentials = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        if _UCRED.unpack(credentials)[1] != os.getuid():
            raise NotAllowed("the software token belongs to another user")
        connecting.setblocking(True)
        connection = BoundedConnection(connecting.detach(), limit, report_bytes_in=REPORT_BYTES)
    descriptor = HidDescriptor(str(path), 0, 0, REPORT_BYTES, REPORT_BYTES, None, None)
    try:
        return CtapHidDevice(descriptor, connection)
    except BaseException:
        connection.close()
        raise


def _is_our_socket(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid == os.getuid()
