"""The Python API: the functions that the command line calls, for other programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnart.config import StylizeConfig, check_config
from cnnart.device import pick_device, pick_precision
from cnnart.errors import ImageError, UsageError, did_you_mean
from cnnart.features import FeatureExtractor
from cnnart.image import read_mask, resize, to_picture, to_pil
from cnnart.jobs.memory import guarded, memory_errors_named
from cnnart.jobs.recipe import StyleChoice, choose_style, make_config, parse_weight
from cnnart.optimize import Step
from cnnart.stylization import Limits, StyleImage, Stylization
from cnnart.weights import EMBEDDED, backbone_names, load_vgg
from cnnart.weights.backbones import BACKBONES, layers

if TYPE_CHECKING:
    from PIL.Image import Image

ORIGINAL = {EMBEDDED: "vgg19-oxford"}  # the embedded network has the shape of its original
STARTS = ("content", "noise")


class Stylizer:
    """A network on a device, for any number of pictures; it is loaded by the first.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backbone: one of ``cnnart.weights.backbone_names()``.
        offline: never download weights.
        max_memory: the most bytes a run may take, all included; None: most of what is free.
        time_budget: seconds a picture may take; None: as long as its preset does.
        begun: when the program started (``time.time()``), if the first picture is to count that.

    Raises UsageError for a name that does not exist.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: str = "auto",
        backbone: str = EMBEDDED,
        offline: bool = False,
        max_memory: float | None = None,
        time_budget: float | None = None,
        begun: float | None = None,
    ) -> None:
        if backbone not in backbone_names():
            known = backbone_names()
            raise UsageError(f"Unknown backbone {backbone!r}.{did_you_mean(backbone, known)}")
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.backbone = backbone
        self._offline = offline
        self._memory = None if max_memory is None else int(max_memory)
        self._seconds = time_budget
        self._begun = begun
        self._loaded: dict[str, FeatureExtractor] = {}

    def features(self, pooling: str) -> FeatureExtractor:
        """The network with this pooling, loaded once."""
        if pooling not in self._loaded:
            weights = load_vgg(self.backbone, offline=self._offline)
            self._loaded = {
                pooling: FeatureExtractor(
                    weights, pooling=pooling, device=self.device, dtype=self.dtype
                )
            }
        return self._loaded[pooling]

    def check(self, config: StylizeConfig) -> None:
        """Raise UsageError for what is wrong with the settings, without loading the network."""
        check_config(config)
        known = layer_names(self.backbone)
        for name in [*config.content_layers, *config.style_layers]:
            if name not in known:
                hint = did_you_mean(name, known) or " Names look like relu4_2."
                raise UsageError(f"{self.backbone} has no layer {name!r}.{hint}")

    def begin(
        self,
        photo: Tensor,
        styles: Sequence[StyleImage],
        config: StylizeConfig,
        *,
        init: Tensor | None = None,
    ) -> Stylization:
        """One picture about to be made; see ``Stylization``."""
        self.check(config)
        with memory_errors_named():
            features = self.features(config.pooling)
            return Stylization(photo, styles, config, features, init=init, limits=self._limits())

    def _limits(self) -> Limits:
        """What the next picture may take. The first one's time includes starting up."""
        seconds = self._seconds
        if seconds is not None and self._begun is not None:
            seconds = max(1.0, seconds - (time.time() - self._begun))
            self._begun = None
        return Limits(self._memory, seconds)


def layer_names(backbone: str) -> list[str]:
    """Every layer of a backbone: ``conv1_1``, ``relu1_1``, ..., ``pool5``."""
    convs = [name for name, *_ in layers(BACKBONES[ORIGINAL.get(backbone, backbone)])]
    pools = [f"pool{block}" for block in range(1, 6)]
    return [*convs, *(name.replace("conv", "relu") for name in convs), *pools]


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
        device, precision, backbone, max_memory, time_budget: see ``Stylizer``.
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
    stylizer = Stylizer(
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )
    run = stylizer.begin(picture.rgb, images, config, init=start)
    for step in guarded(run.steps()):
        image = step.image
        if callback is not None and callback(step) is False:
            break
    rgb = run.finish(image)
    return to_pil(rgb, alpha_like(picture.alpha, rgb))


def style_mask(source: Any, *, inverse: bool = False) -> Tensor:
    """A style's mask, ``1x1xHxW``. Raises ImageError if it selects nothing."""
    mask = read_mask(source)
    mask = 1 - mask if inverse else mask
    if float(mask.max()) <= 0:
        name = source if isinstance(source, str | os.PathLike) else "given"
        raise ImageError(f"The mask {name} selects nothing: its style would apply nowhere.")
    return mask


def alpha_like(alpha: Tensor | None, rgb: Tensor) -> Tensor | None:
    """A photo's alpha at the size of its result."""
    return None if alpha is None else resize(alpha, *rgb.shape[-2:])


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
