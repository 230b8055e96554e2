"""Have forks begin with the interpreter's code mapped, rather than fault it in again, page by page.

A fork copies the page tables of memory that has private pages, and leaves those of untouched files to page faults. So
one byte of each mapped file is written over by itself, once, before any program runs.
"""

import ctypes
import os

_READ, _WRITE, _EXECUTE = 1, 2, 4
_USUAL = {"r--p": _READ, "r-xp": _READ | _EXECUTE}


def keep_mapped() -> None:
    """Give every read-only private mapping of a file a page of its own. Raises OSError if one could stay writable."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps") as file:
        mappings = file.readlines()
    for line in mappings:
        place, allowed, _, _, inode, *_ = line.split()
        if inode == "0" or allowed not in _USUAL:
            continue
        start, end = (int(number, 16) for number in place.split("-"))
        if libc.mprotect(start, end - start, _USUAL[allowed] | _WRITE) != 0:
            continue  # a kernel that never lets code be written to: then forks are slower
        ctypes.memmove(start, ctypes.string_at(start, 1), 1)
        if libc.mprotect(start, end - start, _USUAL[allowed]) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"mprotect: {os.strerror(number)}")
