"""What of the machine this process may use: memory and processors, as a container allows them.

A container (Docker, Kubernetes, SLURM, systemd) is a control group of the kernel's: a folder of
small files. ``psutil`` and ``os.cpu_count`` tell of the whole machine. See the kernel's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

PROC = Path("/proc/self")
UNLIMITED = 1 << 60  # bytes; version 1 writes a number near 2^63 for no limit
# What people set to keep programs to a number of threads, the most general last.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
# Of the C library and of torch: address space that is taken and never used (stacks, arenas).
ADDRESSES = 256 << 20


def available_memory() -> int:
    """Bytes of memory that this process may still take."""
    free = [int(psutil.virtual_memory().available)]
    for folder, names in _groups("memory"):
        free += [max(0, limit - _in_use(folder)) for limit in _limits(folder, names)]
    if (addresses := _address_space()) is not None:
        taken = int(psutil.Process().memory_info().vms)
        free.append(max(0, addresses - taken - ADDRESSES))
    return min(free)


def total_memory() -> int:
    """Bytes of memory that this process may take in all, with all others of its container."""
    limits = [limit for folder, names in _groups("memory") for limit in _limits(folder, names)]
    addresses = _address_space()
    return min([int(psutil.virtual_memory().total), *limits, *([addresses] if addresses else [])])


def available_cores() -> int:
    """Processor cores that this process may keep busy, at least one."""
    cores = [_allotted_cores(), *([quota] if (quota := cpu_quota()) else [])]
    # torchrun sets this to 1 for each of its processes, which share the machine.
    if "TORCHELASTIC_RUN_ID" not in os.environ and (wanted := wanted_threads()):
        cores.append(wanted)
    return max(1, min(cores))


def cpu_quota() -> int | None:
    """Cores that the container pays for, rounded up; None: no quota."""
    quotas = []
    for folder, (name, *_) in _groups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if name == "cpu.max":
                share, period = (folder / name).read_text(encoding="ascii").split()
            else:
                share = (folder / name).read_text(encoding="ascii")
                period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
            if share != "max" and int(share) > 0:
                quotas.append(math.ceil(int(share) / int(period)))
    return max(1, min(quotas)) if quotas else None


def wanted_threads() -> int | None:
    """The number of threads that a variable like OMP_NUM_THREADS asks for; None: none does."""
    found = [re.match(r"\s*(\d+)", os.environ.get(name, "")) for name in THREADS]
    numbers = [int(match[1]) for match in found if match and int(match[1])]
    return min(numbers) if numbers else None


def _allotted_cores() -> int:
    """Cores that the process may run on at all."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _address_space() -> int | None:
    """Bytes of address space (``ulimit -v``) that the process may have; None: any number."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else int(limit)


# Control groups

# The files with a controller's limits, in version 2 and in version 1.
FILES = {
    "memory": (("memory.max", "memory.high"), ("memory.limit_in_bytes",)),
    "cpu": (("cpu.max",), ("cpu.cfs_quota_us",)),
}


def _groups(controller: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The control groups that this process is in, each with those around it: every one limits.

    Yields folders, with the names of the files in which the controller's limits are.
    """
    try:
        paths = (PROC / "cgroup").read_text(encoding="utf-8", errors="surrogateescape")
        mounts = (PROC / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux
        return
    groups: dict[bool, str] = {}  # is it version 2? -> the path in its tree
    for line in paths.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or controller in controllers.split(","):
            groups[not controllers] = path
    for line in mounts.splitlines():
        about, _, kind = line.partition(" - ")
        if len(where := about.split()[:5]) < 5:
            continue
        (*_, root, point), (kind, _, options) = (
            map(_unescaped, where),
            (kind.split() + [""] * 3)[:3],
        )
        is_second = kind == "cgroup2"
        if is_second not in groups or not (
            is_second or (kind == "cgroup" and controller in options.split(","))
        ):
            continue
        # A container sees its own group as the root, by another name than the one told above.
        below = os.path.relpath(groups[is_second], root)
        folder = top = Path(point)
        if not below.startswith(".."):
            folder = top / below
        names = FILES[controller][not is_second]
        for each in (folder, *folder.parents):
            yield each, names
            if each == top:
                break


def _unescaped(path: str) -> str:
    """A path as it is: the kernel writes ``\\040`` for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _limits(folder: Path, names: tuple[str, ...]) -> Iterator[int]:
    """The bytes that a group may have, for each of its files that says so."""
    for name in names:
        with suppress(OSError, ValueError):
            limit = int((folder / name).read_text(encoding="ascii"))  # "max" is no number
            if 0 < limit < UNLIMITED:
                yield limit


def _in_use(folder: Path) -> int:
    """Bytes of a group that cannot be had by dropping copies of files from memory."""
    used = 0
    for name in ("memory.current", "memory.usage_in_bytes"):
        with suppress(OSError, ValueError):
            used = int((folder / name).read_text(encoding="ascii"))
    facts: dict[str, int] = {}
    with suppress(OSError, ValueError):
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        facts = {name: int(count) for name, count in (line.split() for line in lines)}
    kept = 0
    for name in ("inactive_file", "active_file", "slab_reclaimable"):
        kept += facts.get(f"total_{name}", facts.get(name, 0))  # version 1: with those below
    return max(0, used - kept)
