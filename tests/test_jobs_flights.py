"""Flights from files to files: names, formats, and what an interruption leaves."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import save_picture

from cnnart.config import DreamConfig, FlightConfig
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.features import FeatureExtractor
from cnnart.image import read_record
from cnnart.jobs.batch import Batch
from cnnart.jobs.dreaming import DreamRecipe
from cnnart.jobs.files import Source
from cnnart.jobs.flying import FlightRecipe, plan_flights
from cnnart.jobs.report import Quiet
from cnnart.jobs.writing import Writing

DREAM = DreamConfig(layers={"relu2_1": 1.0}, octaves=2, steps=2, jitter=2)
FLIGHT = FlightConfig(frames=4, zoom=1.05, rotate=2, fps=10, octaves=1, steps=1)


class Stopper(Quiet):
    """Presses Ctrl-C at a step, and remembers what it was told."""

    def __init__(self, at=None):
        self.at, self.batch, self.kinds, self.warnings = at, None, [], []

    def start(self, start):
        self.begun = start

    def step(self, step):
        if step.index == self.at:
            self.batch._interrupt.asked = True

    def warning(self, message):
        self.warnings.append(message)

    def saved(self, path, kind, seconds):
        self.kinds.append(kind)


@pytest.fixture
def fly(monkeypatch, tiny, tmp_path):
    """A function from an output name and settings to (exit code, reporter)."""
    photo = save_picture(tmp_path / "photo.png", 67, 53)
    engine = Engine(device="cpu", precision="fp32")
    monkeypatch.setattr(engine, "_loaded", {"max": FeatureExtractor(tiny)})

    def run(output, stop=None, flight=FLIGHT, dream=DREAM):
        recipe = FlightRecipe(DreamRecipe(dream), flight)
        tasks = plan_flights([Source(photo, "photo.png")], str(output), recipe.label)
        reporter = Stopper(stop)
        studio = recipe.studio(engine, Writing())
        reporter.batch = batch = Batch(studio.open, reporter)
        return batch.run(tasks), reporter

    return run


def frames_of(path):
    with Image.open(path) as image:
        found = []
        for k in range(image.n_frames):
            image.seek(k)
            found.append((np.asarray(image.convert("RGB")), image.info.get("duration")))
    return found


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_an_animation_of_all_frames(fly, tmp_path, suffix):
    code, reporter = fly(tmp_path / f"a.{suffix}")
    assert (code, reporter.kinds) == (0, ["result"])
    found = frames_of(tmp_path / f"a.{suffix}")
    assert len(found) == 4
    assert {(image.shape, time) for image, time in found} == {((53, 67, 3), 100)}
    for (one, _), (other, _) in pairwise(found):
        assert np.abs(one.astype(float) - other).mean() > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", "photo.png"]


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV not installed")
def test_a_video(fly, tmp_path):
    import av

    assert fly(tmp_path / "a.mp4")[0] == 0
    with av.open(str(tmp_path / "a.mp4")) as container:
        shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
    assert shapes == [(54, 68, 3)] * 4


def test_what_is_told_at_the_start(fly, tmp_path):
    start = fly(tmp_path / "a.webp")[1].begun
    assert start.about == "dream relu2_1, 4 frames"
    assert start.details["frames"] == 4
    assert start.size == (53, 67)
    assert sum(steps for _, steps in start.schedule) == 2 * 2 + 3


def test_an_interrupted_flight_goes_on_to_the_same_frames(fly, tmp_path):
    fly(tmp_path / "whole" / "frames")
    code, reporter = fly(tmp_path / "a.webp", stop=6)
    assert (code, reporter.kinds) == (130, ["interrupted"])
    kept = tmp_path / "a.frames"
    assert len(list(kept.glob("*.png"))) == len(frames_of(tmp_path / "a.webp")) == 2
    assert json.loads(read_record(tmp_path / "a.webp"))["interrupted_at"] == 6
    halfway = {path.name: path.read_bytes() for path in kept.glob("*.png")}
    code, reporter = fly(tmp_path / "a.webp")
    assert (code, reporter.kinds) == (0, ["result"])
    assert any("holds 2 finished parts" in warning for warning in reporter.warnings)
    assert not kept.exists()
    fly(tmp_path / "again.webp")
    for (one, _), (other, _) in zip(
        frames_of(tmp_path / "a.webp"), frames_of(tmp_path / "again.webp"), strict=True
    ):
        assert np.array_equal(one, other)
    for name, data in halfway.items():
        assert (tmp_path / "whole" / "frames" / name).read_bytes() == data


def test_a_folder_of_frames_goes_on_where_it_was(fly, tmp_path):
    fly(tmp_path / "whole" / "f")
    folder = tmp_path / "f"
    assert fly(folder, stop=5)[0] == 130
    assert len(list(folder.glob("*.png"))) == 1
    assert fly(folder)[0] == 0
    for path in (tmp_path / "whole" / "f").glob("*.png"):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert len(list(folder.glob("*.png"))) == 4


def test_stopped_in_its_first_frame_it_shows_that(fly, tmp_path):
    assert fly(tmp_path / "a.webp", stop=1)[0] == 130
    assert len(frames_of(tmp_path / "a.webp")) == 1


def test_other_settings_start_anew_and_say_so(fly, tmp_path):
    fly(tmp_path / "a.webp", stop=6)
    other = FlightConfig(frames=4, zoom=1.2, octaves=1, steps=1)
    reporter = fly(tmp_path / "a.webp", flight=other)[1]
    assert any("starting anew" in warning for warning in reporter.warnings)


def test_a_loop_has_as_many_frames_as_asked_for(fly, tmp_path):
    loop = FlightConfig(frames=4, zoom=1.05, fps=2, loop=True, octaves=1, steps=1)
    assert fly(tmp_path / "f", flight=loop)[0] == 0
    assert len(list((tmp_path / "f").glob("*.png"))) == 4
    assert not (tmp_path / "f.frames").exists()


def test_frames_are_those_of_the_same_seed(fly, tmp_path):
    for name in ("a.webp", "b.webp"):
        fly(tmp_path / name)
    a, b = (frames_of(tmp_path / name) for name in ("a.webp", "b.webp"))
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(a, b, strict=True))
    fly(tmp_path / "c.webp", dream=DreamConfig(**{**vars(DREAM), "seed": 5}))
    assert not np.array_equal(frames_of(tmp_path / "c.webp")[0][0], a[0][0])


SOURCES = [Source(Path("in/one.jpg"), "in/one.jpg"), Source(Path("in/two.jpg"), "in/two.jpg")]


@pytest.mark.parametrize(
    ("output", "names", "formats"),
    [
        (None, ["one-eyes.webp", "two-eyes.webp"], ["webp"] * 2),
        ("out/{stem}.mp4", ["out/one.mp4", "out/two.mp4"], ["mp4"] * 2),
        ("{stem}-{style}.GIF", ["one-eyes.GIF", "two-eyes.GIF"], ["gif"] * 2),
        ("out/{stem}/", ["out/one", "out/two"], ["frames"] * 2),
    ],
)
def test_what_flights_are_called(tmp_path, monkeypatch, output, names, formats):
    monkeypatch.chdir(tmp_path)
    tasks = plan_flights(SOURCES, output, "eyes")
    assert [task.target.as_posix() for task in tasks] == names
    assert [task.format for task in tasks] == formats


def test_a_name_without_suffix_is_a_folder(tmp_path):
    (task,) = plan_flights(SOURCES[:1], str(tmp_path / "frames"), "eyes")
    assert (task.target, task.format) == (tmp_path / "frames", "frames")


def test_one_flight_fits_on_standard_output():
    assert plan_flights(SOURCES[:1], "-", "eyes")[0].target is None


WRONG = [
    (SOURCES, "-", "Only one flight fits on standard output, not 2"),
    (SOURCES, "a.webp", "2 flights cannot go into 'a.webp': give a pattern"),
    (SOURCES[:1], "a.avi", r"written as \.webp, \.gif, \.mp4, not \.avi \(a\.avi\)"),
    (SOURCES[:1], "a.png", "end the output with a slash for a folder of frames"),
    (SOURCES, "{stem}-{size}.webp", r"Unknown field \{size\} in the output pattern"),
    (
        [SOURCES[0], Source(Path("b/one.jpg"), "b/one.jpg")],
        "{stem}.webp",
        "'in/one.jpg' and 'b/one.jpg' would both become 'one.webp'",
    ),
]


@pytest.mark.parametrize(("sources", "output", "message"), WRONG)
def test_outputs_that_cannot_be(sources, output, message):
    with pytest.raises(UsageError, match=message) as raised:
        plan_flights(sources, output, "eyes")
    assert raised.value.exit_code == 2


def test_mp4_without_pyav_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("cnnart.jobs.flying.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match="MP4 needs PyAV: pip install"):
        plan_flights(SOURCES[:1], "a.mp4", "eyes")


def test_an_input_is_never_overwritten(tmp_path):
    clip = save_picture(tmp_path / "a.webp")
    with pytest.raises(UsageError, match="The result would overwrite the input"):
        plan_flights([Source(clip, "a.webp")], str(clip), "eyes")
    frame = save_picture(tmp_path / "f" / "0003.png")
    with pytest.raises(UsageError, match=r"would overwrite the input .*0003\.png"):
        plan_flights([Source(frame, "0003.png")], str(tmp_path / "f"), "eyes")
    mask = save_picture(tmp_path / "m.gif")
    with pytest.raises(UsageError, match="would overwrite the input"):
        plan_flights([Source(clip, "a.webp")], str(mask), "eyes", [mask])


def test_settings_are_checked_with_the_recipe():
    with pytest.raises(UsageError, match="Zoom 5 is out of range"):
        FlightRecipe(DreamRecipe(DREAM), FlightConfig(zoom=5))
