"""From saliency to a mask: the object cut out of the picture, as GrabCut does it.

Simonyan et al. 2014, section 3.2: the most salient pixels are foreground, the least salient are
background, and a cut of the pixel graph decides the rest. The colors of both are Gaussian mixtures
that are fitted again after each cut (Rother, Kolmogorov and Blake 2004, "GrabCut"). scikit-learn
fits and scipy cuts: OpenCV's ``grabCut`` would be a large dependency for this one function.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.inspect.colormap import blurred

FOREGROUND, BACKGROUND = 0.95, 0.30  # quantiles of the saliency, as in the paper
COLORS = 5  # Gaussians in each mixture (GrabCut's K)
SMOOTHNESS = 50.0  # GrabCut's gamma
ROUNDS = 4
SAMPLE = 3000  # pixels that a mixture is fitted to
MIN_REGION_AREA = 0.005  # islands and holes smaller than this share of the picture go
UNITS = 100  # capacities are whole numbers: hundredths


def mask_from_saliency(image: Tensor, saliency: Tensor, *, seed: int = 0) -> Tensor:
    """A 1x1xHxW mask, 1 on the object, from ``image`` (1x3xHxW) and its map (1x1xHxW).

    Fine-grained maps are smoothed first. A map that is the same everywhere has no object: the
    mask is empty. Raises UsageError without the extra [inspect].
    """
    try:
        import scipy.sparse.csgraph  # noqa: F401
        from sklearn.mixture import GaussianMixture
    except ImportError:
        raise UsageError("`mask` needs scikit-learn: pip install 'cnnart[inspect]'.") from None
    height, width = image.shape[-2:]
    values = blurred(saliency, min(height, width) / 28).flatten().double().cpu().numpy()
    if float(saliency.max()) <= float(saliency.min()):
        return torch.zeros(1, 1, height, width)
    mean = values.mean()  # where most of a map is one value, quantiles alone cannot tell
    surely_in = (values >= np.quantile(values, FOREGROUND)) & (values > mean)
    surely_out = (values <= np.quantile(values, BACKGROUND)) & (values < mean)
    colors = image[0].flatten(1).T.double().cpu().numpy() * 255
    links = neighbor_links(image)
    inside = values > mean
    for _ in range(ROUNDS):
        costs = []
        for pixels in (inside, ~inside):
            sample = colors[pixels][:: max(1, int(pixels.sum()) // SAMPLE)]
            kinds = max(1, min(COLORS, len(sample) // 2))
            mixture = GaussianMixture(kinds, reg_covar=4.0, random_state=seed)
            mixture.fit(sample if len(sample) > 1 else sample.repeat(2, axis=0))
            costs.append(-mixture.score_samples(colors))
        before, inside = inside, cut(costs, surely_in, surely_out, links)
        if (before == inside).all():
            break
    shape = (height, width)
    mask = tidy(inside.reshape(shape), surely_in.reshape(shape))
    return torch.from_numpy(mask)[None, None].float()


def tidy(inside: np.ndarray, surely_in: np.ndarray) -> np.ndarray:
    """HxW without islands that hold no sure pixel or are small, and without small holes."""
    from scipy.ndimage import label

    least = inside.size * MIN_REGION_AREA
    islands, _ = label(inside)
    sizes = np.bincount(islands.ravel())
    sure = np.bincount(islands[surely_in], minlength=len(sizes)) > 0
    keep = sure & (sizes >= least)
    keep[0] = False
    if keep.any():
        inside = keep[islands]
    holes, _ = label(~inside)
    small = np.bincount(holes.ravel()) < least
    small[0] = False
    return inside | small[holes]


def neighbor_links(image: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(from, to, weight) of the 8-neighborhood: strong where neighbors have the same color."""
    height, width = image.shape[-2:]
    number = np.arange(height * width).reshape(height, width)
    picture = image[0].permute(1, 2, 0).double().cpu().numpy() * 255
    starts, ends, squares, lengths = [], [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        b = (slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
        starts.append(number[a].ravel())
        ends.append(number[b].ravel())
        squares.append(((picture[a] - picture[b]) ** 2).sum(-1).ravel())
        lengths.append(np.full(starts[-1].size, np.hypot(dy, dx)))
    difference = np.concatenate(squares)
    beta = 1 / max(2 * difference.mean(), 1e-9)
    weight = SMOOTHNESS * np.exp(-beta * difference) / np.concatenate(lengths)
    return np.concatenate(starts), np.concatenate(ends), weight


def cut(
    costs: list[np.ndarray],
    surely_in: np.ndarray,
    surely_out: np.ndarray,
    links: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Which pixels are foreground in the cheapest cut (Boykov and Jolly 2001).

    ``costs``: per pixel, of being called foreground and of being called background.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = len(surely_in)
    source, sink = count, count + 1
    least = np.minimum(costs[0], costs[1])
    never = 1 + 8 * SMOOTHNESS
    as_foreground = np.where(surely_in, 0, np.where(surely_out, never, costs[0] - least))
    as_background = np.where(surely_out, 0, np.where(surely_in, never, costs[1] - least))
    pixels = np.arange(count)
    starts, ends, weight = links
    rows = np.concatenate([np.full(count, source), pixels, starts, ends])
    columns = np.concatenate([pixels, np.full(count, sink), ends, starts])
    capacity = np.concatenate([as_background, as_foreground, weight, weight]) * UNITS
    graph = csr_array(
        (np.minimum(capacity, 1e6).astype(np.int32), (rows, columns)), shape=(count + 2, count + 2)
    )
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    inside = np.zeros(count + 2, dtype=bool)
    inside[reached] = True
    return inside[:count]
