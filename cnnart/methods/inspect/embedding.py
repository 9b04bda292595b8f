"""Pictures on a plane: their features reduced to two dimensions, by PCA and by t-SNE.

Pictures that a network finds alike come to lie side by side (van der Maaten and Hinton 2008; the
maps of thumbnails are Karpathy's). PCA keeps distances as they are as far as two axes can; t-SNE
keeps neighborhoods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnart.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

INPUT_DIMENSIONS = 50  # t-SNE looks at no more: the rest is noise to it (van der Maaten 2008)
ASSIGNED = 1500  # pictures up to which the best assignment to a grid is found (it takes O(n^3))
JUDGED = 3000  # and up to which trustworthiness is: it takes O(n^2) memory
LEAST = 3


@dataclass(frozen=True)
class Embedding:
    """Where each picture lies.

    ``points``: ``Nx2`` in [0, 1]: x to the right, y down. ``facts``: numbers that say how good it
    is. PCA: ``variance``, the share that each axis explains. t-SNE: ``divergence``, which it
    minimized, and ``perplexity``. Both, up to 3,000 pictures: ``trustworthiness`` (Venna and Kaski
    2001), 1 when all that are neighbors here are neighbors in feature space.
    """

    method: str
    points: Tensor
    facts: dict[str, float | list[float]]


def embed(features: Tensor, method: str, *, perplexity: float = 30, seed: int = 0) -> Embedding:
    """Reduce ``NxD`` features to two dimensions by ``pca`` or ``tsne``.

    Raises UsageError for fewer than three pictures, or where scikit-learn is missing.
    """
    need_sklearn()
    if len(features) < LEAST:
        raise UsageError(f"A map needs at least {LEAST} pictures, not {len(features)}.")
    rows = features.float().cpu().numpy()
    if not rows.std(0).any():  # all alike: scikit-learn's t-SNE would crash the process
        return Embedding(method, torch.full((len(rows), 2), 0.5), {})
    make = {"pca": _pca, "tsne": _tsne}[method]
    found, facts = make(rows, perplexity, seed)
    near = min(5, (len(rows) - 1) // 2)
    if near >= 1 and len(rows) <= JUDGED:
        from sklearn.manifold import trustworthiness

        facts["trustworthiness"] = float(trustworthiness(rows, found, n_neighbors=near))
    return Embedding(method, to_unit(torch.from_numpy(found).float()), facts)


def need_sklearn() -> None:
    """Raise UsageError where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise UsageError(
            "cnnart inspect embed needs scikit-learn: pip install 'cnnart[inspect]'."
        ) from None


def _pca(
    rows: np.ndarray, perplexity: float, seed: int
) -> tuple[np.ndarray, dict[str, float | list[float]]]:
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed)
    found = pca.fit_transform(rows)
    return found, {"variance": [float(v) for v in pca.explained_variance_ratio_]}


def _tsne(
    rows: np.ndarray, perplexity: float, seed: int
) -> tuple[np.ndarray, dict[str, float | list[float]]]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    dimensions = min(INPUT_DIMENSIONS, *rows.shape)
    reduced = PCA(dimensions, random_state=seed).fit_transform(rows)
    perplexity = max(1.0, min(perplexity, (len(rows) - 1) / 3))
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    found = tsne.fit_transform(reduced)
    return found, {"divergence": float(tsne.kl_divergence_), "perplexity": perplexity}


def to_unit(points: Tensor) -> Tensor:
    """``Nx2`` finite points shifted and scaled into [0, 1]; both axes alike, and centered.

    The quotient's last bit depends on the processor: the clamp makes the range exact.
    """
    low, high = points.min(0).values, points.max(0).values
    middle = low / 2 + high / 2  # their sum may overflow
    extent = float((high - low).max().clamp_min(1e-12))
    return ((points - middle) / extent + 0.5).clamp(0, 1)


def grid_shape(count: int, aspect: float = 1.0) -> tuple[int, int]:
    """(rows, columns) of the smallest grid of about this width to height that holds ``count``."""
    columns = max(1, round(math.sqrt(count * aspect)))
    return math.ceil(count / columns), columns


def snap_to_grid(points: Tensor) -> Tensor:
    """A cell of its own for every point, as near to it as can be: ``Nx2`` of (column, row).

    Up to 1,500 points the sum of squared ways is the smallest possible (the assignment problem);
    beyond, they are sorted into columns and each column into rows, which is a little worse.
    """
    rows, columns = grid_shape(len(points))
    if len(points) > ASSIGNED:
        return _sorted_into_grid(points, rows)
    from scipy.optimize import linear_sum_assignment

    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    cells = torch.stack((x.flatten(), y.flatten()), 1)
    centers = (cells + 0.5) / torch.tensor([columns, rows])
    cost = torch.cdist(points.double(), centers.double()).square()
    _, chosen = linear_sum_assignment(cost.numpy())
    return cells[torch.from_numpy(chosen)]


def _sorted_into_grid(points: Tensor, rows: int) -> Tensor:
    cells = torch.zeros(len(points), 2, dtype=torch.long)
    for column, members in enumerate(points[:, 0].argsort(stable=True).split(rows)):
        order = members[points[members, 1].argsort(stable=True)]
        cells[order, 0] = column
        cells[order, 1] = torch.arange(len(order))
    return cells
