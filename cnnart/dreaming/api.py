"""``cnnart.dream``: what the command line does, for other programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnart.api import style_mask
from cnnart.config import DreamConfig, check_dream_config
from cnnart.dreaming.dream import Dream
from cnnart.dreaming.presets import settle
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.image import to_picture, to_pil
from cnnart.jobs.dreaming import make_dream_config
from cnnart.jobs.memory import last_image, memory_errors_named
from cnnart.jobs.writing import alpha_like
from cnnart.optimize import Step
from cnnart.weights import EMBEDDED, backbone_names

if TYPE_CHECKING:
    from PIL.Image import Image


def dream(
    photo: Any,
    *,
    guide: Any = None,
    mask: Any = None,
    callback: Callable[[Step], object] | None = None,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = EMBEDDED,
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Image:
    """Let a network paint what it sees into a photo.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]).
        guide: the like: dream of what is in this picture.
        mask: the like: dream only where it is white.
        callback: called with each ``Step``; returning False stops early and keeps the picture.
        device, precision, backbone, max_memory, time_budget: see ``cnnart.engine.Engine``.
        settings: the fields of ``DreamConfig``: ``preset="eyes"``, ``layers={"relu3_3": 1}``, ...

    Returns an RGB image, RGBA if the photo has alpha. Raises CnnartError with one clear line.
    """
    config = make_dream_config(settings)
    picture = to_picture(photo)
    engine = Engine(
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )
    run = begin_dream(
        engine,
        picture.rgb,
        config,
        guide=None if guide is None else to_picture(guide).rgb,
        mask=None if mask is None else style_mask(mask),
    )
    rgb = run.finish(last_image(run.steps(), callback))
    return to_pil(rgb, alpha_like(picture.alpha, rgb))


def begin_dream(
    engine: Engine,
    photo: Tensor,
    config: DreamConfig,
    *,
    guide: Tensor | None = None,
    mask: Tensor | None = None,
) -> Dream:
    """One picture about to be made; see ``Dream``."""
    check_dream(engine, config)
    with memory_errors_named():
        network = engine.network()
        return Dream(photo, config, network, guide=guide, mask=mask, limits=engine.limits())


def check_dream(engine: Engine, config: DreamConfig) -> None:
    """Raise UsageError for what is wrong with the settings, as far as that is known so early.

    The layers of a VGG are known by its name; those of other networks only when it is loaded.
    """
    check_dream_config(config)
    layers = list(settle(config).layers)
    if engine.backbone in backbone_names():
        engine.check_layers(layers)
    elif config.layers is None:
        raise UsageError(
            f"Presets are layers of {EMBEDDED}: with --backbone {engine.backbone} name a --layer "
            f"(`cnnart inspect layers {engine.backbone}` lists them)."
        )
