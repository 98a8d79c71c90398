"""Memory that the network's layers free and ask for again, kept by the process between the two.

A click takes and frees some hundred MB in blocks of 1 to 16 MB. By default glibc gives such blocks back to the system
at once, and the system fills each new one with zeros: a quarter of a click's time on a CPU.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

MOST_KEPT_BYTES = 256 << 20  # freed and not given back
_LARGEST_BLOCK = 32 << 20  # glibc's own limit; larger ones, such as scans, come from the system and go back to it
_STEP = 64 << 20  # asked of the system at a time

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@cache
def keep_freed_memory() -> bool:
    """Lets the process keep up to :data:`MOST_KEPT_BYTES` of freed memory; once is enough.

    Returns:
        whether it does: only glibc, so Linux, can be asked for it. Elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_BLOCK), (_M_TRIM_THRESHOLD, MOST_KEPT_BYTES), (_M_TOP_PAD, _STEP))
    return all(mallopt(setting, value) == 1 for setting, value in settings)
