"""Settings of dreams, feature visualization and flights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cnnart.errors import UsageError
from cnnart.methods.dream.presets import GUIDED, DreamPreset, find_preset
from cnnart.settings import COLOR_MODES, Settings, seed_setting, setting, size_setting

DREAM_OBJECTIVES = ("l2", "mean")

ZOOM_RANGE = (0.5, 2.0)  # of a frame against the one before
MAX_FPS = 100

AS_PRESET = "as the preset says"


@dataclass(frozen=True)
class DreamConfig(Settings):
    """Settings of DeepDream (``cnnart dream``).

    What is None is as the preset says (``cnnart.methods.dream.presets``). Raises UsageError for a
    setting out of its range or unknown; names of layers are checked where the network is known.
    """

    size: int | tuple[int, int] | str | None = size_setting()
    preset: str = setting("eyes", "What to dream of, by name.", metavar="NAME")
    strength: float = setting(
        0.5,
        "How far to go: 0 is the photo, 0.5 as the preset says, 1 twice that.",
        low=0,
        high=1,
        ends=("photo", "deep dream"),
    )
    layers: Mapping[str, float] | None = setting(
        None,
        "Raise the activations of these layers instead; negative weights suppress.",
        kind="layers",
        shown=AS_PRESET,
    )
    channels: tuple[int, ...] | None = setting(
        None, "Raise only these channels of each layer.", kind="channels", shown=AS_PRESET
    )
    neuron: tuple[float, float] | None = setting(
        None,
        "Raise only the unit at this place: 0,0 is the top left, 1,1 the bottom right.",
        metavar="X,Y",
        shown="the units everywhere",
    )
    objective: str | None = setting(
        None,
        "Raise the squares of activations or their means.",
        choices=DREAM_OBJECTIVES,
        shown=AS_PRESET,
    )
    octaves: int | None = setting(
        None,
        "How many sizes the picture passes through, from small to its own.",
        low=1,
        shown="as many as lead down to about 200 pixels",
    )
    octave_scale: float = setting(
        1.4, "How much larger each octave is than the one before.", low=1.05, high=4
    )
    steps: int | None = setting(None, "Steps at each octave.", low=1, shown=AS_PRESET)
    step_size: float | None = setting(
        None,
        "Mean change of a pixel's values in a step, in units of [0, 1].",
        low=0,
        shown=AS_PRESET,
    )
    jitter: int = setting(
        32, "How far the picture is shifted at random before a step, in pixels.", low=0
    )
    smoothing: float | None = setting(
        None,
        "How far the gradient is blurred, in pixels; 0: not at all.",
        low=0,
        high=100,
        shown=AS_PRESET,
    )
    color: str = setting(
        "style",
        "Colors of the dream, or kept from the photo: wholly, by luma, by histogram.",
        choices=COLOR_MODES,
        what="color mode",
    )
    feather: float = setting(
        0.01,
        "How wide a mask's border fades out, as a share of the long side.",
        low=0,
        high=0.5,
    )
    seed: int = seed_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        find_preset(self.preset)
        if self.layers is not None and not any(self.layers.values()):
            raise UsageError("No layer has a weight: name at least one, like relu4_3.")
        if self.neuron is not None and not all(0 <= place <= 1 for place in self.neuron):
            raise UsageError("A neuron's place is x,y from 0,0 (top left) to 1,1 (bottom right).")
        if any(channel < 0 for channel in self.channels or ()):
            raise UsageError("Channels count from 0.")


def resolve_preset(config: DreamConfig, *, guided: bool = False) -> DreamPreset:
    """The config's preset, overridden by what the config itself says.

    A guide takes the preset's place: it says itself what to dream of.

    Layers of one's own come with all their channels unless these are given too: a preset's channel
    numbers mean nothing elsewhere. Their steps are as long as suits the deepest.
    """
    preset = GUIDED if guided else find_preset(config.preset)
    preset = replace(preset, octave_scale=config.octave_scale)
    if config.layers is not None:
        preset = replace(preset, layers=dict(config.layers), channels=(), stride=DreamPreset.stride)
    names = ("channels", "objective", "octaves", "step_size", "smoothing")
    settings = {name: getattr(config, name) for name in names}
    given = {name: value for name, value in settings.items() if value is not None}
    if config.step_size is not None:  # it is the length of a step, whatever the preset's
        given["stride"] = 1.0
    return replace(preset, **given, every_octave=config.steps)


@dataclass(frozen=True)
class VisualizeConfig(Settings):
    """Settings of feature visualization (``cnnart dream --from noise``, ``--sheet``)."""

    size: int | tuple[int, int] | str = setting(
        128, "Side of the square in pixels, or width x height, or as for print.", kind="size"
    )
    steps: int = setting(64, "Steps of gradient ascent.", low=1)
    learning_rate: float = setting(
        0.1, "Adam's learning rate, on the Fourier coefficients.", above=0, what="learning rate"
    )
    jitter: float = setting(8.0, "Random shift each way, in pixels.", low=0)
    scale: float = setting(0.1, "Random scale: 0.1 is 10 % smaller to 10 % larger.", low=0)
    rotate: float = setting(10.0, "Random rotation each way, in degrees.", low=0)
    deviation: float = setting(
        0.01, "Standard deviation of the noise it starts from, in Fourier coefficients.", low=0
    )
    decay: float = setting(1.0, "Frequencies are scaled by 1 / f to this power.", low=0)
    selectivity: float = setting(
        0.9, "0 raises a channel's activation, 1 its share of its layer's.", low=0
    )
    diversity: float = setting(
        0.0, "How much pictures of the same target are to differ; 0: not at all.", low=0
    )
    seed: int = seed_setting()

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width)"""
        if isinstance(self.size, str):
            from cnnart.print_sizes import parse_print_size

            return parse_print_size(self.size).filled(1, 1)
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass(frozen=True)
class FlightConfig(Settings):
    """Settings of an animation through a dream (``cnnart dream --frames``)."""

    frames: int = setting(60, "How many frames to make.", low=1)
    zoom: float = setting(
        1.03,
        "How much each frame comes nearer; 1 stays, less than 1 moves away.",
        low=ZOOM_RANGE[0],
        high=ZOOM_RANGE[1],
    )
    rotate: float = setting(0.0, "How far each frame is rotated counter-clockwise, in degrees.")
    fps: float = setting(15.0, "Frames per second.", above=0, high=MAX_FPS)
    loop: bool = setting(
        False, "Fade the end into the beginning, while both go on moving: no seam in a loop."
    )
    octaves: int = setting(2, "Octaves of the dream of each frame after the first.", low=1)
    steps: int = setting(1, "Steps at each of these octaves.", low=1)

    def __post_init__(self) -> None:
        # Said here because the general sentence does not say of what these are.
        if not ZOOM_RANGE[0] <= self.zoom <= ZOOM_RANGE[1]:
            least, most = ZOOM_RANGE
            raise UsageError(
                f"Zoom {self.zoom:g} is out of range: use {least:g} to {most:g} per frame."
            )
        if not 0 < self.fps <= MAX_FPS:
            raise UsageError(
                f"{self.fps:g} frames per second is out of range: use up to {MAX_FPS}."
            )
        super().__post_init__()
