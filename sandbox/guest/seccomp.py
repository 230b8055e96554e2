"""Take powers away for good: a system-call filter, no new privileges, no capabilities. By ctypes.

The filter is an allow-list (`syscalls.ALLOWED`); what is not on it answers ENOSYS,
so that C libraries fall back as on an older kernel. New namespaces through clone, limits of another process, becoming
dumpable (readable by one's like) again, and sockets other than local and internet stream and datagram ones answer
EPERM. Calls of another architecture (int 0x80, x32) end the process.
"""

import ctypes
import errno
import os
import socket
import struct

from sandbox.guest.syscalls import ALLOWED

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data, little endian
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32_BIT = 0x40000000
_CLONE_NAMESPACES = 0x7E020080  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME
_SOCKET_TYPE_MASK = 0xF


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _filter(machine: str) -> bytes:
    """Return the BPF program for an architecture."""
    architecture, column = _MACHINES[machine]
    numbers = {name: number for name, pair in ALLOWED.items() if (number := pair[column]) is not None}
    refuse = _instruction(_RETURN, _ERRNO | errno.EPERM)
    allow = _instruction(_RETURN, _ALLOW)
    clone, sockets = numbers.pop("clone"), [numbers.pop("socket"), numbers.pop("socketpair")]
    limits, process_control = numbers.pop("prlimit64"), numbers.pop("prctl")
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        program += [_instruction(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _instruction(_RETURN, _KILL)]
    program += [
        _instruction(_JUMP_EQUAL, clone, 0, 4),
        _instruction(_LOAD, _ARGUMENT_0),
        _instruction(_JUMP_BITS, _CLONE_NAMESPACES, 0, 1),
        refuse,
        allow,
        _instruction(_JUMP_EQUAL, limits, 0, 4),
        _instruction(_LOAD, _ARGUMENT_0),
        _instruction(_JUMP_EQUAL, 0, 1, 0),
        refuse,
        allow,
        _instruction(_JUMP_EQUAL, process_control, 0, 4),
        _instruction(_LOAD, _ARGUMENT_0),
        _instruction(_JUMP_EQUAL, _PR_SET_DUMPABLE, 0, 1),
        refuse,
        allow,
    ]
    for number in sockets:
        program += [
            _instruction(_JUMP_EQUAL, number, 0, 10),
            _instruction(_LOAD, _ARGUMENT_1),
            _instruction(_AND, _SOCKET_TYPE_MASK),
            _instruction(_JUMP_EQUAL, socket.SOCK_STREAM, 1, 0),
            _instruction(_JUMP_EQUAL, socket.SOCK_DGRAM, 0, 4),
            _instruction(_LOAD, _ARGUMENT_0),
            _instruction(_JUMP_EQUAL, socket.AF_UNIX, 3, 0),
            _instruction(_JUMP_EQUAL, socket.AF_INET, 2, 0),
            _instruction(_JUMP_EQUAL, socket.AF_INET6, 1, 0),
            refuse,
            allow,
        ]
    for number in sorted(numbers.values()):
        program += [_instruction(_JUMP_EQUAL, number, 0, 1), allow]
    program.append(_instruction(_RETURN, _ERRNO | errno.ENOSYS))
    return b"".join(program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _prctl(option: int, first: object = 0, second: object = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, first, second, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def install() -> None:
    """Filter this process's system calls and those of all its children. Raises OSError where the kernel cannot."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no system-call numbers for {machine}")
    code = _filter(machine)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    program = _Program(len(code) // 8, code)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))


def drop_capabilities() -> None:
    """Give up every capability of this process, for cells where programs cannot be another user."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", 0x20080522, 0)
    if libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
