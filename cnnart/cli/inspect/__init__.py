"""``cnnart inspect``: a table of commands that look into a network."""

from __future__ import annotations

import click

from cnnart.cli.group import LazyGroup


def _layers() -> click.Command:
    from cnnart.cli.inspect.layers import layers

    return layers


def _classify() -> click.Command:
    from cnnart.cli.inspect.classify import classify

    return classify


def _filters() -> click.Command:
    from cnnart.cli.inspect.filters import filters

    return filters


def _patches() -> click.Command:
    from cnnart.cli.inspect.patches import patches

    return patches


def _neighbors() -> click.Command:
    from cnnart.cli.inspect.neighbors import neighbors

    return neighbors


def _embed() -> click.Command:
    from cnnart.cli.inspect.embed import embed

    return embed


def _occlusion() -> click.Command:
    from cnnart.cli.inspect.occlusion import occlusion

    return occlusion


def _localize() -> click.Command:
    from cnnart.cli.inspect.localize import localize

    return localize


def _detect() -> click.Command:
    from cnnart.cli.inspect.detect import detect

    return detect


def _segment() -> click.Command:
    from cnnart.cli.inspect.segment import segment

    return segment


def _saliency() -> click.Command:
    from cnnart.cli.inspect.saliency import saliency

    return saliency


def _class_model() -> click.Command:
    from cnnart.cli.inspect.class_model import class_model

    return class_model


def _fool() -> click.Command:
    from cnnart.cli.inspect.fool import fool

    return fool


def _invert() -> click.Command:
    from cnnart.cli.inspect.invert import invert

    return invert


# name: (what imports it, its line in `cnnart inspect --help`). Kept here so that help imports
# nothing.
COMMANDS = {
    "layers": (_layers, "List a network's layers: shapes and receptive fields."),
    "classify": (_classify, "Name what is on photos; the accuracy on labelled ones."),
    "filters": (_filters, "Show the kernels of a layer, and what they find in a photo."),
    "patches": (_patches, "Find the patches of a folder that excite a channel most."),
    "neighbors": (_neighbors, "Find the nearest pictures, by features and by pixels."),
    "embed": (_embed, "Draw a map of a folder: PCA and t-SNE of its features."),
    "occlusion": (_occlusion, "Slide a gray square over a photo and watch a score."),
    "localize": (_localize, "Draw a box around what a photo shows, and name it."),
    "detect": (_detect, "Find faces or things on photos: boxes, names, scores."),
    "segment": (_segment, "Color the subject, people or things, pixel by pixel."),
    "saliency": (_saliency, "Show which pixels a score depends on."),
    "class-model": (_class_model, "Draw what a network takes for a class."),
    "fool": (_fool, "Change a photo invisibly until it is taken for something else."),
    "invert": (_invert, "Reconstruct a photo from the features of each layer."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def inspect() -> None:
    """Look into a network: what its layers see, what it depends on, what it wants.

    \b
    Start with:  cnnart inspect classify PHOTO
                 cnnart inspect layers efficientnet-lite0
    """
