"""One evaluation of the objective in a process of its own, for ``memory`` and ``scale``.

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

from cnnart.api import Stylizer
from cnnart.config import StylizeConfig
from cnnart.image import read_image, resize
from cnnart.objective import PerceptualObjective, Region, gather_moments
from cnnart.palette import PaletteLoss
from cnnart.stylization import term_weights

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str, long_side: int) -> Tensor:
    """An example photo at a 4:3 size, ``1x3xHxW``."""
    return resize(read_image(EXAMPLES / name).rgb, long_side * 3 // 4, long_side)


def make_objective(long_side: int, tile: int) -> PerceptualObjective:
    """The default objective, as ``Stylization`` builds it for its largest scale."""
    config = StylizeConfig()
    features = Stylizer().features(config.pooling)
    style = example("coffee.jpg", long_side)
    targets = gather_moments(features, style, list(config.style_layers), tile)
    region = Region(targets, PaletteLoss([(style, 1.0)]))
    photo = example("raccoon.jpg", long_side)
    return PerceptualObjective(features, photo, [region], term_weights(config), tile=tile)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long-side", type=int, required=True)
    parser.add_argument("--tile", type=int, default=0, help="0: the whole picture at once")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    objective = make_objective(args.long_side, args.tile)
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
