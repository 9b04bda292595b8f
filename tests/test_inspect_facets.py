"""Facets: pictures of a class fall into clusters, and each is a start."""

import pytest
import torch
from inspect_probes import probe_network

pytest.importorskip("sklearn")

from cnnart.errors import ImageError, UsageError
from cnnart.inspect.facets import FacetSearch, typical_pictures
from cnnart.inspect.streaming import Item

COLOURS = {"red": (0.9, 0.1, 0.1), "blue": (0.1, 0.2, 0.9)}


def picture_of(name, seed):
    colour = torch.tensor(COLOURS[name]).view(1, 3, 1, 1)
    noise = torch.randn(1, 3, 40, 44, generator=torch.Generator().manual_seed(seed))
    return (colour + 0.03 * noise).clamp(0, 1)


def items():
    names = ["red", "blue", "red", "blue", "blue"]
    found = [Item(f"{n}.png", lambda c=c, n=n: picture_of(c, n)) for n, c in enumerate(names)]

    def broken():
        raise ImageError("bad.png: this is a text file, not a picture.")

    return [*found, Item("bad.png", broken)]


def test_clusters_come_by_size_and_their_pictures_by_typicality():
    rows = [[0.0, 0], [10, 10], [0.2, 0], [0.1, 0], [10, 10.2]]
    assert typical_pictures(torch.tensor(rows), 2) == [[3, 0, 2], [1, 4]] or typical_pictures(
        torch.tensor(rows), 2
    ) == [[3, 2, 0], [1, 4]]


def test_each_start_is_the_mean_of_one_kind():
    search = FacetSearch(probe_network(), items())
    assert list(search.parts()) == [1, 2, 3, 4, 5, 6]
    starts = search.starts(2)
    assert starts.shape == (2, 3, 32, 32)
    for start, name in zip(starts, ("blue", "red"), strict=True):
        torch.testing.assert_close(
            start.mean((1, 2)), torch.tensor(COLOURS[name]), atol=0.03, rtol=0
        )
    assert search.failures.found == [("bad.png", "this is a text file, not a picture.")]


def test_fewer_pictures_than_facets_are_refused():
    search = FacetSearch(probe_network(), items())
    list(search.parts())
    with pytest.raises(UsageError, match=r"6 facets need at least 6 pictures .* 5 could be read"):
        search.starts(6)
