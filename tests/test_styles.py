"""The built-in styles: the manifest, the pictures, their generators, and ``cnnart styles``."""

import importlib.util
import inspect
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cnnart.builtin_styles import (
    builtin_networks,
    builtin_styles,
    contact_sheet,
    defect,
    find_style,
    styles_folder,
)
from cnnart.cli.styles import styles as styles_command
from cnnart.errors import CnnartError, UsageError
from cnnart.methods.stylize.config import StylizeConfig

QUICK = ["watercolour-garden", "stained-glass", "torn-paper", "pop-halftone"]


@pytest.fixture(scope="module")
def generate():
    """styles/generate.py as a module, with its folder on the path as when it runs as a script."""
    script = styles_folder() / "generate.py"
    spec = importlib.util.spec_from_file_location("styles_generate", script)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(script.parent))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(script.parent))


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """A copy of the manifest and pictures that a test can damage."""
    folder = tmp_path / "styles"
    folder.mkdir()
    for path in styles_folder().iterdir():
        if path.suffix in (".json", ".jpg", ".safetensors"):
            shutil.copy(path, folder)
    monkeypatch.setattr("cnnart.builtin_styles.styles_folder", lambda: folder)
    return folder


def run(*arguments):
    return CliRunner().invoke(styles_command, [str(argument) for argument in arguments])


def test_there_are_at_least_eight_complete_entries():
    found = builtin_styles()
    assert len(found) >= 8
    known = {field.name for field in fields(StylizeConfig)}
    for name, style in found.items():
        assert name == style.name == name.lower().replace("_", "-").replace(" ", "-")
        assert style.title
        assert len(style.description) > 30
        assert set(style.settings) <= known


def test_the_manifest_lists_every_picture_and_they_stay_small():
    pictures = {path.name for path in styles_folder().iterdir() if path.suffix == ".jpg"}
    assert pictures == {style.path.name for style in builtin_styles().values()}
    assert sum(style.path.stat().st_size for style in builtin_styles().values()) < 7e6


@pytest.mark.parametrize("style", builtin_styles().values(), ids=builtin_styles().keys())
def test_a_picture_is_whole_full_of_marks_and_has_darks_and_lights(style):
    assert defect(style) is None
    with Image.open(style.path) as picture:
        assert (picture.size, picture.mode) == ((1024, 1024), "RGB")
        values = np.asarray(picture, dtype=np.float32)
    gray = values.mean(-1)
    assert np.percentile(gray, 2) < 64
    assert np.percentile(gray, 98) > 190
    blocks = gray.reshape(8, 128, 8, 128).transpose(0, 2, 1, 3).reshape(64, -1)
    assert blocks.std(1).min() > 7  # no empty area


def test_pictures_differ_from_each_other():
    thumbs = []
    for style in builtin_styles().values():
        with Image.open(style.path) as picture:
            thumbs.append(np.asarray(picture.resize((32, 32)), dtype=np.float32))
    pairs = [(a, b) for i, a in enumerate(thumbs) for b in thumbs[:i]]
    assert min(np.abs(a - b).mean() for a, b in pairs) > 25


@pytest.mark.parametrize("name", QUICK)
def test_the_same_seed_draws_the_same_pixels(generate, name):
    first, again, other = (np.asarray(generate.draw(name, seed, 128)) for seed in (11, 11, 12))
    assert first.shape == (128, 128, 3)
    assert (first == again).all()
    assert np.abs(first.astype(int) - other).mean() > 3


def test_the_same_seed_lays_the_same_strokes(generate):
    from paint.brush import Brush, Painter, scatter
    from paint.canvas import Canvas

    def painted(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        canvas = Canvas(64, np.array([0.5, 0.4, 0.3]))
        starts = scatter(rng, 40, canvas.size)
        angle = np.zeros((canvas.size, canvas.size))
        Painter(canvas, rng).cover(starts, angle, rng.random((len(starts), 3)), Brush(200, 400))
        canvas.relief(2.0)
        return np.asarray(canvas.picture())

    first, again, other = painted(3), painted(3), painted(4)
    assert (first == again).all()
    assert (first != other).mean() > 0.5
    assert first.std() > 10


def test_a_stroke_stays_within_its_width_and_follows_its_path(generate):
    from paint.brush import Brush, Painter
    from paint.canvas import Canvas

    canvas = Canvas(128, np.zeros(3))
    path = np.array([[40.0, 128.0], [128.0, 128.0], [216.0, 128.0]])
    painter = Painter(canvas, np.random.default_rng(0))
    painter.stroke(path, np.ones(3), Brush(1, 1, dry=0.1, pickup=0.0), width=20.0)
    rows, columns = np.nonzero(canvas.rgb.sum(-1) > 0.1)
    assert rows.min() >= 117
    assert rows.max() <= 139
    assert columns.min() >= 38
    assert columns.max() <= 218
    assert (canvas.rgb[123:134, 80:180].mean(-1) > 0.5).mean() > 0.9


def test_every_style_has_a_generator_with_the_manifests_seed(generate):
    entries = json.loads(generate.MANIFEST.read_text(encoding="utf-8"))["styles"]
    for entry in entries:
        module = generate.importlib.import_module("paint." + entry["name"].replace("-", "_"))
        assert list(inspect.signature(module.generate).parameters) == ["seed", "size"]
        assert isinstance(entry["seed"], int)


def test_check_mode_tells_a_picture_from_another(generate):
    entries = json.loads(generate.MANIFEST.read_text(encoding="utf-8"))["styles"]
    with Image.open(styles_folder() / entries[0]["file"]) as picture:
        own = picture.convert("RGB")
    assert generate.difference(entries[0], own) < 0.5 * generate.TOLERANCE
    assert generate.difference(entries[1], own) > generate.TOLERANCE


def test_an_unknown_name_says_which_was_meant():
    with pytest.raises(UsageError) as error:
        find_style("staned-glas")
    assert str(error.value) == (
        "No built-in style is called 'staned-glas'. Did you mean stained-glass?"
        " `cnnart styles list` shows them all."
    )
    assert error.value.exit_code == 2


def test_a_missing_manifest_is_one_clear_line(copied):
    (copied / "manifest.json").unlink()
    with pytest.raises(CnnartError, match=r"manifest\.json: the list of built-in styles cannot be"):
        builtin_styles()


def test_list_shows_every_name_and_json_carries_paths():
    trained = [name for network in builtin_networks() for name in network.styles]
    names = list(dict.fromkeys([*builtin_styles(), *trained]))
    assert all(name in run("list").output for name in names)
    rows = json.loads(run("list", "--json").output)
    assert [row["name"] for row in rows] == names
    assert [row["name"] for row in rows if row["trained"]] == [n for n in names if n in trained]
    assert all(Path(row["path"]).is_file() for row in rows[: len(builtin_styles())])


def test_check_passes_and_names_each_damaged_file(copied):
    result = run("check")
    assert (result.exit_code, result.output.count("\n")) == (0, 1)
    (copied / "stained-glass.jpg").write_bytes(b"not a picture")
    (copied / "torn-paper.jpg").unlink()
    result = run("check")
    lines = [line for line in result.output.splitlines() if line]
    assert len(lines) == 2
    assert lines[0].startswith("stained-glass: ")
    assert "SHA-256" in lines[0]
    assert lines[1].startswith("torn-paper: ")
    assert "cannot be read" in lines[1]
    assert isinstance(result.exception, CnnartError)
    assert result.exception.exit_code == 1
    total = len(builtin_styles()) + len(builtin_networks())
    assert str(result.exception).startswith(f"2 of {total} built-in files are damaged")


def test_a_changed_size_is_a_defect_even_with_its_own_checksum(copied):
    import hashlib
    from dataclasses import replace

    path = copied / "stained-glass.jpg"
    Image.new("L", (64, 48)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    style = replace(find_style("stained-glass"), sha256=digest)
    assert defect(style).endswith("is 64x48 L, not 1024x1024 RGB.")
    path.write_bytes(b"no picture at all")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "does not open as a picture" in defect(replace(style, sha256=digest))


def test_the_sheet_holds_every_picture_in_a_grid():
    chosen = list(builtin_styles().values())[:5]
    sheet = contact_sheet(chosen, tile=64, columns=3)
    assert sheet.size == (16 + 3 * 80, 16 + 2 * (64 + 34 + 16))
    with Image.open(chosen[4].path) as picture:
        expected = np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS))
    at = (16 + 80, 16 + 114)
    assert (np.asarray(sheet)[at[1] : at[1] + 64, at[0] : at[0] + 64] == expected).all()
    assert contact_sheet(chosen[:1], tile=64).size == (96, 130)


def test_show_writes_the_sheet_and_prints_its_path(tmp_path):
    target = tmp_path / "sheet.png"
    result = run("show", "linocut-coast", "stained-glass", "-o", target)
    assert result.output.strip() == str(target)
    with Image.open(target) as sheet:
        assert sheet.size == (16 + 2 * 336, 16 + 320 + 34 + 16)
    assert isinstance(run("show", "nothing-like-it", "-o", target).exception, UsageError)
    assert isinstance(run("show", "-o", tmp_path / "sheet.pdf").exception, UsageError)


def test_listing_styles_does_not_import_torch():
    code = "import sys; from cnnart.builtin_styles import builtin_styles; builtin_styles();"
    code += "print(any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
