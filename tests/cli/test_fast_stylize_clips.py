"""``cnnart fast-stylize clip.mp4``: files, sound, times, after a kill, sentences, codes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.__main__ import main
from cnnart.errors import ImageError
from cnnart.image.picture import Picture
from cnnart.methods.fast.frames import FramePainter
from cnnart.methods.fast.stylize import FastStylization
from cnnart.run import clip_run
from cnnart.run.batch import Interrupt
from cnnart.run.record import read_record_of
from cnnart.video import read as video_read
from tests.helpers.clips import frames_in, picture, save_clip, save_sound, sound_of, times_of
from tests.helpers.fast import saved
from tests.helpers.files import save_picture

QUICK = ("--precision", "fp32", "--device", "cpu")
STYLE = ("-s", "one.safetensors")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    saved(Path("one.safetensors"), "candy")


def run(*arguments: str) -> int:
    return main(["fast-stylize", *QUICK, *STYLE, *arguments])


def left_over() -> list[str]:
    return sorted(path.name for path in Path().glob(".cnnart-*"))


def test_a_clip_becomes_a_clip_with_its_sound_and_its_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_clip("clip.mp4", [0, 1, 2, 5, 6, 9], sound="aac")
    assert run("clip.mp4") == 0
    assert capsys.readouterr().out.strip() == "clip-candy.mp4"
    assert times_of("clip-candy.mp4") == times_of("clip.mp4")
    assert sound_of("clip-candy.mp4") == sound_of("clip.mp4")
    assert left_over() == []


def test_a_frame_is_painted_as_a_photo_is_in_one_pass() -> None:
    """By one thread, as each frame is: sums in another order are other roundings."""
    Image.fromarray(picture(0)).save("in-1.png")
    once = ("--stroke", "pixels=1")
    assert run("in-%d.png", "-o", "out-%d.png", *once) == 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run("in-1.png", "-o", "photo.png", *once) == 0
    finally:
        torch.set_num_threads(threads)
    painted = np.asarray(Image.open("out-1.png"))
    assert (painted == np.asarray(Image.open("photo.png"))).all()
    assert np.abs(painted.astype(int) - picture(0)).mean() > 20


def test_a_rotated_clip_is_turned_and_its_flag_cleared() -> None:
    save_clip("clip.mp4", 3, rotation=90)
    assert run("clip.mp4", "-o", "out.mp4") == 0
    assert frames_in("out.mp4")[0].shape == (64, 48, 3)
    import av

    with av.open("out.mp4") as container:
        assert next(container.decode(video=0)).rotation == 0


def test_odd_sizes_and_a_single_frame() -> None:
    save_clip("clip.mkv", 1, size=(47, 61), codec="ffv1", frame_format="bgr0")
    assert run("clip.mkv", "-o", "out.mp4") == 0
    assert [frame.shape for frame in frames_in("out.mp4")] == [(48, 62, 3)]
    assert run("clip.mkv", "-o", "out.webp") == 0
    assert Image.open("out.webp").size == (61, 47)


def test_what_is_grey_stays_so_where_nothing_is_painted() -> None:
    """From file to file, in each matrix."""
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :8] = 255
    Image.fromarray(mask).save("left.png")
    levels = (0, 60, 128, 200, 255)
    grey = [np.full((48, 64, 3), level, np.uint8) for level in levels]
    for space in (1, 6):
        save_clip("clip.mp4", 5, pixels=grey, colorspace=space, color_range=1)
        assert run("clip.mp4", "-o", "out.mp4", "--mask", "left.png") == 0
        for level, frame in zip(levels, frames_in("out.mp4"), strict=True):
            assert np.abs(frame[:, 32:].astype(int) - level).max() <= 1


def test_that_bits_are_lost_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    save_clip("ten.mkv", 2, codec="ffv1", frame_format="yuv420p10le")
    assert run("ten.mkv", "-o", "out.mp4") == 0
    assert "warning: ten.mkv has 10 bits: it is painted from 8." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty.mp4", "cannot read the clip: the file is empty; get it again."),
        ("text.mp4", "this is a text file, not a clip."),
        ("sound.mp4", "no video stream in it: it holds sound alone."),
        ("cut.mp4", "cannot read the clip: it is truncated, damaged or no video; get it again."),
    ],
)
def test_what_is_no_clip_is_one_line(
    name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.mp4").write_bytes(b"")
    Path("text.mp4").write_text("no clip\n" * 40)
    save_sound("sound.mp4")
    whole = save_clip("cut.mp4", 9).read_bytes()
    Path("cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert run(name, "-o", "out.mp4") == 1
    assert capsys.readouterr().err == f"cnnart: error: {name}: {why}\n"
    assert not Path("out.mp4").exists()
    assert left_over() == []


def test_part_size_and_rate() -> None:
    save_clip("clip.mp4", 50)
    part = ("--start", "0:01", "--end", "1.5s", "--fps", "10", "--size", "96x48")
    assert run("clip.mp4", "-o", "out.mkv", *part) == 0
    assert [round(float(time), 3) for time in times_of("out.mkv")] == [0, 0.1, 0.2, 0.3, 0.4]
    assert frames_in("out.mkv")[0].shape == (48, 96, 3)


@pytest.mark.parametrize("name", ["out.gif", "out.webp"])
def test_animated_pictures_out(name: str) -> None:
    save_clip("clip.mkv", 4, size=(47, 61), codec="ffv1")
    assert run("clip.mkv", "-o", name) == 0
    with Image.open(name) as image:
        assert (image.n_frames, image.size) == (4, (61, 47))  # type: ignore[attr-defined]


def test_animated_pictures_in_and_frames_out(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [Image.fromarray(picture(number)) for number in range(3)]
    pictures[0].save("a.gif", save_all=True, append_images=pictures[1:], duration=80, loop=0)
    assert run("a.gif") == 0
    assert capsys.readouterr().out.strip() == "a-candy.gif"
    assert run("a.gif", "-o", "frames/%03d.png") == 0
    names = ["001.png", "002.png", "003.png"]
    assert sorted(path.name for path in Path("frames").iterdir()) == names
    assert run("frames/%03d.png", "--fps", "10", "-o", "again.mp4") == 0
    assert [float(time) for time in times_of("again.mp4")] == pytest.approx([0, 0.1, 0.2])
    assert run("a.gif", "-o", "still.png") == 0  # its first picture, as before
    assert Image.open("still.png").size == (64, 48)


def test_photos_and_clips_of_a_folder() -> None:
    Path("in").mkdir()
    save_clip("in/clip.mp4", 2)
    save_picture("in/photo.png")
    assert run("in", "-o", "out/") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "clip-candy.mp4",
        "photo-candy.png",
    ]


def test_a_batch_goes_on_past_a_clip_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("bad.mp4").write_text("no clip\n" * 40)
    save_clip("good.mp4", 2)
    assert run("bad.mp4", "good.mp4", "-o", "out/") == 3
    assert "this is a text file, not a clip" in capsys.readouterr().err
    assert Path("out/good-candy.mp4").is_file()


def test_json_tells_frames_and_their_rate(capsys: pytest.CaptureFixture[str]) -> None:
    save_clip("clip.mp4", 4)
    assert run("clip.mp4", "--json", "-o", "out.mp4") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["frames"] == 4
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert steps[-1]["frames_per_second"] > 0


def test_a_clip_can_be_made_again_from_its_record() -> None:
    save_clip("clip.mp4", 8)
    assert run("clip.mp4", "-o", "out.mp4", "--start", "0.1") == 0
    record = read_record_of(Path("out.mp4"))
    assert record["clip"]["start"] == 0.1
    assert record["run"]["precision"] == "fp32"
    assert len(record["run"]["weights_sha256"]) == 64
    assert main(["rerun", "out.mp4", "-o", "again.mp4", *QUICK]) == 0
    for one, other in zip(frames_in("out.mp4"), frames_in("again.mp4"), strict=True):
        assert (one == other).all()


# Masks


def save_halves(path: str, count: int, side: int = 32) -> None:
    """A clip whose left ``side`` pixels of 64 are white."""
    half = np.zeros((48, 64, 3), np.uint8)
    half[:, :side] = 255
    save_clip(path, count, pixels=[half] * count)


@pytest.mark.parametrize("mask", ["mask.mp4", "masks/%02d.png", "masks", "inverse:mask.mp4"])
def test_a_mask_is_a_clip(mask: str) -> None:
    save_clip("clip.mkv", 5, codec="ffv1", frame_format="bgr0")
    save_halves("mask.mp4", 5)
    assert run("mask.mp4", "-o", "masks/%02d.png", "--strength", "0") == 0
    for number, pixels in enumerate(frames_in("mask.mp4"), start=1):
        Image.fromarray(pixels).save(f"masks/{number:02d}.png")
    assert run("clip.mkv", "-o", "out-%d.png", "--mask", mask, "--stability", "0") == 0
    for number in range(5):
        painted = np.asarray(Image.open(f"out-{number + 1}.png")).astype(int)
        apart = np.abs(painted - picture(number)).max(-1)
        within, beyond = apart[:, :28], apart[:, 36:]
        if mask.startswith("inverse:"):
            within, beyond = beyond, within
        assert beyond.max() <= 2
        assert within.mean() > 20


def test_a_mask_with_too_few_frames_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    save_clip("clip.mp4", 5)
    save_halves("mask.mp4", 3)
    assert run("clip.mp4", "-o", "out.mp4", "--mask", "mask.mp4") == 1
    error = capsys.readouterr().err
    assert "mask.mp4: the mask has 3 frames, and the clip has more: give it one for each." in error


def save_masks(count: int) -> None:
    """A folder of masks, and what is none of them."""
    Path("masks").mkdir()
    for number in range(8, 8 + count):  # 10 comes after 9
        save_picture(f"masks/{number}.png", 64, 48)
    Path("masks/notes.txt").write_text("no mask")
    save_picture("masks/.hidden.png")


def test_of_a_folder_of_masks_each_is_for_one_frame(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_masks(4)
    read, made = [], video_read.read_image

    def noted(path: Path, **more: int) -> Picture:
        read.append(path.name)
        return made(path, **more)

    monkeypatch.setattr(video_read, "read_image", noted)
    save_clip("clip.mp4", 4)
    assert run("clip.mp4", "-o", "out.mp4", "--mask", "masks") == 0
    assert read == ["8.png", "8.png", "9.png", "10.png", "11.png"]  # the first for its size, too
    capsys.readouterr()
    save_clip("clip.mp4", 6)
    assert run("clip.mp4", "-o", "out.mp4", "--mask", "masks", "--fresh") == 1
    error = capsys.readouterr().err
    assert "masks: the mask has 4 frames, and the clip has more: give it one for each." in error


@pytest.mark.parametrize("mask", ["masks", "masks/%d.png"])
def test_masks_are_not_overwritten(mask: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_masks(2)
    save_clip("clip.mp4", 2)
    assert run("clip.mp4", "-o", "masks/%d.png", "--mask", mask) == 2
    assert "would overwrite the input" in capsys.readouterr().err


def find_bar(monkeypatch: pytest.MonkeyPatch, looked: list[int]) -> None:
    """``--mask person`` finds the orange bar that moves through ``picture``."""

    def named(photo: torch.Tensor, named: str, shown: str) -> torch.Tensor:
        looked.append(1)
        red, green, blue = photo[0]
        bar = ((red > 0.9) & (green < 0.6) & (blue < 0.3)).float()
        if not bar.any():
            raise ImageError(f"{shown}: no {named} found in it for `mask`.")
        return bar[None, None]

    monkeypatch.setattr("cnnart.commands.clip_masks.named_mask", named)


def test_a_mask_by_name_is_found_now_and_then_and_goes_with_what_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bar before a scene: a pixel of it is painted in every frame, wherever it is."""
    looked: list[int] = []
    find_bar(monkeypatch, looked)
    blocks = np.random.default_rng(0).integers(90, 160, (12, 16), np.uint8)
    scene = np.asarray(Image.fromarray(blocks).resize((128, 96)))[..., None].repeat(3, -1)
    pixels = []
    for number in range(14):
        frame = scene.copy()
        frame[30:66, 20 + 2 * number : 50 + 2 * number] = (250, 120, 20)
        frame[40:56:4, 26 + 2 * number : 44 + 2 * number : 3] = (250, 120, 60)
        pixels.append(frame)
    save_clip("clip.mkv", 14, size=(96, 128), pixels=pixels, codec="ffv1", frame_format="bgr0")
    assert run("clip.mkv", "-o", "out-%d.png", "--mask", "person") == 0
    assert len(looked) == 2
    for number in (3, 11, 13):
        painted = np.asarray(Image.open(f"out-{number + 1}.png")).astype(int)
        apart = np.abs(painted - pixels[number]).max(-1)
        assert apart[36:60, 26 + 2 * number : 44 + 2 * number].mean() > 20
        assert apart[:, :14].max() <= 1
        assert apart[:, 100:].max() <= 1


def test_what_is_in_no_frame_is_said_and_the_clip_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: list[int] = []
    find_bar(monkeypatch, looked)
    gray = np.random.default_rng(0).integers(90, 160, (48, 64, 1)).repeat(3, -1).astype(np.uint8)
    save_clip("clip.mkv", 3, pixels=[gray] * 3, codec="ffv1", frame_format="bgr0")
    assert run("clip.mkv", "-o", "out-%d.png", "--mask", "person") == 0
    assert "nothing found for the mask person" in capsys.readouterr().err
    assert (np.asarray(Image.open("out-2.png")) == gray).all()


def test_frames_are_painted_in_threads_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made, names, threads = FramePainter._picture, set(), torch.get_num_threads()

    def noted(self: FramePainter, work: FastStylization) -> torch.Tensor:
        names.add(threading.current_thread().name)
        assert torch.get_num_threads() == 1
        return made(self, work)

    monkeypatch.setattr(FramePainter, "_picture", noted)
    save_clip("clip.mp4", 7)
    assert run("clip.mp4") == 0
    assert "paint" in names  # what is measured is, in its turn
    assert "paint_0" in names
    assert torch.get_num_threads() == threads


def test_masks_go_on_where_a_killed_run_left_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find_bar(monkeypatch, [])
    save_clip("clip.mp4", 14)
    save_halves("mask.mp4", 14)
    saved(Path("two.safetensors"), "waves")
    more = ("-s", "two.safetensors", "--mask", "mask.mp4", "--mask", "person")
    with monkeypatch.context() as undone:
        undone.setattr(clip_run, "PIECE", 4)
        assert run("clip.mp4", "-o", "whole.mp4", *more) == 0
    with monkeypatch.context() as undone:
        paint_only(undone, 10, Killed())
        with pytest.raises(Killed):
            run("clip.mp4", "-o", "out.mp4", *more)
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("clip.mp4", "-o", "out.mp4", *more) == 0
    assert same(frames_in("out.mp4"), frames_in("whole.mp4"))


# Cut off


class Killed(BaseException):
    """As a kill: nothing gets to tidy up."""


def paint_only(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException | None) -> None:
    """After so many frames comes Ctrl-C, or an error."""
    monkeypatch.setattr(clip_run, "PIECE", 4)
    made = clip_run._levels
    left = [count]

    def counted(painted: torch.Tensor) -> np.ndarray:
        left[0] -= 1
        if left[0] < 0 and error is not None:
            raise error
        if left[0] == 0 and error is None:
            interrupts[-1].asked = True
        return made(painted)

    interrupts: list[Interrupt] = []
    entered = Interrupt.__enter__

    def enter(self: Interrupt) -> Interrupt:
        interrupts.append(self)
        return entered(self)

    monkeypatch.setattr(Interrupt, "__enter__", enter)
    monkeypatch.setattr(clip_run, "_levels", counted)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The frames of a run that nothing disturbs."""
    save_clip("clip.mp4", 14, sound="aac")
    with monkeypatch.context() as undone:
        undone.setattr(clip_run, "PIECE", 4)
        assert run("clip.mp4", "-o", "whole.mp4") == 0
    return frames_in("whole.mp4")


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("count", [2, 4, 10])
def test_a_killed_run_goes_on_and_gives_the_same_frames(
    whole: list[np.ndarray],
    count: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as undone:
        paint_only(undone, count, Killed())
        with pytest.raises(Killed):
            run("clip.mp4", "-o", "out.mp4")
    assert not Path("out.mp4").exists()
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("clip.mp4", "-o", "out.mp4") == 0
    told = capsys.readouterr().err
    assert (f"going on from frame {count // 4 * 4} " in told) == (count >= 4)
    assert same(frames_in("out.mp4"), whole)
    assert sound_of("out.mp4") == sound_of("whole.mp4")
    assert left_over() == []


def test_ctrl_c_leaves_what_is_done_and_the_same_command_goes_on(
    whole: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as undone:
        paint_only(undone, 6, None)
        run("clip.mp4", "-o", "out.mp4")
    assert len(frames_in("out.mp4")) == 6
    assert 0 < len(sound_of("out.mp4")) < len(sound_of("whole.mp4"))
    assert "the same command goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("clip.mp4", "-o", "out.mp4") == 0
    assert "going on from frame 4" in capsys.readouterr().err
    assert same(frames_in("out.mp4"), whole)
    assert left_over() == []


def test_a_killed_batch_goes_on_in_the_clip_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").mkdir()
    for name in "abc":
        save_clip(f"in/{name}.mp4", 9)
    Path("in/bad.mp4").write_text("no clip\n" * 40)
    with monkeypatch.context() as undone:
        paint_only(undone, 15, Killed())
        with pytest.raises(Killed):
            run("in", "-o", "out/")
    first = Path("out/a-candy.mp4").read_bytes()
    assert not Path("out/b-candy.mp4").exists()
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("in", "-o", "out/", "--skip-existing") == 3
    told = capsys.readouterr()
    assert "going on from frame 4" in told.err
    assert "1 failed, 2 saved, 1 skipped" in told.err
    assert Path("out/a-candy.mp4").read_bytes() == first
    whole = frames_in("out/a-candy.mp4")
    for name in "bc":
        assert same(frames_in(f"out/{name}-candy.mp4"), whole)
    assert run("in", "-o", "out/", "--skip-existing") == 3
    assert "1 failed, 0 saved, 3 skipped" in capsys.readouterr().err


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run leaves that was killed."""
    monkeypatch.setattr(clip_run, "PIECE", 4)
    with monkeypatch.context() as undone:
        paint_only(undone, 6, Killed())
        with pytest.raises(Killed):
            run("clip.mp4", "-o", "out.mp4")
    assert left_over()


def test_other_settings_are_refused_and_fresh_begins_anew(
    whole: list[np.ndarray], killed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for dry in ([], ["--dry-run"]):
        assert run("clip.mp4", "-o", "out.mp4", "--crf", "30", *dry) == 2
        told = capsys.readouterr().err
        assert "An unfinished run with other settings has left" in told
        assert "--crf was not given, now 30" in told
    assert run("clip.mp4", "-o", "out.mp4", "--crf", "30", "--fresh") == 0
    assert "going on" not in capsys.readouterr().err
    assert len(frames_in("out.mp4")) == 14
    assert not left_over()


@pytest.mark.parametrize("what", ["clip", "version", "nothing", "no JSON", "a list"])
def test_pieces_of_another_clip_or_version_are_left_out(
    what: str, whole: list[np.ndarray], killed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings,) = Path().glob(".cnnart-*.pieces/settings.json")
    odd = {"version": '{"pieces": 99}', "nothing": "", "no JSON": "{", "a list": "[1]"}
    if what == "clip":
        with Path("clip.mp4").open("ab") as file:  # what is behind its end is not read
            file.write(b"\0\0\0\x08free")
    else:
        settings.write_text(odd[what])
    capsys.readouterr()
    assert run("clip.mp4", "-o", "out.mp4") == 0
    told = capsys.readouterr().err
    assert told.count("begun anew") == 1
    assert ("the clip has changed since" in told) is (what == "clip")
    assert same(frames_in("out.mp4"), whole)
    assert not left_over()


@pytest.mark.parametrize(
    "other", [("--precision", "bf16"), ("--strength", "0.9"), ("--color", "keep")]
)
def test_frames_of_two_kinds_are_never_mixed(
    other: tuple[str, str],
    whole: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run is killed, and begun again with what makes other frames."""
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("clip.mp4", "-o", "expected.mp4", *other) == 0
    with monkeypatch.context() as undone:
        paint_only(undone, 6, Killed())
        with pytest.raises(Killed):
            run("clip.mp4", "-o", "out.mp4")
    assert left_over()
    capsys.readouterr()
    assert run("clip.mp4", "-o", "out.mp4", *other) == 2
    assert f"{other[0]} was " in capsys.readouterr().err
    assert run("clip.mp4", "-o", "out.mp4", *other, "--fresh") == 0
    assert "going on" not in capsys.readouterr().err
    assert same(frames_in("out.mp4"), frames_in("expected.mp4"))
    assert not same(frames_in("out.mp4"), whole)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_rerun_that_was_killed_goes_on_or_begins_anew(
    fresh: bool,
    whole: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(clip_run, "PIECE", 4)
    again = ["rerun", "whole.mp4", "-o", "again.mp4", *QUICK]
    with monkeypatch.context() as undone:
        paint_only(undone, 6, Killed())
        with pytest.raises(Killed):
            main(again)
    capsys.readouterr()
    assert main([*again, "--fresh"] if fresh else again) == 0
    assert ("going on from frame 4" in capsys.readouterr().err) is not fresh
    assert same(frames_in("again.mp4"), whole)
    assert left_over() == []


def test_a_clip_of_more_pixels_than_allowed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    save_clip("clip.mp4", 2)
    save_picture("in-1.png")
    pictures = [Image.fromarray(picture(number)) for number in range(2)]
    pictures[0].save("a.gif", save_all=True, append_images=pictures[1:], loop=0)
    for name in ("clip.mp4", "a.gif", "in-%d.png"):
        out = "out-%d.png" if "%" in name else "out.mp4"
        assert run(name, "-o", out, "--max-pixels", "3000") == 1
        error = capsys.readouterr().err
        assert "the picture has 3,072 pixels, the limit is 3,000" in error
        assert "--max-pixels 3072" in error


def test_a_full_disk_is_one_line(
    whole: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnnart.video import write

    def full(self: write.Piece) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clip_run.Piece, "close", full)
    monkeypatch.setattr(clip_run, "PIECE", 4)
    assert run("clip.mp4", "-o", "out.mp4") == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert "No space left on device. Free some space or choose another place" in error[0]


def test_what_an_encoder_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: object, *_: object) -> None:
        raise ValueError("no such pixel format")

    save_clip("clip.mp4", 2)
    monkeypatch.setattr(clip_run.Piece, "add", refuse)
    assert run("clip.mp4", "-o", "out.mp4") == 1
    assert "the clip cannot be encoded: no such pixel format." in capsys.readouterr().err


# What makes no sense


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("photo.png", "--start", "1"), "--start is for clips, and none is among the inputs"),
        (("photo.png", "--preview"), "--preview shows the newest frame of a clip"),
        (("clip.mp4", "--mask", "alpha"), "frames of clips have no transparency"),
        (("photo.png", "--mask", "clip.mp4"), "--mask clip.mp4 is a clip, and photos are to be"),
        (
            ("photo.png", "--mask", "masks"),
            "--mask masks is a folder, and photos are to be",
        ),
        (
            ("clip.mp4", "--mask", "empty"),
            "--mask 'empty' is a folder without pictures: a clip needs",
        ),
        (("clip.mp4", "--mask", "subject", "--show-mask", "m.png"), "--show-mask shows masks of"),
        (("clip.mp4", "clip.mkv", "-o", "-"), "Only one picture fits on standard output, not 2"),
        (("clip.mp4", "-o", "-", "--preview"), "--preview need an output file"),
        (("clip.mp4", "-o", "-", "--format", "webm", "--codec", "h264"), "h264 does not go into"),
        (("clip.mp4", "-o", "out.mkv", "--format", "mp4"), "--format mp4 contradict each other"),
        (("photo.png", "--format", "mkv"), "--format mkv is a clip's, and every input is a photo"),
        (("clip.mp4", "-o", "out.png"), "A clip is written as .mp4, .m4v, .mov, .mkv, .webm"),
        (("clip.mp4", "-o", "out.mp4", "--codec", "prores"), "prores does not go into .mp4"),
        (("clip.mp4", "-o", "out.gif", "--crf", "20"), "--crf is for videos"),
        (("clip.mp4", "--format", "png"), "--format png is for photos: of clips it is mp4, mov,"),
        (("clip.mp4", "--quality", "80"), "--quality is of JPEG and WebP: a video has --crf"),
        (("clip.mp4", "--bit-depth", "16"), "--bit-depth is of pictures: clips are written with 8"),
        (("clip.mp4", "--refine", "60s"), "--refine learns from photos, not from clips"),
        (("clip.mp4", "-o", "clip.mp4"), "The result would overwrite the input"),
        (("clip.mp4", "--start", "two"), "no time in a clip: write 0:10"),
        (("clip.mp4", "-o", "f/%04d.jpg"), "Frames are written as PNG"),
        (("clip.mp4", "photo-0001.png", "-o", "photo-%04d.png"), "cannot go into the one file"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture("photo.png")
    save_picture("photo-0001.png")
    save_masks(1)
    Path("empty").mkdir()
    save_clip("clip.mp4", 1)
    save_clip("clip.mkv", 1)
    assert run(*arguments) == 2
    assert why in capsys.readouterr().err


def test_without_pyav_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 1)
    from cnnart.commands import clips

    monkeypatch.setattr(clips, "find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert run("clip.mp4") == 2
    assert "A clip needs PyAV: pip install 'cnnart[video]'" in capsys.readouterr().err
