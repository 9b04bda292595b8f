"""Settings of neural style transfer."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnnart.config.choices import COLOR_MODES, OPTIMIZERS, STATISTICS, Preset, one_of
from cnnart.errors import UsageError

INITS = ("content", "noise", "picture")

STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}

CONTENT_LAYERS = {"relu4_2": 1.0}


@dataclass(frozen=True)
class StylizeConfig:
    """Settings of neural style transfer (``cnnart stylize``).

    ``strength`` is the one knob most people need: 0 is the photo, 1 is the style alone. The expert
    weights multiply what it chooses, so 1 is always "as usual".
    """

    size: int | tuple[int, int] | None = None  # None: the photo's own size
    strength: float = 0.5
    preset: str = "standard"  # draft | standard | fine: see PRESETS
    optimizer: str = "lbfgs"  # lbfgs | adam
    steps: int | None = None  # evaluations at the largest scale; None: as the preset says
    init: str = "content"  # content | noise | picture (then the picture is given beside the config)
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 1.0
    palette_weight: float = 1.0
    content_layers: dict[str, float] = field(default_factory=lambda: dict(CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(STYLE_LAYERS))
    statistic: str = "covariance"  # covariance | gram | wasserstein
    pooling: str = "max"  # max | avg
    style_scale: float = 1.0  # stroke size relative to the output
    color: str = "style"  # style | keep | luma | histogram
    seed: int = 0


PRESETS: dict[str, Preset] = {
    "draft": Preset((60, 30, 12, 8, 6)),
    "standard": Preset((100, 60, 36, 24, 12)),
    "fine": Preset((200, 200, 120, 60, 30)),
}


def check_config(config: StylizeConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    one_of("preset", config.preset, PRESETS)
    one_of("optimizer", config.optimizer, OPTIMIZERS)
    one_of("statistic", config.statistic, STATISTICS)
    one_of("init", config.init, INITS)
    one_of("color mode", config.color, COLOR_MODES)
    if not 0 <= config.strength <= 1:
        raise UsageError(
            f"Strength {config.strength:g} is out of range: use 0 (photo) to 1 (style)."
        )
    if not 0.05 <= config.style_scale <= 8:
        raise UsageError(f"Style scale {config.style_scale:g} is out of range: use 0.05 to 8.")
    if config.steps is not None and config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
    for name in ("content", "style", "tv", "palette"):
        if getattr(config, f"{name}_weight") < 0:
            raise UsageError(f"The {name} weight must not be negative.")
    if not config.style_layers or not any(w > 0 for w in config.style_layers.values()):
        raise UsageError("No style layer has a positive weight: name at least one, like relu3_1.")
    if any(w < 0 for w in (*config.style_layers.values(), *config.content_layers.values())):
        raise UsageError("Layer weights must not be negative.")
