"""Segmenters by name: the subject and people embedded, torchvision's with a fake file."""

import pytest
import torch
import torchvision

from cnnart.errors import UsageError, WeightsError
from cnnart.image.read import read_image
from cnnart.networks.segmentation import SEGMENTERS, open_segmenter
from cnnart.weights.classifiers import published_classifier, segmenter_names
from tests.docs.pages import ROOT
from tests.networks.test_detection import own_cache, publish  # noqa: F401

LRASPP = SEGMENTERS["lraspp"]


@pytest.mark.parametrize(("name", "photo"), [("subject", "coffee"), ("person", "astronaut")])
def test_embedded_ones(name, photo):
    segmenter = open_segmenter(name)
    assert segmenter.classes == ["background", name]
    found = segmenter.look(read_image(ROOT / "examples" / f"{photo}.jpg").rgb)
    assert torch.allclose(found.sum(1), torch.ones(1))
    share = float((found[:, 1] > 0.5).float().mean())
    assert 0.3 < share < 0.7
    assert found[0, 1, found.shape[2] // 2, found.shape[3] // 2] > 0.9
    assert found[0, 1, 0, -1] < 0.1


def test_every_segmenter_has_a_published_file():
    assert set(SEGMENTERS.values()) <= set(segmenter_names())
    for name in segmenter_names():
        assert len(published_classifier(name).hash_prefix) >= 8


def test_a_torchvision_segmenter_gives_each_place_its_classes(monkeypatch):
    torch.manual_seed(0)
    model = torchvision.models.get_model(LRASPP, weights=None, weights_backbone=None)
    publish(monkeypatch, LRASPP, model)
    segmenter = open_segmenter("lraspp", offline=True)
    assert segmenter.classes[0] == "background"
    assert segmenter.classes[12] == "dog"
    found = segmenter.look(torch.rand(1, 3, 20, 30))
    assert found.shape == (1, 21, 520, 780)
    assert torch.allclose(found.sum(1), torch.ones(1), atol=1e-4)


def test_a_long_photo_is_shortened(monkeypatch):
    seen = []

    class Fake(torch.nn.Module):
        def forward(self, picture):
            seen.append(tuple(picture.shape))
            return {"out": torch.zeros(1, 21, 4, 4)}

    monkeypatch.setattr("cnnart.networks.segmentation.fetch_classifier", lambda *a, **k: None)
    monkeypatch.setattr("torchvision.models.get_model", lambda *a, **k: Fake())
    open_segmenter("fcn").look(torch.rand(1, 3, 1, 900))
    assert seen == [(1, 3, 520, 2080)]


def test_unknown_and_missing():
    with pytest.raises(UsageError, match=r"Unknown segmenter 'deeplab3'\. Did you mean deeplab"):
        open_segmenter("deeplab3")
    with pytest.raises(WeightsError, match="deeplabv3_resnet50 is not on this machine"):
        open_segmenter("deeplabv3", offline=True)
