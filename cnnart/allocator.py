"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import functools
import sys

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1  # bytes, the largest value mallopt takes


@functools.cache
def keep_freed_memory() -> bool:
    """Let freed memory stay with the process, for its next tensor. Returns whether it will.

    glibc gives every large block back to the system at once, and the next one comes page by page:
    in a network of many short layers that takes as long as the arithmetic. Other C libraries do
    not, and are left alone. The whole process is affected, for good.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl
        return False
    return bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, NEVER))
