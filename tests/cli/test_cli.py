"""The command line as a whole: exit codes, sentences and files; mostly with the real network."""

from __future__ import annotations

import io
import json
import signal
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cnnart import api
from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.cli import COMMANDS, cli
from cnnart.cli.types import DURATION, LAYERS, MEMORY, SIZE
from cnnart.image import write
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.stylize import transfer
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.run.command import Run
from cnnart.run.record import read_record_of
from cnnart.version import __version__
from tests.helpers.files import cnnart_process, only_builtin_style, save_picture

QUICK = [
    "--size",
    "32",
    "--preset",
    "draft",
    "--steps",
    "2",
    "--precision",
    "fp32",
    "--device",
    "cpu",
]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    save_picture("photo.png")
    save_picture("art.png", seed=2)
    Path("bad.jpg").write_text("no picture")
    only_builtin_style(monkeypatch, tmp_path / "builtin")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: pytest.fail("the network was loaded"))


def pixels(path: str | io.BytesIO) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


# The group


def test_help_shows_every_command_fast_and_without_torch() -> None:
    code = (
        "import sys; from cnnart.__main__ import main; assert main(['-h']) == 0; "
        "bad = {'torch', 'numpy', 'PIL', 'rich', 'tqdm'} & set(sys.modules); assert not bad, bad"
    )
    process = cnnart_process(code=code)
    out, err = process.communicate()
    assert process.returncode == 0, err
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in out.decode()
        assert line in out.decode()
    assert cnnart_process("--help").wait() == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_and_takes_debug(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real styles
    assert main([name, "-h"]) == 0
    assert "--debug" in capsys.readouterr().out
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    children = command.list_commands(click.Context(command)) if hasattr(command, "commands") else []
    for child in children:
        assert main([name, child, "--help"]) == 0
        assert "--debug" in capsys.readouterr().out


def test_version_and_bare_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cnnart, version {__version__}\n"
    assert main([]) == 0
    assert "Usage: cnnart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stylise"], "No command 'stylise'. Did you mean stylize?"),
        (["stylize", "photo.png"], "Missing option"),
        (["stylize", "--style", "mosaic"], "Missing argument 'PHOTO...'."),
        (["stylize", "photo.png", "--styl", "mosaic"], "No such option"),
        (["stylize", "photo.png", "-s", "mosaic", "--size", "big"], "'big' is no size"),
        (["stylize", "photo.png", "-s", "mosaic", "--strength", "2"], "not in the range"),
        (["stylize", "photo.png", "-s", "mosaic", "--preset", "slow"], "No stylize preset 'slow'"),
        (["stylize", "photo.png", "-s", "mosaic", "--style-layers", "relu1_1:x"], "not a number"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("cnnart: error: ")
    assert sentence in told.err
    assert told.err.count("\n") == 1


# Everything that is wrong is said before the network is loaded


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("phto.png -s mosaic", 2, "No such file or folder: 'phto.png'. Did you mean photo.png?"),
        ("photo.png -s mosaik", 2, "no built-in style. Did you mean mosaic?"),
        ("photo.png -s mosaic:much", 2, "The weight 'much' of 'mosaic' is not a number."),
        ("photo.png -s mosaic --mask none.png", 2, "No such mask: 'none.png'"),
        ("photo.png -s mosaic --mask alpha --mask alpha", 2, "2 masks for 1 styles"),
        ("photo.png -s mosaic --mask alpha", 1, "photo.png: no transparency in it"),
        ("photo.png -s mosaic --mask black.png", 1, "black.png selects nothing"),
        ("photo.png -s mosaic --init nowhere", 2, "--init 'nowhere': neither content, noise, fast"),
        ("photo.png -s mosaic --content-layers relu9_1", 2, "vgg19 has no layer 'relu9_1'."),
        ("photo.png -s mosaic --backbone vgg91", 2, "Unknown backbone 'vgg91'."),
        ("photo.png -s mosaic --device cuda:99", 2, "No device 'cuda:99'"),
        ("photo.png -s mosaic -o photo.png", 2, "would overwrite the input 'photo.png'"),
        ("photo.png -s art.png -o art.png", 2, "would overwrite the input 'art.png'"),
        ("photo.png -s mosaic -o x.gif", 2, "webp, tiff, avif, heic, jxl, not .gif"),
        ("photo.png -s mosaic --quiet --json", 2, "contradict each other"),
        ("photo.png -s mosaic --json -o -", 2, "both want standard output"),
        ("photo.png -s mosaic --preview -o -", 2, "need an output file"),
        ("photo.png -s bad.jpg", 1, "bad.jpg: "),
        ("bad.jpg -s mosaic", 1, "bad.jpg: "),
        ("photo.png -s mosaic --max-pixels 100", 1, "pixels"),
        ("empty -s mosaic", 2, "No pictures in the folder 'empty'."),
    ],
)
def test_errors(
    arguments: str, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Image.new("L", (8, 8)).save("black.png")
    before = sorted(Path().iterdir())
    assert main(["stylize", *arguments.split()]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("cnnart: error: ")
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert sorted(Path().iterdir()) == before, "nothing was written"


def test_a_bug_is_one_line_and_a_traceback_with_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(engine, "load_vgg", broken)
    command = ["stylize", "photo.png", "-s", "mosaic"]
    assert main(command) == 1
    line = "cnnart: error: this is a bug in cnnart (ZeroDivisionError: two lines). Run it again "
    assert capsys.readouterr().err.startswith(line)
    assert main([*command, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("CNNART_DEBUG", "1")
    assert main(command) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_before_there_is_a_picture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert main(["stylize", "photo.png", "-s", "mosaic"]) == 130
    assert capsys.readouterr().err.strip() == "cnnart: interrupted."
    assert not Path("photo-mosaic.png").exists()


# Stylizing


def test_one_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", "photo.png", "--style", "mosaic", *QUICK]) == 0
    assert capsys.readouterr() == ("photo-mosaic.png\n", "")
    assert Image.open("photo-mosaic.png").size == (32, 24)


def test_the_command_line_and_python_make_the_same_picture() -> None:
    main(["stylize", "photo.png", "-s", "art.png:2", "-s", "mosaic", "-o", "a.png", *QUICK])
    result = api.stylize(
        "photo.png",
        [("art.png", 2), "mosaic"],
        size=32,
        preset="draft",
        steps=2,
        precision="fp32",
        device="cpu",
    )
    assert np.array_equal(pixels("a.png"), np.asarray(result))


def test_every_setting_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[StylizeConfig] = []

    class Stop(Exception): ...

    def spy(photo: object, styles: object, config: StylizeConfig, *_: object, **__: object):
        seen.append(config)
        raise Stop

    monkeypatch.setattr(transfer, "StyleTransfer", spy)
    options = (
        "--size 40x20 --strength 0.25 --preset fine --optimizer adam --steps 7 --init noise "
        "--content-weight 2 --style-weight 3 --tv-weight 0 --palette-weight 4 --content-layers "
        "relu3_1:2 --style-layers relu1_1,relu2_1:0.5 --statistic covariance --pooling avg "
        "--style-scale 1.5 --color keep --seed 5"
    )
    main(["stylize", "photo.png", "-s", "mosaic", *options.split()])
    main(["stylize", "photo.png", "-s", "mosaic", "--init", "art.png"])
    assert seen[0] == StylizeConfig(
        size=(20, 40),
        strength=0.25,
        preset="fine",
        optimizer="adam",
        steps=7,
        init="noise",
        content_weight=2,
        style_weight=3,
        tv_weight=0,
        palette_weight=4,
        content_layers={"relu3_1": 2.0},
        style_layers={"relu1_1": 1.0, "relu2_1": 0.5},
        statistic="covariance",
        pooling="avg",
        style_scale=1.5,
        color="keep",
        seed=5,
    )
    assert seen[1] == StylizeConfig(strength=0.6, init="picture"), "0.6 is what mosaic recommends"


def test_help_shows_the_defaults_of_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    main(["stylize", "-h"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"[default: {StylizeConfig.strength}]" in shown
    assert f"[default: {','.join(StylizeConfig().style_layers)}]" in shown


def test_a_batch_goes_on_past_a_bad_file(capsys: pytest.CaptureFixture[str]) -> None:
    save_picture("in/sub/b.png", seed=4)
    Path("in/a.jpg").write_text("no picture")
    command = ["stylize", "in", "photo.png", "-r", "-s", "mosaic", "-o", "out", *QUICK]
    assert main(command) == 3
    told = capsys.readouterr()
    results = [Path("out/sub/b-mosaic.png"), Path("out/photo-mosaic.png")]
    assert told.out.splitlines() == [str(path) for path in results]
    assert "1 failed, 2 saved, 0 skipped:\n  " + str(Path("in/a.jpg")) in told.err
    times = [path.stat().st_mtime_ns for path in results]
    assert main([*command, "--skip-existing"]) == 3
    assert [path.stat().st_mtime_ns for path in results] == times


def test_a_picture_too_small_to_stylize_does_not_end_the_batch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_picture("tiny.png", 4, 4)
    command = [option for option in QUICK if option not in ("--size", "32")]
    assert main(["stylize", "tiny.png", "photo.png", "-s", "mosaic", "-o", "out", *command]) == 3
    told = capsys.readouterr()
    assert told.out == f"{Path('out/photo-mosaic.png')}\n"
    assert "tiny.png  4x4 is too small to stylize" in told.err


def test_a_result_does_not_depend_on_its_neighbors() -> None:
    save_picture("other.png", seed=6)
    main(["stylize", "photo.png", "-s", "mosaic", "-o", "alone.png", *QUICK])
    main(["stylize", "other.png", "photo.png", "-s", "mosaic", "-o", "both/", *QUICK])
    assert np.array_equal(pixels("alone.png"), pixels("both/photo-mosaic.png"))


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", "photo.png", "bad.jpg", "-s", "mosaic", "--json", *QUICK]) == 3
    told = capsys.readouterr()
    events = [json.loads(line) for line in told.out.splitlines()]
    assert told.err == ""
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert set(kinds[1:-3]) == {"step"}
    assert kinds[-3:] == ["saved", "failed", "done"]
    assert events[0]["size"] == [32, 24]
    assert events[-1]["exit_code"] == 3


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", "photo.png", "-s", "mosaic", "-q", "-o", "a.webp", *QUICK]) == 0
    assert capsys.readouterr() == ("", "")
    assert Image.open("a.webp").size == (32, 24)


def test_from_standard_input_to_standard_output() -> None:
    main(["stylize", "photo.png", "-s", "art.png", "-o", "a.png", *QUICK])
    process = cnnart_process("stylize", "-", "-s", "art.png", "-o", "-", *QUICK, stdin=-1)
    out, err = process.communicate(Path("photo.png").read_bytes())
    assert (process.returncode, err) == (0, b"")
    assert abs(pixels(io.BytesIO(out)) - pixels("a.png")).max() <= 1


def test_masks_and_a_start_picture() -> None:
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save("half.png")
    command = ["stylize", "photo.png", "-s", "art.png", "-s", "mosaic", *QUICK]
    assert main([*command, "--mask", "half.png", "--mask", "inverse:half.png"]) == 0
    assert main(["stylize", "photo.png", "-s", "mosaic", "--init", "art.png", *QUICK]) == 0


# Records


@pytest.mark.slow
def test_rerun_makes_the_same_picture_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["stylize", "photo.png", "-s", "mosaic", "-s", "art.png:2", "-o", "a.png", *QUICK])
    assert main(["rerun", "a.png"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a-rerun.png"
    assert np.array_equal(pixels("a.png"), pixels("a-rerun.png"))
    save_picture("art.png", seed=7)
    assert main(["rerun", "a.png", "-o", "changed.png"]) == 0
    told = capsys.readouterr()
    assert "cnnart: warning: art.png is not the file that was used then" in told.err
    assert not np.array_equal(pixels("a.png"), pixels("changed.png"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("none.png", 2, "No such picture: 'none.png' (there is no such file"),
        ("photo.png", 1, "photo.png: no cnnart record in it"),
        ("bad.jpg", 1, "bad.jpg: "),
    ],
)
def test_rerun_errors(
    arguments: str, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerun", *arguments.split()]) == code
    assert sentence in capsys.readouterr().err


def test_rerun_needs_a_whole_record_and_folders_that_are_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["stylize", "photo.png", "-s", "mosaic", "-o", "a.png", *QUICK])
    record = read_record_of(Path("a.png")) | {"run": None}
    write_image("b.png", read_image("a.png").rgb, record=json.dumps(record))
    assert main(["rerun", "b.png"]) == 1
    assert "it does not say what it ran on" in capsys.readouterr().err
    assert main(["rerun", "a.png", "--inputs", "nowhere"]) == 2
    assert "--inputs 'nowhere': there is no such folder." in capsys.readouterr().err


def test_rerun_never_overwrites_the_picture_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    main(["stylize", "photo.png", "-s", "mosaic", "-o", "a.png", *QUICK])
    assert main(["rerun", "a.png", "-o", "a.png"]) == 2
    assert "would overwrite the input 'a.png'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "kept", "left_out"),
    [
        ((), ("cnnart", "Maker"), ("a secret", "SERIAL", "folder of alice")),
        (("--metadata", "public"), ("cnnart", "Maker"), ("a secret", "SERIAL", "folder of alice")),
        (("--metadata", "all"), ("cnnart", "Maker", "a secret", "SERIAL", "folder of alice"), ()),
        (("--metadata", "none"), (), ("cnnart", "Maker", "a secret", "SERIAL", "folder of alice")),
        (("--no-metadata",), (), ("cnnart", "Maker", "a secret", "SERIAL", "folder of alice")),
    ],
    ids=["default", "public", "all", "none", "no-metadata"],
)
def test_metadata_is_a_choice(
    options: tuple[str, ...],
    kept: tuple[str, ...],
    left_out: tuple[str, ...],
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x010E], exif[0x8769] = "Maker", "a secret", {0xA431: "SERIAL"}
    (folder := tmp_path / "folder of alice").mkdir()
    Image.open("photo.png").save(folder / "private.jpg", exif=exif)
    arguments = ["stylize", str(folder / "private.jpg"), "-s", "mosaic", *QUICK, *options]
    main([*arguments, "-o", "out.jpg", "--save-every", "1"])
    capsysbinary.readouterr()
    main([*arguments, "-o", "-"])
    files = [Path("out.jpg"), *Path().glob("out-step*.jpg")]
    written = [*(file.read_bytes() for file in files), capsysbinary.readouterr().out]
    assert len(written) >= 3
    for data in written:
        for word in kept:
            assert word.encode() in data
        for word in left_out:
            assert word.encode() not in data


def test_a_picture_does_not_say_which_programs_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A record comes from whoever made the picture, and a network of one's own is a program."""
    Path("evil.py").write_text("raise SystemExit('it was run')")
    main(["stylize", "photo.png", "-s", "mosaic", "-o", "a.png", *QUICK])
    record = read_record_of(Path("a.png"))
    record["run"]["backbone"] = "evil:make"
    write_image("b.png", read_image("a.png").rgb, record=json.dumps(record))
    capsys.readouterr()
    assert main(["rerun", "b.png"]) == 2
    assert "'evil:make' as the network, which is a program" in capsys.readouterr().err
    assert not Path("b-rerun.png").exists()


def test_what_the_format_cannot_hold_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MAX_SIDES", {"WEBP": 40})
    monkeypatch.setattr(Run, "steps", lambda run: pytest.fail("the work has begun"))
    quick = [*QUICK[2:], "--size", "48"]
    assert main(["stylize", "photo.png", "-s", "mosaic", "-o", "a.webp", *quick]) == 1
    assert "WEBP holds at most 40 pixels a side, the picture is 48 x" in capsys.readouterr().err
    assert not Path("a.webp").exists()


def test_what_was_guessed_of_a_photo_or_a_style_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frames = [Image.open("photo.png").convert("RGB"), Image.new("RGB", (64, 48))]
    for name in ("photo.webp", "art.webp"):
        frames[0].save(name, save_all=True, append_images=frames[1:])
    assert main(["stylize", "photo.webp", "-s", "art.webp", "-o", "a.png", *QUICK]) == 0
    told = capsys.readouterr().err.splitlines()
    for name in ("photo.webp", "art.webp"):
        line = f"cnnart: warning: {name}: an animation; its first picture is used."
        assert told.count(line) == 1


def test_what_libraries_warn_of_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        main(["--version"])
        warnings.warn("Corrupt EXIF data.", stacklevel=1)
    assert shown == []


# info


def test_info(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real styles
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cnnart"] == __version__
    assert facts["devices"][-1]["name"] == "cpu"
    assert facts["devices"][-1]["auto_precision"] in ("fp32", "bf16")
    assert facts["auto_device"]["name"] == facts["devices"][0]["name"].partition(":")[0]
    assert facts["auto_precision"]["name"] == facts["devices"][0]["auto_precision"]
    assert facts["auto_device"]["why"]
    assert facts["auto_precision"]["why"]
    embedded = facts["weights"][0]
    assert (embedded["name"], embedded["checksum"]) == ("vgg19", "ok")
    assert Path(embedded["path"]).is_file()
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for key in facts:
        assert key.replace("_", " ") in text


# Signals and pipes, on the process


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a child there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_the_picture_so_far(number: signal.Signals) -> None:
    long_run = ["--size", "64", "--steps", "100000", "--json", "--preview"]
    process = cnnart_process("stylize", "photo.png", "-s", "art.png", "-o", "a.png", *long_run)
    assert process.stdout
    preview = Path("a.preview.jpg")
    while not (b'"step"' in (line := process.stdout.readline()) and preview.exists()):
        assert line, process.communicate()  # it has ended, and there was no preview
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the picture so far will be saved" in err
    saved, done = map(json.loads, out.splitlines()[-2:])
    assert (saved["kind"], saved["path"], done["exit_code"]) == ("interrupted", "a.png", 130)
    assert Image.open("a.png").size == (64, 48)
    assert not preview.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_closed_pipe_is_no_drama() -> None:
    process = cnnart_process("--help")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() in (0, 1)


def test_names_beyond_the_console_encoding() -> None:
    save_picture("фото 写真.png")
    code = (
        "import sys; sys.stdout.reconfigure(encoding='ascii'); from cnnart.__main__ import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    process = cnnart_process("stylize", "фото 写真.png", "-s", "art.png", *QUICK, code=code)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.startswith(b"\\u0444")
    assert Path("фото 写真-art.png").exists()


# Values


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("640x480", (480, 640)), ("64X48px", (48, 64))]
)
def test_sizes(text: str, size: object) -> None:
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["0", "x", "12x", "-5", "1.5", "0x8", "8x0"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size"):
        SIZE.convert(text, None, None)


@pytest.mark.parametrize("text", ["8", "64x8"])
def test_sizes_too_small_to_stylize(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is too small a size: 16 pixels at least"):
        SIZE.convert(text, None, None)


def test_layers() -> None:
    assert LAYERS.convert("relu1_1,relu2_1:0.5", None, None) == {"relu1_1": 1.0, "relu2_1": 0.5}


def test_click_itself_runs_the_group() -> None:
    assert CliRunner().invoke(cli, ["stylize", "--help"]).exit_code == 0


# Limits of memory and time


def test_the_same_settings_make_the_same_file() -> None:
    for name in ("first.png", "second.png"):
        assert main(["stylize", "photo.png", "-s", "art.png", "-o", name, *QUICK]) == 0
    assert Path("first.png").read_bytes() == Path("second.png").read_bytes()


@pytest.mark.slow
def test_max_memory_is_kept_to_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In little memory the picture is cut into tiles; in none there is a sentence."""
    command = ["stylize", "photo.png", "-s", "art.png", "--size", "512", "--json"]
    command += ["--time-budget", "1s", "--precision", "fp32", "--device", "cpu"]
    assert main([*command, "--max-memory", "64GB"]) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert start["tile"] == 0
    assert main([*command, "--max-memory", f"{start['memory'] - (100 << 20)}b"]) == 0
    tiled = json.loads(capsys.readouterr().out.splitlines()[0])
    assert tiled["tile"] > 0
    assert tiled["memory"] <= start["memory"] - (100 << 20)
    assert main([*command, "--max-memory", "50MB"]) == 1
    assert "Ask for a smaller --size or allow more with --max-memory." in capsys.readouterr().out


@pytest.mark.slow
def test_a_time_budget_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """A budget far below the preset's time ends the run early, with a picture, and says how."""
    command = ["stylize", "photo.png", "-s", "art.png", "--size", "512", "--preset", "fine"]
    assert main([*command, "--time-budget", "1s", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = [e["message"] for e in events if e["event"] == "warning"]
    assert any(m.startswith("Time budget: ") and m.endswith(" evaluations.") for m in said)
    steps = [e for e in events if e["event"] == "step"]
    assert 1 <= len(steps) < 200
    saved = next(e for e in events if e["event"] == "saved")
    assert Image.open(saved["path"]).size == (512, 384)


@pytest.mark.parametrize(
    ("text", "value"), [("4GB", 4 << 30), ("1.5 gib", 3 << 29), ("800mb", 800 << 20), ("7b", 7)]
)
def test_amounts_of_memory(text: str, value: int) -> None:
    assert MEMORY.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("0.5 min", 30)]
)
def test_durations(text: str, value: float) -> None:
    assert DURATION.convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "4", "-4GB", "0GB", "4 elephants"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(click.UsageError, match="write 4GB or 800MB"):
        MEMORY.convert(text, None, None)
