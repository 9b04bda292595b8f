"""Checkpoints: round trips, imports, exports, and everything that is none."""

from __future__ import annotations

import builtins
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.johnson import TransformerNet
from cnnart.errors import CnnartError, UsageError, WeightsError
from cnnart.methods.fast import onnx as exporting
from cnnart.methods.fast.checkpoint import (
    Checkpoint,
    load_checkpoint,
    pack,
    save_checkpoint,
    thumbnail,
)
from cnnart.methods.fast.header import KIND, StyleInfo, style_names
from cnnart.methods.fast.onnx import export_onnx
from cnnart.methods.fast.stylize import FastStyle
from cnnart.optim.detail import detail_of
from tests.helpers.fast import checkpoint, saved
from tests.helpers.pictures import make_painting, make_photo


def test_a_checkpoint_says_everything_about_itself(tmp_path: Path) -> None:
    made = checkpoint("candy", "waves")
    small = thumbnail(make_painting())
    candy = StyleInfo("candy", "CC0", "1f", small, detail=(0.04, 0.01, 0.05, 0.02))
    styles = (candy, made.styles[1])
    training = {"steps": 5, "losses": {"style": 0.25}}
    path = tmp_path / "two.safetensors"
    save_checkpoint(path, Checkpoint(made.network, styles, made.strength_range, training), "fp32")
    found = load_checkpoint(path)
    assert found.styles == styles
    assert found.strength_range == (0.2, 1.0)
    assert found.training == training
    assert found.network.arch == made.network.arch
    assert found.bank.names == ("candy", "waves")
    assert len(found.sha256) == 64
    state = made.network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in found.network.state_dict().items())
    assert style_names(path) == ["candy", "waves"]
    assert styles[0].thumbnail.startswith(b"\xff\xd8")


def test_half_precision_halves_the_file_and_survives_another_round(tmp_path: Path) -> None:
    made = checkpoint("candy", arch="small,widths=16-32,blocks=2")
    large, small = pack(made, "fp32"), pack(made, "fp16")
    assert len(small) < 0.6 * len(large)
    (path := tmp_path / "small.safetensors").write_bytes(small)
    assert pack(load_checkpoint(path), "fp16") == small


def _spoiled(tmp_path: Path, what: str) -> Path:
    path = saved(tmp_path / "good.safetensors", "candy")
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    other = tmp_path / "bad.safetensors"
    if what == "html":
        other.write_bytes(b"<!doctype html><p>Not found")
    elif what == "truncated":
        other.write_bytes(data[:-100])
    elif what == "empty":
        other.write_bytes(b"")
    elif what == "pickle":
        torch.save({"a": torch.zeros(1)}, other)
    elif what == "foreign":
        save_file({"a": torch.zeros(1)}, other)
    else:
        header = json.loads(data[8:length])
        facts = json.loads(header["__metadata__"][KIND])
        facts |= {"version": 99} if what == "newer" else {"architecture": {"name": "small"}}
        header["__metadata__"][KIND] = json.dumps(facts)
        text = json.dumps(header).encode()
        other.write_bytes(len(text).to_bytes(8, "little") + text + data[length:])
    return other


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("html", "this is not a style checkpoint, or it is damaged"),
        ("empty", "this is not a style checkpoint, or it is damaged"),
        ("truncated", "a damaged style checkpoint"),
        ("pickle", "this is a PyTorch pickle, not a cnnart checkpoint"),
        ("foreign", f"a safetensors file, but no {KIND} of cnnart's"),
        ("newer", "of format 99, made by a newer cnnart; update cnnart"),
        ("architecture", "a damaged style checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, what: str, sentence: str) -> None:
    path = _spoiled(tmp_path, what)
    with pytest.raises(WeightsError, match=sentence) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="the checkpoint cannot be read"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="the pickle cannot be read"):
        load_checkpoint(tmp_path / "none.pth")


def _full(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_checkpoint_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnart.methods.fast.checkpoint.write_atomically", _full)
    with pytest.raises(WeightsError, match=r"the network cannot be written \(No space left"):
        save_checkpoint(Path("x.safetensors"), checkpoint("candy"))


# pytorch/examples


def test_an_imported_network_computes_what_the_original_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = TransformerNet().eval()
    with torch.no_grad():
        for name, parameter in original.named_parameters():
            if ".in" in f".{name}":
                parameter.add_(0.3 * torch.randn_like(parameter))
    state = dict(original.state_dict())
    state["in1.running_mean"] = torch.zeros(32)  # as old files have them
    path = tmp_path / "candy.pth"
    torch.save(state, path)
    found = load_checkpoint(path)
    assert found.bank.names == ("candy",)
    photo = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        expected = original(photo * 255) / 255
        result = found.network(photo, torch.ones(1, 1))
    assert torch.allclose(result, expected, atol=2e-4 * float(expected.abs().max()) + 1e-5)


class _Trap:
    """Runs a program when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (builtins.exec, (f"open({str(self.mark)!r}, 'w').close()",))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, writer: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / "evil.pth"
    if writer == "torch":
        torch.save({"conv1.conv2d.weight": _Trap(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(_Trap(mark)))
    with pytest.raises(WeightsError, match=r"refused .it holds more than tensors"):
        load_checkpoint(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Trap(mark)))  # the trap itself works
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"layer.weight": torch.zeros(1)}, "not a network of pytorch/examples' fast_neural_style"),
        ([1, 2], "not a state dict of tensors"),
        (None, "refused .damaged, or not a checkpoint"),
    ],
)
def test_other_pickles_are_named(tmp_path: Path, content: Any, sentence: str) -> None:
    path = tmp_path / "other.pth"
    if content is None:
        path.write_bytes(b"PK\x03\x04 cut off")
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=sentence):
        load_checkpoint(path)


# ONNX


def test_an_exported_network_takes_any_size(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    made, path = checkpoint("candy", "waves"), tmp_path / "candy.onnx"
    waves = FastStyle(made, "waves")
    assert export_onnx([waves], path, 0.15) <= 2e-3  # 0.75 of the weakest strength
    exported = exporting.FixedStyle(made.network, waves.pair(0.15))
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in ((3, 50), (41, 23)):
        photo = torch.rand(1, 3, *size)
        found = torch.from_numpy(session.run(["picture"], {"photo": photo.numpy()})[0])
        with torch.no_grad():
            painted = exported(photo)
        assert torch.allclose(found, photo + 0.75 * (painted - photo), atol=2e-3)


def test_an_exported_style_has_its_paintings_colors(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    colors = (0.2, 0.3, 0.7, *(0.01, 0, 0, 0, 0.01, 0, 0, 0, 0.02))
    made = replace(checkpoint("candy"), styles=(StyleInfo("candy", colors=colors),))
    path = tmp_path / "candy.onnx"
    assert export_onnx([FastStyle(made, "candy")], path, 0.5) <= 2e-3
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    photo = make_photo(61, 90)
    found = torch.from_numpy(session.run(None, {"photo": photo.numpy()})[0])
    assert torch.allclose(found.mean((0, 2, 3)), torch.tensor(colors[:3]), atol=0.02)


def test_an_exported_style_has_its_paintings_detail(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    made = checkpoint("candy")
    photos = [make_photo(61, 90), make_photo(64, 50)]
    found = []
    for detail in ((), (0.01,) * 4):
        made = replace(made, styles=(StyleInfo("candy", detail=detail),))
        path = tmp_path / f"{len(detail)}.onnx"
        assert export_onnx([FastStyle(made, "candy")], path, 0.5) <= 2e-3
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        pictures = [session.run(None, {"photo": photo.numpy()})[0] for photo in photos]
        found.append([detail_of(torch.from_numpy(picture)) for picture in pictures])
    for plain, matched in zip(*found, strict=True):
        assert (matched < 0.8 * plain).all()


@pytest.mark.parametrize("numbers", [(0.1,) * 3, (0.1, 0.1, 0.1, -0.1), (float("nan"),) * 4])
def test_detail_that_cannot_be_is_damage(numbers: tuple[float, ...], tmp_path: Path) -> None:
    made = replace(checkpoint("candy"), styles=(StyleInfo("candy", detail=numbers),))
    save_checkpoint(tmp_path / "x.safetensors", made)
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_wrong_export_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    monkeypatch.setattr(exporting, "difference", lambda *_: float("nan"))
    made = checkpoint("candy")
    with pytest.raises(CnnartError, match="nothing was written"):
        export_onnx([FastStyle(made, "candy")], tmp_path / "x.onnx", 0.5)
    assert not (tmp_path / "x.onnx").exists()


def test_an_export_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    monkeypatch.setattr(exporting, "write_atomically", _full)
    monkeypatch.setattr(exporting, "difference", lambda *_: 0.0)
    made = checkpoint("candy")
    with pytest.raises(CnnartError, match=r"x\.onnx: the export cannot be written \(No space"):
        export_onnx([FastStyle(made, "candy")], Path("x.onnx"), 0.5)


def test_without_its_libraries_export_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    made = checkpoint("candy")
    with pytest.raises(UsageError, match=r"Export to ONNX needs .*: pip install 'cnnart\[onnx\]'"):
        export_onnx([FastStyle(made, "candy")], Path("x.onnx"), 0.5)
