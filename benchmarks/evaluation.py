"""One evaluation of the objective in a process of its own, for ``scale``.

    python -m benchmarks.evaluation --long-side 2048 --tile 512 --repeats 2

prints one line of JSON. The picture is 4:3, as most cameras make it; the style has its size.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from cnnart.image.picture import resize
from cnnart.image.read import read_image
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import term_weights
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss
from cnnart.optim.objective import PerceptualObjective, Region
from cnnart.optim.tiles import gather_moments
from cnnart.runtime import Runtime

STYLE_SIDE = 2048  # of the style at most: targets cost an evaluation nothing, whatever their size
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str, long_side: int) -> Tensor:
    """An example photo at a 4:3 size, ``1x3xHxW``."""
    return resize(read_image(EXAMPLES / name).rgb, long_side * 3 // 4, long_side)


def make_objective(long_side: int, tile: int, precision: str = "auto") -> PerceptualObjective:
    """The default objective, as ``StyleTransfer`` builds it for its largest scale."""
    config = StylizeConfig()
    features = Runtime(precision=precision).features(config.pooling)
    region = make_region(features, list(config.style_layers), long_side, tile)
    photo = example("raccoon.jpg", long_side)
    return PerceptualObjective(features, photo, [region], term_weights(config), tile=tile)


def make_region(features: FeatureExtractor, layers: list[str], long_side: int, tile: int) -> Region:
    """The style's targets. The style's picture itself is gone when this returns."""
    style = example("coffee.jpg", min(long_side, STYLE_SIDE))
    targets = gather_moments(features, style, layers, tile)
    return Region(targets, PaletteLoss([(style, 1.0)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long-side", type=int, required=True)
    parser.add_argument("--tile", type=int, default=0, help="0: the whole picture at once")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    objective = make_objective(args.long_side, args.tile, args.precision)
    image = objective.photo.clone()
    seconds = []
    for _ in range(args.repeats):
        begun = time.perf_counter()
        objective(image)
        seconds.append(time.perf_counter() - begun)
    result = {
        "height": image.shape[-2],
        "width": image.shape[-1],
        "tiles": len(objective.tiles),
        "precision": str(objective.features.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "seconds": seconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
