"""torchvision's classification networks in the store: fetched, imported, verified, described."""

import dataclasses
import shutil

import pytest
import torch
import torchvision

from cnnart.errors import UsageError, WeightsError
from cnnart.files import file_sha256
from cnnart.weights import classifiers, store
from cnnart.weights.classifiers import classifier_names
from cnnart.weights.store import fetch, import_file, network_names, status, verify

NAME = "shufflenet_v2_x0_5"
FILE = "shufflenetv2_x0.5-f707e7126e.pth"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("CNNART_OFFLINE", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: pytest.fail("it went online"))


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of NAME's shapes that counts as the published one, under a name that says nothing."""
    torch.manual_seed(0)
    path = tmp_path / "model (3).bin"
    torch.save(torchvision.models.get_model(NAME, weights=None).state_dict(), path)
    real, prefix = classifiers.published_classifier, file_sha256(path)[:8]

    def published(name):
        source = real(name)
        return dataclasses.replace(source, hash_prefix=prefix) if name == NAME else source

    for module in (classifiers, store):
        monkeypatch.setattr(module, "published_classifier", published)
    return path


def test_every_network_has_a_published_file_with_a_checksum():
    names = classifier_names()
    assert {"alexnet", "googlenet", "resnet50", "squeezenet1_1", "vgg16"} <= set(names)
    for name in names:
        source = classifiers.published_classifier(name)
        assert source.url.startswith("https://download.pytorch.org/models/")
        assert len(source.hash_prefix) >= 8, name
        assert source.megabytes > 1
    assert classifiers.classifier_license("resnet50") == "BSD-3-Clause"


def test_import_puts_a_published_file_where_torchvision_looks(file, tmp_path):
    target = tmp_path / "torch" / "hub" / "checkpoints" / FILE
    assert status(NAME).present == "missing"
    assert NAME not in network_names()
    done = import_file(file)
    assert (done.name, done.path, done.verified) == (NAME, target, True)
    assert list(target.parent.iterdir()) == [target]
    found = status(NAME)
    assert (found.present, found.path) == ("downloaded", str(target))
    assert (found.source, found.bytes) == ("torchvision", target.stat().st_size)
    assert fetch(NAME, offline=True) == verify(NAME) == target
    assert network_names()[-1] == NAME


def test_import_as_another_network_is_wrong_usage(file):
    with pytest.raises(UsageError, match=f"is not resnet50: it is {NAME}"):
        import_file(file, name="resnet50")
    with pytest.raises(UsageError, match=r"Unknown network 'resnet5'\. Did you mean resnet50\?"):
        import_file(file, name="resnet5")


def test_a_network_that_torchvision_did_not_publish_is_named_as_ones_own(file):
    model = torchvision.models.get_model(NAME, weights=None, num_classes=3)
    torch.save(model.state_dict(), file)
    with pytest.raises(WeightsError, match=r"a state dict .*of your own .*MODULE:FUNCTION"):
        import_file(file)


def test_a_damaged_file_is_noticed(file):
    target = import_file(file).path
    target.write_bytes(target.read_bytes()[:-4] + b"oops")
    for use in (verify, fetch):
        with pytest.raises(WeightsError, match=f"is damaged .*`cnnart weights fetch {NAME}`"):
            use(NAME)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot read .*none\.pth: there is no such file"):
        classifiers.check_published(
            tmp_path / "none.pth", classifiers.published_classifier(NAME), NAME
        )


def test_a_folder_that_cannot_be_written_is_named(file, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="set TORCH_HOME to a folder"):
        import_file(file)


def test_fetch_asks_torchvision_for_a_checked_download(file, monkeypatch):
    asked = []

    class FakeEnum:
        url = f"https://download.pytorch.org/models/{FILE}"

        def get_state_dict(self, **options):
            asked.append(options)
            target = classifiers.hub_path(FILE)
            target.parent.mkdir(parents=True)
            shutil.copy(file, target)

    source = classifiers.published_classifier(NAME)
    monkeypatch.setattr(classifiers, "published_classifier", lambda name: source)
    monkeypatch.setattr(classifiers, "classifier_weights", lambda name: FakeEnum())
    assert fetch(NAME) == fetch(NAME) == classifiers.hub_path(FILE)
    assert len(asked) == 1
    assert asked[0]["check_hash"] is True
    assert asked[0]["weights_only"] is True


def test_missing_and_offline():
    with pytest.raises(WeightsError, match=f"{NAME} is not on this machine: run `cnnart weights"):
        verify(NAME)
    with pytest.raises(WeightsError, match=r"cnnart is offline: get https://download.pytorch.org"):
        fetch(NAME, offline=True)
    with pytest.raises(UsageError, match=r"torchvision has no network 'resnet5'\. Did you mean"):
        classifiers.classifier_weights("resnet5")
