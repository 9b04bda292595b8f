"""Small transformer networks, checkpoints and photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnart.image.write import write_image
from cnnart.methods.fast.architecture import make_architecture
from cnnart.methods.fast.checkpoint import Checkpoint, save_checkpoint
from cnnart.methods.fast.header import COLORS, StyleInfo
from cnnart.methods.fast.network import StyleNetwork
from cnnart.methods.fast.predictor import PredictorShape, StylePredictor
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import find_photos
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import FeatureExtractor
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

TINY = "small,widths=6-8,blocks=1"
SPAN = (0.2, 1.0)
BLUE = (0.1, 0.3, 0.8)


def network(arch: str = TINY, pairs: int = 1, seed: int = 0) -> StyleNetwork:
    """A network whose affine pairs are random, each its own."""
    made = StyleNetwork(make_architecture(arch), pairs, seed=seed)
    rng = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for block in made.conv_blocks():
            if block.norm is not None:
                block.norm.gamma.copy_(1 + 0.4 * torch.randn(block.norm.gamma.shape, generator=rng))
                block.norm.beta.copy_(0.4 * torch.randn(block.norm.beta.shape, generator=rng))
        made.head.weight.mul_(10)
    return made


def checkpoint(*names: str, arch: str = TINY, seed: int = 0, span: Any = SPAN) -> Checkpoint:
    """A checkpoint of styles that look like nothing in particular."""
    pairs = len(names) * (2 if span else 1)
    styles = tuple(StyleInfo(name) for name in names)
    return Checkpoint(network(arch, pairs, seed), styles, span)


def arbitrary_checkpoint(*names: str, seed: int = 0, channels: int = 64 + 128) -> Checkpoint:
    """One whose predictor, untrained, makes a style of any picture.

    ``channels``: of both layers that it sees; ``tiny_vgg`` has 4 and 8.
    """
    made = checkpoint(*names, seed=seed)
    layers = ("relu1_1", "relu2_1/2")
    inputs = 2 * channels + COLORS
    shape = PredictorShape(layers, inputs, sum(made.network.channels), 64, 16, 8)
    predictor = StylePredictor(shape, seed=seed)
    with torch.no_grad():
        predictor.last.weight.mul_(100)
    return replace(made, predictor=predictor)


def saved(path: Path, *names: str, **more: Any) -> Path:
    """A checkpoint's file."""
    save_checkpoint(path, checkpoint(*names, **more))
    return path


def photo_folder(folder: Path, count: int = 5) -> Path:
    """Photos of several sizes, one that is no picture and one that is too small."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        write_image(folder / f"p{index}.png", make_photo(80 + index, 100, index))
    (folder / "broken.jpg").write_text("no picture")
    write_image(folder / "small.png", make_photo(20, 30))
    return folder


def trainer(
    folder: Path,
    compute: ComputeOptions | None = None,
    into: Checkpoint | None = None,
    start: Checkpoint | None = None,
    device: str = "cpu",
    arbitrary: Sequence[Tensor] = (),
    **settings: Any,
) -> Trainer:
    """A run of two styles that takes a second or so."""
    usual = {"arch": TINY, "steps": 24, "size": 64, "batch": 2, "style_size": 64}
    usual |= {"validate_every": 8, "warmup_steps": 4}
    config = TrainConfig(**{**usual, **settings})
    photos = find_photos(sorted(folder.iterdir()), 64)
    losses = make_losses(FeatureExtractor(tiny_weights(), device=device), config)
    paintings = [
        Painting("amber", as_in_a_file(make_painting()), sha256="a"),
        Painting("blue", as_in_a_file(make_painting(seed=5, color=BLUE)), sha256="b"),
    ]
    return Trainer(config, paintings, photos, losses, compute, into, start, arbitrary)


def as_in_a_file(picture: Tensor) -> Tensor:
    """With the 8 bits that a PNG keeps."""
    return (picture * 255).round() / 255
