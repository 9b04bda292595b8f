"""Settings of the ``inspect`` commands."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.config.choices import SMALLEST_SIDE, one_of
from cnnart.errors import UsageError

SALIENCY_METHODS = (
    "gradient",
    "guided-backprop",
    "smoothgrad",
    "integrated-gradients",
    "grad-cam",
)


@dataclass(frozen=True)
class SaliencyConfig:
    """Settings of saliency maps (``cnnart inspect saliency``)."""

    samples: int = 24  # noisy copies that smoothgrad averages over
    noise: float = 0.15  # their deviation; pictures span [0, 1]
    steps: int = 32  # of the integral of integrated-gradients
    seed: int = 0


def check_saliency_config(config: SaliencyConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    for name in ("samples", "steps"):
        if (value := getattr(config, name)) < 1:
            raise UsageError(f"{name.capitalize()} must be at least 1, not {value}.")
    if not 0 <= config.noise <= 1:
        raise UsageError(f"Noise {config.noise:g} is out of range: use 0 to 1.")


@dataclass(frozen=True)
class FoolConfig:
    """Settings of fooling pictures (``cnnart inspect fool``)."""

    confidence: float = 0.9  # the probability that the chosen class must reach
    steps: int = 40  # evaluations of the network, forward and backward
    step: float = 0.2  # the first steps' root mean square, in levels of 255
    turn: float = 0.5  # later steps, as a share of the change
    adjust: float = 0.1  # how fast the change shrinks where it fools, and grows where it does not


def check_fool_config(config: FoolConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    if not 0 < config.confidence < 1:
        raise UsageError(
            f"Confidence {config.confidence:g} is out of range: use more than 0, less than 1."
        )
    if config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")


EMBED_METHODS = ("tsne", "pca")

EMBED_LAYOUTS = ("grid", "free")

INVERT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@dataclass(frozen=True)
class FiltersConfig:
    """Settings of ``cnnart inspect filters``.

    ``layer``: a convolution; None: the first. ``channels``: of it; None: all of the first layer's,
    16 of a deeper one's. ``slices``: input channels of each that are shown.
    """

    layer: str | None = None
    channels: tuple[int, ...] | None = None
    slices: int = 64


@dataclass(frozen=True)
class PatchesConfig:
    """Settings of maximally activating patches (``cnnart inspect patches``).

    ``layer`` None: the deepest one whose units do not see the whole picture. ``per_picture``:
    patches of a channel that one picture may give. ``size``: long side that pictures are shrunk to.
    """

    layer: str | None = None
    channels: tuple[int, ...] | None = None  # None: the first 16
    top: int = 9
    per_picture: int = 1
    size: int = 512


def check_patches_config(config: PatchesConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    if config.channels is not None and not config.channels:
        raise UsageError("No channel: name at least one, like --channels 0-15.")
    for name, value in (("top", config.top), ("per picture", config.per_picture)):
        if value < 1:
            raise UsageError(f"The number of patches ({name}) must be at least 1, not {value}.")
    if config.size < SMALLEST_SIDE:
        raise UsageError(f"Size {config.size} is too small: {SMALLEST_SIDE} pixels at least.")


@dataclass(frozen=True)
class NeighborsConfig:
    """Settings of ``cnnart inspect neighbors``: how many neighbours of each query."""

    count: int = 6


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of ``cnnart inspect embed``.

    ``thumb``: long side of a thumbnail in pixels; None: what fits. ``size``: of the map.
    """

    method: str = "tsne"  # tsne | pca
    layout: str = "grid"  # grid | free
    perplexity: float = 30.0
    size: int = 1600
    thumb: int | None = None


@dataclass(frozen=True)
class InvertConfig:
    """Settings of feature inversion (``cnnart inspect invert``). ``size``: long side."""

    layers: tuple[str, ...] | None = None  # None: INVERT_LAYERS, or five of the network's own
    size: int = 224
    steps: int = 100  # evaluations for each layer
    tv_weight: float = 1.0  # times as usual
    gram: bool = False
    seed: int = 0


def check_invert_config(config: InvertConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    if config.layers is not None and not any(config.layers):
        raise UsageError("No layer: name at least one, like --layers relu3_1.")
    if config.size < SMALLEST_SIDE:
        raise UsageError(f"Size {config.size} is too small: {SMALLEST_SIDE} pixels at least.")
    if config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
    if config.tv_weight < 0:
        raise UsageError("The tv weight must not be negative.")


CLASS_RECIPES = ("fourier", "yosinski", "simonyan")


@dataclass(frozen=True)
class ClassModelConfig:
    """Settings of class visualization (``cnnart inspect class-model``)."""

    recipe: str = "fourier"
    steps: int | None = None  # None: as the recipe says
    seed: int = 0


def check_class_model_config(config: ClassModelConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    one_of("recipe", config.recipe, CLASS_RECIPES)
    if config.steps is not None and config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
