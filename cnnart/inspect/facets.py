"""The faces a class has: starts for class visualization from pictures of it.

Nguyen, Yosinski and Clune 2016, "Multifaceted Feature Visualization": pictures of a class fall into
clusters (green peppers and red ones, a fire engine from the front and from the side); the mean of a
cluster's most typical pictures is a start that leads to that facet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.inspect.descriptor import Descriptor
from cnnart.inspect.streaming import Failures, Item, stream
from cnnart.inspect.target import last_map
from cnnart.networks import Classifier

TYPICAL = 15  # pictures nearest to a cluster's centre that are averaged, as in the paper


def typical_pictures(features: Tensor, facets: int, *, seed: int = 0) -> list[list[int]]:
    """Per facet, the pictures nearest to the centre of its cluster, nearest first.

    Args:
        features: NxD, one row per picture; clustered by k-means.

    The largest cluster comes first. Raises UsageError without the extra [inspect].
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        raise UsageError("--photos needs scikit-learn: pip install 'cnnart[inspect]'.") from None
    rows = features.double().cpu().numpy()
    found = KMeans(facets, n_init=10, random_state=seed).fit(rows)
    labels, centres = torch.from_numpy(found.labels_), torch.from_numpy(found.cluster_centers_)
    facets_found = []
    for label in labels.bincount(minlength=facets).argsort(descending=True, stable=True).tolist():
        members = (labels == label).nonzero().flatten()
        distances = (features.double().cpu()[members] - centres[label]).norm(dim=1)
        facets_found.append(members[distances.argsort(stable=True)][:TYPICAL].tolist())
    return facets_found


class FacetSearch:
    """Starts from ``items``, pictures of one class; one is in memory at a time.

    ``parts()`` looks at them, yielding how many are done; then ``starts(...)`` reads the typical
    ones again. ``failures`` are those that could not be read.
    """

    def __init__(self, network: Classifier, items: Sequence[Item]) -> None:
        self.network, self.items = network, list(items)
        self.failures = Failures()
        self._layer = last_map(network)
        self._found: list[tuple[Item, Tensor]] = []

    def parts(self) -> Iterator[int]:
        describe = Descriptor(self.network, self._layer)
        for done, (item, picture) in enumerate(stream(self.items, self.failures), start=1):
            if picture is not None:
                self._found.append((item, describe(picture)[0]))
            yield done

    def starts(self, facets: int, *, seed: int = 0) -> Tensor:
        """``facets`` x3xSxS in [0, 1]: the mean of each cluster's typical pictures."""
        if len(self._found) < facets:
            raise UsageError(
                f"{facets} facets need at least {facets} pictures in --photos, and "
                f"{len(self._found)} could be read."
            )
        features = torch.stack([features for _, features in self._found])
        means = []
        for members in typical_pictures(features, facets, seed=seed):
            pictures = [self.network.prepare(self._found[n][0].read()) for n in members]
            means.append(torch.cat(pictures).mean(0))
        return torch.stack(means)
