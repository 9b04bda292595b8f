"""The settings of each method, and the only place where a default is written.

A size is the long side of a picture in pixels unless it is a ``(height, width)`` pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COARSEST = 128  # the first scale's long side is at least this
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
