"""Flights from files to files: names, formats, and what an interruption leaves."""

import importlib.util
import json
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cnnart.cli import cli
from cnnart.commands.dream import Dream
from cnnart.commands.flight import Flight, FlightTask, plan_flights
from cnnart.errors import CnnartError, UsageError
from cnnart.image.animation import write_animation
from cnnart.image.read import read_record
from cnnart.methods.dream.config import DreamConfig, FlightConfig
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.memory import Limits
from cnnart.run.batch import Batch, BatchOptions
from cnnart.run.inputs import Source
from cnnart.run.record import read_record_of
from cnnart.run.report import Reporter
from cnnart.runtime import Runtime
from tests.helpers.files import save_picture

DREAM = DreamConfig(layers={"relu2_1": 1.0}, octaves=2, steps=2, jitter=2)
PLAIN = BatchOptions()
FLIGHT = FlightConfig(frames=4, zoom=1.05, rotate=2, fps=10, octaves=1, steps=1)


class Stopper(Reporter):
    """Presses Ctrl-C at a step, and remembers what it was told."""

    def __init__(self, at=None):
        self.at, self.batch, self.kinds, self.warnings, self.skips = at, None, [], [], 0

    def start(self, start):
        self.begun = start

    def step(self, step):
        if step.index == self.at:
            self.batch._interrupt.asked = True

    def warning(self, message):
        self.warnings.append(message)

    def saved(self, path, kind, seconds):
        self.kinds.append(kind)

    def skipped(self, name, path):
        self.skips += 1


@pytest.fixture
def fly(monkeypatch, tiny, tmp_path):
    """A function from an output name and settings to (exit code, reporter)."""
    photo = save_picture(tmp_path / "photo.png", 67, 53)
    runtime = Runtime(device="cpu", precision="fp32")
    monkeypatch.setattr(runtime, "_loaded", {"max": FeatureExtractor(tiny)})

    def run(output, stop=None, flight=FLIGHT, dream=DREAM, options=PLAIN):
        command = Flight(Dream(dream), flight)
        tasks = command.plan([str(photo)], str(output))
        reporter = Stopper(stop)
        reporter.batch = batch = Batch(command.open(runtime), reporter, options)
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
SKIP = BatchOptions(skip_existing=True)


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.mp4", "a/"])
def test_an_interrupted_flight_is_unfinished(fly, tmp_path, name):
    if name == "a.mp4":
        pytest.importorskip("av")
    output = f"{tmp_path}/{name}"
    assert fly(output, stop=6)[0] == 130
    code, reporter = fly(output, options=SKIP)
    assert (code, reporter.kinds, reporter.skips) == (0, ["result"], 0)
    code, reporter = fly(output, options=SKIP)
    assert (code, reporter.kinds, reporter.skips) == (0, [], 1)


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.mp4"])
def test_an_unfinished_flight_is_known_by_its_record_too(fly, tmp_path, name):
    """Where the frames beside it are gone."""
    if name == "a.mp4":
        pytest.importorskip("av")
    fly(tmp_path / name, stop=6)
    shutil.rmtree(tmp_path / "a.frames")
    assert read_record_of(tmp_path / name)["interrupted_at"] == 6
    assert fly(tmp_path / name, options=SKIP)[1].skips == 0
    assert read_record_of(tmp_path / name)["flight"]["zoom"] == FLIGHT.zoom


def test_a_video_without_a_record_says_so(tmp_path):
    pytest.importorskip("av")
    write_animation(tmp_path / "a.mp4", [Image.new("RGB", (32, 32))] * 2, fps=10)
    with pytest.raises(CnnartError, match="no cnnart record in it"):
        read_record_of(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(CnnartError, match=r"b\.mp4: cannot read the video"):
        read_record_of(tmp_path / "b.mp4")


def test_a_folder_with_too_few_frames_is_unfinished(fly, tmp_path):
    fly(tmp_path / "a")
    longer = replace(FLIGHT, frames=5)
    code, reporter = fly(tmp_path / "a", flight=longer, options=SKIP)
    assert (code, reporter.skips, len(list((tmp_path / "a").glob("*.png")))) == (0, 0, 5)


def test_a_loop_is_unfinished_until_its_end_has_faded(fly, tmp_path):
    loop = replace(FLIGHT, fps=2, loop=True)
    assert fly(tmp_path / "a", flight=loop, stop=8)[0] == 130
    assert len(list((tmp_path / "a").glob("*.png"))) == 4
    assert fly(tmp_path / "a", flight=loop, options=SKIP)[1].skips == 0
    assert fly(tmp_path / "a", flight=loop, options=SKIP)[1].skips == 1


def test_a_flight_stopped_by_its_time_budget_is_unfinished(fly, tmp_path, monkeypatch):
    monkeypatch.setattr(Runtime, "limits", lambda runtime: Limits(seconds=0.0))
    assert fly(tmp_path / "a.webp")[0] == 0
    assert json.loads(read_record(tmp_path / "a.webp"))["interrupted_at"] == 1
    assert fly(tmp_path / "a.webp", options=SKIP)[1].skips == 0


def rerun(*arguments):
    """Standard output of ``cnnart rerun`` on the embedded network; its errors are raised."""
    command = ["rerun", *map(str, arguments), "--device", "cpu"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rerun_flies_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", 40, 32)
    Image.new("L", (40, 32), 255).save("mask.png")
    arguments = "photo.png --layer relu1_2 --steps 1 --octaves 1 --frames 3 --zoom 1.1 --seed 4"
    options = "--mask mask.png --fps 8 --loop -o a.webp --device cpu --precision fp32"
    command = ["dream", *arguments.split(), *options.split()]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    assert rerun("a.webp").split() == ["a-rerun.webp"]
    for (one, time), (again, its) in zip(
        frames_of("a.webp"), frames_of("a-rerun.webp"), strict=True
    ):
        assert np.array_equal(one, again)
        assert time == its
    first, again = (json.loads(read_record(Path(n))) for n in ("a.webp", "a-rerun.webp"))
    assert first == again
    assert (first["command"], first["flight"]["loop"]) == ("flight", True)
    rerun("a.webp", "-o", "frames/")
    assert len(list(Path("frames").glob("*.png"))) == 3
    with pytest.raises(UsageError, match="would overwrite the input"):
        rerun("a.webp", "-o", "a.webp")


OLD = {
    "cnnart": "0.1.0",
    "format": 1,
    "command": "flight",
    "photo": {"name": "photo.png", "path": "photo.png", "sha256": "0"},
    "guide": None,
    "mask": None,
    "settings": {"size": None, "preset": "eyes", "strength": 0.5, "layers": {"relu1_2": 1.0}}
    | {"channels": [0, 1], "neuron": None, "objective": None, "octaves": 1, "octave_scale": 1.4}
    | {"steps": 1, "step_size": None, "jitter": 32, "smoothing": None, "color": "style"}
    | {"feather": 0.01, "seed": 0},
    "flight": {"frames": 2, "zoom": 1.03, "rotate": 0.0, "fps": 15.0, "loop": False}
    | {"octaves": 2, "steps": 1},
    "run": {"backbone": "vgg19", "precision": "fp32", "quality": None},
}


def test_a_comment_of_somebody_elses_is_no_record(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "b.gif", comment=b"somebody's")
    assert read_record(tmp_path / "b.gif") is None


def test_records_of_flights_from_before_they_could_be_rerun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", 40, 32)
    frame = [Image.new("RGB", (40, 32))]
    write_animation(tmp_path / "old.webp", frame, fps=15, record=json.dumps(OLD))
    rerun("old.webp")
    assert len(frames_of("old-rerun.webp")) == 2
    unfinished = json.dumps({**OLD, "interrupted_at": 3})
    write_animation(tmp_path / "old.webp", frame, fps=15, record=unfinished)
    assert not FlightTask(SOURCES[0], tmp_path / "old.webp", "webp", frames=2).is_done()


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
    monkeypatch.setattr("cnnart.commands.flight.find_spec", lambda name: None)
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


def test_settings_are_checked_with_the_command():
    with pytest.raises(UsageError, match="Zoom 5 is out of range"):
        Flight(Dream(DREAM), FlightConfig(zoom=5))
