"""The trained network that comes with cnnart."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

import cnnart
from cnnart.builtin_styles import builtin_networks, styles_folder
from cnnart.commands.fast_stylize import arbitrary_network, trained_styles
from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image, to_picture
from cnnart.methods.fast.train.artifacts import defects

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    """styles/train.py."""
    spec = importlib.util.spec_from_file_location("styles_train", styles_folder() / "train.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    rgb = read_image(EXAMPLES / "pagoda.jpg").rgb
    return resize(rgb, *fit_long_side(*rgb.shape[-2:], 256))


def painted(photo: torch.Tensor, style: str, **settings: object) -> torch.Tensor:
    return to_picture(cnnart.fast_stylize(photo, style, **settings)).rgb


def test_there_are_sixteen_styles_in_less_than_ten_megabytes() -> None:
    names = [name for network in builtin_networks() for name in network.styles]
    assert len(set(names)) == len(names) >= 16
    assert list(trained_styles()) == names == cnnart.styles()
    assert sum(network.path.stat().st_size for network in builtin_networks()) < 10e6


def test_any_picture_is_a_style_between_them() -> None:
    (network,) = builtin_networks()
    assert arbitrary_network() == network.path


@pytest.mark.parametrize("style", cnnart.styles())
def test_a_style_paints_without_artifacts(style: str, photo: torch.Tensor) -> None:
    found = painted(photo, style)
    assert found.shape == photo.shape
    assert float((found - photo).abs().mean()) > 0.05
    assert defects(found, photo, {})[1] == []


def test_styles_do_not_look_alike(photo: torch.Tensor) -> None:
    pictures = [painted(photo, style) for style in cnnart.styles()]
    for one, other in itertools.combinations(pictures, 2):
        assert float((one - other).abs().mean()) > 0.02


def test_strength_goes_from_the_photo_to_the_style(photo: torch.Tensor) -> None:
    away = [
        float((painted(photo, "great-wave", strength=s) - photo).abs().mean())
        for s in (0, 0.1, 0.2, 0.5)
    ]
    assert away[0] < 1 / 255
    assert away == sorted(away)


def test_it_was_trained_by_the_recipe_and_is_unchanged(recipe: ModuleType) -> None:
    for network in recipe.json.loads(recipe.MANIFEST.read_text(encoding="utf-8"))["networks"]:
        assert recipe.check(network) == []
        other = network | {"options": ["--steps", "7"]}
        assert "was not trained with --steps 7" in recipe.check(other)[0]
        assert "is not the file" in recipe.check(network | {"sha256": "0" * 64})[0]


def test_the_recipe_names_a_painting_it_cannot_find(recipe: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"No picture great-wave\{\.jpg"):
        recipe.source({"name": "great-wave", "source": "painting"}, tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "great-wave.png")
    found = recipe.source({"name": "great-wave", "source": "painting"}, tmp_path)
    assert found == f"great-wave={tmp_path / 'great-wave.png'}"


def test_thumbnails_are_painted_by_the_network_itself() -> None:
    from cnnart.methods.fast.checkpoint import load_checkpoint

    for network in builtin_networks():
        styles = load_checkpoint(network.path).styles
        assert all(style.thumbnail and style.license != "not stated" for style in styles)
        assert len({style.thumbnail for style in styles}) == len(styles)


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(UsageError, match="great-wav"):
        cnnart.fast_stylize(torch.rand(1, 3, 64, 64), "great-wav")
