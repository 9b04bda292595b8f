"""Settings of feedforward networks: their training and their use."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnnart.config.choices import COLOR_MODES, one_of
from cnnart.errors import UsageError


@dataclass(frozen=True)
class TrainPreset:
    """How long to train: steps of a batch each."""

    steps: int


TRAIN_PRESETS: dict[str, TrainPreset] = {
    "draft": TrainPreset(800),
    "standard": TrainPreset(5000),
    "fine": TrainPreset(16000),
}

FAST_STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0}

FAST_COARSE_LAYERS = {"relu3_1": 1.0, "relu4_1": 1.0}

FAST_CONTENT_LAYERS = {"relu3_1": 1.0}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of training a transformer network (``cnnart train-style``).

    Weights multiply what calibration chooses, so 1 is always "as usual".
    """

    arch: str = "small"  # or a variation, see cnnart.fast.architecture
    preset: str = "standard"  # draft | standard | fine: see TRAIN_PRESETS
    steps: int | None = None  # None: as the preset says
    size: int = 256  # side of a crop in pixels
    batch: int = 4  # photos per step, over all processes
    style_size: int = 384  # long side of the paintings: larger paints larger strokes
    strength_range: tuple[float, float] | None = (0.2, 1.0)  # None: 0.5 alone
    balance: float = 0.32  # style left over content changed, that calibration aims at
    content_weight: float = 1.0
    style_weight: float = 1.0
    palette_weight: float = 1.0
    tv_weight: float = 1.0
    content_layers: dict[str, float] = field(default_factory=lambda: dict(FAST_CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(FAST_STYLE_LAYERS))
    coarse_layers: dict[str, float] = field(default_factory=lambda: dict(FAST_COARSE_LAYERS))
    learning_rate: float = 5e-3
    warm_up: int = 50  # steps
    clip: float = 1.0  # the largest norm of a gradient
    average: float = 0.998  # of the weights, per step (EMA)
    small_share: float = 0.5  # of the steps, with crops of half the side, first
    validate_every: int = 250  # steps
    seed: int = 0


def check_train_config(config: TrainConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown; ``arch`` is checked elsewhere."""
    one_of("preset", config.preset, TRAIN_PRESETS)
    for name in ("steps", "batch", "warm_up", "validate_every"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise UsageError(f"{name.replace('_', ' ').capitalize()} must be at least 1.")
    if config.size < 64 or config.size % 16:
        raise UsageError(f"Crops of {config.size} pixels: use a multiple of 16 from 64.")
    if not 64 <= config.style_size <= 2048:
        raise UsageError(f"Style size {config.style_size} is out of range: use 64 to 2048.")
    for name in ("balance", "learning_rate", "clip"):
        if not getattr(config, name) > 0:
            raise UsageError(f"The {name.replace('_', ' ')} must be above zero.")
    for name in ("content", "style", "palette", "tv"):
        if getattr(config, f"{name}_weight") < 0:
            raise UsageError(f"The {name} weight must not be negative.")
    if not 0 <= config.average < 1 or not 0 <= config.small_share <= 1:
        raise UsageError("The average and the small share are from 0 to 1.")
    if config.strength_range and not 0 < config.strength_range[0] < config.strength_range[1] <= 1:
        raise UsageError("The strength range is two numbers above 0, up to 1, the smaller first.")
    needed = config.style_layers, config.content_layers
    weights = [w for layers in (*needed, config.coarse_layers) for w in layers.values()]
    missing = any(max(layers.values(), default=0) <= 0 for layers in needed)
    if missing or any(w < 0 for w in weights):
        raise UsageError("Layer weights must not be negative, and one must be positive.")


FAST_ENGINES = ("eager", "compile")


@dataclass(frozen=True)
class FastConfig:
    """Settings of fast style transfer (``cnnart fast-stylize``)."""

    size: int | tuple[int, int] | None = None  # None: the photo's own size
    strength: float = 0.5  # 0: the photo, 1: the style
    stroke: float = 1.0  # stroke size relative to how the style was trained
    color: str = "style"  # style | keep | luma | histogram
    engine: str = "eager"  # eager | compile


def check_fast_config(config: FastConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    one_of("color mode", config.color, COLOR_MODES)
    one_of("engine", config.engine, FAST_ENGINES)
    if not 0 <= config.strength <= 1:
        raise UsageError(
            f"Strength {config.strength:g} is out of range: use 0 (photo) to 1 (style)."
        )
    if not 0.25 <= config.stroke <= 4:
        raise UsageError(f"Stroke {config.stroke:g} is out of range: use 0.25 to 4.")
