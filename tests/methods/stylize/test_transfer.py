"""Whole runs, tiny: a few evaluations of the network's first layers on pictures of 64 pixels."""

import dataclasses
import itertools

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.image.picture import output_size, resize
from cnnart.methods.stylize import transfer
from cnnart.methods.stylize.config import FAST_IS_FOR_PHOTOS, PRESETS, StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer, TargetCache, schedule
from cnnart.networks.blazeface import Face
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim import multiscale as schedule_module
from cnnart.optim.color import luma
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import level_sizes
from cnnart.optim.optimize import FIRST_STEP
from cnnart.optim.regions import StyleImage
from cnnart.optim.tiles import picture_tiles
from cnnart.settings import COARSEST, SMALLEST_SIDE
from tests.helpers.replays import recording
from tests.helpers.tiny_vgg import tiny_weights
from tests.helpers.waits import META, Elsewhere

# No layer deeper than it takes to see strokes: the tests are about the run, not the network.
CONFIG = StylizeConfig(
    content_layers={"relu3_2": 1.0},
    style_layers={"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0},
)

TINY = FeatureExtractor(tiny_weights())


@pytest.fixture
def short(monkeypatch):
    """Several scales even of a small picture, with a handful of evaluations at each."""
    monkeypatch.setattr(schedule_module, "COARSEST", 32)
    monkeypatch.setitem(PRESETS, "standard", ((0, 6), (2, 3), (2, 2)))


def prepare(photo, styles, features, tile=0, **settings):
    config = dataclasses.replace(CONFIG, **settings)
    styles = [s if isinstance(s, StyleImage) else StyleImage(s) for s in styles]
    return StyleTransfer(photo, styles, config, features, limits=Limits(tile=tile))


def run(photo, styles, features, **settings):
    """The finished picture."""
    stylization = prepare(photo, styles, features, **settings)
    *_, last = stylization.steps()
    return stylization.finish(last.image)


def distance(a, b):
    return float((a - b).abs().mean())


# The schedule and the sizes.


@pytest.mark.parametrize("size", [(16, 16), (301, 517), (1024, 768), (40, 3000), (128, 255)])
def test_scales_halve_up_to_the_output(size):
    sizes = level_sizes(*size)
    assert sizes[-1] == size
    for (height, width), (next_height, next_width) in itertools.pairwise(sizes):
        assert (height, width) == ((next_height + 1) // 2, (next_width + 1) // 2)
    for scale in sizes[:-1]:
        assert max(scale) >= COARSEST
        assert min(scale) >= SMALLEST_SIDE
    # and no further halving was possible
    assert max(sizes[0]) < 2 * COARSEST or min(sizes[0]) < 2 * SMALLEST_SIDE


@pytest.mark.parametrize("preset", PRESETS)
def test_every_scale_has_evaluations(preset):
    config = StylizeConfig(preset=preset)
    sizes = (COARSEST, 8 * COARSEST)
    for side in sizes:
        scales = schedule(config, side, side)
        found = [size for size, _ in itertools.groupby((s.height, s.width) for s in scales)]
        assert found == level_sizes(side, side)
        assert all(s.iterations >= 1 for s in scales)


@pytest.mark.parametrize(
    ("style", "content", "shallow"),
    [
        (["relu1_1", "relu3_1", "relu4_1"], "relu4_2", ["relu1_1", "relu3_1"]),
        (["relu2_1", "relu1_1"], "relu4_2", ["relu1_1", "relu2_1"]),
        (["relu1_1", "relu2_1"], "relu3_1", None),
        (["relu4_1"], "relu4_2", None),
    ],
)
def test_a_shallow_level_looks_at_shallow_layers_alone(
    photo_of, painting, short, style, content, shallow
):
    """With the weights that they have among all, and little of the content, at the deepest."""
    layers = {"style_layers": dict.fromkeys(style, 2.0), "content_layers": {content: 1.0}}
    work = prepare(photo_of(128, 128), [painting], TINY, **layers)
    usual = work.weights(work.schedule[-1])
    assert usual.content_layers == {content: 1.0}
    found = [level for level in work.schedule if level.shallow]
    assert [level.height for level in found] == ([] if shallow is None else [64, 128])
    for level in found:
        weights = work.weights(level)
        assert sorted(weights.style_layers) == shallow
        assert weights.style / len(shallow) == pytest.approx(usual.style / len(style))
        assert weights.content_layers == {shallow[-1]: 1.0}
        assert 0 < weights.content < usual.content
        losses = work.objective(level, 0)(work.start(level.height, level.width)).losses
        assert min(losses["style"], losses["content"]) > 0


def test_at_full_strength_no_level_looks_at_the_content(photo_of, painting, short):
    layers = {"style_layers": {"relu1_1": 1.0}, "content_layers": {"relu4_2": 1.0}}
    work = prepare(photo_of(96, 96), [painting], TINY, strength=1.0, **layers)
    assert {work.weights(level).content for level in work.schedule} == {0.0}


def test_steps_are_those_of_the_last_scale():
    usual = schedule(StylizeConfig(), 4 * COARSEST, 4 * COARSEST)
    asked = schedule(StylizeConfig(steps=7), 4 * COARSEST, 4 * COARSEST)
    side = 4 * COARSEST
    assert sum(s.iterations for s in asked if s.width == side) == 7
    assert [s for s in asked if s.width < side] == [s for s in usual if s.width < side]
    assert asked[-1].width == side
    assert not asked[-1].shallow


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, (75, 101)),
        (50, (37, 50)),
        (202, (150, 202)),
        ((33, 47), (33, 47)),
        ((90, 16), (90, 16)),
    ],
)
def test_the_output_has_the_size_asked_for(photo_of, painting, features, size, expected):
    assert output_size(75, 101, size) == expected
    stylization = prepare(photo_of(75, 101), [painting], features, size=size, steps=1)
    step = next(stylization.steps())
    assert stylization.finish(step.image).shape == (1, 3, *expected)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (15, "15x11 is too small to stylize: the short side needs at least 16 pixels. "),
        ((200, 12), "12x200 is too small to stylize: the short side needs at least 16 pixels. "),
    ],
)
def test_too_small(size, message):
    with pytest.raises(UsageError) as error:
        output_size(75, 101, size)
    assert str(error.value) == message + "Ask for more with `size`."


def test_a_photo_that_is_too_small_itself(photo, painting, features):
    with pytest.raises(UsageError, match=r"^30x8 is too small to stylize"):
        prepare(photo[..., :8, :30], [painting], features)


# The run.


def test_steps_count_and_the_loss_falls_at_each_scale(short, photo, painting, features):
    stylization = prepare(photo, [painting], features)
    steps = list(stylization.steps())
    assert [s.index for s in steps] == list(range(1, len(steps) + 1))
    assert {s.steps for s in steps} == {len(steps)}
    assert [s.scale for s in steps] == [(32, 40)] * 6 + [(64, 80)] * 5
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(steps))
    assert stylization.warnings == []
    for _, group in itertools.groupby(steps, key=lambda s: s.scale):
        losses = [sum(s.losses.values()) for s in group]
        assert losses[-1] < 0.9 * losses[0]
    assert set(steps[0].losses) == {"content", "style", "palette", "tv"}


def test_nothing_is_computed_before_the_first_step(photo, painting, features, monkeypatch):
    computed = []
    monkeypatch.setattr(FeatureExtractor, "__call__", lambda *_, **__: computed.append(1))
    steps = prepare(photo, [painting], features).steps()
    assert not computed
    with pytest.raises(TypeError):  # and then the network is asked, here for nothing
        next(steps)
    assert computed


def test_adam_works_too(photo, painting, features):
    stylization = prepare(photo, [painting], features, optimizer="adam", steps=8)
    losses = [sum(s.losses.values()) for s in stylization.steps()]
    assert len(losses) == 8
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("statistic", ["covariance", "wasserstein"])
def test_other_statistics_fall_too(photo, painting, features, statistic):
    stylization = prepare(
        photo, [painting], features, statistic=statistic, steps=8, style_layers={"relu2_1": 1.0}
    )
    losses = [s.losses["style"] for s in stylization.steps()]
    assert losses[-1] < 0.8 * losses[0]


def test_the_picture_nears_the_style(photo, painting, features):
    """Its palette and its colors' mean, for what a person sees first."""
    result = run(photo, [painting], features, strength=0.8, steps=12)
    before = (photo.mean((0, 2, 3)) - painting.mean((0, 2, 3))).norm()
    after = (result.mean((0, 2, 3)) - painting.mean((0, 2, 3))).norm()
    assert after < 0.3 * before
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.dtype == torch.float32


@pytest.mark.parametrize("init", ["content", "noise"])
def test_the_same_seed_gives_the_same_picture(short, photo, painting, features, init):
    runs = [run(photo, [painting], features, init=init, seed=3) for _ in range(2)]
    assert torch.equal(*runs)


def test_the_number_of_threads_hardly_matters(photo, painting, features):
    """Not bit for bit: sums over pixels are split between threads, and so rounded otherwise."""
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(photo, [painting], features, init="noise", steps=5))
    finally:
        torch.set_num_threads(before)
    assert distance(*results) < 1e-3


def test_seeds_differ(photo, painting, features):
    a, b = (run(photo, [painting], features, init="noise", seed=s, steps=2) for s in (0, 1))
    assert distance(a, b) > 0.01


def test_it_starts_from_the_picture_given(photo, painting, features):
    start = torch.full((1, 3, 20, 20), 0.25)
    config = dataclasses.replace(CONFIG, init="picture")
    stylization = StyleTransfer(photo, [StyleImage(painting)], config, features, init=start)
    step = next(stylization.steps())
    assert distance(step.image, torch.full_like(step.image, 0.25)) < FIRST_STEP


@pytest.mark.parametrize(("color", "side"), [("style", 64), ("luma", 64), ("style", 40)])
def test_it_starts_from_a_fast_picture_and_takes_its_details(
    photo, painting, features, color, side
):
    """As far as it has them; those of larger sizes are the photo's."""
    look = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    config = dataclasses.replace(CONFIG, init="fast", color=color)
    work = StyleTransfer(photo, [StyleImage(painting)], config, features, init=look)
    seen = luma(look).expand_as(look) if color == "luma" else look
    assert distance(work.start(32, 32), resize(seen, 32, 32)) < 1e-6
    own = luma(photo).expand_as(photo) if color == "luma" else photo
    fine = resize(seen if side == 64 else own, 64, 64)
    below = torch.full((1, 3, 32, 32), 0.5)
    expected = 0.5 + fine - resize(resize(fine, 32, 32), 64, 64)
    assert distance(work.enlarged(below, (64, 64)), expected) < 1e-6


def test_strength_0_is_the_photo(photo, painting, features):
    assert distance(run(photo, [painting], features, strength=0.0, steps=6), photo) < 2 / 255


def test_strength_0_is_the_photo_over_several_scales(short, photo, painting, features):
    result = run(photo, [painting], features, strength=0.0, steps=40)
    assert distance(result, photo) < 2 / 255


def test_more_strength_is_further_from_the_photo(photo, painting, features):
    """In its content, as the network sees it, and in its pixels until these have the palette."""
    content = features(photo, ["relu3_2"])["relu3_2"]
    pixels, seen = [], []
    for strength in (0.0, 0.25, 0.5, 0.75):
        result = run(photo, [painting], features, strength=strength, steps=10)
        pixels.append(distance(result, photo))
        seen.append(distance(features(result, ["relu3_2"])["relu3_2"], content))
    assert pixels[0] < pixels[1] < pixels[2] < 1.05 * pixels[3], pixels
    assert all(a < b for a, b in itertools.pairwise(seen)), seen


def test_strength_1_has_no_content_term(photo, painting, features):
    step = next(prepare(photo, [painting], features, strength=1.0, steps=1).steps())
    assert "content" not in step.losses
    assert step.losses["style"] > 0


def test_there_is_no_seam_between_tiles(photo_of, painting, features, monkeypatch):
    """Differences across the borders of tiles are those of the picture computed whole.

    At one scale: over the hundreds of steps of all scales rounding grows into another picture.
    """
    monkeypatch.setattr(schedule_module, "COARSEST", 1000)
    photo, tile = photo_of(150, 203), 64
    jobs = [prepare(photo, [painting], features, tile=t, steps=6) for t in (0, tile)]
    whole, tiled = (job.finish(list(job.steps())[-1].image) for job in jobs)
    grid = picture_tiles(features, jobs[1].layers, photo.shape[-2:], tile)
    columns = sorted({t.columns.start for t in grid} - {0})
    rows = sorted({t.rows.start for t in grid} - {0})
    assert columns
    assert rows

    def across(image):
        sideways = (image[..., columns] - image[..., [c - 1 for c in columns]]).abs().mean()
        down = (image[..., rows, :] - image[..., [r - 1 for r in rows], :]).abs().mean()
        return float(sideways), float(down)

    assert across(tiled) == pytest.approx(across(whole), rel=0.02)


def test_a_run_in_tiles_is_the_same_run(photo_of, painting, features):
    photo = photo_of(72, 100)
    whole, tiled = (run(photo, [painting], features, tile=t, steps=4) for t in (0, 48))
    assert distance(whole, tiled) < 1e-3


def test_any_step_can_be_finished(short, photo, painting, features):
    stylization = prepare(photo, [painting], features)
    step = next(stylization.steps())
    assert step.image.shape[-2:] == (32, 40)
    result = stylization.finish(step.image + 0.5)
    assert result.shape == photo.shape
    assert result.max() <= 1


def test_broken_half_precision_leaves_a_note(photo, painting, vgg):
    class Broken(FeatureExtractor):
        def with_dtype(self, dtype):
            return FeatureExtractor(self.weights, dtype=dtype)

        def __call__(self, image, layers):
            return {k: v * 0 for k, v in super().__call__(image, layers).items()}

    stylization = prepare(photo, [painting], Broken(vgg, dtype=torch.bfloat16), steps=2)
    assert len(list(stylization.steps())) == 2
    assert len(stylization.warnings) == 1
    assert "using fp32" in stylization.warnings[0]


# Colors.


def test_keep_paints_in_the_photos_colors(photo, painting, features):
    """The mean color stays, where style brings the painting's."""
    kept, styled = (run(photo, [painting], features, color=c, steps=8) for c in ("keep", "style"))
    mean = photo.mean((0, 2, 3))
    assert (kept.mean((0, 2, 3)) - mean).norm() < 0.25 * (styled.mean((0, 2, 3)) - mean).norm()


def test_luma_changes_lightness_alone(photo, painting, features):
    result = run(photo, [painting], features, color="luma", steps=4)
    free = ((result > 0) & (result < 1)).all(1, keepdim=True)
    change = (result - photo) * free
    torch.testing.assert_close(change[:, :1], change[:, 1:2], atol=1e-5, rtol=0)
    torch.testing.assert_close(change[:, :1], change[:, 2:], atol=1e-5, rtol=0)
    assert change.abs().mean() > 0.005


# Masks.


def halves(height, width):
    left = torch.zeros(1, 1, height, width)
    left[..., : width // 2] = 1
    return left, 1 - left


def test_outside_its_mask_the_photo_stays_exactly(photo, painting, features):
    left, _ = halves(64, 80)
    result = run(photo, [StyleImage(painting, mask=left)], features, steps=5, strength=0.8)
    assert torch.equal(result[..., 40:], photo[..., 40:])
    assert distance(result[..., :40], photo[..., :40]) > 0.02


def test_each_style_stays_on_its_side(photo_of, painting_of, features):
    photo = photo_of(64, 96)
    left, right = halves(64, 96)
    red = StyleImage(painting_of(color=(0.9, 0.15, 0.1)), mask=left)
    blue = StyleImage(painting_of(color=(0.1, 0.15, 0.9)), mask=right)
    result = run(photo, [red, blue], features, strength=0.7, steps=10)
    redness = (result[:, 0] - result[:, 2])[0]
    before = (photo[:, 0] - photo[:, 2])[0]
    assert redness[:, :44].mean() > before[:, :44].mean() + 0.2
    assert redness[:, 52:].mean() < before[:, 52:].mean() - 0.2


def test_masks_of_any_size_serve(photo, painting, features):
    left, _ = halves(200, 300)
    result = run(photo, [StyleImage(painting, mask=left)], features, steps=2)
    assert torch.equal(result[..., 48:], photo[..., 48:])


def test_blended_styles_lie_between(photo, painting_of, features):
    """The mean color of a run with two styles, one counted three times."""
    red, blue = painting_of(color=(0.9, 0.15, 0.1)), painting_of(color=(0.1, 0.15, 0.9))
    styles = [StyleImage(red, 3.0), StyleImage(blue, 1.0)]
    result = run(photo, styles, features, strength=0.9, steps=8)
    expected = 0.75 * red.mean((0, 2, 3)) + 0.25 * blue.mean((0, 2, 3))
    torch.testing.assert_close(result.mean((0, 2, 3)), expected, atol=0.06, rtol=0)


# What is refused, and in which words.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"preset": "standart"},
            "Unknown preset 'standart': use draft, standard, fine. Did you mean standard?",
        ),
        ({"optimizer": "sgd"}, "Unknown optimizer 'sgd': use lbfgs, adam."),
        (
            {"statistic": "grams"},
            "Unknown statistic 'grams': use covariance, gram, wasserstein. Did you mean gram?",
        ),
        (
            {"init": "nose"},
            "Unknown init 'nose': use content, noise, fast, picture. Did you mean noise?",
        ),
        (
            {"color": "lima"},
            "Unknown color mode 'lima': use style, keep, luma, histogram. Did you mean luma?",
        ),
        ({"strength": 1.5}, "Strength 1.5 is out of range: use 0 (photo) to 1 (style)."),
        ({"strength": -0.1}, "Strength -0.1 is out of range: use 0 (photo) to 1 (style)."),
        ({"strength": float("nan")}, "Strength nan is out of range: use 0 (photo) to 1 (style)."),
        ({"style_scale": 0.01}, "Style scale 0.01 is out of range: use 0.05 to 8."),
        ({"style_scale": 9.0}, "Style scale 9 is out of range: use 0.05 to 8."),
        ({"steps": 0}, "Steps must be at least 1, not 0."),
        ({"content_weight": -1.0}, "The content weight must not be negative."),
        ({"style_weight": -1.0}, "The style weight must not be negative."),
        ({"tv_weight": -1.0}, "The tv weight must not be negative."),
        ({"palette_weight": -1.0}, "The palette weight must not be negative."),
        (
            {"style_layers": {}},
            "No style layer has a positive weight: name at least one, like relu3_1.",
        ),
        (
            {"style_layers": {"relu3_1": 0.0}},
            "No style layer has a positive weight: name at least one, like relu3_1.",
        ),
        (
            {"style_layers": {"relu3_1": 1.0, "relu1_1": -1.0}},
            "Layer weights must not be negative.",
        ),
        ({"content_layers": {"relu4_2": -1.0}}, "Layer weights must not be negative."),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(UsageError) as error:
        StylizeConfig(**settings)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"strength": 0.0},
        {"strength": 1.0},
        {"content_layers": {}},
        {"style_scale": 0.05},
        {"tv_weight": 0.0, "palette_weight": 0.0, "content_weight": 0.0},
        {"steps": 1, "optimizer": "adam", "statistic": "wasserstein", "color": "histogram"},
    ],
)
def test_settings_that_make_sense(settings):
    config = StylizeConfig(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


def test_a_run_checks_its_settings(photo, painting, features):
    with pytest.raises(UsageError, match=r"^Strength 2 is out of range"):
        prepare(photo, [painting], features, strength=2.0)
    with pytest.raises(UsageError, match=r"^vgg19 has no layer 'relu9_1'"):
        prepare(photo, [painting], features, style_layers={"relu9_1": 1.0})


def test_no_style(photo, features):
    with pytest.raises(UsageError) as error:
        prepare(photo, [], features)
    assert str(error.value) == "No style given: name at least one with `style`."


def test_no_picture_to_start_from(photo, painting, features):
    config = dataclasses.replace(CONFIG, init="picture")
    with pytest.raises(UsageError) as error:
        StyleTransfer(photo, [StyleImage(painting)], config, features)
    assert str(error.value) == "To start from a picture, give it: `init` FILE."
    with pytest.raises(UsageError) as error:
        prepare(photo, [painting], features, init="fast")
    assert str(error.value) == FAST_IS_FOR_PHOTOS


def test_empty_masks(photo, painting, features):
    with pytest.raises(UsageError) as error:
        prepare(photo, [StyleImage(painting, mask=torch.zeros(1, 1, 10, 10))], features)
    expected = "The masks are empty: no style applies anywhere in the picture."
    assert str(error.value) == expected


@pytest.mark.parametrize("layers", [{}, {"relu1_2": 0.0}])
def test_a_run_without_content_layers(photo, painting, features, layers):
    step = next(prepare(photo, [painting], features, content_layers=layers, steps=1).steps())
    assert "content" not in step.losses


@pytest.mark.parametrize("scale", [0.05, 2.0])
def test_extreme_stroke_sizes_run(photo, painting, features, scale):
    result = run(photo, [painting], features, style_scale=scale, steps=2)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("weights", [[0.0], [1.0, -1.0]])
def test_styles_need_a_weight(photo, painting, features, weights):
    with pytest.raises(UsageError):
        run(photo, [StyleImage(painting, w) for w in weights], features, steps=1)


def test_a_picture_too_small_for_its_layers(photo, painting, features):
    """One unit at pool5 needs 32 pixels."""
    with pytest.raises(
        UsageError, match="too small for these layers: the short side needs at least 32"
    ):
        run(photo[..., :20, :30], [painting], features, content_layers={"pool5": 1.0}, steps=1)


# The targets of a batch.


def batch(photos, style, cache, color):
    """The last iterates of several photos, one after the other."""
    config = dataclasses.replace(CONFIG, size=64, color=color)
    found = []
    for each in photos:
        work = StyleTransfer(each, [StyleImage(style)], config, TINY, cache=cache)
        *_, last = work.steps()
        found.append(last.image)
    return found


@pytest.mark.parametrize(
    ("color", "times"), [("style", 1), ("histogram", 1), ("keep", 2), ("luma", 2)]
)
def test_a_batch_finds_its_targets_once_and_paints_the_same(
    photo_of, painting, short, monkeypatch, color, times
):
    """Where the style is the same for each photo, that is: not where it takes their colors."""
    gather, gathered = transfer.gather_moments, []

    def counted(features, picture, *more):
        gathered.append(tuple(picture.shape[-2:]))
        return gather(features, picture, *more)

    monkeypatch.setattr(transfer, "gather_moments", counted)
    photos = [photo_of(48, 64), photo_of(64, 48) * 0.5]  # the long side decides
    plain = batch(photos, painting, None, color)
    assert len(gathered) == 2 * len(set(gathered)) > 2
    sizes = set(gathered)
    gathered.clear()
    kept = batch(photos, painting, TargetCache(), color)
    assert len(gathered) == times * len(sizes)
    for one, other in zip(plain, kept, strict=True):
        assert torch.equal(one, other)


def test_targets_are_kept_by_style_and_by_how_it_is_seen(painting, monkeypatch):
    monkeypatch.setattr(transfer, "MOST_TARGETS", 2)
    cache, found = TargetCache(), []

    def get(style, how):
        return cache.get(style, how, lambda: found.append(how) or {how: None})

    other = painting.clone()
    assert get(painting, "small") is get(painting, "small")
    assert get(painting, "large") is not get(painting, "small")
    get(other, "small")
    assert found == ["small", "large", "small"], "equal pixels are another style"
    get(painting, "small")
    assert len(found) == 3, "what was used last stays"
    get(painting, "large")
    assert len(found) == 4, "the oldest is forgotten"


# Faces stay the person's.


def test_a_kept_face_is_nearer_the_photo_than_a_painted_one(photo, painting, features, monkeypatch):
    face = Face((22, 16, 58, 48), ((32.0, 27.0), (48.0, 27.0), *[(40.0, 38.0)] * 4), 1.0)
    monkeypatch.setattr(transfer, "find_faces", lambda photo: [face])
    original = features(photo, ["relu2_2"])["relu2_2"].float()
    found = {}
    for faces in ("keep", "paint"):
        layers = {"relu2_2": 1.0}
        result = run(photo, [painting], features, faces=faces, content_layers=layers)
        seen = features(result, ["relu2_2"])["relu2_2"].float()
        found[faces] = float((seen - original)[..., 8:24, 11:29].square().sum())
    assert found["keep"] < 0.8 * found["paint"]


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 1),
        ({"strength": 0.2}, 1),
        ({"strength": 0.6}, 0.5),
        ({"strength": 0.7}, 0),
        ({"strength": 1.0}, 0),
        ({"faces": "paint"}, 0),
    ],
)
def test_the_stronger_the_style_the_less_is_kept(settings, share):
    found = transfer.faces_kept(StylizeConfig(**settings))
    assert found == pytest.approx(share)


@pytest.mark.parametrize("settings", [{}, {"color": "luma", "statistic": "gram"}])
def test_a_recorded_run_is_the_run(photo, painting, short, monkeypatch, settings):
    expected = run(photo, [painting], TINY, **settings)
    recorders = recording(monkeypatch)
    found = run(photo, [painting], TINY, **settings)
    assert [r.replays for r in recorders if r.replays] == [
        3,
        4,
        2,
        3,
    ]  # of L-BFGS, and at two sizes
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_a_run_leaves_nothing_on_the_host(photo, painting, short):
    half = torch.linspace(0, 1, photo.shape[-1]).expand(1, 1, *photo.shape[-2:])
    styles = [StyleImage(painting, 1.0, half), StyleImage(painting.flip(1))]
    settings = {"color": "luma", "init": "noise", "tile": 64}
    with Elsewhere():
        picture = run(photo, styles, FeatureExtractor(tiny_weights(), device=META), **settings)
    assert picture.device.type == "cpu"
