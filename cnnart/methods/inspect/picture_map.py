"""A map of thumbnails: as one picture, and as a page to move about in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.methods.inspect.config import EMBED_LAYOUTS, EMBED_METHODS, EmbedConfig
from cnnart.methods.inspect.embedding import Embedding, embed, grid_shape, snap_to_grid
from cnnart.methods.inspect.index import Index
from cnnart.methods.inspect.pictures import thumbnail
from cnnart.methods.inspect.report import Inspection, data_url, render_page

METHODS = {"tsne": "t-SNE", "pca": "PCA"}
PAGE_THUMB = 160  # long side in pixels; the page shows it larger when pointed at
PAGE_QUALITY = 82
FILL = 2.2  # of a free map: how often its thumbnails would cover it
GAP = 0.06  # of a cell


@dataclass(frozen=True)
class Layout:
    """Where thumbnails go: their centers (``Nx2`` in [0, 1]: x to the right, y down) and long side.

    Both are parts of the map's side. ``square``: only the middle square of each picture is shown.
    """

    name: str
    points: Tensor
    thumb: float
    square: bool = False


def free_layout(embedding: Embedding, name: str, thumb: float | None = None) -> Layout:
    """Every picture where its features put it; they may overlap."""
    side = thumb or (FILL / len(embedding.points)) ** 0.5 / 2
    side = min(side, 0.25)
    return Layout(name, side / 2 + embedding.points * (1 - side), side)


def grid_layout(embedding: Embedding, name: str) -> Layout:
    """Every picture in a cell of its own, near to where its features put it."""
    count = len(embedding.points)
    cells = max(grid_shape(count))
    low, high = embedding.points.min(0).values, embedding.points.max(0).values
    stretched = (embedding.points - low) / (high - low).clamp_min(1e-6)  # the grid is to be full
    points = (snap_to_grid(stretched).float() + 0.5) / cells
    return Layout(name, points, (1 - GAP) / cells, square=True)


def draw_map(layout: Layout, images: Iterable[Tensor], size: int) -> Tensor:
    """The map as ``1x3xSxS``, white where no picture is; ``images`` are taken one at a time."""
    canvas = torch.ones(1, 3, size, size)
    side = max(1, int(layout.thumb * size))
    for (x, y), image in zip(layout.points.tolist(), images, strict=True):
        small = thumbnail(image, side, square=layout.square)
        height, width = small.shape[-2:]
        top = min(max(0, round(y * size - height / 2)), size - height)
        left = min(max(0, round(x * size - width / 2)), size - width)
        canvas[..., top : top + height, left : left + width] = small
    return canvas


def make_map_page(
    title: str, layouts: Sequence[Layout], pictures: Iterable[tuple[str, Tensor]]
) -> str:
    """One HTML page without any other file: ``pictures`` are (name, image), taken one at a time.

    The first layout is shown, the others are a button away.
    """
    shown = [
        {"name": name, "src": data_url(thumbnail(image, PAGE_THUMB), "JPEG", quality=PAGE_QUALITY)}
        for name, image in pictures
    ]
    places = [
        {
            "name": layout.name,
            "thumb": layout.thumb,
            "square": layout.square,
            "points": [[round(x, 5), round(y, 5)] for x, y in layout.points.tolist()],
        }
        for layout in layouts
    ]
    data = {"title": title, "layouts": places, "pictures": shown}
    return render_page("map.html", data=data)


class PictureMap:
    """A map of the pictures of an index; ``images`` below are theirs, in its order.

    Raises UsageError for fewer than three pictures, and where scikit-learn is missing.
    """

    def __init__(self, index: Index, config: EmbedConfig, name: str) -> None:
        self.index = index
        self.config = config
        self.name = name
        self.main = self._embedding(config.method)

    def report(self, images: Iterable[Tensor]) -> Inspection:
        """The map as one picture."""
        layout = self._layout(self.main, self.config.layout)
        picture = draw_map(layout, images, self.config.size)
        return Inspection(self.title, [("", picture)], self.numbers())

    def page(self, images: Iterable[Tensor]) -> str:
        """The map as a page, with all methods and layouts to choose from; the config's first."""
        methods = sorted(EMBED_METHODS, key=lambda m: m != self.config.method)
        kinds = sorted(EMBED_LAYOUTS, key=lambda k: k != self.config.layout)
        found = {m: self.main if m == self.main.method else self._embedding(m) for m in methods}
        layouts = [self._layout(found[m], kind) for m in methods for kind in kinds]
        title = f"{len(self.index)} pictures of {self.name}"
        pictures = zip(self.index.names, images, strict=True)
        return make_map_page(title, layouts, pictures)

    @property
    def title(self) -> str:
        made = self.index.made_with
        method = METHODS[self.config.method]
        return f"{method} of {len(self.index)} pictures ({made['network']}, {made['layer']})"

    def numbers(self) -> dict[str, Any]:
        """How good the map is, and where each picture lies before it is snapped to a grid."""
        points = self.main.points.tolist()
        places = [
            {"picture": name, "x": round(x, 5), "y": round(y, 5)}
            for name, (x, y) in zip(self.index.names, points, strict=True)
        ]
        made = self.index.made_with
        return {**made, "method": self.main.method, **self.main.facts, "pictures": places}

    def _embedding(self, method: str) -> Embedding:
        features, perplexity = self.index.features, self.config.perplexity
        return embed(features, method, perplexity=perplexity, seed=self.config.seed)

    def _layout(self, embedding: Embedding, kind: str) -> Layout:
        name = f"{METHODS[embedding.method]}, {kind}"
        if kind == "grid":
            return grid_layout(embedding, name)
        thumb = self.config.thumb
        return free_layout(embedding, name, thumb / self.config.size if thumb else None)
