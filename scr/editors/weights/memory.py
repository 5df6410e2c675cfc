"""Peak memory of a piece of work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SELF = Path("/proc/self")


@contextmanager
def peak(device: Any) -> Iterator[Callable[[], int | None]]:
    """Yields the function that tells the most memory held since the beginning, beyond what was held then, in bytes.

    On a GPU as torch counts it; on a CPU the process's resident set, which Linux alone tells; elsewhere None.
    """
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device)) - before
        return
    _give_back()
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5")  # sets the high-water mark back to what is held now
    held = _resident("VmRSS")

    def told() -> int | None:
        highest = _resident("VmHWM")
        return None if held is None or highest is None else max(0, highest - held)

    yield told


def _give_back() -> None:
    """Return freed memory to the system where glibc holds it for later: used again, it would not count as held."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _resident(name: str) -> int | None:
    """A figure of the process's memory, in bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", (_SELF / "status").read_text("ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None
