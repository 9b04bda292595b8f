"""Class visualization: it raises its class, follows its seeds, and the regularizers work.

Then facets: pictures of a class fall into clusters, and each is a start.
"""

import sys
from importlib.util import find_spec

import pytest
import torch

from cnnart.errors import ImageError, UsageError
from cnnart.methods.inspect.class_model import (
    PIXEL_ASCENTS,
    ClassModel,
    FacetSearch,
    PixelAscent,
    class_model_report,
    tidied,
    typical_pictures,
)
from cnnart.methods.inspect.config import CLASS_RECIPES, ClassModelConfig
from cnnart.methods.inspect.pictures import Item
from cnnart.optim.capture import WARM_UP
from tests.helpers.inspection import probe_network
from tests.helpers.replays import recording
from tests.helpers.waits import NoWaits

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="needs scikit-learn")


@pytest.fixture(scope="module")
def network():
    return probe_network()


def run(network, classes, seeds=None, starts=None, **settings):
    config = ClassModelConfig(**settings)
    work = ClassModel(network, classes, config, seeds=seeds or [0] * len(classes), starts=starts)
    assert list(work.steps()) == list(range(1, work.count + 1))
    return work


@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_every_recipe_raises_its_class(network, recipe):
    work = run(network, [1, 2, 3], recipe=recipe, steps=24)
    assert work.pictures.shape == (3, 3, 32, 32)
    assert float(work.pictures.min()) >= 0
    assert float(work.pictures.max()) <= 1
    gray = network.logits(torch.full((1, 3, 32, 32), 0.5))[0]
    found = network.logits(work.pictures)
    for row, index in enumerate([1, 2, 3]):
        least = 0.5 if recipe == "fourier" else 2  # shaken off the patch, it learns more slowly
        assert float(found[row, index]) > float(gray[index]) + least


@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_no_step_waits_for_its_device(network, recipe):
    """A list of readings is fetched where it is due; nothing else is asked for."""
    with NoWaits():
        run(network, [1, 2], recipe=recipe, steps=5)


@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_a_recorded_ascent_is_the_ascent(network, monkeypatch, recipe):
    expected = run(network, [1, 2], recipe=recipe, steps=6).pictures
    (recorders, found) = recording(monkeypatch), run(network, [1, 2], recipe=recipe, steps=6)
    assert [r.replays for r in recorders] == [6 - WARM_UP]
    torch.testing.assert_close(found.pictures, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_a_picture_does_not_depend_on_its_neighbors(network, recipe):
    alone = run(network, [2], [5], recipe=recipe, steps=8).pictures
    together = run(network, [1, 2], [4, 5], recipe=recipe, steps=8).pictures
    torch.testing.assert_close(alone, together[1:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_facets_differ_by_their_seeds(network, recipe):
    first, second, again = run(network, [1, 1, 1], [0, 1, 0], recipe=recipe, steps=8).pictures
    torch.testing.assert_close(first, again, atol=1e-4, rtol=0)
    assert float((first - second).abs().max()) > 0.005


def test_pixels_that_do_not_matter_decay_to_gray(network):
    corner = (slice(None), slice(None), slice(0, 4), slice(0, 4))
    starts = torch.full((1, 3, 32, 32), 0.9)
    work = run(network, [1], starts=starts, recipe="simonyan", steps=40)
    decay = (1 - PIXEL_ASCENTS["simonyan"].decay) ** 40
    torch.testing.assert_close(
        work.pictures[corner].mean(), torch.tensor(0.5 + 0.4 * decay), atol=0.005, rtol=0
    )


def test_facets_begin_at_their_pictures(network):
    colors = torch.tensor([[0.8, 0.2, 0.2], [0.2, 0.2, 0.8]])
    starts = colors.view(2, 3, 1, 1).expand(2, 3, 32, 32).contiguous()
    work = run(network, [1, 1], [0, 1], starts, recipe="fourier", steps=6)
    torch.testing.assert_close(work.pictures.mean((2, 3)), colors, atol=0.1, rtol=0)
    before, after = network.logits(starts)[:, 1], network.logits(work.pictures)[:, 1]
    assert (after > before).all()


def test_yosinskis_clipping_sends_what_is_small_to_gray():
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    slope = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.5
    by_norm = tidied(pixels, slope, PixelAscent(1, 1, 0, blur=0.4, small_pixels=0.25))
    gone = (by_norm == 0).all(1)
    assert gone.float().mean((1, 2)).tolist() == pytest.approx([0.25, 0.25])
    norms = tidied(pixels, slope, PixelAscent(1, 1, 0, blur=0.4)).norm(dim=1)
    assert float(norms[0][gone[0]].max()) <= float(norms[0][~gone[0]].min())
    by_worth = tidied(pixels, slope, PixelAscent(1, 1, 0, blur=0.4, small_gradients=0.5))
    kept = ~(by_worth == 0).all(1)
    worth = (by_worth * slope).sum(1).abs()
    assert kept.float().mean((1, 2)).tolist() == pytest.approx([0.5, 0.5])
    assert float(worth[kept].min()) > 0


def test_the_report_names_each_picture_and_its_probability(network):
    work = run(network, [1, 1, 2, 2], [0, 1, 0, 1], recipe="simonyan", steps=6)
    report = class_model_report(work, facets=2)
    rows = report.numbers["pictures"]
    assert [(row["class"], row["seed"]) for row in rows] == [
        ("patch", 0), ("patch", 1), ("tree frog", 0), ("tree frog", 1)
    ]  # fmt: skip
    levels = (work.pictures * 255).round() / 255
    expected = network.logits(levels).softmax(1)[[0, 1, 2, 3], [1, 1, 2, 2]].tolist()
    assert [row["probability"] for row in rows] == pytest.approx(expected)
    assert report.columns == 2


def test_settings_that_make_no_sense_are_refused(network):
    with pytest.raises(UsageError, match=r"Unknown recipe 'furier'.* Did you mean fourier\?"):
        run(network, [1], recipe="furier")
    with pytest.raises(UsageError, match="Steps must be at least 1, not -1"):
        run(network, [1], steps=-1)


# Facets

COLORS = {"red": (0.9, 0.1, 0.1), "blue": (0.1, 0.2, 0.9)}


def picture_of(name, seed):
    color = torch.tensor(COLORS[name]).view(1, 3, 1, 1)
    noise = torch.randn(1, 3, 40, 44, generator=torch.Generator().manual_seed(seed))
    return (color + 0.03 * noise).clamp(0, 1)


def items():
    names = ["red", "blue", "red", "blue", "blue"]
    found = [Item(f"{n}.png", lambda c=c, n=n: picture_of(c, n)) for n, c in enumerate(names)]

    def broken():
        raise ImageError("bad.png: this is a text file, not a picture.")

    return [*found, Item("bad.png", broken)]


@needs_sklearn
def test_clusters_come_by_size_and_their_pictures_by_typicality():
    """Both sums are multiples of 5: centers are exact, and the pair keeps its order in the tie."""
    rows = [[0.0, 0], [10, 10], [0.5, 0], [0.125, 0], [10, 15]]
    assert typical_pictures(torch.tensor(rows), 2) == [[3, 0, 2], [1, 4]]


def test_without_scikit_learn_there_are_no_facets(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(UsageError, match=r"`photos` needs scikit-learn: pip install 'cnnart\["):
        typical_pictures(torch.zeros(2, 2), 1)


@needs_sklearn
def test_each_start_is_the_mean_of_one_kind():
    search = FacetSearch(probe_network(), items())
    assert list(search.parts()) == [1, 2, 3, 4, 5, 6]
    starts = search.starts(2)
    assert starts.shape == (2, 3, 32, 32)
    for start, name in zip(starts, ("blue", "red"), strict=True):
        torch.testing.assert_close(
            start.mean((1, 2)), torch.tensor(COLORS[name]), atol=0.03, rtol=0
        )
    assert search.failures.found == [("bad.png", "this is a text file, not a picture.")]


@needs_sklearn
def test_fewer_pictures_than_facets_are_refused():
    search = FacetSearch(probe_network(), items())
    list(search.parts())
    with pytest.raises(UsageError, match=r"6 facets need at least 6 pictures .* 5 could be read"):
        search.starts(6)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", CLASS_RECIPES)
def test_a_graph_of_an_ascent_is_the_ascent(monkeypatch, recipe):
    network = probe_network(device="cuda")
    recorded = run(network, [1, 2], recipe=recipe, steps=8).pictures
    monkeypatch.setattr("cnnart.optim.capture.recorder_of", lambda device: None)
    expected = run(network, [1, 2], recipe=recipe, steps=8).pictures
    torch.testing.assert_close(recorded, expected, atol=0.02, rtol=0)
