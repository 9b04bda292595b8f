"""The settings of each method, and the only place where a default is written.

A size is the long side of a picture in pixels unless it is a ``(height, width)`` pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnnart.errors import UsageError, did_you_mean

COARSEST = 96  # the first scale's long side is at least this
SMALLEST_SIDE = 16  # below it the network has nothing left to see at relu5_1

OPTIMIZERS = ("lbfgs", "adam")
STATISTICS = ("covariance", "gram", "wasserstein")
POOLINGS = ("max", "avg")
COLOR_MODES = ("style", "keep", "luma", "histogram")
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


@dataclass(frozen=True)
class Preset:
    """How much work to spend: evaluations per scale, from the coarsest to the finest.

    Scales beyond the last entry get as many as that.
    """

    evaluations: tuple[int, ...]


PRESETS: dict[str, Preset] = {
    "draft": Preset((60, 30, 12, 8, 6)),
    "standard": Preset((100, 60, 36, 24, 12)),
    "fine": Preset((200, 200, 120, 60, 30)),
}


def check_config(config: StylizeConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    _one_of("preset", config.preset, PRESETS)
    _one_of("optimizer", config.optimizer, OPTIMIZERS)
    _one_of("statistic", config.statistic, STATISTICS)
    _one_of("init", config.init, INITS)
    _one_of("color mode", config.color, COLOR_MODES)
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


def _one_of(what: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    if value not in known:
        hint = did_you_mean(value, list(known))
        raise UsageError(f"Unknown {what} {value!r}: use {', '.join(known)}.{hint}")
