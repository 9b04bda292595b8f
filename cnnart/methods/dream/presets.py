"""Dreams by name: layers and channels of the embedded VGG-19, found by looking at what they do."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class DreamPreset:
    """What to dream of, and how far to go.

    ``layers``: weights by name; negative ones suppress. ``channels``: of each layer; (): all.
    ``base``: long side of the coarsest octave in pixels: the smaller, the larger what appears.
    ``steps``: at an octave of 1024 pixels; octaves get more as they are smaller. ``stride`` of them
    are taken as one, as long as they together. ``every_octave``: takes the place of both.
    ``step_size`` (in units of [0, 1]) and ``smoothing`` (pixels) as in ``DreamConfig``;
    ``octaves``: None: as many as lead down to ``base``.
    """

    description: str
    layers: dict[str, float]
    channels: tuple[int, ...] = ()
    objective: str = "l2"
    base: int = 192
    steps: int = 4
    stride: float = 1.5
    step_size: float = 0.006
    smoothing: float = 1.0
    octaves: int | None = None
    octave_scale: float = 1.4
    every_octave: int | None = None


def _things(description: str, layer: str, *channels: int) -> DreamPreset:
    """Channels that want to see one kind of thing, raised everywhere, also where nothing is yet.

    They are those that photos of such things excite more than others, four or so of each kind:
    fewer repeat one detail, more lose the thing.
    """
    return DreamPreset(
        description, {layer: 1.0}, channels, objective="mean", base=224, step_size=0.008
    )


DREAMS: dict[str, DreamPreset] = {
    "eyes": DreamPreset(
        "Eyes in everything that is round, fur and scales around them.",
        {"relu4_3": 1.0},
        stride=2.0,
    ),
    "birds": _things("Plumage, feathers, a head with a beak.", "conv5_3", 121, 202, 214, 439),
    "dogs": _things("Dogs: snouts, eyes, ears and coats.", "conv5_3", 177, 405, 415, 456),
    "fur": _things("Tufts of fur.", "conv4_4", 134, 348, 349, 504),
    "leopard": _things("Spotted coats.", "conv5_3", 5, 164, 273, 360),
    "snakes": _things("Coils and scales.", "conv5_3", 225, 263, 466, 490),
    "shells": _things("Spirals and fans of shells.", "conv5_2", 174, 330, 409, 497),
    "flowers": _things("Blossoms among leaves.", "conv5_3", 4, 18, 207, 501),
    "leaves": _things("Leaves and wings.", "conv5_2", 279, 312, 497, 507),
    "berries": _things("Berries, mushrooms, coral.", "conv5_3", 135, 346, 361, 469),
    "architecture": _things("Palaces: arches, windows, domes.", "conv5_3", 296, 406, 461, 499),
    "cars": _things("Bodywork, lamps and wheels.", "conv5_3", 7, 125, 395, 510),
}

# Where a guide's things are still in their places, and no longer only its textures.
GUIDED = DreamPreset("", {"relu5_3": 1.0}, base=224, step_size=0.008)


def find_preset(name: str) -> DreamPreset:
    """The preset of this name. Raises UsageError if there is none."""
    if name not in DREAMS:
        hint = did_you_mean(name, list(DREAMS))
        raise UsageError(f"No dream preset {name!r}.{hint} (cnnart dream --list-presets)")
    return DREAMS[name]
