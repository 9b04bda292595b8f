"""Files of unknown origin: each thing that is no usable network is named, and nothing is run."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from cnnart.errors import WeightsError
from cnnart.weights.files import read_tensors
from cnnart.weights.store import import_file


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: the download did not arrive"),
        (b"\n <!DOCTYPE html><html><body>404", "is a web page saved as weights"),
        (b"<html>sign in</html>", "is a web page saved as weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a git-lfs pointer"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a weights file"),
        (b"\x80\x02" + bytes(range(200)), "refused|truncated or damaged"),
    ],
)
def test_what_is_no_weights_file_is_named(content, sentence, tmp_path):
    path = tmp_path / "vgg16-397923af.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        read_tensors(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.001, 0.5, 0.99])
def test_a_truncated_download_is_named(kind, kept, tmp_path):
    path = tmp_path / "part.pth"
    state = {f"features.{n}.weight": torch.randn(64, 64, 3, 3) for n in range(6)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match="truncated"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"layer1.0.conv1.weight": 1, "fc.bias": 2}, "a ResNet-like state dict with 2 tensors"),
        ({"features.0.weight": torch.zeros(64, 3, 11, 11)}, "an AlexNet-like state dict with 1"),
        ({"features.0.weight": torch.zeros(8, 3, 3, 3)}, "a VGG-like state dict of other shapes"),
        ({"features.3.squeeze.weight": 1}, "a SqueezeNet-like state dict"),
        ({"unheard.of": 1}, "a state dict of an unknown network with 1 tensors"),
    ],
)
def test_another_network_is_described(state, sentence, tmp_path):
    tensors = {k: v if isinstance(v, torch.Tensor) else torch.zeros(v) for k, v in state.items()}
    save_file(tensors, tmp_path / "vgg16.pth")
    with pytest.raises(WeightsError, match=sentence):
        import_file(tmp_path / "vgg16.pth")


def test_a_checkpoint_without_tensors_is_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="holds a dict without named tensors"):
        read_tensors(tmp_path / "a.pth")


class Payload:
    """Unpickling this creates a folder; ``where`` is a test's own."""

    def __init__(self, where):
        self.where = where

    def __reduce__(self):
        return os.mkdir, (self.where,)


@pytest.mark.parametrize("kind", ["zip", "legacy", 2, 4])
def test_a_malicious_pickle_is_refused_without_running_it(kind, tmp_path):
    trap, path = tmp_path / "pwned", tmp_path / "vgg19.pth"
    content = {"features.0.weight": Payload(str(trap))}
    if isinstance(kind, int):
        path.write_bytes(pickle.dumps(content, protocol=kind))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsError, match="refused, because loading it could run code"):
        read_tensors(path)
    assert not trap.exists()


def test_a_whole_module_is_refused_with_its_class(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"asks to run torch.nn.modules.conv.Conv2d: refused"):
        read_tensors(tmp_path / "model.pth")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot read .*nowhere.pth: there is no such file"):
        read_tensors(tmp_path / "nowhere.pth")
