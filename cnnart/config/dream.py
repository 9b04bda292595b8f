"""Settings of dreams, feature visualization and flights."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.config.choices import COLOR_MODES, one_of
from cnnart.errors import UsageError

DREAM_OBJECTIVES = ("l2", "mean")


@dataclass(frozen=True)
class DreamConfig:
    """Settings of DeepDream (``cnnart dream``).

    What is None is as the preset says (``cnnart.dreaming.presets``).
    """

    size: int | tuple[int, int] | None = None  # None: the photo's own size
    preset: str = "eyes"
    strength: float = 0.5  # how far it goes: 0 is the photo, 0.5 as the preset says, 1 twice that
    layers: dict[str, float] | None = None  # negative weights suppress
    channels: tuple[int, ...] | None = None  # of each layer; (): all
    neuron: tuple[float, float] | None = None  # only the unit there: x, y from 0 (left, top) to 1
    objective: str | None = None  # l2 | mean
    octaves: int | None = None
    octave_scale: float = 1.4
    steps: int | None = None  # at every octave; None: the more, the smaller an octave is
    step_size: float | None = None  # mean change of a pixel's values per step, in [0, 1]
    jitter: int = 32  # pixels
    smoothing: float | None = None  # of the gradient, in pixels; 0: none
    color: str = "style"  # style: the dream's own | keep | luma | histogram
    feather: float = 0.01  # of a mask's border, as a share of the long side
    seed: int = 0


def check_dream_config(config: DreamConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown.

    Names of presets and layers are checked where these are known.
    """
    one_of("color mode", config.color, COLOR_MODES)
    if config.objective is not None:
        one_of("objective", config.objective, DREAM_OBJECTIVES)
    if not 0 <= config.strength <= 1:
        raise UsageError(
            f"Strength {config.strength:g} is out of range: use 0 (photo) to 1 (deep dream)."
        )
    if config.layers is not None and not any(config.layers.values()):
        raise UsageError("No layer has a weight: name at least one, like relu4_3.")
    if config.neuron is not None and not all(0 <= place <= 1 for place in config.neuron):
        raise UsageError("A neuron's place is x,y from 0,0 (top left) to 1,1 (bottom right).")
    if any(channel < 0 for channel in config.channels or ()):
        raise UsageError("Channels count from 0.")
    if not 1.05 <= config.octave_scale <= 4:
        raise UsageError(f"Octave scale {config.octave_scale:g} is out of range: use 1.05 to 4.")
    for name in ("octaves", "steps"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise UsageError(f"{name.capitalize()} must be at least 1, not {value}.")
    for name in ("step_size", "jitter", "smoothing", "feather"):
        if (getattr(config, name) or 0) < 0:
            raise UsageError(f"The {name.replace('_', ' ')} must not be negative.")


@dataclass(frozen=True)
class VisualizeConfig:
    """Settings of feature visualization (``cnnart dream --from noise``, ``--sheet``)."""

    size: int | tuple[int, int] = 128  # a square's side, or (height, width)
    steps: int = 64
    learning_rate: float = 0.1  # Adam's, on the Fourier coefficients
    jitter: float = 8.0  # pixels each way
    scale: float = 0.1  # 10 % smaller to 10 % larger
    rotate: float = 10.0  # degrees each way
    deviation: float = 0.01  # of the coefficients of the noise it starts from
    decay: float = 1.0  # frequencies are scaled by 1 / f ** decay
    selectivity: float = 0.9  # 0: a channel's activation; 1: its share of its layer's
    diversity: float = 0.0  # how much pictures of the same target are to differ; 0: not asked for
    seed: int = 0

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width)"""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def check_visualize_config(config: VisualizeConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    if config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
    if not config.learning_rate > 0:
        raise UsageError(f"The learning rate must be above zero, not {config.learning_rate:g}.")
    for name in ("jitter", "scale", "rotate", "deviation", "decay", "selectivity", "diversity"):
        if getattr(config, name) < 0:
            raise UsageError(f"The {name} must not be negative.")


ANIMATIONS = (".webp", ".gif", ".mp4")


@dataclass(frozen=True)
class FlightConfig:
    """Settings of an animation through a dream (``cnnart dream --frames``)."""

    frames: int = 60
    zoom: float = 1.03  # per frame; 1 stays, below 1 moves away
    rotate: float = 0.0  # degrees per frame, counter-clockwise
    fps: float = 15.0
    loop: bool = False  # the end fades into the beginning while both go on moving
    octaves: int = 2  # of the dream of each frame after the first
    steps: int = 1  # at each of these


def check_flight_config(config: FlightConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    if config.frames < 1:
        raise UsageError(f"Frames must be at least 1, not {config.frames}.")
    if not 0.5 <= config.zoom <= 2:
        raise UsageError(f"Zoom {config.zoom:g} is out of range: use 0.5 to 2 per frame.")
    if not 0 < config.fps <= 100:
        raise UsageError(f"{config.fps:g} frames per second is out of range: use up to 100.")
