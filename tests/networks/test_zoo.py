"""Networks by name: the embedded ones, torchvision's from a file, and the user's own."""

import dataclasses

import pytest
import torch
import torchvision

from cnnart.errors import UsageError, WeightsError
from cnnart.files import file_sha256
from cnnart.networks.base import Classifier, Network
from cnnart.networks.vgg import FeatureExtractor
from cnnart.networks.zoo import network_kinds, open_network
from cnnart.weights import classifiers
from tests.helpers.networks import Tangled

NAME = "shufflenet_v2_x0_5"  # torchvision's smallest file


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test sees the user's own caches, nor downloads anything."""
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("CNNART_OFFLINE", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: pytest.fail("it went online"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def downloaded(monkeypatch):
    """torchvision's file of NAME, with random weights and a checksum that fits."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(NAME, weights=None).eval()
    real = classifiers.published_classifier
    path = classifiers.hub_path(real(NAME).file)
    path.parent.mkdir(parents=True)
    torch.save(model.state_dict(), path)
    prefix = file_sha256(path)[:8]
    monkeypatch.setattr(
        classifiers,
        "published_classifier",
        lambda name: dataclasses.replace(real(name), hash_prefix=prefix),
    )
    return model


def waves(side):
    """RGB in [0, 1], the picture of tools/golden_vgg19.py at another size."""
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    parts = (torch.sin(0.11 * x + 0.05 * y), torch.cos(0.31 * y), torch.sin(0.02 * x * y))
    return 0.5 + 0.5 * torch.stack(parts).unsqueeze(0)


@pytest.mark.parametrize("name", ["vgg19", "alexnet", "efficientnet-lite0"])
def test_the_embedded_networks_open_offline(name):
    network = open_network(name, offline=True)
    assert isinstance(network, Network)
    assert network.name == name
    assert len(network.sha256) == 64
    layer = list(network.geometry)[4]
    found = network(torch.rand(1, 3, 64, 64), [layer])[layer]
    assert found.shape[1] == network.geometry[layer].channels


def test_vgg19_is_the_extractor_and_takes_its_pooling():
    network = open_network("vgg19", pooling="avg")
    assert isinstance(network, FeatureExtractor)
    assert network.pooling == "avg"
    field = network.receptive_field("relu4_2")
    assert (field.size, field.stride, field.offset) == (8 + 2 * 38, 8, 38)
    assert [network.kind(n) for n in ("conv1_1", "relu1_1", "pool1")] == ["conv", "relu", "pool"]
    with pytest.raises(UsageError, match="is for the VGGs"):
        open_network("alexnet", pooling="avg")
    with pytest.raises(UsageError, match="Unknown pooling 'median'"):
        open_network("alexnet", pooling="median")


def test_alexnets_layers_have_the_lectures_names():
    network = open_network("alexnet")
    assert list(network.geometry) == [
        *("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3"),
        *("conv4", "relu4", "conv5", "relu5", "pool5"),
    ]
    found = network(torch.rand(1, 3, 224, 224), ["conv1", "pool5"])
    assert found["conv1"].shape == (1, 64, 55, 55)
    assert found["pool5"].shape == (1, 256, 6, 6)


def test_efficientnet_computes_what_the_published_package_does():
    """Numbers from efficientnet-lite-pytorch 0.1.0 itself, with its file; float16 rounds a little.

    They would not come out with other padding, with batch norm folded wrongly, or with ImageNet's
    mean and deviation in place of 127 and 128 of 255.
    """
    network = open_network("efficientnet-lite0", classifier=True)
    logits = network.logits(waves(224))
    published = torch.tensor([0.60984, 0.63717, 1.28917, 0.57646, -0.76907])
    torch.testing.assert_close(logits[0, ::201], published, atol=0.02, rtol=0)
    assert logits.topk(5).indices.tolist() == [[506, 828, 688, 885, 811]]
    head = network(waves(224), ["head"])["head"]
    assert head.shape == (1, 1280, 7, 7)
    assert float(head.mean()) == pytest.approx(0.2090, rel=0.01)
    assert float(head.std()) == pytest.approx(0.7704, rel=0.01)


def test_efficientnet_is_a_classifier_with_names():
    network = open_network("efficientnet-lite0", classifier=True)
    assert isinstance(network, Classifier)
    assert (network.input_size, network.resize) == (224, 256)
    assert (network.classes[1], len(network.classes)) == ("goldfish", 1000)
    assert network.prepare(torch.rand(1, 3, 300, 500)).shape == (1, 3, 224, 224)


def test_a_network_of_torchvision_from_its_file(downloaded):
    network = open_network(NAME, offline=True, classifier=True)
    picture = torch.rand(2, 3, 224, 224)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        expected = downloaded((picture - mean) / std)
        torch.testing.assert_close(network.logits(picture), expected, rtol=1e-3, atol=1e-4)
    assert network.classes[1] == "goldfish"
    assert network(picture, ["stage3.1"])["stage3.1"].shape == (2, 96, 14, 14)


def test_a_damaged_file_of_torchvision_is_noticed(downloaded, monkeypatch):
    path = classifiers.hub_path(classifiers.published_classifier(NAME).file)
    path.write_bytes(path.read_bytes()[:-9] + b"different")
    with pytest.raises(WeightsError, match=r"is damaged .*`cnnart weights fetch shufflenet"):
        open_network(NAME)


@pytest.mark.parametrize("variable", [True, False])
def test_offline_says_what_is_missing(variable, monkeypatch):
    if variable:
        monkeypatch.setenv("CNNART_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        open_network("googlenet", offline=not variable)
    assert "googlenet is not on this machine and cnnart is offline" in str(caught.value)
    assert "https://download.pytorch.org/models/googlenet-1378be20.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_name_is_told_with_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown network 'googlnet'. Did you mean googlenet\?"):
        open_network("googlnet")
    with pytest.raises(UsageError, match=r"Did you mean efficientnet-lite0\?"):
        open_network("efficientnet_lite0")


def test_a_vgg_with_classes_is_torchvisions_whole_network():
    for name in ("vgg16", "vgg19", "vgg19-torchvision", "alexnet"):
        file = {"vgg16": "vgg16-397923af", "alexnet": "alexnet-owt-7be5be79"}.get(
            name, "vgg19-dcbb9e9d"
        )
        with pytest.raises(WeightsError, match=f"{file}.pth"):
            open_network(name, classifier=True, offline=True)
    for name in ("vgg16-features", "vgg19-oxford"):
        with pytest.raises(UsageError, match=f"{name} has no classes: take efficientnet-lite0"):
            open_network(name, classifier=True)


def test_network_kinds_names_everything():
    kinds = network_kinds()
    assert kinds["embedded"] == ["vgg19", "alexnet", "efficientnet-lite0"]
    assert {"vgg16", "vgg19-oxford"} <= set(kinds["vgg"])
    assert {"googlenet", "resnet50", "vgg16", "vit_b_16"} <= set(kinds["torchvision"])


# Custom networks


def test_a_network_of_ones_own():
    network = open_network("tests.helpers.networks:tangled", classifier=True)
    assert network.name == "tests.helpers.networks:tangled"
    assert (network.input_size, network.classes) == (160, ["cat", "dog", "newt"])
    assert network.logits(torch.rand(1, 3, 160, 160)).shape == (1, 3)
    assert (
        open_network("tests.helpers.networks:Tangled").input_size == Tangled.input_size
    )  # a class


def test_a_module_in_the_current_folder_with_its_own_preprocessing(tmp_path):
    (tmp_path / "my_small_net.py").write_text(
        "from torch import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(inplace=True))\n"
        "net.mean, net.std, net.input_size = (0, 0, 0), [2, 2, 2], 16\n"
        "number = 3\n"
        "def wrong():\n    return {}\n"
        "def failing():\n    raise KeyError('no such file')\n"
        "def make_net():\n    return net\n",
        encoding="utf-8",
    )
    network = open_network("my_small_net:net")
    picture = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(network(picture, ["0"])["0"], network.model[0](picture / 2))
    messages = {
        "my_small_net:number": "my_small_net:number is a int, not a function.",
        "my_small_net:wrong": "my_small_net:wrong returned a dict, not a torch.nn.Module.",
        "my_small_net:failing": "my_small_net:failing() failed (KeyError: 'no such file').",
        "my_small_net:make_nets": "The module my_small_net has no 'make_nets'. "
        "Did you mean make_net?",
    }
    for name, message in messages.items():
        with pytest.raises(UsageError) as caught:
            open_network(name)
        assert str(caught.value) == message
    with pytest.raises(UsageError, match="my_small_net:make_net has no classes"):
        open_network("my_small_net:make_net", classifier=True)


def test_a_network_that_takes_gray(tmp_path):
    (tmp_path / "my_gray_net.py").write_text(
        "from torch import nn\n"
        "def plain():\n    return nn.Sequential(nn.Conv2d(1, 2, 3))\n"
        "def odd():\n    net = plain()\n    net.mean = (1, 2)\n    return net\n",
        encoding="utf-8",
    )
    network = open_network("my_gray_net:plain")
    red, dark = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.2989)
    red[:, 0] = 1  # of the luminance of a dark gray
    torch.testing.assert_close(network(red, ["0"]), network(dark, ["0"]), atol=1e-4, rtol=0)
    assert network.smallest_side(["0"]) == 3
    with pytest.raises(UsageError, match="three numbers, or one for gray, not 2"):
        open_network("my_gray_net:odd")


def test_modules_that_cannot_be_imported(tmp_path):
    with pytest.raises(UsageError, match=r"No Python module 'no_such_net': .*no_such_net.py"):
        open_network("no_such_net:make")
    (tmp_path / "broken_net.py").write_text("import no_such_package\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"broken_net could not be imported \(ModuleNotFound"):
        open_network("broken_net:make")
    (tmp_path / "sick_net.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"sick_net could not be imported \(ZeroDivisionError"):
        open_network("sick_net:make")
    with pytest.raises(UsageError, match="write MODULE:FUNCTION"):
        open_network("sick_net:")
