"""Settings of the ``inspect`` commands."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError
from cnnart.settings import SMALLEST_SIDE, Settings, seed_setting, setting

SALIENCY_METHODS = (
    "gradient",
    "guided-backprop",
    "smoothgrad",
    "integrated-gradients",
    "grad-cam",
)
EMBED_METHODS = ("tsne", "pca")
EMBED_LAYOUTS = ("grid", "free")
CLASS_RECIPES = ("fourier", "yosinski", "simonyan")
LOCALIZE_METHODS = ("cam", "occlusion")


@dataclass(frozen=True)
class FiltersConfig(Settings):
    """Settings of ``cnnart inspect filters``.

    ``layer``: a convolution; None: the first. ``channels``: of it; None: all of the first layer's,
    16 of a deeper one's.
    """

    layer: str | None = setting(
        None,
        "A convolution; `cnnart inspect layers BACKBONE` lists them.",
        metavar="NAME",
        shown="the first",
    )
    channels: tuple[int, ...] | None = setting(
        None,
        "Which kernels.",
        kind="channels",
        metavar="0-63,70",
        shown="all of the first layer, 16 of a deeper one",
    )
    slices: int = setting(64, "Input channels of a deeper layer that are shown.", low=1)


@dataclass(frozen=True)
class PatchesConfig(Settings):
    """Settings of maximally activating patches (``cnnart inspect patches``).

    ``layer`` None: the deepest one whose units depend on a part of the picture only. ``channels``
    None: the first 16. ``size``: larger pictures are shrunk to this long side.
    """

    layer: str | None = setting(
        None,
        "The layer.",
        metavar="NAME",
        shown="the deepest one whose units see a part of the picture",
    )
    channels: tuple[int, ...] | None = setting(
        None,
        "Which channels of the layer.",
        kind="channels",
        metavar="0-15,70",
        shown="the first 16",
    )
    top: int = setting(9, "Patches of each channel.", low=1, what="the number of patches (top)")
    per_picture: int = setting(
        1,
        "At most so many of a channel from one picture.",
        low=1,
        what="the number of patches (per picture)",
    )
    size: int = setting(
        512,
        "Long side in pixels that larger pictures are shrunk to.",
        kind="size",
        low=SMALLEST_SIDE,
    )

    def __post_init__(self) -> None:
        if self.channels is not None and not self.channels:
            raise UsageError("No channel: name at least one, like `channels` 0-15.")
        super().__post_init__()


@dataclass(frozen=True)
class NeighborsConfig(Settings):
    """Settings of ``cnnart inspect neighbors``."""

    count: int = setting(6, "Neighbors of each query.", low=1)


@dataclass(frozen=True)
class EmbedConfig(Settings):
    """Settings of ``cnnart inspect embed``. ``thumb`` None: what fits."""

    method: str = setting("tsne", "How features become places.", choices=EMBED_METHODS)
    layout: str = setting(
        "grid",
        "Each picture in a cell of its own, or where its features put it.",
        choices=EMBED_LAYOUTS,
    )
    perplexity: float = setting(30.0, "Perplexity of t-SNE: about how many neighbors count.", low=1)
    size: int = setting(1600, "Side of the map in pixels.", low=64)
    thumb: int | None = setting(
        None, "Long side of a thumbnail of a free layout, in pixels.", low=4, shown="what fits"
    )
    seed: int = seed_setting()


@dataclass(frozen=True)
class SaliencyConfig(Settings):
    """Settings of saliency maps (``cnnart inspect saliency``)."""

    samples: int = setting(24, "Noisy copies that smoothgrad averages over.", low=1)
    noise: float = setting(
        0.15, "Deviation of smoothgrad's noise; pictures span 0 to 1.", low=0, high=1
    )
    steps: int = setting(32, "Steps of the integral of integrated-gradients.", low=1)
    seed: int = seed_setting()


@dataclass(frozen=True)
class ClassModelConfig(Settings):
    """Settings of class visualization (``cnnart inspect class-model``)."""

    recipe: str = setting(
        "fourier",
        "What keeps the noise away: a Fourier basis and random transforms; blur and clipping; L2 "
        "only.",
        choices=CLASS_RECIPES,
    )
    steps: int | None = setting(
        None, "Steps of gradient ascent.", low=1, shown="as the recipe says"
    )
    seed: int = seed_setting()


@dataclass(frozen=True)
class FoolConfig(Settings):
    """Settings of fooling pictures (``cnnart inspect fool``).

    The last three belong to the optimizer: ``step``: the first steps' root mean square, in levels
    of 255; ``turn``: later steps, as a share of the change; ``adjust``: how fast the change shrinks
    where it fools, and grows where it does not.
    """

    confidence: float = setting(0.9, "The probability that the class must reach.", above=0, below=1)
    steps: int = setting(40, "Evaluations of the network, forward and backward.", low=1)
    step: float = 0.2
    turn: float = 0.5
    adjust: float = 0.1


@dataclass(frozen=True)
class InvertConfig(Settings):
    """Settings of feature inversion (``cnnart inspect invert``).

    ``layers`` None: relu1_1 to relu5_1, or five of the network's own.
    """

    layers: tuple[str, ...] | None = setting(
        None,
        "Which layers, in this order.",
        metavar="LAYER,...",
        shown="relu1_1 to relu5_1, or five of the network's",
    )
    size: int = setting(224, "Long side in pixels.", kind="size", low=SMALLEST_SIDE)
    steps: int = setting(100, "Iterations for each layer.", low=1)
    tv_weight: float = setting(1.0, "Smoothness: times as usual.", low=0)
    gram: bool = setting(False, "From Gram matrices: of each layer and those before it.")
    seed: int = seed_setting()

    def __post_init__(self) -> None:
        if self.layers is not None and not any(self.layers):
            raise UsageError("No layer: name at least one, like `layers` relu3_1.")
        super().__post_init__()


@dataclass(frozen=True)
class LocalizeConfig(Settings):
    """Settings of ``cnnart inspect localize``. ``threshold`` None: the method's own."""

    method: str = setting(
        "cam",
        "The class's activation map, or what hiding each place costs (slower).",
        choices=LOCALIZE_METHODS,
    )
    threshold: float | None = setting(
        None,
        "The box is around the map's largest region above this share of its maximum.",
        above=0,
        below=1,
        shown="0.3 for cam, 0.1 for occlusion",
    )


@dataclass(frozen=True)
class DetectConfig(Settings):
    """Settings of ``cnnart inspect detect``."""

    score: float = setting(0.5, "Leave out what is less sure than this (0 to 1).", low=0, high=1)
    most: int = setting(100, "At most so many boxes on a photo, the surest.", low=1)
