"""``cnnart inspect``: a table of commands that look into a network."""

from __future__ import annotations

import click

from cnnart.cli.lazy import LazyGroup

HOME = "cnnart.cli.inspect"
# name: (module, the line shown by `cnnart inspect --help`). Kept here so that help imports nothing.
COMMANDS = {
    "layers": (f"{HOME}.layers", "List a network's layers: shapes and receptive fields."),
    "classify": (f"{HOME}.classify", "Name what is on photos; the accuracy on labelled ones."),
    "filters": (f"{HOME}.filters", "Show the kernels of a layer, and what they find in a photo."),
    "patches": (f"{HOME}.patches", "Find the patches of a folder that excite a channel most."),
    "neighbors": (f"{HOME}.neighbors", "Find the nearest pictures, by features and by pixels."),
    "embed": (f"{HOME}.embed", "Draw a map of a folder: PCA and t-SNE of its features."),
    "occlusion": (f"{HOME}.occlusion", "Slide a grey square over a photo and watch a score."),
    "saliency": (f"{HOME}.saliency", "Show which pixels a score depends on."),
    "class-model": (f"{HOME}.class_model", "Draw what a network takes for a class."),
    "fool": (f"{HOME}.fool", "Change a photo invisibly until it is taken for something else."),
    "invert": (f"{HOME}.invert", "Reconstruct a photo from the features of each layer."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def inspect() -> None:
    """Look into a network: what its layers see, what it depends on, what it wants.

    \b
    Start with:  cnnart inspect classify PHOTO
                 cnnart inspect layers efficientnet-lite0
    """
