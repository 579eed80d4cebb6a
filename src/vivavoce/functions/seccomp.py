"""System calls that author code has no use for and a way out of its guards by; they fail with EPERM.

Landlock rules over files, signals and plain TCP; what it does not rule over is here: other kinds of sockets, limits and
priorities of other processes, their memory, namespaces, and memory that outlives its process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Sequence

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets into struct seccomp_data
_X32 = 0x40000000  # calls of the x32 ABI, with numbers of their own

AF_INET, AF_INET6, AF_NETLINK = 2, 10, 16
SOCK_TYPE_MASK, SOCK_STREAM, SOCK_DGRAM = 0xF, 1, 2
IPPROTO_ANY, IPPROTO_TCP, IPPROTO_UDP = 0, 6, 17
TCP_FASTOPEN_CONNECT = 30
MSG_FASTOPEN = 0x20000000
CLONE_NEW_ANYTHING = 0x7E020000
EVERYBODY = 0xFFFFFFFF  # kill(-1)
SIGSTOP = 19  # a process that stands still is not seen to be gone

# asm/unistd.h: the number of a call on x86_64 and on aarch64; None where there is none.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269), "setsockopt": (54, 208),
    "clone": (56, 220), "clone3": (435, 435), "kill": (62, 129), "setpgid": (109, 154), "setsid": (112, 157),
    "ptrace": (101, 117), "setpriority": (141, 140), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "ioprio_set": (251, 30), "prlimit64": (302, 261),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "pidfd_getfd": (438, 438), "kcmp": (312, 272), "perf_event_open": (298, 241),
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "quotactl": (179, 60),
    "syslog": (103, 116), "open_by_handle_at": (304, 265), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "migrate_pages": (256, 238), "move_pages": (279, 239), "vhangup": (153, 58),
    "socketpair": (53, 199), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # place in the table, AUDIT_ARCH

_NEVER = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp"),
    *("perf_event_open", "bpf", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("add_key", "request_key", "keyctl", "ioprio_set", "sched_setattr"),
    *("mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "unshare", "setns", "chroot", "reboot", "kexec_load", "kexec_file_load", "init_module"),
    *("finit_module", "delete_module", "swapon", "swapoff", "acct", "settimeofday", "clock_settime", "adjtimex"),
    *("clock_adjtime", "sethostname", "setdomainname", "quotactl", "syslog", "open_by_handle_at", "vhangup"),
    *("shmget", "shmat", "shmctl", "msgget", "semget", "mq_open", "memfd_secret", "migrate_pages", "move_pages"),
    *("iopl", "ioperm", "modify_ldt"),
)
# Landlock does not rule over the modes, owners and times of files: for who has the same user as the server's files.
_MARKS = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
_UNKNOWN = ("clone3", "memfd_create")  # whose callers know what to do where a kernel does not have them

# Which argument is the signal.
_SIGNALS = {"tkill": 1, "tgkill": 2, "rt_sigqueueinfo": 1, "rt_tgsigqueueinfo": 2, "pidfd_send_signal": 1}

_Step = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def confine(*, has_own_user: bool) -> bool:
    """For this process and all that it starts, for good. False where this machine's calls are not known."""
    marks = () if has_own_user else _MARKS
    return _install(lambda number: [*_always(number, marks, errno.EPERM), *_common(number)])


def stay_in_group() -> bool:
    """Nothing that it starts leaves its process group, so that all of it can be ended; and it signals nobody at random."""
    return _install(
        lambda number: [
            *_always(number, ("setsid", "setpgid"), errno.EPERM),
            *_when(
                number["kill"],
                [*_argument(0), *_if_equal(EVERYBODY, _deny()), *_argument(1), *_if_equal(SIGSTOP, _deny()), *_allow()],
            ),
            *(
                step
                for name, place in _SIGNALS.items()
                for step in _when(number[name], [*_argument(place), *_if_equal(SIGSTOP, _deny()), *_allow()])
            ),
        ]
    )


def _common(number: dict[str, int]) -> list[_Step]:
    own = [*_argument(0), *_if_equal(0, _allow()), *_deny()]  # of a process: its own, which is called 0
    return [
        *_always(number, _NEVER, errno.EPERM),
        *_always(number, _UNKNOWN, errno.ENOSYS),
        *_when(number["clone"], [*_argument(0), *_if_any(CLONE_NEW_ANYTHING, _deny()), *_allow()]),
        *(step for name in ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setaffinity") for step in _when(number[name], own)),
        *_when(
            number["setpriority"],
            [*_argument(0), *_unless_equal(0, _deny()), *_argument(1), *_unless_equal(0, _deny()), *_allow()],
        ),
        *_when(number["socket"], _plain_sockets()),
        *_when(  # a pair of datagram sockets can be sent from to any other
            number["socketpair"],
            [*_argument(1), (_AND, 0, 0, SOCK_TYPE_MASK), *_unless_equal(SOCK_STREAM, _deny()), *_allow()],
        ),
        *_when(number["sendto"], [*_argument(3), *_if_any(MSG_FASTOPEN, _deny()), *_allow()]),
        *_when(number["sendmsg"], [*_argument(2), *_if_any(MSG_FASTOPEN, _deny()), *_allow()]),
        *_when(number["sendmmsg"], [*_argument(3), *_if_any(MSG_FASTOPEN, _deny()), *_allow()]),
        *_when(
            number["setsockopt"],
            [
                *_argument(1), *_unless_equal(IPPROTO_TCP, _allow()),
                *_argument(2), *_if_equal(TCP_FASTOPEN_CONNECT, _deny()),
                *_allow(),
            ],
        ),
    ]  # fmt: skip


def _plain_sockets() -> list[_Step]:
    """TCP and UDP, and what finds out about interfaces. No Unix sockets: a store, a container engine may listen on one."""
    kinds = [
        *_argument(1), (_AND, 0, 0, SOCK_TYPE_MASK),
        (_EQUAL, 2, 0, SOCK_STREAM), *_unless_equal(SOCK_DGRAM, _deny()),
    ]  # fmt: skip
    protocols = [
        *_argument(2),
        *(step for each in (IPPROTO_ANY, IPPROTO_TCP, IPPROTO_UDP) for step in _if_equal(each, _allow())),
        *_deny(),
    ]
    families = [
        *_argument(0), *_if_equal(AF_NETLINK, _allow()),
        (_EQUAL, 2, 0, AF_INET), *_unless_equal(AF_INET6, _deny()),
    ]  # fmt: skip
    return [*families, *kinds, *protocols]


# The program, as the kernel's filter machine runs it.


def _argument(place: int) -> list[_Step]:
    """Its lower half: none of these is wider, and the kernel itself looks no further."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * place)]


def _allow() -> list[_Step]:
    return [(_RETURN, 0, 0, _ALLOW)]


def _deny(error: int = errno.EPERM) -> list[_Step]:
    return [(_RETURN, 0, 0, _ERRNO | error)]


def _if_equal(value: int, then: list[_Step]) -> list[_Step]:
    return [(_EQUAL, 0, len(then), value), *then]


def _unless_equal(value: int, then: list[_Step]) -> list[_Step]:
    return [(_EQUAL, len(then), 0, value), *then]


def _if_any(bits: int, then: list[_Step]) -> list[_Step]:
    return [(_ANY_BIT, 0, len(then), bits), *then]


def _when(number: int, then: list[_Step]) -> list[_Step]:
    """`then` has to come to a return on every way."""
    return _if_equal(number, then)


def _always(number: dict[str, int], names: Sequence[str], error: int) -> list[_Step]:
    return [step for name in names if name in number for step in _when(number[name], _deny(error))]


def _install(rules: Callable[[dict[str, int]], list[_Step]]) -> bool:
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return False
    place, architecture = machine
    number = {name: found for name, both in _NUMBERS.items() if (found := both[place]) is not None}
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE), *_unless_equal(architecture, _deny()),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), *_deny(),
        *rules(number),
        *_allow(),
    ]  # fmt: skip
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    kept = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HP", len(steps), ctypes.addressof(kept))
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(head), 0, 0) == 0)
