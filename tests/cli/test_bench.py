"""``cnnart bench``: what it says and whence, with everything small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.commands import bench
from cnnart.commands.bench import Measurements, convolutions, published
from cnnart.networks import convolution
from cnnart.runtime import Runtime
from tests.helpers.tiny_vgg import tiny_weights

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SMALL = Measurements(stylize=(24, 32), fast=(32, 32), dream=(32, 32), seconds=0.0, warming_up=1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny_weights(8))
    real = bench.bench

    def measured(runtime: Runtime, precision: str, tell: object) -> object:
        return real(runtime, precision, SMALL, tell)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "bench", measured)


def test_it_tells_rates_and_why(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--device", "cpu"]) == 0
    told = capsys.readouterr()
    for name, size in {"stylize": "32 x 24", "fast": "32 x 32", "dream": "32 x 32"}.items():
        assert f"cnnart: measuring {name}, {size} px" in told.err
    assert "this machine, " in told.out
    for other in published():
        assert other["machine"] in told.out
    assert "\nprecision     " in told.out
    assert "\nconvolutions  " in told.out


def test_json_is_for_bug_reports(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", "--device", "cpu", "--precision", "fp32"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    facts = json.loads(told.out)
    assert facts["precision"] == {"name": "fp32", "why": "it was asked for"}
    assert set(facts["rates"]) == {"stylize", "fast", "dream"}
    for rate in facts["rates"].values():
        assert rate["milliseconds"] > 0
        assert rate["per_second"] == pytest.approx(1000 / rate["milliseconds"], rel=0.02, abs=0.01)
    assert facts["published"] == published()


def test_published_figures_are_those_of_the_page() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for other in published():
        for method, milliseconds in other["milliseconds"].items():
            where = {
                "stylize": f"| {milliseconds} ms |",
                "fast": f"`cnnart fast-stylize`'s network | {milliseconds} |",
                "dream": f"| 267 x 200 | 15 | {milliseconds / 1000:.2f} |",
            }[method]
            assert where in text, where


@pytest.mark.parametrize(
    ("made", "engine_name", "why"),
    [
        ({}, "oneDNN", "nothing was measured"),
        ({"64 channels": False}, "oneDNN", "not clearly faster"),
        ({"64 channels": False, "128 channels": True}, "Winograd", "faster at 128 channels"),
    ],
)
def test_why_these_convolutions(
    made: dict[str, bool], engine_name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "choices_made", lambda: made)
    found = convolutions(Runtime(device="cpu", precision="fp32"))
    assert found["engine"] == engine_name
    assert why in found["why"]
    assert convolutions(Runtime(device="cpu", precision="bf16"))["why"].endswith("fp32 alone")
    gpu = Runtime(device="cpu")
    gpu.device = torch.device("cuda")
    assert convolutions(gpu)["engine"] == "the device's own"


def test_choices_are_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_choices", {"64 channels": True})
    monkeypatch.setattr(
        convolution, "_recorded", lambda: {convolution.machine(): {"128 channels": False}}
    )
    assert convolution.choices_made() == {"64 channels": True, "128 channels": False}
