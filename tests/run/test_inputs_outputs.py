"""Which files come in, and what the results are called."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnart.errors import ImageError, UsageError
from cnnart.files import (
    FORMATS,
    WRITABLE,
    identity,
    is_one_file,
    key_of,
    natural_key,
    spelled_alike,
)
from cnnart.image.formats import readable_suffixes
from cnnart.run.inputs import Source, expand
from cnnart.run.outputs import plan
from cnnart.video.formats import leads_to_frames

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def names(sources: list[Source]) -> list[str]:
    return [source.path.as_posix() if source.path else "-" for source in sources]


def targets(given_: list[str], output: str | None = None, recursive: bool = True, **more: str):
    tasks = plan(expand(given_, recursive=recursive), output, style="mosaic", **more)
    return [task.target.as_posix() for task in tasks if task.target]


def test_numbers_sort_as_numbers() -> None:
    paths = [Path(name) for name in ("p10.jpg", "P9.jpg", "p1.jpg", "a.jpg", "1.jpg")]
    ordered = sorted(paths, key=natural_key)
    assert [p.name for p in ordered] == ["1.jpg", "a.jpg", "p1.jpg", "P9.jpg", "p10.jpg"]


@given(st.lists(st.text(alphabet="aZ09²٣é_-. ", min_size=1, max_size=6)))
def test_any_names_can_be_sorted(texts: list[str]) -> None:
    assert len(sorted((Path(text) for text in texts), key=natural_key)) == len(texts)


def test_a_folder_gives_its_pictures_in_order_and_nothing_else() -> None:
    touch("in/b10.jpg", "in/b9.PNG", "in/.hidden.png", "in/warnings.txt", "in/x.preview.jpg")
    touch("in/sub/c.tif", "in/.git/d.png")
    assert names(expand(["in"])) == ["in/b9.PNG", "in/b10.jpg"]
    assert names(expand(["in"], recursive=True)) == ["in/b9.PNG", "in/b10.jpg", "in/sub/c.tif"]


def test_globs_that_no_shell_expanded_are_expanded() -> None:
    touch("a2.jpg", "a10.jpg", "b.jpg", "deep/er/a3.jpg", "[x].jpg")
    assert names(expand(["a*.jpg"])) == ["a2.jpg", "a10.jpg"]
    assert names(expand(["**/a3.jpg"])) == ["deep/er/a3.jpg"]
    assert names(expand(["[x].jpg"])) == ["[x].jpg"], "an existing file is no glob"


def test_a_file_meant_twice_comes_once() -> None:
    touch("in/a.jpg", "in/b.jpg")
    assert names(expand(["in/b.jpg", "in", "./in/b.jpg"])) == ["in/b.jpg", "in/a.jpg"]


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"picture")))
    (source,) = expand(["-"])
    assert source.open().read() == source.open().read() == b"picture"
    assert source.stem == "stdin"
    with pytest.raises(UsageError, match="can be given only once"):
        expand(["-", "-"])


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ("phto.jpg", r"No such file or folder: 'phto.jpg'. Did you mean photo.jpg\?"),
        ("no/where.jpg", "No such file or folder: 'no/where.jpg'."),
        ("*.gif", r"No file matches '\*.gif'."),
        ("empty", r"No pictures in the folder 'empty'. Add `recursive`"),
    ],
)
def test_names_that_lead_nowhere(given_: str, sentence: str) -> None:
    touch("photo.jpg", "empty/sub/a.jpg")
    with pytest.raises(UsageError, match=sentence):
        expand([given_])


def test_default_names() -> None:
    touch("a.jpg", "in/b.jpg", "in/sub/c.jpg")
    assert targets(["a.jpg"]) == ["a-mosaic.png"]
    assert targets(["a.jpg"], format="jpg") == ["a-mosaic.jpg"]
    assert targets(["in/b.jpg"]) == ["b-mosaic.png"], "beside where the command runs"
    assert targets(["in"]) == ["in-mosaic/b-mosaic.png", "in-mosaic/sub/c-mosaic.png"]


def test_an_output_folder_keeps_the_tree() -> None:
    touch("in/b.jpg", "in/sub/c.jpg", "d.jpg")
    Path("there.d").mkdir()
    tree = ["b-mosaic.png", "sub/c-mosaic.png", "d-mosaic.png"]
    for folder in ("out", "out/", "there.d"):
        assert targets(["in", "d.jpg"], folder) == [f"{folder.strip('/')}/{name}" for name in tree]


def test_an_output_file_is_for_one_picture() -> None:
    touch("a.jpg", "b.jpg")
    assert targets(["a.jpg"], "x/new.webp") == ["x/new.webp"]
    with pytest.raises(UsageError, match=r"2 pictures cannot go into the one file 'new.png'"):
        targets(["a.jpg", "b.jpg"], "new.png")


def test_patterns() -> None:
    touch("in/b.jpg", "in/sub/c.tif", "d.png")
    assert targets(["in", "d.png"], "out/{parent}/{stem}_{style}_{ext}.jpg") == [
        "out/in/b_mosaic_jpg.jpg",
        "out/in/sub/c_mosaic_tif.jpg",
        f"out/{Path.cwd().name}/d_mosaic_png.jpg",
    ]
    for pattern in ("{stem:>9999999999}.png", "{stem:>{ext}}.png"):
        with pytest.raises(UsageError, match=r"is malformed \(a field is too wide\)"):
            targets(["d.png"], pattern)
    for pattern in ("{name}.png", "{stem.__class__}.png", "{0}.png", "{}.png"):
        with pytest.raises(UsageError, match=r"Unknown field .* there is \{stem\}"):
            targets(["d.png"], pattern)
    with pytest.raises(
        UsageError,
        match=r"pattern .* is malformed \(expected .*: write it like '\{stem\}-new\.png'",
    ):
        targets(["d.png"], "{stem.png")


@pytest.mark.parametrize("output", ["out.gif", "{stem}.bmp", "{stem}"])
def test_only_formats_that_cnnart_writes(output: str) -> None:
    touch("a.jpg")
    with pytest.raises(UsageError, match=r"cnnart writes png, jpg, .*, jxl, not"):
        targets(["a.jpg"], output)


def test_suffix_and_format_must_agree() -> None:
    touch("a.jpg")
    assert targets(["a.jpg"], "b.jpeg", format="jpg") == ["b.jpeg"]
    with pytest.raises(UsageError, match="contradict"):
        targets(["a.jpg"], "b.png", format="jpg")


def test_names_and_writer_know_the_same_formats() -> None:
    from cnnart.image.write import output_format

    assert {output_format(Path(f"x{suffix}")) for suffix in WRITABLE} == {
        output_format(None, name) for name in FORMATS
    }
    for suffix, name in WRITABLE.items():
        assert output_format(Path(f"x{suffix}")) == output_format(None, name)


def test_standard_output_takes_one_picture() -> None:
    touch("a.jpg", "b.jpg")
    (task,) = plan(expand(["a.jpg"]), "-", style="s", format="webp")
    assert (task.target, task.format) == (None, "webp")
    with pytest.raises(UsageError, match="Only one picture fits on standard output"):
        plan(expand(["a.jpg", "b.jpg"]), "-", style="s")


def test_no_input_is_overwritten() -> None:
    touch("a.png", "b.jpg", "style.png")
    for output in ("a.png", "./a.png", str(Path("a.png").resolve())):
        with pytest.raises(UsageError, match=r"would overwrite the input 'a.png'"):
            targets(["a.png"], output)
    with pytest.raises(UsageError, match=r"would overwrite the input 'b.jpg'"):
        targets(["a.png", "b.jpg"], "b.{ext}")
    with pytest.raises(UsageError, match=r"would overwrite the input 'style.png'"):
        plan(expand(["a.png"]), "style.png", style="s", protected=[Path("style.png")])


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_input_is_overwritten_through_a_link() -> None:
    touch("a.png")
    Path("soft.png").symlink_to("a.png")
    Path("hard.png").hardlink_to("a.png")
    for output in ("soft.png", "hard.png"):
        assert identity(Path(output)) == identity(Path("a.png"))
        with pytest.raises(UsageError, match="would overwrite"):
            targets(["a.png"], output)


def test_two_inputs_never_share_an_output() -> None:
    touch("a.jpg", "a.png", "x/a.jpg")
    for pair in (["a.jpg", "a.png"], ["a.jpg", "x/a.jpg"]):
        with pytest.raises(UsageError, match=r"would both become 'a-mosaic.png': add \{parent\}"):
            targets(pair)
    assert targets(["a.jpg", "a.png"], "{stem}_{ext}.png") == ["a_jpg.png", "a_png.png"]


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
ALIKE = [("A.jpg", "a.jpg"), (f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg"), ("Trip/x.jpg", "trip/x.jpg")]


def forgetful(path: Path) -> bool:
    """``Path.exists`` on a disk that keeps names as they are given, and finds them in any case."""
    folder = os.listdir(path.parent) if path.parent.is_dir() else []  # noqa: PTH208
    return spelled_alike(path.name) in map(spelled_alike, folder)


@posix
@pytest.mark.parametrize("pair", ALIKE)
def test_names_that_the_disk_takes_for_one_do_not_share_a_result(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(*(f"in/{name}" for name in pair))
    if len(os.listdir("in")) == 1:  # noqa: PTH208  # it is such a disk
        return
    assert len(set(targets(["in"], "out/new"))) == 2
    monkeypatch.setattr(Path, "exists", forgetful)
    with pytest.raises(UsageError, match=r"as this disk does not tell their names apart: rename"):
        targets(["in"], "out/new")
    assert sorted(os.listdir()) == ["in"]  # noqa: PTH208


@posix
def test_what_cannot_be_tried_on_the_disk_goes_by_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryDirectory", fail)
    assert not is_one_file(Path("A.png"), Path("a.png"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert is_one_file(Path("A.png"), Path("a.png"))
    assert key_of(Path(COMPOSED)) == key_of(Path(DECOMPOSED.upper()))


def test_a_second_run_over_a_folder_leaves_the_first_runs_results_alone() -> None:
    touch("in/a.jpg", "in/b.jpg")
    first = targets(["in"], "in")
    assert first == ["in/a-mosaic.png", "in/b-mosaic.png"]
    touch(*first)
    assert targets(["in"], "in") == first
    touch("other/a.jpg")
    inside = targets(["other"], "other/out/")
    touch(*inside)
    assert targets(["other"], "other/out/") == inside == ["other/out/a-mosaic.png"]


def test_where_nothing_can_be_written() -> None:
    touch("a.jpg", "file", "sub.png/x")
    with pytest.raises(UsageError, match="'file' is a file, not a folder"):
        targets(["a.jpg"], "file/x.png")
    with pytest.raises(UsageError, match="The output folder 'file' is a file: choose another -o"):
        targets(["a.jpg"], "file")
    if os.name == "posix" and os.geteuid() != 0:
        Path("locked").mkdir(mode=0o500)
        with pytest.raises(UsageError, match="no permission"):
            targets(["a.jpg"], "locked/x.png")


# Folders as people have them


def test_thumbnails_of_network_drives_and_trash_are_passed_over() -> None:
    touch("in/a.jpg", "in/2024/b.jpg")
    for folder in (
        "@eaDir/a.jpg",
        "#recycle",
        "$RECYCLE.BIN",
        "__MACOSX",
        "lost+found",
        "@Recycle",
    ):
        touch(f"in/2024/{folder}/thumb.jpg")
    touch("in/.Trash-1000/c.jpg", "in/2024/._b.jpg", "in/a.jpg.part", "in/a.jpg.json")
    assert names(expand(["in"], recursive=True)) == ["in/2024/b.jpg", "in/a.jpg"]
    notes: list[str] = []
    assert names(expand(["in/a.jpg", "in/2024/#recycle"], notes=notes)) == ["in/a.jpg"]
    assert notes == ["in/2024/#recycle is passed over: it is no folder of photos; name it alone."]
    assert names(expand(["in/2024/#recycle"])) == ["in/2024/#recycle/thumb.jpg"], "if meant"


def test_what_a_shell_lists_beside_photos_is_passed_over() -> None:
    touch("a.jpg", "a.xmp", "a.AAE", "Thumbs.db", "b.txt")
    Path("empty").mkdir()
    notes: list[str] = []
    listed = ["a.jpg", "a.xmp", "a.AAE", "Thumbs.db", "empty"]
    assert names(expand(listed, notes=notes)) == ["a.jpg"]
    assert notes[0] == "3 files beside the photos passed over, a.xmp for one."
    assert notes[1].startswith("No pictures in the folder 'empty'")
    assert names(expand(["b.txt"])) == ["b.txt"], "named alone, it is for the reader to say"


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("cnnart.image.formats.plugin_installed", lambda name: False)
    readable_suffixes.cache_clear()
    yield
    readable_suffixes.cache_clear()


def test_photos_that_cannot_be_read_are_counted_by_kind(no_plugins: None) -> None:
    touch("in/a.jpg", *(f"in/{i}.HEIC" for i in range(3)), "in/x.NEF", "only/y.cr2", "only/z.dng")
    notes: list[str] = []
    assert names(expand(["in"], notes=notes)) == ["in/a.jpg"]
    assert any("in: passed over 3 HEIC photos (" in note for note in notes)
    assert any("passed over a camera's raw file (develop it" in note for note in notes)
    with pytest.raises(UsageError, match=r"No pictures that can be read in .* 'only': 2 raw"):
        expand(["only"])


@posix
def test_pipes_in_a_folder_are_passed_over_and_links_to_nothing_fail_later() -> None:
    touch("in/a.jpg")
    os.mkfifo("in/b.jpg")
    Path("in/c.jpg").symlink_to("c.jpg")
    Path("in/self").symlink_to("../in")
    assert names(expand(["in"], recursive=True)) == ["in/a.jpg", "in/c.jpg"]
    (source,) = expand(["in/c.jpg"])
    with pytest.raises(ImageError, match="leads back to itself"):
        source.read()
    assert names(expand(["**/*.jpg"])) == ["in/a.jpg"], "a glob does not run in circles either"


@posix
def test_a_pipe_that_is_named_is_read_once() -> None:
    os.mkfifo("photo.jpg")
    writer = threading.Thread(target=Path("photo.jpg").write_bytes, args=[b"picture"])
    writer.start()
    (source,) = expand(["photo.jpg"])
    writer.join()
    assert source.open().read() == source.open().read() == b"picture"
    assert (source.stem, source.name) == ("photo", "photo.jpg")


@posix
def test_a_folder_without_permission_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.jpg", "in/locked/b.jpg")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(expand(["in"], recursive=True)) == ["in/a.jpg", "in/locked"]
    with pytest.raises(UsageError, match=r"The folder 'in/locked' cannot be read: no permission\."):
        expand(["in/locked"])


def test_an_input_and_a_pipe_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnart.run.inputs.obstacle", lambda path: "no permission to read it")
    with pytest.raises(UsageError, match=r"The input 'a\.jpg' cannot be read: no permission"):
        expand(["a.jpg"])

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("cnnart.run.inputs.is_pipe", lambda path: True)
    monkeypatch.setattr("cnnart.run.inputs.open_pipe", refuse)
    with pytest.raises(ImageError, match=r"The pipe a\.jpg cannot be read: no permission\."):
        expand(["a.jpg"])


def test_standard_input_that_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match=r"Standard input \(-\) is closed"):
        expand(["-"])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="pipe one in"):
        expand(["-"])

    def fail(count: int) -> bytes:
        raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=fail)))
    with pytest.raises(ImageError, match="Standard input cannot be read: it is a folder"):
        expand(["-"])
    monkeypatch.setattr("cnnart.run.inputs.MOST_PIPED", 3)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"endless")))
    with pytest.raises(ImageError, match="More comes through"):
        expand(["-"])


def test_of_many_one_whose_name_is_too_long_fails_alone() -> None:
    touch("in/" + "x" * 250 + ".jpg", "in/ok.jpg")
    long, good = sorted(plan(expand(["in"]), "out", style="s"), key=lambda t: t.trouble or "z")
    good.check()
    with pytest.raises(UsageError, match="too long"):
        long.check()
    with pytest.raises(UsageError, match="too long"):
        plan(expand(["in/" + "x" * 250 + ".jpg"]), "out", style="s")


def test_braces_and_brackets_in_names_are_nothing_special() -> None:
    touch("in/{a}[1].jpg", "out{x}/keep")
    assert names(expand(["in/{a}[1].jpg"])) == ["in/{a}[1].jpg"]
    assert targets(["in"], "out") == ["out/{a}[1]-mosaic.png"]
    assert targets(["in"], "{stem}/new.png") == ["{a}[1]/new.png"]
    assert targets(["in"], "out{x}") == ["out{x}/{a}[1]-mosaic.png"], "a folder that is there"


def test_a_photo_with_a_percent_sign_in_its_name_is_a_photo() -> None:
    touch("100%d.jpg", "0.jpg")
    (source,) = expand(["100%d.jpg"], clips=True)
    assert source.stem == "100%d"
    assert not leads_to_frames(Path("100%d.jpg"))
    (source,) = expand(["frames/%d.jpg"], clips=True)
    assert source.stem == "frames"
