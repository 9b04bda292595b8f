"""The networks inside the package: as published, described, and verified at every load."""

import shutil

import pytest
import torch
from torchvision.models import ResNet18_Weights, alexnet

from cnnart.errors import WeightsError
from cnnart.files import file_sha256
from cnnart.networks.efficientnet_lite import EfficientNetLite0
from cnnart.weights import embedded
from cnnart.weights.embedded import (
    embedded_names,
    embedded_path,
    embedded_state,
    expand_ahead,
    imagenet_classes,
    imagenet_ids,
)
from cnnart.weights.vgg import load_vgg
from tests.helpers.files import cnnart_process

OWED = {
    "vgg19": (
        "CC-BY-4.0",
        *("Simonyan", "Zisserman", "Creative Commons Attribution 4.0", "Daniel Steinberg"),
    ),
    "alexnet": ("BSD-3-Clause", "Krizhevsky", "Soumith Chintala", "Redistribution", "Wilson Yan"),
    "efficientnet-lite0": ("Apache-2.0", "Tan", "Apache License", "ML Illustrated", "float16"),
    "u2netp": ("Apache-2.0", "Qin", "Apache License", "rembg", "24 bits"),
    "selfie-segmenter": ("Apache-2.0", "Google", "Apache License", "MediaPipe", "MobileNetV3"),
    "blazeface": ("Apache-2.0", "Google", "Apache License", "MediaPipe", "1907.05047"),
}


def test_the_embedded_networks():
    assert embedded_names() == list(OWED)


@pytest.mark.parametrize("name", OWED)
def test_manifest_describes_the_embedded_file(name):
    entry = embedded.manifest()[name]
    path = embedded_path(name)
    assert entry["bytes"] == path.stat().st_size
    assert entry["sha256"] == file_sha256(path)
    license, *owed = OWED[name]
    assert entry["licence"] == license
    notice = (path.parent / entry["notice"]).read_text(encoding="utf-8")
    assert [text for text in owed if text not in notice] == []


def test_the_networks_for_masks_stay_under_4_mb():
    names = ("u2netp", "selfie-segmenter", "blazeface")
    assert sum(embedded_path(name).stat().st_size for name in names) < 4e6


def test_alexnet_is_torchvisions_in_shape_and_scale():
    state, digest = embedded_state("alexnet")
    assert digest == embedded.manifest()["alexnet"]["sha256"]
    with torch.device("meta"):
        published = alexnet().features.state_dict()
    convs = {f"conv{n}": index for n, index in enumerate((0, 3, 6, 8, 10), start=1)}
    for name, tensor in state.items():
        conv, _, kind = name.partition(".")
        assert tensor.shape == published[f"{convs[conv]}.{kind}"].shape
        assert tensor.dtype == torch.float32
    assert len(state) == 10
    # The kernels are turned the right way round: neighbors in space are alike, those in the order
    # of the file's other dimensions are not.
    kernels = state["conv1.weight"]
    along = (kernels[..., 1:] * kernels[..., :-1]).sum() / kernels.square().sum()
    across = (kernels[1:] * kernels[:-1]).sum() / kernels.square().sum()
    assert along > 0.5 > 0.3 > across.abs()


def test_efficientnets_state_is_that_of_its_module():
    state, _ = embedded_state("efficientnet-lite0")
    with torch.device("meta"):
        model = EfficientNetLite0()
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_imagenets_ids_are_in_the_order_of_its_classes():
    ids = imagenet_ids()
    assert len(ids) == len(set(ids)) == 1000
    assert ids == sorted(ids)  # the order of the challenge is that of the ids
    names = imagenet_classes()
    assert names == ResNet18_Weights.DEFAULT.meta["categories"]
    known = {"n01440764": "tench", "n02123045": "tabby", "n15075141": "toilet tissue"}
    assert {i: names[ids.index(i)] for i in known} == known


@pytest.mark.parametrize("name", OWED)
def test_a_damaged_embedded_file_is_noticed(name, tmp_path, monkeypatch):
    shutil.copytree(embedded.DATA, tmp_path / "data")
    monkeypatch.setattr(embedded, "DATA", tmp_path / "data")
    monkeypatch.setattr(embedded, "_ahead", [])  # of a command that never came to its weights
    load = load_vgg if name == "vgg19" else lambda: embedded_state(name)
    path = embedded_path(name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"embedded {name} .* is damaged: reinstall cnnart"):
        load()
    if name == "vgg19":
        expand_ahead()
        with pytest.raises(WeightsError, match=f"embedded {name} .* is damaged: reinstall cnnart"):
            load()
    path.unlink()
    with pytest.raises(WeightsError, match=f"embedded {name} is missing"):
        load()


def test_weights_expanded_ahead_are_the_same(vgg):
    expand_ahead()
    ahead, after = load_vgg(), load_vgg()  # the second reads the file again
    for found in (ahead, after):
        assert found.sha256 == vgg.sha256
        for name, (weight, bias) in vgg.convs.items():
            assert torch.equal(found.convs[name][0], weight)
            assert torch.equal(found.convs[name][1], bias)


def test_expanding_needs_no_torch():
    """It is what is done while torch loads."""
    code = """
import sys
from cnnart.weights import embedded
embedded.expand_ahead()
digest, convs = embedded._ahead[0].result()
assert "torch" not in sys.modules and len(convs) == 16, sorted(convs)
"""
    process = cnnart_process(code=code)
    _, err = process.communicate()
    assert process.returncode == 0, err
