"""Flights: each frame comes from the one before, and an interrupted one goes on as it began."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cnnart.errors import UsageError
from cnnart.image.parts import Parts
from cnnart.methods.dream.config import FlightConfig
from cnnart.methods.dream.flight import FlightFrames, FrameMaker, fade_frames
from cnnart.methods.dream.transforms import zoom_picture
from cnnart.optim.color import color_gaussian, recolor
from cnnart.optim.steps import PyramidLevel, Step

FLIGHT = FlightConfig(frames=6, zoom=1.1, rotate=3, fps=4)
STEPS = 3


class Waves:
    """Stands for a dream: adds waves that depend on the number of the frame."""

    def __init__(self, picture, number, made):
        self.picture, self.number, self.made = picture, number, made
        self.warnings = [f"a note of frame {number}"] if number == 1 else []
        self.schedule = [PyramidLevel(20, 27, STEPS)]
        self.memory = SimpleNamespace(peak=number)

    def steps(self):
        self.made.append(self.number)
        image = self.picture
        for index in range(1, STEPS + 1):
            image = image + 0.05 * torch.sin(torch.arange(27.0) * (self.number + index))
            yield Step(index, STEPS, {"l2": float(index)}, image, (20, 27), 0.1 * index)

    def finish(self, image):
        return image.clamp(0, 1)


def photo():
    return 0.2 + 0.6 * torch.rand(1, 3, 20, 27, generator=torch.Generator().manual_seed(0))


def flight_of(folder, made=None, config=FLIGHT, **more):
    made = [] if made is None else made
    maker = FrameMaker(
        lambda: Waves(photo(), 0, made), lambda picture, number: Waves(picture, number, made)
    )
    return FlightFrames(maker, config, Parts(folder, {"seed": 0}), **more)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_each_frame_is_the_dream_of_the_one_before_moved_on(tmp_path):
    frames = flight_of(tmp_path / "f")
    steps = list(frames.steps())
    assert frames.whole
    palette = color_gaussian(frames.parts.read(0))
    for k in range(1, 6):
        moved = zoom_picture(frames.parts.read(k - 1), 1.1, 3)
        moved = recolor(moved, color_gaussian(moved), palette)
        *_, last = Waves(moved, k, []).steps()
        expected = (last.image.clamp(0, 1) * 255).round() / 255
        assert torch.equal(frames.parts.read(k), expected)
    assert [step.index for step in steps] == list(range(1, 6 * STEPS + 1))
    assert {step.steps for step in steps} == {6 * STEPS}
    assert frames.warnings == ["a note of frame 1"]
    assert sum(scale.iterations for scale in frames.schedule) == 6 * STEPS


def test_frames_keep_the_palette_of_the_first(tmp_path):
    """A dream that adds contrast to each frame would end in black and neon."""

    class Louder(Waves):
        def finish(self, image):
            return (1.3 * (self.picture - 0.5) + 0.5).clamp(0, 1)

    maker = FrameMaker(lambda: Waves(photo(), 0, []), lambda p, k: Louder(p, k, []))
    config = FlightConfig(frames=12, zoom=1, rotate=0)
    frames = FlightFrames(maker, config, Parts(tmp_path / "f", {}))
    list(frames.steps())
    first, last = (float(frames.parts.read(k).std()) for k in (0, 11))
    assert last == pytest.approx(1.3 * first, rel=0.1)


@pytest.mark.parametrize("stop", [1, STEPS, STEPS + 2, 6 * STEPS])
def test_an_interrupted_flight_goes_on_as_it_began(tmp_path, stop):
    list(flight_of(tmp_path / "whole").steps())
    for step in flight_of(tmp_path / "f").steps():
        if step.index == stop:
            break
    before, made = len(files(tmp_path / "f")) if stop > 1 else 0, []
    again = flight_of(tmp_path / "f", made)
    first = next(again.steps())
    assert first.index == before * STEPS + 1
    list(again.steps())
    assert files(tmp_path / "f") == files(tmp_path / "whole")
    assert set(made) == set(range(before, 6))


def test_what_is_whole_is_not_made_again(tmp_path):
    list(flight_of(tmp_path / "f").steps())
    again, made = flight_of(tmp_path / "f", made := []), made
    (step,) = again.steps()
    assert (step.index, step.steps) == (6 * STEPS, 6 * STEPS)
    assert made == []
    assert torch.equal(again.finish(step.image), again.parts.read(5))


def test_more_frames_go_on_from_fewer(tmp_path):
    short = FlightConfig(frames=3, zoom=1.1, rotate=3)
    list(flight_of(tmp_path / "f", config=short).steps())
    made = []
    longer = flight_of(tmp_path / "f", made)
    list(longer.steps())
    assert made == [3, 4, 5]
    assert len(list(longer.images())) == 6


def test_a_short_flight_after_a_long_one_shows_its_own_frames_only(tmp_path):
    list(flight_of(tmp_path / "f").steps())
    short = flight_of(tmp_path / "f", config=FlightConfig(frames=2))
    assert short.whole
    assert len(list(short.images())) == 2


def test_it_stops_when_the_time_is_up(tmp_path):
    frames = flight_of(tmp_path / "f", seconds=0.0)
    list(frames.steps())
    assert frames.done == 1
    assert len(list(frames.images())) == 1


def test_a_loop_ends_as_it_begins(tmp_path):
    """The old flight fades out over its first second while it goes on."""
    loop = FlightConfig(frames=6, zoom=1.1, fps=3, loop=True)
    assert fade_frames(loop) == 3
    frames = flight_of(tmp_path / "f", config=loop)
    list(frames.steps())
    assert frames.count == 9
    images = [np.asarray(image, float) / 255 for image in frames.images()]
    assert len(images) == 6
    for k, share in enumerate([0.25, 0.5, 0.75]):
        mixed = torch.lerp(frames.parts.read(6 + k), frames.parts.read(k), share)
        mixed = recolor(mixed, color_gaussian(mixed), color_gaussian(frames.parts.read(0)))
        assert np.abs(images[k] - mixed[0].permute(1, 2, 0).numpy()).max() < 0.5 / 255 + 1e-6
    exact = frames.parts.read(3)[0].permute(1, 2, 0).numpy()
    assert np.abs(images[3] - exact).max() < 1e-6


def test_a_loop_that_was_interrupted_is_shown_as_it_is(tmp_path):
    loop = FlightConfig(frames=6, fps=3, loop=True)
    frames = flight_of(tmp_path / "f", config=loop)
    for step in frames.steps():
        if step.index > 4 * STEPS:
            break
    images = list(frames.images())
    assert len(images) == 4
    first = frames.parts.read(0)[0].permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(images[0], float) / 255 - first).max() < 1e-6


@pytest.mark.parametrize(
    ("config", "count"),
    [(FlightConfig(fps=15), 0), (FlightConfig(frames=10, loop=True), 5)],
)
def test_how_long_a_loop_fades(config, count):
    assert fade_frames(config) == count


WRONG = [
    ({"frames": 0}, "Frames must be at least 1, not 0"),
    ({"zoom": 0.1}, "Zoom 0.1 is out of range: use 0.5 to 2 per frame"),
    ({"zoom": float("nan")}, "Zoom nan is out of range"),
    ({"fps": 0}, "0 frames per second is out of range"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        flight_of(tmp_path / "f", config=FlightConfig(**changes))
