"""How the C library holds on to memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


def keep_freed_memory() -> None:
    """Have this process keep what it frees of small images, up to 128 MiB, for the next ones.

    glibc gives it back to the system and asks for it again, tile by tile, and the system clears it each time, a page
    at a time. Other C libraries are left as they are.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 * _MIB)  # as far as it would go by itself, were nothing set
        mallopt(_TOP_PAD, 16 * _MIB)
        mallopt(_TRIM_THRESHOLD, 128 * _MIB)
