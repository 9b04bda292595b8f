"""Textures by the network: tiny runs on its first layers, whose claims hold at any size."""

import dataclasses
import itertools

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.image.picture import resize
from cnnart.methods.texture.config import TEXTURE_PRESETS, TextureConfig
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.methods.texture.seam_error import seam_error
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.losses import style_loss
from cnnart.optim.memory import Limits
from cnnart.optim.tiles import gather_moments
from tests.helpers.replays import recording
from tests.helpers.waits import META, Elsewhere

LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0}
CONFIG = TextureConfig(method="gram", layers=LAYERS)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setitem(TEXTURE_PRESETS, "standard", ((0, 12), (4, 4), (3, 3)))


def prepare(exemplar, features, size=(64, 64), tile=0, weights=None, more=None, **settings):
    exemplars = exemplar if isinstance(exemplar, list) else [exemplar]
    return NeuralTexture(
        exemplars,
        weights or [1.0] * len(exemplars),
        dataclasses.replace(CONFIG, **settings),
        features,
        size=size,
        limits=Limits(tile=tile),
        **(more or {}),
    )


def run(*args, **more):
    work = prepare(*args, **more)
    *_, last = work.steps()
    return work.finish(last.image)


def distance(features, picture, exemplar):
    found, target = (gather_moments(features, p, list(LAYERS), 0) for p in (picture, exemplar))
    return sum(float(style_loss(found[k], target[k])) for k in LAYERS)


def noise_of(exemplar, size):
    generator = torch.Generator().manual_seed(5)
    flat = exemplar.flatten(2)
    return flat[..., torch.randint(flat.shape[-1], size, generator=generator)]


@pytest.mark.parametrize("statistic", ["gram", "covariance"])
def test_the_statistics_approach_the_exemplars(short, features, painting, statistic):
    result = run(painting, features, size=(64, 80), statistic=statistic)
    before = distance(features, noise_of(painting, (64, 80)), painting)
    assert (
        distance(features, result, painting) < {"gram": 0.1, "covariance": 0.4}[statistic] * before
    )


@pytest.mark.parametrize("size", [(37, 91), (120, 33), (64, 64), (144, 120)])
@pytest.mark.parametrize("tileable", ["none", "x", "both"])
def test_the_size_is_exact_and_any(features, painting, size, tileable):
    """Larger and smaller than the exemplar, of any aspect, also where a canvas needs multiples."""
    work = prepare(painting, features, size=size, tileable=tileable, steps=1)
    step = next(work.steps())
    result = work.finish(step.image)
    assert result.shape == (1, 3, *size)
    assert result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1


def test_the_colors_are_exactly_the_exemplars(short, features, painting):
    """Sorted along any direction, the result's colors are the exemplar's."""
    result = run(painting, features, size=(72, 60))
    generator = torch.Generator().manual_seed(0)
    for direction in torch.randn(5, 3, generator=generator):
        projected = [
            (p[0].flatten(1).T @ (direction / direction.norm())).sort().values
            for p in (result, painting)
        ]
        assert (projected[0] - projected[1]).abs().mean() < 0.004
    plain = run(painting, features, size=(72, 60), histogram=False)
    assert (plain.flatten(2).sort(2).values - painting.flatten(2).sort(2).values).abs().mean() > (
        result.flatten(2).sort(2).values - painting.flatten(2).sort(2).values
    ).abs().mean()


def test_the_same_seed_gives_the_same_texture(short, features, painting):
    a, b = (run(painting, features, size=(48, 50), seed=3) for _ in range(2))
    assert torch.equal(a, b)
    other = run(painting, features, size=(48, 50), seed=4)
    assert (a - other).abs().mean() > 0.02


def test_steps_count_and_the_loss_falls(short, features, painting_of):
    work = prepare(painting_of(96, 96), features, size=(128, 100))
    steps = list(work.steps())
    assert [s.index for s in steps] == list(range(1, len(steps) + 1))
    assert {s.steps for s in steps} == {len(steps)}
    assert [s.scale for s in steps] == [(64, 48)] * 12 + [(128, 100)] * 8
    for _, group in itertools.groupby(steps, key=lambda s: s.scale):
        losses = [sum(s.losses.values()) for s in group]
        assert losses[-1] < 0.5 * losses[0]
    assert set(steps[0].losses) == {"style", "palette", "tv"}


@pytest.mark.parametrize(
    ("layers", "shallow"),
    [
        ({"relu1_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0}, ["relu1_1", "relu3_1"]),
        ({"relu1_1": 1.0, "relu3_1": 1.0}, None),
        ({"relu4_1": 1.0}, None),
    ],
)
def test_a_shallow_level_asks_for_shallow_layers_only(
    tiny, painting_of, monkeypatch, layers, shallow
):
    """And where all layers are of a kind there is no such level."""
    asked = []
    compute = FeatureExtractor.__call__
    monkeypatch.setattr(
        FeatureExtractor,
        "__call__",
        lambda self, image, layers, **wrap: (
            asked.append(sorted(layers)) or compute(self, image, layers, **wrap)
        ),
    )
    work = prepare(painting_of(64, 64), FeatureExtractor(tiny), size=(96, 96), layers=layers)
    found = {}
    for level in work.schedule:
        asked.clear()
        evaluation = work.objective(level, 0)(work.start(level.height, level.width))
        assert evaluation.losses["style"] > 0
        found.setdefault(level.shallow, []).extend(asked)
    assert all(names == sorted(layers) for names in found[False])
    assert found.get(True, []) == [shallow] * len(found.get(True, []))
    assert (True in found) == (shallow is not None)


def test_nothing_is_computed_before_the_first_step(features, painting, monkeypatch):
    calls = []
    compute = FeatureExtractor.__call__
    monkeypatch.setattr(
        FeatureExtractor,
        "__call__",
        lambda *args, **wrap: calls.append(args) or compute(*args, **wrap),
    )
    steps = prepare(painting, features).steps()
    assert not calls
    next(steps)
    assert calls


@pytest.mark.parametrize("tileable", ["none", "both"])
def test_a_run_in_tiles_is_the_same_run(features, painting, tileable):
    a, b = (
        run(painting, features, size=(96, 144), tile=t, steps=3, scale=0.6, tileable=tileable)
        for t in (0, 64)
    )
    assert (a - b).abs().mean() < 1e-3


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_features_keep_the_exemplars_own_size(features, scale):
    """At every scale of a run, more stripes of the right width are right, others are not."""
    y, x = torch.arange(64)[:, None], torch.arange(256)
    stripes = ((x + 0 * y) // 8 % 2).float().expand(1, 3, 64, 256) * 0.8 + 0.1
    work = prepare(stripes[..., :64], features, size=(64, 128), scale=scale, tileable="both")
    for canvas in work.schedule:
        objective, size = work.objective(canvas, 0), (canvas.height, canvas.width)
        losses = [
            objective(resize(stripes[..., : round(128 / wide)], *size)).losses["style"]
            for wide in (scale, scale * 1.5)
        ]
        assert losses[0] < 0.05
        assert losses[1] > 2 * losses[0]


# Seamless.


@pytest.mark.parametrize(
    ("size", "axis"), [((1200, 24), "x"), ((1199, 27), "x"), ((29, 1200), "y")]
)
def test_a_tileable_texture_has_no_seam(features, size, axis):
    """Within 3 % of the interior's gradient; cut smaller, it has a seam.

    Long seams of a fine grain, because the gradient along a line of n pixels is a mean of n values:
    along 1200 it is known to about 2 %, along 100 to 8 %.
    """
    grain = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    grain = resize(resize(grain, 48, 48), 64, 64)
    layers = {"relu1_1": 1.0, "relu2_1": 1.0}
    result = run(grain, features, size=size, tileable="both", steps=8, layers=layers)
    assert abs(seam_error(result, axis)) < 0.03
    cut = result[..., 5:-6] if axis == "x" else result[..., 5:-6, :]
    assert seam_error(cut, axis) > 0.04


def test_only_an_axis_asked_for_is_resized_to_repeat(features, painting):
    """Along the other one the canvas is longer than the result, and cut: pixels stay pixels."""
    work = prepare(painting, features, size=(50, 70), tileable="x")
    assert work.extent == (52, 70)
    last = work.schedule[-1]
    assert (last.height, last.width) == (52, 72)
    image = work.start(52, 72)
    work.config = dataclasses.replace(work.config, histogram=False)
    torch.testing.assert_close(
        work.finish(image).mean(3), image.mean(3)[..., :50], atol=2e-3, rtol=0
    )


def test_where_it_starts_does_not_matter_to_a_tileable_texture(features, painting):
    """The objective of a shifted canvas is the same: nothing marks the border."""
    work = prepare(painting, features, size=(64, 64), tileable="both")
    objective = work.objective(work.schedule[-1], 0)
    image = work.start(64, 64)
    a, b = objective(image), objective(image.roll((16, 32), (-2, -1)))
    assert b.losses == pytest.approx(a.losses, rel=1e-4)


# Mixtures, guides, holes.


def test_a_mixture_has_the_moments_and_colors_between(short, features, painting_of):
    red, blue = painting_of(color=(0.9, 0.2, 0.1)), painting_of(color=(0.1, 0.2, 0.9))
    result = run([red, blue], features, size=(64, 64), weights=[3.0, 1.0])
    expected = 0.75 * red.mean((0, 2, 3)) + 0.25 * blue.mean((0, 2, 3))
    torch.testing.assert_close(result.mean((0, 2, 3)), expected, atol=0.02, rtol=0)


def guided_exemplar(painting_of):
    """Left red strokes, right blue ones, and the map that says so."""
    left, right = (
        painting_of(64, 32, color=(0.9, 0.2, 0.1)),
        painting_of(64, 32, 3, (0.1, 0.2, 0.9)),
    )
    where = torch.zeros(1, 3, 64, 64)
    where[:, 1, :, 32:] = 1
    return torch.cat((left, right), -1), where


def test_a_guide_says_what_is_where(short, features, painting_of):
    exemplar, where = guided_exemplar(painting_of)
    target = torch.zeros(1, 3, 80, 64)
    target[:, 1, :40] = 1  # blue above, red below
    guide = Guide([where], target)
    result = run(exemplar, features, size=(80, 64), more={"guide": guide})
    redness = (result[:, 0] - result[:, 2])[0]
    assert redness[:36].mean() < -0.3
    assert redness[44:].mean() > 0.3
    free = run(exemplar, features, size=(80, 64), more={"guide": Guide([where], target, 0.0)})
    assert (free[:, 0] - free[:, 2])[0, :36].mean() > -0.3


def test_a_guide_of_one_color_says_nothing(features, painting_of):
    exemplar, where = guided_exemplar(painting_of)
    guide = Guide([where * 0], torch.zeros(1, 3, 64, 64))
    with pytest.raises(UsageError) as error:
        prepare(exemplar, features, more={"guide": guide})
    assert str(error.value) == (
        "The exemplar's guide map has one color only: give what differs different colors."
    )


def hole(height, width):
    mask = torch.zeros(1, 1, height, width)
    mask[..., 30:50, 40:64] = 1
    return mask


@pytest.mark.parametrize("tileable", ["none", "both"])
def test_outside_the_hole_nothing_changes_at_all(short, features, painting_of, tileable):
    picture = painting_of(90, 110)
    mask = hole(90, 110)
    broken = torch.where(mask > 0, torch.tensor(0.0), picture)
    work = prepare(broken, features, more={"inpaint": (broken, mask)}, tileable=tileable)
    *_, last = work.steps()
    result = work.finish(last.image)
    assert result.shape == picture.shape
    outside = (mask == 0).expand_as(picture)
    assert torch.equal(result[outside], broken[outside])
    inside = ~outside
    assert (result[inside] - broken[inside]).abs().mean() > 0.2
    assert abs(float(result[inside].mean() - picture[inside].mean())) < 0.1


def test_the_hole_itself_is_no_exemplar(features, painting_of):
    """However loud the color of the scribble, the targets are those of the rest."""
    picture, mask = painting_of(90, 110), hole(90, 110)
    objectives, unmasked = [], []
    for color in (0.0, 1.0):
        broken = torch.where(mask > 0, torch.tensor(color), picture)
        work = prepare(broken, features, more={"inpaint": (broken, mask)})
        target = work._region(work.targets[0], work.size, work.layers, 0)
        objectives.append(target)
        shown = gather_moments(features, broken, ["relu1_1"], 0)["relu1_1"]
        unmasked.append(shown.gram())
    assert (unmasked[0] - unmasked[1]).norm() > 0.1 * unmasked[0].norm()
    for layer in LAYERS:
        grams = [o.targets[layer].gram() for o in objectives]
        torch.testing.assert_close(*grams)


def test_a_small_hole_in_a_large_picture_is_a_small_job(features, painting_of):
    picture, mask = painting_of(400, 500), torch.zeros(1, 1, 400, 500)
    mask[..., 10:30, 300:310] = 1
    work = prepare(picture, features, more={"inpaint": (picture, mask)})
    assert work.size == (30 + 96, 10 + 2 * 96)


# What is refused, and in which words.


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            torch.zeros(1, 1, 9, 9),
            "The mask to inpaint is black: white is what is to be made anew.",
        ),
        (
            torch.ones(1, 1, 9, 9),
            "The mask to inpaint leaves less than a tenth of the picture: "
            "too little to take after.",
        ),
    ],
)
def test_masks_that_make_no_sense(features, painting, mask, message):
    with pytest.raises(UsageError) as error:
        prepare(painting, features, more={"inpaint": (painting, mask)})
    assert str(error.value) == message


def test_an_exemplar_without_weight(features, painting):
    with pytest.raises(UsageError, match="A texture needs an exemplar, with a weight above zero"):
        prepare(painting, features, weights=[0.0])


def test_a_guide_and_a_hole(features, painting):
    guide = Guide([painting], torch.zeros(1, 3, 72, 60))
    with pytest.raises(UsageError) as error:
        prepare(painting, features, more={"inpaint": (painting, hole(72, 60)), "guide": guide})
    assert str(error.value) == (
        "A guide and a mask to inpaint do not go together: use one of them."
    )


def test_an_exemplar_too_small_for_the_layers(features, painting):
    with pytest.raises(UsageError) as error:
        prepare(painting[..., :12, :40], features, layers={"relu5_1": 1.0})
    assert str(error.value) == (
        "A side of 12 pixels is too short for these layers: the exemplar and the texture need at "
        "least 16. Enlarge them (`scale`, `size`), or use a patch method (`method` quilting)."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "grams"},
            "Unknown method 'grams': use auto, gram, quilting, efros-leung. Did you mean gram?",
        ),
        ({"tileable": "z"}, "Unknown tileable 'z': use none, x, y, both."),
        (
            {"preset": "finer"},
            "Unknown preset 'finer': use draft, standard, fine. Did you mean fine?",
        ),
        ({"optimizer": "sgd"}, "Unknown optimizer 'sgd': use lbfgs, adam."),
        ({"pooling": "mean"}, "Unknown pooling 'mean': use max, avg. Did you mean max?"),
        ({"statistic": "mean"}, "Unknown statistic 'mean': use covariance, gram, wasserstein."),
        ({"scale": 0.01}, "Scale 0.01 is out of range: use 0.05 to 20."),
        ({"scale": float("nan")}, "Scale nan is out of range: use 0.05 to 20."),
        ({"steps": 0}, "Steps must be at least 1, not 0."),
        ({"patch": 2}, "A patch of 2 pixels is too small: 3 at least."),
        ({"palette_weight": -1.0}, "The palette weight must not be negative."),
        ({"guide_weight": -1.0}, "The guide weight must not be negative."),
        ({"layers": {}}, "No layer has a positive weight: name at least one, like relu3_1."),
        ({"layers": {"relu1_1": 1.0, "relu2_1": -1.0}}, "Layer weights must not be negative."),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(UsageError) as error:
        TextureConfig(**settings)
    assert str(error.value) == message


def test_a_recorded_texture_is_the_texture(tiny, painting, monkeypatch):
    monkeypatch.setitem(TEXTURE_PRESETS, "standard", ((0, 5), (4, 4)))
    features = FeatureExtractor(tiny)
    expected, recorders = run(painting, features), recording(monkeypatch)
    found = run(painting, features)
    assert sum(r.replays for r in recorders) >= 3 + 2
    assert (found - expected).abs().mean() < 1e-3


def test_a_texture_leaves_nothing_on_the_host(tiny, painting, monkeypatch):
    monkeypatch.setitem(TEXTURE_PRESETS, "standard", ((1, 1), (1, 1)))
    exemplars, settings = [painting, painting.flip(1)], {"tileable": "x", "weights": [1.0, 2.0]}
    with Elsewhere():
        picture = run(exemplars, FeatureExtractor(tiny, device=META), **settings)
    assert picture.device.type == "cpu"
