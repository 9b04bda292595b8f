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
TEXTURE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}

TEXTURE_METHODS = ("auto", "gram", "quilting", "efros-leung")
TILEABLE = ("none", "x", "y", "both")


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
    _one_of("color mode", config.color, COLOR_MODES)
    if config.objective is not None:
        _one_of("objective", config.objective, DREAM_OBJECTIVES)
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


@dataclass(frozen=True)
class TextureConfig:
    """Settings of texture synthesis (``cnnart texture``), by a network or by patches.

    A texture keeps its exemplar's own pixel scale, whatever the size of the result: ``scale`` 2
    shows everything twice as large.
    """

    size: int | tuple[int, int] | None = None  # None: twice the exemplar's sides
    method: str = "auto"  # auto | gram | quilting | efros-leung
    tileable: str = "none"  # none | x | y | both: the axes along which the result repeats
    scale: float = 1.0  # size of the texture's features relative to the exemplar's
    seed: int = 0
    # gram: the neural method
    preset: str = "standard"  # draft | standard | fine: see TEXTURE_PRESETS
    statistic: str = "gram"  # gram | covariance | wasserstein
    layers: dict[str, float] = field(default_factory=lambda: dict(TEXTURE_LAYERS))
    pooling: str = "max"  # max | avg
    optimizer: str = "lbfgs"  # lbfgs | adam
    steps: int | None = None  # evaluations at the largest scale; None: as the preset says
    palette_weight: float = 1.0
    histogram: bool = True  # give the finished picture exactly the exemplar's colours
    # the patch methods
    patch: int | None = None  # side of a patch, or of a neighbourhood; None: chosen by its size
    guide_weight: float = 1.0  # of the guide map; 0 ignores it


TEXTURE_PRESETS: dict[str, Preset] = {
    "draft": Preset((60, 30, 15, 10, 8)),
    "standard": Preset((150, 100, 60, 30, 15)),
    "fine": Preset((300, 300, 200, 100, 50)),
}


def check_texture_config(config: TextureConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    _one_of("method", config.method, TEXTURE_METHODS)
    _one_of("tileable", config.tileable, TILEABLE)
    _one_of("preset", config.preset, TEXTURE_PRESETS)
    _one_of("statistic", config.statistic, STATISTICS)
    _one_of("pooling", config.pooling, POOLINGS)
    _one_of("optimizer", config.optimizer, OPTIMIZERS)
    if not 0.05 <= config.scale <= 20:
        raise UsageError(f"Scale {config.scale:g} is out of range: use 0.05 to 20.")
    if config.steps is not None and config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
    if config.patch is not None and config.patch < 3:
        raise UsageError(f"A patch of {config.patch} pixels is too small: 3 at least.")
    for name in ("palette", "guide"):
        if getattr(config, f"{name}_weight") < 0:
            raise UsageError(f"The {name} weight must not be negative.")
    if not any(w > 0 for w in config.layers.values()):
        raise UsageError("No layer has a positive weight: name at least one, like relu3_1.")
    if any(w < 0 for w in config.layers.values()):
        raise UsageError("Layer weights must not be negative.")


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
    _one_of("recipe", config.recipe, CLASS_RECIPES)
    if config.steps is not None and config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")


@dataclass(frozen=True)
class TrainPreset:
    """How long to train: steps of a batch each."""

    steps: int


TRAIN_PRESETS: dict[str, TrainPreset] = {
    "draft": TrainPreset(800),
    "standard": TrainPreset(5000),
    "fine": TrainPreset(16000),
}

FAST_STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0}
FAST_CONTENT_LAYERS = {"relu4_1": 1.0}


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
    balance: float = 0.25  # style left over content changed, that calibration aims at
    content_weight: float = 1.0
    style_weight: float = 1.0
    palette_weight: float = 1.0
    tv_weight: float = 1.0
    content_layers: dict[str, float] = field(default_factory=lambda: dict(FAST_CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(FAST_STYLE_LAYERS))
    learning_rate: float = 2e-3
    warm_up: int = 50  # steps
    clip: float = 1.0  # the largest norm of a gradient
    average: float = 0.998  # of the weights, per step (EMA)
    small_share: float = 0.3  # of the steps, with crops of half the side, first
    validate_every: int = 250  # steps
    seed: int = 0


def check_train_config(config: TrainConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown; ``arch`` is checked elsewhere."""
    _one_of("preset", config.preset, TRAIN_PRESETS)
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
    for layers in (config.style_layers, config.content_layers):
        if not any(w > 0 for w in layers.values()) or any(w < 0 for w in layers.values()):
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
    _one_of("color mode", config.color, COLOR_MODES)
    _one_of("engine", config.engine, FAST_ENGINES)
    if not 0 <= config.strength <= 1:
        raise UsageError(
            f"Strength {config.strength:g} is out of range: use 0 (photo) to 1 (style)."
        )
    if not 0.25 <= config.stroke <= 4:
        raise UsageError(f"Stroke {config.stroke:g} is out of range: use 0.25 to 4.")


def _one_of(what: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    if value not in known:
        hint = did_you_mean(value, list(known))
        raise UsageError(f"Unknown {what} {value!r}: use {', '.join(known)}.{hint}")
