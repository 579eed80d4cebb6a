"""The guards around author code, from Linux as far as this machine grants them; each says by name whether it holds.

Applied in the zygote before the first author import: another user, no capabilities, a PID namespace, Landlock (files to
read and write, signals, other processes' memory) and resource limits.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from pathlib import Path

import msgspec

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT = 1, 2
LANDLOCK_ACCESS_NET_CONNECT_TCP = 1 << 1
NET_ABI = 4  # the version that brought it
SIGKILL = 9

# linux/landlock.h: bit per kind of access, and the ABI version that brought it.
_FS_EXECUTE, _FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FS_MAKE_BLOCK = 1 << 11
_FS_ABI = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_READ = _FS_EXECUTE | _FS_READ_FILE | _FS_READ_DIR
_FILE_ONLY = _FS_EXECUTE | _FS_WRITE_FILE | _FS_READ_FILE | 1 << 14 | 1 << 15
_SCOPE_ABSTRACT_SOCKET, _SCOPE_SIGNAL = 1, 2

# Parts of the system that libraries read: time zones, certificates, name resolution, shared objects.
SYSTEM_READ = (
    "/usr/share/zoneinfo", "/etc/localtime", "/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/lib/ssl",
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
    "/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/dev/null", "/dev/zero",
    "/dev/urandom", "/dev/random",
)  # fmt: skip
DEVICE_WRITE = ("/dev/null",)


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """Which guards hold in a zygote. `user` may be False where the libraries are in a private home."""

    user: bool = False
    no_capabilities: bool = False
    pid_namespace: bool = False
    landlock: int = 0  # its ABI version; 0 when the kernel has none
    system_calls: bool = False  # those by which it would get past the others fail
    signals: bool = False  # author code cannot signal the server
    closed_ports: bool = False  # it cannot connect to the ports that it is to stay away from, the store's first of all
    no_network: bool = False  # it reaches nothing at all, where that was asked for
    bubblewrap: bool = False  # it sees no other files than it may read


def library_paths() -> list[str]:
    """Every folder that the interpreter may import from, and our own package."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).resolve().parents[2] / "vivavoce")}
    found.update(str(Path(path)) for path in sys.path if path and Path(path).is_dir() and _is_library(path))
    return sorted(found)


def _is_library(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path or path.startswith((sys.prefix, sys.base_prefix))


def die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def hide_memory() -> None:
    """No process of the same user may read or trace this one."""
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_pid_namespace() -> bool:
    """The next child is process 1 of its own world: it cannot name, and so cannot signal, anything outside."""
    return bool(_libc.unshare(CLONE_NEWPID) == 0)


def leave_network() -> bool:
    """From now on this process and its children have no interface but a loopback that is down."""
    as_root = _libc.unshare(CLONE_NEWNET) == 0
    return bool(as_root or _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def others_can_read(paths: list[str]) -> bool:
    """True when a user without rights of its own could still import from there."""
    for path in paths:
        for part in (Path(path), *Path(path).parents):
            try:
                if not part.stat().st_mode & 0o001:
                    return False
            except OSError:
                return False
    return True


def become(uid: int) -> bool:
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError:
        return False
    return True


def drop_capabilities() -> bool:
    """Root's name without root's powers."""
    number = SYS_CAPSET.get(os.uname().machine)
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if number is None:
        return False
    header = struct.pack("Ii", 0x20080522, 0)
    return bool(_libc.syscall(number, ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))) == 0)


def close_ports(ports: list[int]) -> bool:
    """No connection by TCP to those ports, wherever they are. There are only rules that allow: each other port has one."""
    if not ports:
        return True
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION) < NET_ABI:
        return False
    attributes = struct.pack("2Q", 0, LANDLOCK_ACCESS_NET_CONNECT_TCP)
    ruleset = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset < 0:
        return False
    closed = frozenset(ports)
    try:
        for port in range(1 << 16):
            if port not in closed:
                rule = struct.pack("=QQ", LANDLOCK_ACCESS_NET_CONNECT_TCP, port)
                _libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_NET_PORT, ctypes.c_char_p(rule), 0)
        return bool(_libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def landlock(read: list[str], write: list[str]) -> int:
    """Confines this process and its children to those paths; returns the ABI that holds, 0 for none."""
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    abi = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if abi < 1:
        return 0
    handled = 0
    for version, bits in _FS_ABI.items():
        if abi >= version:
            handled |= bits
    scoped = (_SCOPE_ABSTRACT_SOCKET | _SCOPE_SIGNAL) if abi >= 6 else 0
    fields = [handled, 0, scoped] if abi >= 6 else ([handled, 0] if abi >= 4 else [handled])
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset < 0:
        return 0
    try:
        for path in read:
            _allow(ruleset, path, _READ & handled)
        for path in DEVICE_WRITE:
            _allow(ruleset, path, (_FS_WRITE_FILE | _FS_READ_FILE) & handled)
        for path in write:
            _allow(ruleset, path, handled & ~_FS_EXECUTE)
        if _libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
            return 0
    finally:
        os.close(ruleset)
    return int(abi)


def landlock_apart() -> None:
    """A domain of its own within that of its parent: it neither traces nor, where the kernel knows how to forbid that, signals
    its parent and its siblings."""
    abi = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if abi < 1:
        return
    # An older kernel makes no domain that rules over nothing: it is given what author code may not do anyway.
    fields = [0, 0, _SCOPE_ABSTRACT_SOCKET | _SCOPE_SIGNAL] if abi >= 6 else [_FS_MAKE_BLOCK]
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset >= 0:
        _libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        if not Path(path).is_dir():
            access &= _FILE_ONLY
        rule = struct.pack("=Qi", access, descriptor)
        _libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(descriptor)


def address_space() -> int:
    """Bytes of virtual memory that this process has now."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # /proc files are no Path business
        return int(file.read().split()[0]) * resource.getpagesize()


def limit_resources(memory_bytes: int, base: int) -> None:
    """Limits each worker inherits: memory beyond `base`, no core files, few descriptors, small files."""
    resource.setrlimit(resource.RLIMIT_AS, (base + memory_bytes, base + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))


def limit_processes(most: int) -> None:
    """Processes and threads of this user, which has to be nobody else's."""
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
