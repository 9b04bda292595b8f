"""``cnnart info``: what it finds out beside the plain facts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnart.__main__ import main
from cnnart.commands import info


def test_info_tells_what_removes_libraries_of_no_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    libraries = tmp_path / "site"
    for name, size in (
        ("nvidia/cublas/lib/x.so", 3 << 20),
        ("torch/lib/libtorch_cuda.so", 1 << 20),
    ):
        (libraries / name).parent.mkdir(parents=True)
        (libraries / name).write_bytes(bytes(size))
    monkeypatch.setattr(info.torch, "__file__", str(libraries / "torch/__init__.py"))
    monkeypatch.setattr(info.torch.version, "cuda", "13.0")
    monkeypatch.setattr(info, "device_count", lambda kind: 0)
    packages = ("nvidia-cublas", "Triton", "numpy")
    found = [SimpleNamespace(metadata={"Name": name}) for name in packages]
    monkeypatch.setattr(info, "distributions", lambda: found)
    unused = info.unused_cuda()
    assert unused
    assert unused["disk"] == 4 << 20
    remove, install = unused["lines"]
    assert remove.endswith("uninstall -y torch torchvision nvidia-cublas triton")
    assert install.endswith("install torch torchvision --index-url " + info.CPU_WHEELS)
    monkeypatch.setattr(info, "describe_environment", lambda: {"unused_cuda": dict(unused)})
    assert main(["info"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert (
        first
        == "unused cuda       0.0 GiB: torch finds no NVIDIA card; these two lines remove them"
    )
    assert [line.strip() for line in lines] == [remove, install]
    monkeypatch.setattr(info, "device_count", lambda kind: 1)
    assert info.unused_cuda() is None
    monkeypatch.setattr(info.torch.version, "cuda", None)
    assert info.unused_cuda() is None
