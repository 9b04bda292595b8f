"""Channel sheets: every channel in its place, and an interrupted sheet goes on where it was."""

import pytest
import torch
from PIL import Image

from cnnart.commands.visualize import LayerSheet
from cnnart.errors import UsageError
from cnnart.image.contact_sheet import draw_sheet
from cnnart.image.parts import Parts
from cnnart.image.read import read_image, read_record
from cnnart.methods.dream import channel_sheet
from cnnart.methods.dream.channel_sheet import ChannelSheet
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.dream.visualize import ChannelTarget, Visualization
from cnnart.networks.vgg import FeatureExtractor
from cnnart.run.batch import Batch
from cnnart.run.report import Reporter
from cnnart.runtime import Runtime
from cnnart.settings import parse_channels

CONFIG = VisualizeConfig(size=24, steps=3, jitter=1)
CHANNELS = (0, 1, 2, 4, 5)


@pytest.fixture(scope="module")
def network(tiny):
    return FeatureExtractor(tiny)


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch):
    monkeypatch.setattr(channel_sheet, "PIXELS_AT_ONCE", 2 * 24 * 24)


def sheet_of(network, folder, channels=CHANNELS, config=CONFIG):
    targets = [ChannelTarget("relu2_1", channel) for channel in channels]
    return ChannelSheet(network, targets, config, Parts(folder, {"config": repr(config)}))


def made(sheet, stop=None):
    """The sheet after so many steps, or all."""
    for step in sheet.steps():
        if step.index == stop:
            break
    return sheet.finish(step.image)


def test_each_cell_is_its_channels_picture(network, tmp_path):
    sheet = sheet_of(network, tmp_path / "s")
    result = made(sheet)
    assert sheet.whole
    cells = []
    for channel in CHANNELS:
        *_, step = Visualization(network, [ChannelTarget("relu2_1", channel)], CONFIG).steps()
        cell = sheet._parts.read(channel)
        assert float((cell - step.image).abs().max()) < 0.02
        cells.append((str(channel), cell))
    assert torch.equal(result, draw_sheet(cells, title="tiny relu2_1"))


def test_steps_count_over_all_groups(network, tmp_path):
    sheet = sheet_of(network, tmp_path / "s")
    steps = list(sheet.steps())
    assert [step.index for step in steps] == list(range(1, 10))
    assert {step.steps for step in steps} == {9}
    assert [len(step.image) for step in steps] == [2] * 6 + [1] * 3


@pytest.mark.parametrize("stop", [1, 3, 5, 9])
def test_resumed_is_uninterrupted(network, tmp_path, stop):
    whole = made(sheet_of(network, tmp_path / "whole"))
    made(sheet_of(network, tmp_path / "s"), stop)
    again = sheet_of(network, tmp_path / "s")
    left = 3 - (stop - 1) // 3
    assert len(list(again.schedule)) == left
    assert torch.equal(made(again), whole)


def test_what_there_is_stays_in_its_place(network, tmp_path):
    whole = made(sheet_of(network, tmp_path / "whole"))
    part = made(sheet_of(network, tmp_path / "s"), 5)
    assert part.shape == whole.shape
    alike = (part - whole).abs().amax(1)[0] == 0
    height, width = alike.shape
    assert bool(alike[: height // 2, : width // 2].all())  # channels 0 and 1
    assert not bool(alike.all())


def test_more_channels_use_those_that_are_done(network, tmp_path):
    made(sheet_of(network, tmp_path / "s", (1, 2)))
    more = sheet_of(network, tmp_path / "s", (0, 1, 2))
    assert [[t.channel for t in group] for group in more._groups] == [[0]]
    assert f"{tmp_path / 's'} holds 2 finished parts: going on from there." in more.warnings


def test_other_settings_start_anew(network, tmp_path):
    made(sheet_of(network, tmp_path / "s"))
    other = sheet_of(network, tmp_path / "s", config=VisualizeConfig(size=24, steps=2))
    assert "starting anew" in other.warnings[0]
    assert not other.whole


def test_a_whole_sheet_is_only_drawn(network, tmp_path):
    first = made(sheet_of(network, tmp_path / "s"))
    again = sheet_of(network, tmp_path / "s")
    (step,) = again.steps()
    assert torch.equal(again.finish(step.image), first)


class Stopper(Reporter):
    """Presses Ctrl-C at a step."""

    def __init__(self, at=None):
        self.at, self.batch, self.kinds = at, None, []

    def step(self, step):
        if step.index == self.at:
            self.batch._interrupt.asked = True

    def saved(self, path, kind, seconds):
        self.kinds.append(kind)


def run_batch(command, runtime, output, stop=None):
    reporter = Stopper(stop)
    reporter.batch = batch = Batch(command.open(runtime), reporter)
    return batch.run(command.plan((), str(output))), reporter.kinds


def test_from_files_to_files(monkeypatch, network, tmp_path):
    runtime = Runtime(device="cpu", precision="fp32")
    monkeypatch.setattr(runtime, "_loaded", {"max": network})
    command = LayerSheet("relu2_1", CHANNELS, CONFIG)
    assert run_batch(command, runtime, tmp_path / "a.png", 5) == (130, ["interrupted"])
    assert (tmp_path / "a.cells" / "0001.png").is_file()
    assert '"interrupted_at"' in read_record(tmp_path / "a.png")
    assert run_batch(command, runtime, tmp_path / "a.png") == (0, ["result"])
    assert not (tmp_path / "a.cells").exists()
    assert run_batch(command, runtime, tmp_path / "b.png") == (0, ["result"])
    assert torch.equal(read_image(tmp_path / "a.png").rgb, read_image(tmp_path / "b.png").rgb)
    assert '"channels": [0, 1, 2, 4, 5]' in read_record(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.width > 3 * 24


def test_all_channels_of_a_layer(monkeypatch, network, tmp_path):
    monkeypatch.chdir(tmp_path)
    runtime = Runtime(device="cpu", precision="fp32")
    monkeypatch.setattr(runtime, "_loaded", {"max": network})
    command = LayerSheet("relu2_1", None, CONFIG)
    run = command.open(runtime)(command.plan((), "a.png")[0])
    assert run.recorded["channels"] == list(range(6))


WRONG = [
    (("relu2_9", (0,)), "tiny has no layer 'relu2_9'. Did you mean relu2_"),
    (("relu2_1", (0, 6)), "relu2_1 has no channel 6: it has 6, 0 to 5"),
    (("relu5_1", (0,), VisualizeConfig(size=8)), "8x8 is too small for relu5_1"),
]


@pytest.mark.parametrize(("what", "message"), WRONG)
def test_what_cannot_be_is_told_before_computing(monkeypatch, network, what, message):
    runtime = Runtime(device="cpu", precision="fp32")
    monkeypatch.setattr(runtime, "_loaded", {"max": network})
    command = LayerSheet(*what) if len(what) == 3 else LayerSheet(*what, CONFIG)
    with pytest.raises(UsageError, match=message) as raised:
        command.open(runtime)
    assert raised.value.exit_code == 2


def test_what_a_sheet_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = LayerSheet("layer3.0.conv2", (0,), CONFIG)

    def name(output, format=None):
        return command.plan((), output, format=format)[0].target.as_posix()

    assert name(None) == "layer3.0.conv2-sheet.png"
    assert name(None, "jpg") == "layer3.0.conv2-sheet.jpg"
    assert name("out/") == "out/layer3.0.conv2-sheet.png"
    assert name("out/x.webp") == "out/x.webp"
    assert command.plan((), "-")[0].target is None


GOOD = [
    ("0", (0,)),
    ("0-3,7", (0, 1, 2, 3, 7)),
    (" 5 , 2-3 ", (5, 2, 3)),
    ("3,1-4", (3, 1, 2, 4)),
    ("9-9", (9,)),
]


@pytest.mark.parametrize(("text", "channels"), GOOD)
def test_channels_as_people_write_them(text, channels):
    assert parse_channels(text) == channels


BAD = [
    ("", "'' is no number or range; write 0-63,70"),
    ("1,,2", "'' is no number or range"),
    ("a-b", "'a-b' is no number or range"),
    ("-3", "'-3' is no number or range"),
    ("1.5", "'1.5' is no number or range"),
    ("9-3", "9-3 runs backwards; write 3-9"),
    ("0-99999999999", "Channels '0-99999999999': no layer has so many"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_channels_that_are_none(text, message):
    with pytest.raises(UsageError, match=message):
        parse_channels(text)
