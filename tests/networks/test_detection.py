"""Detectors by name: faces embedded, torchvision's with a fake published file."""

import dataclasses

import pytest
import torch
import torchvision
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator

from cnnart.errors import UsageError, WeightsError
from cnnart.files import file_sha256
from cnnart.image.read import read_image
from cnnart.networks.detection import DETECTORS, open_detector
from cnnart.weights import classifiers, store
from cnnart.weights.classifiers import detector_names, hub_path, published_classifier
from tests.docs.pages import ROOT

SSDLITE = DETECTORS["ssdlite"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("CNNART_OFFLINE", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: pytest.fail("it went online"))


def publish(monkeypatch, name, model):
    """Random weights that count as the published file of ``name``, in torchvision's cache."""
    real = classifiers.published_classifier
    path = hub_path(real(name).file)
    path.parent.mkdir(parents=True)
    torch.save(model.state_dict(), path)
    prefix = file_sha256(path)[:8]

    def published(asked):
        source = real(asked)
        return dataclasses.replace(source, hash_prefix=prefix) if asked == name else source

    for module in (classifiers, store):
        monkeypatch.setattr(module, "published_classifier", published)
    return path


def test_faces_are_found_without_any_download():
    photo = read_image(ROOT / "examples" / "astronaut.jpg").rgb
    (face,) = open_detector("blazeface").find(photo)
    assert (face.name, face.mask) == ("face", None)
    assert face.score > 0.8
    left, top, right, bottom = face.box
    assert left < 225 < right  # her nose
    assert top < 125 < bottom
    assert open_detector("blazeface").find(torch.zeros(1, 3, 40, 1)) == []


def test_every_detector_has_a_published_file():
    assert set(DETECTORS.values()) <= set(detector_names())
    for name in detector_names():
        source = published_classifier(name)
        assert source.url.startswith("https://download.pytorch.org/models/")
        assert len(source.hash_prefix) >= 8


def test_a_torchvision_detector_gives_boxes_in_the_photos_pixels(monkeypatch):
    torch.manual_seed(0)
    model = torchvision.models.get_model(SSDLITE, weights=None, weights_backbone=None)
    path = publish(monkeypatch, SSDLITE, model)
    assert store.status(SSDLITE).present == "downloaded"
    assert store.verify(SSDLITE) == path
    found = open_detector("ssdlite", offline=True).find(torch.rand(1, 3, 30, 2000))
    for thing in found:
        assert isinstance(thing.name, str)
        assert -1 <= thing.box[0] <= thing.box[2] <= 2001
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is damaged"):
        open_detector("ssdlite")


def test_instances_have_masks_of_the_photos_size(monkeypatch):
    name = DETECTORS["maskrcnn"]

    class Fake(torch.nn.Module):
        def forward(self, pictures):
            (picture,) = pictures
            mask = torch.zeros(1, 1, *picture.shape[-2:])
            mask[..., :10, :20] = 1
            box = torch.tensor([[0.0, 0.0, 20.0, 10.0]])
            return [{"boxes": box, "labels": torch.tensor([1]), "scores": torch.tensor([0.9]),
                     "masks": mask}]  # fmt: skip

    monkeypatch.setattr("cnnart.networks.detection.fetch_classifier", lambda *a, **k: None)
    monkeypatch.setattr("torchvision.models.get_model", lambda *a, **k: Fake())
    (thing,) = open_detector(name).find(torch.rand(1, 3, 100, 2666))  # twice as long as 1333
    assert thing.name == "person"
    assert thing.box == pytest.approx((0, 0, 40, 20))
    assert thing.mask.shape == (100, 2666)
    assert bool(thing.mask[:18, :36].all())
    assert not bool(thing.mask[22:].any())


def test_a_real_mask_rcnn_speaks_the_same_language(monkeypatch):
    """A small one of torchvision's own class, which finds things in noise because it is random."""
    torch.manual_seed(1)
    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 16, 1), torch.nn.ReLU())
    backbone.out_channels = 8
    model = MaskRCNN(
        backbone, 91, min_size=64, max_size=128, box_score_thresh=0.0, box_detections_per_img=3,
        rpn_anchor_generator=AnchorGenerator(((32,),), ((1.0,),)),
    )  # fmt: skip
    monkeypatch.setattr("cnnart.networks.detection.fetch_classifier", lambda *a, **k: None)
    monkeypatch.setattr("torchvision.models.get_model", lambda *a, **k: model)
    found = open_detector("maskrcnn").find(torch.rand(1, 3, 60, 90))
    assert 1 <= len(found) <= 3
    for thing in found:
        assert thing.mask.shape == (60, 90)
        assert 0 <= thing.box[0] <= thing.box[2] <= 90


def test_unknown_and_missing():
    with pytest.raises(UsageError, match=r"Unknown detector 'retinane'\. Did you mean retinanet\?"):
        open_detector("retinane")
    with pytest.raises(UsageError, match="There are blazeface"):
        open_detector("resnet50")
    with pytest.raises(WeightsError, match="fasterrcnn_resnet50_fpn_v2 is not on this machine"):
        open_detector("fasterrcnn", offline=True)
