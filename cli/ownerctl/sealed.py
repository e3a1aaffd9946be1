"""The tool's end of the sealed channel (DESIGN section 6): its own key, and the daemon's key of this start.

The bus carries only compact JWE. The daemon's key is read from the bus, where any process may pose as the
daemon, and is used only if it is the one in ``$XDG_RUNTIME_DIR/ownerd/session-key.json``, a file of ours in
a directory of ours that nobody else may write.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ownerctl.errors import BadAnswer, ForeignAgent
from ownerd.credential.jwe import (
    JwePrivateKey,
    new_key,
    open_jwe,
    public_jwk,
    require_p256_public,
    seal_jwe,
    thumbprint,
)
from ownerd.model.encoding import Json, parse_json_object
from ownerd.model.errors import InvalidArgument, NotSupported, UnsafeFile
from ownerd.model.paths import session_key_path

_MAX_KEY_BYTES = 4096


def read_session_key_file(path: Path | None = None) -> dict[str, Json]:
    """The daemon's public JWK as it lies in the runtime directory.

    Raises `ForeignAgent` when there is none, and `UnsafeFile` when the file or its directory is not ours
    alone to write.
    """
    path = path or session_key_path()
    try:
        directory = path.parent.lstat()
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ForeignAgent(
            "who answers on the bus has left no session key in the runtime directory"
        ) from error
    except OSError as error:
        raise UnsafeFile("the session key file cannot be opened as a plain file") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not stat.S_ISDIR(directory.st_mode):
            raise UnsafeFile("the session key file is not a plain file in a plain directory")
        if {found.st_uid, directory.st_uid} != {os.getuid()}:
            raise UnsafeFile("the session key file belongs to another user")
        if (found.st_mode | directory.st_mode) & 0o022:
            raise UnsafeFile("the session key file or its directory is writable for others")
        text = file.read(_MAX_KEY_BYTES + 1)
    try:
        return require_p256_public(parse_json_object(text, max_bytes=_MAX_KEY_BYTES))
    except InvalidArgument as error:
        raise ForeignAgent("the session key file does not hold a session key") from error


def require_session_key(claimed_key: str, path: Path | None = None) -> dict[str, Json]:
    """Return the key that the bus gave, once it is the one in the file. Raises `ForeignAgent`."""
    try:
        claimed = require_p256_public(parse_json_object(claimed_key, max_bytes=_MAX_KEY_BYTES))
    except InvalidArgument as error:
        raise ForeignAgent("who answers on the bus has no session key") from error
    if thumbprint(claimed) != thumbprint(read_session_key_file(path)):
        raise ForeignAgent("the session key on the bus is not the one in the runtime directory")
    return claimed


def seal_without_answer(message: Mapping[str, Json], recipient: Mapping[str, Json]) -> str:
    """Seal a message that names no key for an answer; the version is added here."""
    return seal_jwe(json.dumps({"v": 1, **message}, ensure_ascii=False).encode("utf-8"), dict(recipient))


class Channel:
    """One exchange with the daemon: what goes is sealed to ``recipient``, what comes to a key made here."""

    def __init__(self, recipient: Mapping[str, Json], key: JwePrivateKey | None = None) -> None:
        self._recipient = dict(recipient)
        self._key = key or new_key()

    def seal(self, message: Mapping[str, Json]) -> str:
        """Seal an owner message; version and the key for the answer are added here."""
        plaintext = {"v": 1, "key": public_jwk(self._key), **message}
        return seal_jwe(json.dumps(plaintext, ensure_ascii=False).encode("utf-8"), self._recipient)

    def open(self, compact: str) -> dict[str, Json]:
        """Open the daemon's answer. Raises `BadAnswer`."""
        try:
            return parse_json_object(open_jwe(compact, self._key))
        except (InvalidArgument, NotSupported) as error:
            raise BadAnswer("the sealed answer does not open") from error
