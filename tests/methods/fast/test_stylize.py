"""Photos through trained networks: strength, stroke, colors, masks, blends, memory."""

from __future__ import annotations

import gc
import logging
import weakref
from dataclasses import replace

import pytest
import torch

from cnnart.errors import OutOfMemory, UsageError
from cnnart.image.picture import luma, resize
from cnnart.methods.fast import stylize as stylize
from cnnart.methods.fast.architecture import make_architecture
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.frames import FramePainter
from cnnart.methods.fast.network import make_noise
from cnnart.methods.fast.stylize import (
    Detail,
    FastStyle,
    FastStylization,
    NetworkRunner,
    seed_of,
)
from cnnart.optim.color import color_gaussian
from cnnart.optim.detail import detail_of, match_detail
from cnnart.optim.memory import Limits
from tests.helpers.fast import checkpoint
from tests.helpers.pictures import make_photo

PHOTO = make_photo(50, 70)
MADE = checkpoint("candy", "waves")
OTHER = checkpoint("moss", seed=9, span=None)
NOISE = make_noise(MADE.network.arch, 50, 70, [seed_of(PHOTO[0])])


def runner() -> NetworkRunner:
    return NetworkRunner(torch.device("cpu"), torch.float32)


def paint(
    *styles: FastStyle,
    photo: torch.Tensor = PHOTO,
    limits: Limits | None = None,
    **settings: object,
) -> torch.Tensor:
    config = FastConfig(**settings)  # type: ignore[arg-type]
    chosen = styles or (FastStyle(MADE, "candy"),)
    return FastStylization(photo, chosen, config, runner(), limits).pictures()


def test_the_network_decides_what_a_picture_looks_like() -> None:
    vector = MADE.bank.style_vector({"candy": 1}, 0.7)
    with torch.no_grad():
        expected = MADE.network(PHOTO, vector, noise=NOISE).clamp(0, 1)
    assert torch.allclose(paint(strength=0.7, stroke="pixels=1"), expected, atol=1e-5)


def test_strength_goes_from_the_photo_to_the_style() -> None:
    assert torch.equal(paint(strength=0.0), PHOTO)
    distances = [
        float((paint(strength=s, stroke="pixels=1") - PHOTO).abs().mean()) for s in (0.1, 0.2)
    ]
    assert distances[0] == pytest.approx(distances[1] / 2, rel=0.01)
    assert not torch.equal(paint(strength=0.5), paint(strength=1.0))


def test_strokes_in_pixels_run_the_network_at_another_size_and_keep_the_pictures() -> None:
    for stroke in ("pixels=0.5", "pixels=1.5", "pixels=2"):
        assert paint(stroke=stroke).shape == PHOTO.shape
    larger = FastStylization(
        PHOTO, [FastStyle(MADE, "candy")], FastConfig(stroke="pixels=2"), runner()
    )
    assert larger.levels == [(25, 35)]


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((512, 384), 1.0, [(512, 384)]),
        ((540, 405), 1.0, [(540, 405)]),  # nearly right as it is
        ((480, 360), 1.0, [(480, 360)]),
        ((400, 300), 1.0, [(512, 384)]),
        ((600, 450), 1.0, [(512, 384), (600, 450)]),
        ((1024, 768), 1.0, [(512, 384), (1024, 768)]),
        ((2048, 1024), 1.0, [(512, 256), (1024, 512), (2048, 1024)]),
        ((1024, 1024), 2.0, [(256, 256), (512, 512), (1024, 1024)]),
        ((512, 512), 0.5, [(1024, 1024)]),  # finer than the picture's own pixels
        (
            (64, 32),
            1.0,
            [(256, 128)],
        ),  # small photos are enlarged, but not to what they cannot show
    ],
)
def test_levels_lead_from_the_strokes_to_the_pictures_size(
    size: tuple[int, int], scale: float, expected: list[tuple[int, int]]
) -> None:
    assert stylize.stroke_levels(size, scale) == expected


def test_a_clips_frames_are_painted_at_once_where_a_picture_is_not() -> None:
    style = FastStyle(MADE, "candy")
    for size, levels in (
        ((300, 500), [(300, 500)]),
        ((480, 640), [(384, 512), (480, 640)]),
        ((600, 1000), [(307, 512), (600, 1000)]),
        ((1200, 2000), [(307, 512), (607, 1012), (1200, 2000)]),
    ):
        work = FastStylization(make_photo(*size), [style], FastConfig(), runner())
        assert work.levels == levels
    for size, levels in (
        ((480, 640), [(480, 640)]),
        ((480, 720), [(480, 720)]),
        ((600, 1000), [(307, 512), (600, 1000)]),
    ):
        frame = FramePainter([style], FastConfig(), runner()).planned(make_photo(*size))
        assert frame.levels == levels


def test_a_large_picture_looks_like_the_small_one_and_is_sharp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reduced, it is nearer to the small one's painting than a pass at its own size is; and it has
    details that enlarging the small one would not give.
    """
    monkeypatch.setattr(stylize, "STROKE_SIDE", 48)
    mild = checkpoint("mild")
    with torch.no_grad():
        mild.network.head.weight.mul_(0.1)
    photo, style = make_photo(192, 144), FastStyle(mild, "mild")
    small = resize(photo, 48, 36)
    wanted, found = paint(style, photo=small), paint(style, photo=photo)
    plain = paint(style, photo=photo, stroke="pixels=1")
    near, far = (
        float((resize(p, 24, 18) - resize(wanted, 24, 18)).abs().mean()) for p in (found, plain)
    )
    assert near < 0.5 * far
    fine = found - resize(resize(found, 48, 36), 192, 144)
    enlarged = resize(wanted, 192, 144)
    assert fine.std() > 2 * (enlarged - resize(resize(enlarged, 48, 36), 192, 144)).std()


def test_pictures_have_their_paintings_fine_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = paint(stroke="pixels=1")
    calm, rough = tuple((0.6 * detail_of(plain)[0]).tolist()), (0.2, 0.2, 0.2, 0.2)

    def style(name: str, detail: tuple[float, ...]) -> FastStyle:
        infos = tuple(replace(info, detail=detail) for info in MADE.styles)
        return FastStyle(replace(MADE, styles=infos), name)

    quiet = paint(style("candy", calm), stroke="pixels=1")
    assert (detail_of(quiet) < 0.85 * detail_of(plain)).all()
    expected = match_detail(plain, torch.tensor([calm])).clamp(0, 1)
    assert torch.allclose(quiet, expected, atol=1e-5)
    weak = paint(style("candy", calm), stroke="pixels=1", strength=0.25)
    halfway = match_detail(paint(stroke="pixels=1", strength=0.25), torch.tensor([calm]), share=0.5)
    assert torch.allclose(weak, halfway.clamp(0, 1), atol=1e-5)
    # A blend of styles has the mean.
    blend = [(style("candy", calm).detail(), 0.75), (style("waves", rough).detail(), 0.25)]
    both = Detail.of(blend, 0.5).wanted
    assert both is not None
    mean = 0.75 * torch.tensor([calm]) + 0.25 * torch.tensor([rough])
    assert torch.allclose(both, mean)
    assert Detail.of([(FastStyle(MADE, "candy").detail(), 1.0)], 0.5).wanted is None
    # Neither a clip's frames have it raised,
    frames = [
        FramePainter([s], FastConfig(stroke="pixels=1"), runner())(PHOTO)
        for s in (FastStyle(MADE, "candy"), style("candy", rough), style("candy", calm))
    ]
    assert torch.allclose(frames[1], frames[0], atol=1e-5)
    assert (detail_of(frames[2]) < 0.85 * detail_of(frames[0])).all()
    # nor what a large picture adds at its own size.
    monkeypatch.setattr(stylize, "STROKE_SIDE", 35)
    large = make_photo(100, 140)
    added = [
        detail_of(paint(s, photo=large))[0, :2]
        for s in (FastStyle(MADE, "candy"), style("candy", rough))
    ]
    assert (added[1] < 1.02 * added[0]).all()
    raised = detail_of(paint(style("candy", rough), photo=large, stroke="pixels=1"))
    assert (raised[0, :2] > 1.2 * added[0]).all()


def test_size_is_the_outputs() -> None:
    assert paint(size=35).shape == (1, 3, 25, 35)
    assert paint(size=(40, 30)).shape == (1, 3, 40, 30)


def test_colors_can_be_kept() -> None:
    kept = paint(color="keep")
    mean, _ = color_gaussian(kept)
    wanted, _ = color_gaussian(PHOTO)
    usual, _ = color_gaussian(paint())
    assert (mean - wanted).norm() < 0.25 * (usual - wanted).norm()
    flat = checkpoint("gray")
    with torch.no_grad():
        flat.network.head.weight.zero_()
    chroma = PHOTO - luma(PHOTO)
    found = paint(FastStyle(flat, "gray"), color="luma")
    inside = (found > 0) & (found < 1)
    assert torch.allclose((found - luma(found))[inside], chroma[inside], atol=0.05)


def test_weights_of_one_network_are_mixed_within_it() -> None:
    vector = MADE.bank.style_vector({"candy": 1, "waves": 3}, 0.5)
    with torch.no_grad():
        expected = MADE.network(PHOTO, vector, noise=NOISE).clamp(0, 1)
    found = paint(FastStyle(MADE, "candy", 1.0), FastStyle(MADE, "waves", 3.0), stroke="pixels=1")
    assert torch.allclose(found, expected, atol=1e-5)


def test_several_networks_pictures_are_averaged() -> None:
    candy = paint(stroke="pixels=1")
    moss = paint(FastStyle(OTHER, "moss"), stroke="pixels=1")
    found = paint(FastStyle(MADE, "candy", 3.0), FastStyle(OTHER, "moss", 1.0), stroke="pixels=1")
    assert torch.allclose(found, 0.75 * candy + 0.25 * moss, atol=1e-5)


def test_masks_divide_the_picture() -> None:
    mask = torch.zeros(1, 1, *PHOTO.shape[-2:])
    mask[..., :35] = 1
    both = paint(FastStyle(MADE, "candy", mask=mask), FastStyle(MADE, "waves"))
    assert torch.allclose(both[..., :35], paint()[..., :35], atol=1e-5)
    waves = paint(FastStyle(MADE, "waves"))
    assert torch.allclose(both[..., 35:], waves[..., 35:], atol=1e-5)
    alone = paint(FastStyle(MADE, "candy", mask=mask))
    assert torch.allclose(alone[..., 35:], PHOTO[..., 35:], atol=1e-5)


def test_a_batch_is_its_pictures() -> None:
    photos = torch.cat([PHOTO, make_photo(50, 70, seed=4)])
    found = paint(photo=photos)
    singles = torch.cat([paint(photo=photos[i : i + 1]) for i in range(2)])
    assert torch.allclose(found, singles, atol=1e-4)


def test_photos_of_one_size_are_computed_together() -> None:
    shared, styles = runner(), [FastStyle(MADE, "candy"), FastStyle(OTHER, "moss")]
    photos = [PHOTO, make_photo(50, 70, seed=4)]
    works = [FastStylization(p, styles, FastConfig(), shared) for p in photos]
    assert works[0].can_join(works[1])
    both = works[0].joined(works)
    assert both.photo.shape == (2, 3, 50, 70)
    assert torch.allclose(both.pictures(), torch.cat([w.pictures() for w in works]), atol=1e-4)


def test_what_differs_is_not_computed_together() -> None:
    shared, mask = runner(), torch.ones(1, 1, 5, 5)

    def work(
        photo: torch.Tensor = PHOTO, name: str = "candy", weight: float = 1.0, **settings: object
    ) -> FastStylization:
        style = FastStyle(MADE, name, weight, settings.pop("mask", None))  # type: ignore[arg-type]
        return FastStylization(photo, [style], FastConfig(**settings), shared)  # type: ignore[arg-type]

    first = work()
    assert first.can_join(work())
    others = [
        work(make_photo(50, 60)),
        work(name="waves"),
        work(weight=2.0),
        work(strength=0.4),
        work(mask=mask),
        FastStylization(PHOTO, [FastStyle(MADE, "candy")], FastConfig(), runner()),
    ]
    assert not any(first.can_join(other) or other.can_join(first) for other in others)


def test_a_network_is_prepared_once_and_let_go_with_its_checkpoint() -> None:
    shared, made = runner(), checkpoint("brief")
    first = shared.prepared(made, [])
    assert shared.prepared(made, []) is first
    kept = weakref.ref(first.network)
    del made, first
    gc.collect()
    assert kept() is None


def test_strips_change_nothing() -> None:
    found = paint(limits=Limits(tile=16))
    assert torch.allclose(found, paint(), atol=1e-4)


def test_little_memory_means_strips_and_too_little_is_told() -> None:
    huge = torch.zeros(1, 3, 2000, 1500)
    style = [FastStyle(checkpoint("x", arch="johnson,blocks=0"), "x")]
    free = FastStylization(huge, style, FastConfig(), runner(), Limits(memory=64 << 30))
    assert free.memory.tile == 0
    tight = Limits(memory=free.memory.peak * 2 // 3)
    strips = FastStylization(huge, style, FastConfig(), runner(), tight)
    assert strips.memory.tile > 0
    assert strips.memory.peak <= free.memory.peak * 2 // 3
    with pytest.raises(OutOfMemory, match="1500x2000 needs about"):
        FastStylization(huge, style, FastConfig(), runner(), Limits(memory=1 << 20))


def test_running_out_of_memory_means_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    original = NetworkRunner.run

    def scarce(self: NetworkRunner, made, photos, pair, noise, rows, warnings, carried=None):  # type: ignore[no-untyped-def]
        if rows == 0 or rows > 64:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return original(self, made, photos, pair, noise, rows, warnings, carried)

    config = FastConfig(stroke="pixels=1")
    expected = paint(photo=make_photo(200, 40), stroke="pixels=1")
    monkeypatch.setattr(NetworkRunner, "run", scarce)
    work = FastStylization(make_photo(200, 40), [FastStyle(MADE, "candy")], config, runner())
    assert torch.allclose(work.pictures(), expected, atol=1e-4)
    assert work.warnings == [
        "Out of memory: going on in strips of 128 rows.",
        "Out of memory: going on in strips of 64 rows.",
    ]


def test_memory_that_holds_not_even_a_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(NetworkRunner, "run", full)
    with pytest.raises(OutOfMemory, match="Out of memory even in strips: choose a smaller `size`"):
        paint()


def test_a_compiled_network_paints_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    original, compiled = torch.compile, []

    def traced(network: torch.nn.Module) -> object:
        compiled.append(network)
        return original(network, backend="eager")  # which needs no C++ compiler

    monkeypatch.setattr(stylize.torch, "compile", traced)
    fast = NetworkRunner(torch.device("cpu"), torch.float32, compiled=True)
    work = FastStylization(PHOTO, [FastStyle(MADE, "candy")], FastConfig(engine="compile"), fast)
    assert torch.allclose(work.pictures(), paint(), atol=1e-5)
    assert len(compiled) == 1
    assert work.warnings == []


def test_compiling_that_fails_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(network: object) -> object:
        def run(*_: object) -> None:
            raise RuntimeError("no C++ compiler")

        return run

    monkeypatch.setattr(stylize.torch, "compile", refuse)
    fast = NetworkRunner(torch.device("cpu"), torch.float32, compiled=True)
    work = FastStylization(PHOTO, [FastStyle(MADE, "candy")], FastConfig(engine="compile"), fast)
    assert torch.equal(work.pictures(), paint())
    assert work.warnings == [
        "torch.compile does not work here (RuntimeError: no C++ compiler): running without it."
    ]


def test_a_compiler_that_cannot_even_be_asked_for_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_cache(network: object) -> object:
        raise FileNotFoundError(2, "No such file or directory", "/proc/nowhere")

    monkeypatch.setattr(stylize.torch, "compile", no_cache)
    fast = NetworkRunner(torch.device("cpu"), torch.float32, compiled=True)
    work = FastStylization(PHOTO, [FastStyle(MADE, "candy")], FastConfig(engine="compile"), fast)
    assert torch.equal(work.pictures(), paint())
    assert len(work.warnings) == 1
    assert "'/proc/nowhere'" in work.warnings[0]


def test_the_compilers_log_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with stylize.without_logs():
        logging.getLogger("torch").error("pages")
    assert not caplog.records
    logging.getLogger("torch").error("again")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strength": 1.5}, "Strength 1.5 is out of range"),
        ({"stroke": 9.0}, "`stroke` 9.0 is out of range"),
        ({"color": "gray"}, "Unknown color mode 'gray'"),
        ({"engine": "onnx"}, "Unknown engine 'onnx': use eager, compile"),
        ({"size": 4}, "too small to stylize"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        paint(**settings)


def test_no_style_and_empty_masks_are_refused() -> None:
    with pytest.raises(UsageError, match="No style given"):
        FastStylization(PHOTO, [], FastConfig(), runner())
    empty = torch.zeros(1, 1, 5, 5)
    with pytest.raises(UsageError, match="masks are empty"):
        paint(FastStyle(MADE, "candy", mask=empty))


def test_a_network_trained_smaller_needs_less_memory() -> None:
    sizes = []
    for arch in ("johnson", "small", "small,widths=16-32"):
        net = checkpoint("x", arch=arch)
        assert net.network.arch == make_architecture(arch)
        work = FastStylization(PHOTO, [FastStyle(net, "x")], FastConfig(), runner())
        sizes.append(work.memory.peak)
    assert sizes[0] > sizes[1] > sizes[2]
