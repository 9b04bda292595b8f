"""``benchmarks.fast``: runs whole, and goes on without a contender that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import fast


@pytest.mark.slow
def test_it_runs_whole_and_measures_us_and_johnson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "--device cpu --no-peer --sizes 32x24 40x40 --rounds 1 --seconds 0"
    monkeypatch.setattr(
        "sys.argv", ["fast", *options.split(), "--precision", "fp32", "--output", str(tmp_path)]
    )
    fast.main()
    found = json.loads((tmp_path / "fast.json").read_text())["seconds"]
    assert list(found) == ["cnnart, small, fp32", fast.JOHNSON]
    assert all(list(sizes) == ["32x24", "40x40"] for sizes in found.values())
    assert (tmp_path / "fast.md").read_text().count("| cnnart") == 1


def test_who_fails_is_left_out_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(height: int, width: int) -> float:
        raise RuntimeError("no memory")

    contenders = {"good": lambda height, width: 0.5, "bad": fails}
    assert fast.race(contenders, (24, 32), rounds=2, seconds=0) == {"good": [0.5, 0.5]}
    assert list(contenders) == ["good"]
    assert "bad is left out from 32x24 on: no memory" in capsys.readouterr().out
