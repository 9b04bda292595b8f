"""What a container allows, from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cnnart import machine, runtime
from cnnart.optim.memory import free_memory

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 GB and 64 cores without containers or variables."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_address_space", lambda: None)
    monkeypatch.setattr(machine, "_allotted_cores", lambda: 64)
    memory = type("Memory", (), {"available": 60 * GIB, "total": 64 * GIB})
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: memory)
    for name in (*machine.THREADS, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def put(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def second(folder: Path, path: str, root: str = "/") -> Path:
    """A version 2 tree whose root is mounted; the process is in ``path`` of it."""
    top = folder / "cgroup"
    mounts = f"29 23 0:26 {root} {top} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    put({"cgroup": f"0::{path}\n", "mountinfo": mounts}, folder / "proc")
    top.mkdir()
    return top


def first(folder: Path, path: str, root: str = "/") -> Path:
    top = folder / "memory"
    put(
        {
            "cgroup": f"9:name=systemd:/\n4:memory:{path}\n1:cpu,cpuacct:{path}\n",
            "mountinfo": f"35 31 0:32 {root} {top} rw - cgroup cgroup rw,memory\n"
            f"32 31 0:29 {root} {folder / 'cpu'} rw shared:3 - cgroup cgroup rw,cpu,cpuacct\n",
        },
        folder / "proc",
    )
    top.mkdir()
    return top


def test_without_a_container_it_is_the_machine() -> None:
    assert machine.available_memory() == 60 * GIB
    assert machine.total_memory() == 64 * GIB
    assert machine.available_cores() == 64
    assert free_memory(torch.device("cpu")) == 60 * GIB


def test_the_tightest_group_around_the_process_counts(tmp_path: Path) -> None:
    top = second(tmp_path, "/pod/container")
    put(
        {
            "pod/memory.max": f"{2 * GIB}\n",
            "pod/memory.current": f"{1500 * MIB}\n",
            "pod/memory.stat": f"anon 1\nfile {700 * MIB}\n"
            f"inactive_file {400 * MIB}\nactive_file {100 * MIB}\nslab_reclaimable 0\n",
            "pod/container/memory.max": "max\n",
            "pod/container/memory.high": f"{8 * GIB}\n",
            "pod/container/memory.current": "0\n",
        },
        top,
    )
    # Copies of files in memory are given back when the memory is needed.
    assert machine.available_memory() == (2048 - 1500 + 400 + 100) * MIB
    assert machine.total_memory() == 2 * GIB


def test_a_container_sees_itself_as_the_root(tmp_path: Path) -> None:
    """Docker without and with a cgroup namespace of its own."""
    put({"memory.max": f"{3 * GIB}"}, second(tmp_path, "/docker/abc", "/docker/abc"))
    assert machine.available_memory() == 3 * GIB
    mounts = tmp_path / "proc" / "mountinfo"
    mounts.write_text(mounts.read_text().replace("/docker/abc", "/../../elsewhere"))
    assert machine.available_memory() == 3 * GIB


def test_version_one(tmp_path: Path) -> None:
    put(
        {
            "job/memory.limit_in_bytes": f"{2 * GIB}\n",
            "job/memory.usage_in_bytes": f"{GIB}\n",
            "job/memory.stat": f"inactive_file 5\ntotal_inactive_file {256 * MIB}\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
        },
        first(tmp_path, "/job"),
    )
    put({"job/cpu.cfs_quota_us": "150000", "job/cpu.cfs_period_us": "100000"}, tmp_path / "cpu")
    assert machine.available_memory() == GIB + 256 * MIB
    assert machine.cpu_quota() == machine.available_cores() == 2, "one and a half"
    (tmp_path / "cpu/job/cpu.cfs_quota_us").write_text("-1")
    assert machine.cpu_quota() is None


def test_a_full_or_odd_group_is_no_crash(tmp_path: Path) -> None:
    top = second(tmp_path, "/")
    put({"memory.max": "1000", "memory.current": "9999", "memory.stat": "broken"}, top)
    assert machine.available_memory() == 0
    put({"memory.max": "what", "cpu.max": "1 0"}, top)
    assert machine.available_memory() == 60 * GIB
    assert machine.cpu_quota() is None


def test_an_address_space_of_so_many_bytes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = machine.psutil.Process().memory_info().vms
    monkeypatch.setattr(machine, "_address_space", lambda: taken + GIB)
    assert machine.available_memory() == pytest.approx(GIB - machine.ADDRESSES, abs=64 * MIB)
    assert machine.total_memory() == taken + GIB


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 64), ("200000 100000", 2), ("1 100000", 1)]
)
def test_cores_that_are_paid_for(quota: str, cores: int, tmp_path: Path) -> None:
    put({"cpu.max": quota}, second(tmp_path, "/"))
    assert machine.available_cores() == cores


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"OMP_NUM_THREADS": "4"}, 4),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "0"}, 64),
        ({"OMP_NUM_THREADS": "8", "OMP_THREAD_LIMIT": "5"}, 5),
        ({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "1"}, 64),
    ],
)
def test_threads_that_are_asked_for(
    variables: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.available_cores() == cores


def test_torch_computes_in_no_more_threads_than_cores_are_paid_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    monkeypatch.setattr(runtime.torch, "set_num_threads", told.append)
    monkeypatch.setattr(runtime.torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(runtime, "cpu_quota", lambda: 2)
    runtime.Runtime(device="cpu")
    monkeypatch.setattr(runtime, "wanted_threads", lambda: 8)
    runtime.Runtime(device="cpu")
    assert told == [2], "what OMP_NUM_THREADS says, torch knows"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux")
def test_cores_that_it_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= machine.available_cores() <= len(os.sched_getaffinity(0))
    assert 0 < machine.available_memory() <= machine.total_memory()


@pytest.mark.parametrize(
    "odd", ["", "\n", "-1", "0", "abc", "1e9", "9" * 30, "9" * 5000, "1,5", "\0", "8G"]
)
def test_a_limit_that_is_none_does_not_count(odd: str, tmp_path: Path) -> None:
    files = dict.fromkeys(("memory.max", "memory.high", "memory.current", "memory.stat"), odd)
    put({**files, "cpu.max": odd}, second(tmp_path, "/"))
    assert machine.total_memory() == 64 * GIB
    assert machine.available_memory() == 60 * GIB
    assert machine.available_cores() == 64


@pytest.mark.parametrize("odd", ["", "\n \n", "garbage\n", "1 2 - cgroup2\n", " - cgroup2 a b\n"])
def test_lists_of_mounts_and_groups_that_are_none(odd: str, tmp_path: Path) -> None:
    put({"mountinfo": odd, "cgroup": f"0::/\n{odd}:::\n"}, tmp_path / "proc")
    assert machine.total_memory() == 64 * GIB
    assert machine.cpu_quota() is None


def test_groups_whose_names_hold_spaces_and_colons(tmp_path: Path) -> None:
    top = second(tmp_path, "/my pod: a")
    mounts = tmp_path / "proc" / "mountinfo"
    top.rename(spaced := tmp_path / "c group")
    mounts.write_text(mounts.read_text().replace(str(top), str(spaced).replace(" ", "\\040")))
    put({"my pod: a/memory.max": f"{GIB}"}, spaced)
    assert machine.total_memory() == GIB
