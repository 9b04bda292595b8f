"""The Python API: the functions that the command line calls, for other programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnart.config import StylizeConfig, check_config
from cnnart.engine import Engine
from cnnart.errors import ImageError, UsageError
from cnnart.image import read_mask, to_picture, to_pil
from cnnart.jobs.memory import last_image, memory_errors_named
from cnnart.jobs.recipe import StyleChoice, choose_style, make_config, parse_weight
from cnnart.jobs.writing import alpha_like
from cnnart.optimize import Step
from cnnart.stylization import StyleImage, Stylization
from cnnart.weights import EMBEDDED

if TYPE_CHECKING:
    from PIL.Image import Image

STARTS = ("content", "noise")


def check_settings(engine: Engine, config: StylizeConfig) -> None:
    """Raise UsageError for what is wrong with the settings, without loading the network."""
    check_config(config)
    engine.check_layers([*config.content_layers, *config.style_layers])


def begin(
    engine: Engine,
    photo: Tensor,
    styles: Sequence[StyleImage],
    config: StylizeConfig,
    *,
    init: Tensor | None = None,
) -> Stylization:
    """One picture about to be made; see ``Stylization``."""
    check_settings(engine, config)
    with memory_errors_named():
        features = engine.features(config.pooling)
        return Stylization(photo, styles, config, features, init=init, limits=engine.limits())


def stylize(
    photo: Any,
    styles: Any,
    *,
    callback: Callable[[Step], object] | None = None,
    masks: Sequence[Any] | None = None,
    init: Any = None,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = EMBEDDED,
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Image:
    """Paint a photo in one style or a blend of several.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]).
        styles: one or a list of: the like, the name of a built-in style, or a (style, weight) pair.
        callback: called with each ``Step``; returning False stops early and keeps the picture.
        masks: for each style a picture of where it applies (white) over the photo, or None.
        init: what to start from: ``content``, ``noise`` or a picture.
        device, precision, backbone, max_memory, time_budget: see ``Engine``.
        settings: the fields of ``StylizeConfig``: ``strength=0.7``, ``size=512`` (the long side, or
            a (height, width) pair), ...

    Returns an RGB image, RGBA if the photo has alpha. Raises CnnartError with one clear line.
    """
    pairs = [_style_pair(style) for style in _as_list(styles)]
    if not pairs or len(masks or ()) > len(pairs):
        raise UsageError(f"{len(masks or ())} masks for {len(pairs)} styles: one each at most.")
    recommended = [s.settings if isinstance(s, StyleChoice) else {} for s, _ in pairs]
    start = None if init is None or init in STARTS else to_picture(init).rgb
    settings["init"] = init if start is None else "picture"
    config = make_config(recommended, settings)
    picture = to_picture(photo)
    images = [
        StyleImage(
            to_picture(style.path if isinstance(style, StyleChoice) else style).rgb,
            weight,
            None if mask is None else style_mask(mask),
        )
        for (style, weight), mask in zip(pairs, _padded(masks, len(pairs)), strict=True)
    ]
    engine = Engine(
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )
    run = begin(engine, picture.rgb, images, config, init=start)
    rgb = run.finish(last_image(run.steps(), callback))
    return to_pil(rgb, alpha_like(picture.alpha, rgb))


def style_mask(source: Any, *, inverse: bool = False) -> Tensor:
    """A style's mask, ``1x1xHxW``. Raises ImageError if it selects nothing."""
    mask = read_mask(source)
    mask = 1 - mask if inverse else mask
    if float(mask.max()) <= 0:
        name = source if isinstance(source, str | os.PathLike) else "given"
        raise ImageError(f"The mask {name} selects nothing: its style would apply nowhere.")
    return mask


def _as_list(styles: Any) -> list[Any]:
    """One style, a (style, weight) pair or several of either -> a list."""
    if isinstance(styles, tuple) and not _is_pair(styles):
        return list(styles)
    return styles if isinstance(styles, list) else [styles]


def _is_pair(style: Any) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], int | float)


def _style_pair(style: Any) -> tuple[Any, float]:
    """A style as given -> (StyleChoice or picture, weight)."""
    weight = 1.0
    if isinstance(style, tuple):
        if not _is_pair(style):
            raise UsageError("A style with a weight is a pair: (style, weight).")
        style, weight = style[0], parse_weight(str(style[1]), "a style")
    return (choose_style(style) if isinstance(style, str | os.PathLike) else style), weight


def _padded(masks: Sequence[Any] | None, count: int) -> list[Any]:
    return [*(masks or ()), *[None] * (count - len(masks or ()))]
