"""``cnnart.fast_stylize`` and ``cnnart.styles``: what the command line does, for other programs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cnnart.api import style_mask
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.fast.apply import FastStyle, FastStylization
from cnnart.fast.checkpoint import Checkpoint, load_checkpoint
from cnnart.fast.engine import FastEngine
from cnnart.image import Picture, to_picture, to_pil
from cnnart.jobs.fast_stylizing import make_fast_recipe, parse_trained, trained_styles
from cnnart.jobs.memory import memory_errors_named
from cnnart.jobs.recipe import parse_weight
from cnnart.jobs.writing import alpha_like

if TYPE_CHECKING:
    from PIL.Image import Image


def styles() -> list[str]:
    """The names of the trained styles that cnnart brings."""
    return list(trained_styles())


def fast_stylize(
    photo: Any,
    styles: Any,
    *,
    masks: Sequence[Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    max_memory: float | None = None,
    **settings: Any,
) -> Any:
    """Paint a photo, or a list of photos, in one trained style or a blend of several.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]); or a list of these. Those of one size are computed together.
        styles: one or a list of: a trained style's name, a checkpoint's path, ``path:name``, or a
            (style, weight) pair.
        masks: for each style a picture of where it applies (white) over the photo, or None.
        device, precision, max_memory: see ``cnnart.engine.Engine``.
        settings: the fields of ``FastConfig``: ``strength=0.7``, ``stroke=1.5``, ``color="keep"``.

    Returns an RGB image (RGBA for a photo with alpha), or a list of them. Raises CnnartError with
    one clear line. Networks stay loaded: a second call is quicker.
    """
    chosen = [_chosen(style) for style in (styles if isinstance(styles, list) else [styles])]
    recipe = make_fast_recipe(chosen, [], settings)
    if len(masks or ()) > len(chosen):
        raise UsageError(f"{len(masks or ())} masks for {len(chosen)} styles: one each at most.")
    given = [*(masks or ()), *[None] * len(chosen)]
    made_of = [
        FastStyle(_load(s.path), s.name, s.weight, None if mask is None else style_mask(mask))
        for s, mask in zip(recipe.styles, given, strict=False)
    ]
    base = Engine(device=device, precision=precision, max_memory=max_memory)
    engine = _engine(base.device, base.dtype, recipe.config.engine == "compile")
    photos = [to_picture(p) for p in (photo if isinstance(photo, list) else [photo])]
    done: dict[int, Image] = {}
    for group in _by_size(photos):
        rgb = torch.cat([photos[i].rgb for i in group])
        with memory_errors_named():
            work = FastStylization(rgb, made_of, recipe.config, engine, base.limits())
            pictures = work.pictures()
        for place, i in enumerate(group):
            one = pictures[place : place + 1]
            done[i] = to_pil(one, alpha_like(photos[i].alpha, one))
    return [done[i] for i in range(len(photos))] if isinstance(photo, list) else done[0]


def _chosen(style: Any) -> Any:
    """A style as given -> TrainedStyle."""
    from dataclasses import replace

    if isinstance(style, tuple):
        if len(style) != 2 or not isinstance(style[1], int | float):
            raise UsageError("A style with a weight is a pair: (style, weight).")
        found = parse_trained(str(style[0]))
        return replace(found, weight=parse_weight(str(style[1]), "a style"))
    return parse_trained(str(style))


def _by_size(photos: Sequence[Picture]) -> list[list[int]]:
    sizes: dict[Any, list[int]] = {}
    for index, picture in enumerate(photos):
        sizes.setdefault(picture.rgb.shape, []).append(index)
    return list(sizes.values())


def _load(path: Path) -> Checkpoint:
    stat = path.stat()
    return _loaded(path.resolve(), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=8)
def _loaded(path: Path, changed: int, size: int) -> Checkpoint:
    return load_checkpoint(path)


@functools.lru_cache(maxsize=4)
def _engine(device: torch.device, dtype: torch.dtype, compiled: bool) -> FastEngine:
    return FastEngine(device, dtype, compiled=compiled)
