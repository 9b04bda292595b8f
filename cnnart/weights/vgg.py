"""Loading a VGG by name."""

from __future__ import annotations

from cnnart.errors import UsageError, did_you_mean
from cnnart.files import is_file
from cnnart.weights.backbones import BACKBONES, EMBEDDED, VGGWeights, backbone_names
from cnnart.weights.embedded import embedded_vgg19


def load_vgg(name: str = EMBEDDED, *, offline: bool = False) -> VGGWeights:
    """The network called ``name``: embedded, else from the user's cache, else by torchvision.

    The embedded one is the Oxford VGG-19; its activations here are the original's divided by 255.
    With ``offline`` (or CNNART_OFFLINE=1) nothing is downloaded. Raises UsageError for an unknown
    name, WeightsError when the weights are missing or damaged.
    """
    if name == EMBEDDED:
        return embedded_vgg19()
    if name not in BACKBONES:
        known = backbone_names()
        raise UsageError(
            f"Unknown network {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
        )
    # Only here: the embedded network needs nothing of what downloads and imports take.
    from cnnart.weights.cache import cached_path, load_cached
    from cnnart.weights.store import fetch

    if not is_file(cached_path(name)):
        fetch(name, offline=offline)
    return load_cached(BACKBONES[name])
