"""Settings of training a network for fast style transfer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from cnnart.errors import UsageError
from cnnart.methods.fast.architecture import make_architecture
from cnnart.settings import Settings, check_layers, seed_setting, setting

# How long to train: steps, a batch each.
TRAIN_PRESETS = {"draft": 800, "standard": 5000, "fine": 16000}

STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0}
COARSE_LAYERS = {"relu3_1": 1.0, "relu4_1": 1.0}
CONTENT_LAYERS = {"relu3_1": 1.0}

CROP_MULTIPLE = 16  # pixels
AUTO = "auto"  # for ``batch``

# What settings are called in checkpoints and logs, where that is not their name.
RECORDED_AS = {
    "warmup_steps": "warm_up",
    "max_grad_norm": "clip",
    "ema_decay": "average",
    "small_crop_fraction": "small_share",
}


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of training a transformer network (``cnnart train-style``).

    Weights multiply what calibration chooses, so 1 is always "as usual". Raises UsageError for a
    setting out of its range or unknown.
    """

    arch: str = setting(
        "small", "Network: johnson or small, or varied as in small,blocks=7,widths=32-64."
    )
    preset: str = setting("standard", "How long to train.", choices=tuple(TRAIN_PRESETS))
    steps: int | None = setting(None, "Batches to train on.", low=1, shown="as `preset` says")
    size: int = setting(256, "Side of the crops in pixels, a multiple of 16.", low=64)
    batch: int | str = setting(
        4, "Photos per step, over all processes; auto: as many as the device likes.", low=1
    )
    style_size: int = setting(
        384,
        "Long side of the paintings in pixels: larger paints larger strokes.",
        low=64,
        high=2048,
    )
    strength_range: tuple[float, float] | None = setting(
        (0.2, 1.0), "The weakest and the strongest strength to train; none: 0.5 alone."
    )
    balance: float = setting(
        0.27,
        "Style left over, relative to content changed, to aim at: smaller is more style.",
        above=0,
    )
    content_weight: float = setting(1.0, "Content loss: times what calibration chooses.", low=0)
    style_weight: float = setting(1.0, "Style loss: times what calibration chooses.", low=0)
    palette_weight: float = setting(
        1.0, "Palette loss, for the style's colors: times what calibration chooses.", low=0
    )
    tv_weight: float = setting(1.0, "TV loss, for smoothness: times as usual.", low=0)
    content_layers: dict[str, float] = setting(
        CONTENT_LAYERS, "Layers at which content is compared.", kind="layers", low=0
    )
    style_layers: dict[str, float] = setting(
        STYLE_LAYERS, "Layers at which style is compared.", kind="layers", low=0
    )
    coarse_layers: dict[str, float] = setting(
        COARSE_LAYERS,
        "Layers at which style is compared with the picture at half its size.",
        kind="layers",
        low=0,
    )
    learning_rate: float = setting(5e-3, "Learning rate of Adam.", above=0)
    warmup_steps: int = setting(50, "Steps in which the learning rate rises.", low=1)
    max_grad_norm: float = setting(1.0, "The largest norm of a gradient, clipped to it.", above=0)
    ema_decay: float = setting(
        0.998, "Decay per step of the weights' moving average.", low=0, below=1, what="EMA decay"
    )
    small_crop_fraction: float = setting(
        0.5, "Fraction of the steps, the first, with crops of half the side.", low=0, high=1
    )
    validate_every: int = setting(250, "Steps between validations.", low=1)
    seed: int = seed_setting()

    def __post_init__(self) -> None:
        if isinstance(self.batch, str) and self.batch != AUTO:
            raise UsageError(f"The batch {self.batch!r} is no number: write 4 or {AUTO}.")
        if self.size < 64 or self.size % CROP_MULTIPLE:
            raise UsageError(f"Crops of {self.size} pixels: use a multiple of 16 from 64.")
        super().__post_init__()
        low_high = self.strength_range
        if low_high and not 0 < low_high[0] < low_high[1] <= 1:
            raise UsageError(
                "The strength range is two numbers above 0, up to 1, the smaller first."
            )
        check_layers("style layer", self.style_layers)
        check_layers("content layer", self.content_layers)
        if any(weight < 0 for weight in self.coarse_layers.values()):
            raise UsageError("Layer weights must not be negative.")
        make_architecture(self.arch)

    @property
    def batch_size(self) -> int:
        """Photos per step, which must have been settled if it was to be found."""
        assert isinstance(self.batch, int), "batch auto is settled where memory is known"
        return self.batch

    @property
    def total_steps(self) -> int:
        """Steps to train: as asked for, or as the preset says."""
        return self.steps or TRAIN_PRESETS[self.preset]

    def recorded(self) -> dict[str, Any]:
        """The settings as checkpoints and logs hold them: what JSON gives back."""
        named = {RECORDED_AS.get(name, name): value for name, value in asdict(self).items()}
        return dict(json.loads(json.dumps(named)))
