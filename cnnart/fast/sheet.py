"""Photos in every trained style, on one labelled sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cnnart.config import FastConfig
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.fast.apply import FastStyle, FastStylization
from cnnart.fast.checkpoint import load_checkpoint
from cnnart.fast.engine import FastEngine
from cnnart.image import draw_sheet, fit_long_side, read_image, resize
from cnnart.jobs import fast_stylizing

CELL = 384  # long side of a picture on the sheet
COLUMNS = 4


def style_sheet(photos: Sequence[Path], names: Sequence[str] = ()) -> Tensor:
    """``1x3xHxW``: each photo, then it in the trained styles called so, or in all.

    Raises UsageError for an unknown name, or when no trained style is there.
    """
    chosen = [
        fast_stylizing.parse_trained(name) for name in names or fast_stylizing.trained_styles()
    ]
    if not chosen:
        raise UsageError("No trained styles came with cnnart: train one with `cnnart train-style`.")
    checkpoints = {path: load_checkpoint(path) for path in {style.path for style in chosen}}
    base = Engine()
    engine = FastEngine(base.device, base.dtype)
    cells: list[tuple[str, Tensor]] = []
    for path in photos:
        photo = read_image(path).rgb
        height, width = photo.shape[-2:]
        photo = resize(photo, *fit_long_side(height, width, min(CELL, max(height, width))))
        cells.append((path.name, photo))
        for style in chosen:
            one = FastStyle(checkpoints[style.path], style.name)
            work = FastStylization(photo, [one], FastConfig(), engine)
            cells.append((style.name, work.pictures()))
    per_photo = len(chosen) + 1
    return draw_sheet(cells, per_photo if len(photos) > 1 else min(COLUMNS, per_photo))
