"""``python -m tests.rigs._contained UNIT PROGRAM…``: run a program as the unit's directives contain it, without systemd.

Does what systemd does for them: filters of system calls (libseccomp), limits, umask, no new privileges. Groups of calls
are systemd's own, asked of ``systemd-analyze syscall-filter``. Bounds of cgroups are left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
EQUAL, MASKED_EQUAL = 4, 7
WRITE, EXECUTE = 2, 4
NAMESPACES = {"unshare", "setns"}  # of RestrictNamespaces=; clone's flags are left out


class Compare(ctypes.Structure):
    """``struct scmp_arg_cmp``: argument number, operator, mask or value, value."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def directives(unit: Path) -> dict[str, list[str]]:
    """Every directive with its values, in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def calls_of(group: str) -> set[str]:
    """System calls of a group of systemd's, its inner groups included."""
    listed = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", group], check=True, capture_output=True, text=True
    )
    names = {line.strip() for line in listed.stdout.splitlines()[1:] if line.startswith("    ")}
    names = {name for name in names if not name.startswith("#")}
    inner = {name for name in names if name.startswith("@")}
    return (names - inner).union(*(calls_of(name) for name in inner))


def allowed(filters: list[str]) -> set[str]:
    """What ``SystemCallFilter=`` leaves; systemd always adds @default."""
    calls = calls_of("@default")
    for value in filters:
        for group in value.lstrip("~").split():
            calls = calls - calls_of(group) if value.startswith("~") else calls | calls_of(group)
    return calls


def contain(unit: Path) -> None:
    """Apply the directives to this process for good."""
    given = directives(unit)
    os.umask(int(given["UMask"][0], 8))
    for name, limit in (("CORE", resource.RLIMIT_CORE), ("NOFILE", resource.RLIMIT_NOFILE)):
        value = int(given[f"Limit{name}"][0])
        resource.setrlimit(limit, (value, value))
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(REFUSE))

    def allow(name: str, *compares: tuple[int, int, int, int]) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        array = (Compare * max(1, len(compares)))(*(Compare(*one) for one in compares))
        if number >= 0:  # others are of other machines
            done = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(ALLOW), number, len(compares), array
            )
            assert done == 0, (name, done)

    families = [getattr(socket, name) for name in given["RestrictAddressFamilies"][0].split()]
    special = {"socket", "mmap", "mprotect", "pkey_mprotect"}
    for name in allowed(given["SystemCallFilter"]) - NAMESPACES - special:
        allow(name)
    for family in families:
        allow("socket", (0, EQUAL, int(family), 0))
    # MemoryDenyWriteExecute=
    for access in (0, WRITE, EXECUTE):
        allow("mmap", (2, MASKED_EQUAL, WRITE | EXECUTE, access))
    for name in ("mprotect", "pkey_mprotect"):
        allow(name, (2, MASKED_EQUAL, EXECUTE, 0))
    assert library.seccomp_load(context) == 0  # with no new privileges


if __name__ == "__main__":
    contain(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
