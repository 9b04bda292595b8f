"""The Python API, with the real network on small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cnnart
from cnnart import api
from cnnart import runtime as engine
from cnnart.errors import ImageError, OutOfMemory, UsageError
from cnnart.image.read import style_mask
from cnnart.methods.stylize import transfer
from cnnart.optim.memory import guarded
from cnnart.optim.steps import Step
from cnnart.runtime import Runtime
from tests.helpers.files import cnnart_process, only_builtin_style, save_picture

QUICK = {"size": 32, "preset": "draft", "steps": 2, "precision": "fp32", "device": "cpu"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    save_picture("alpha.png")
    save_picture("art.png", seed=2)
    only_builtin_style(monkeypatch, tmp_path / "builtin")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_importing_cnnart_does_not_import_torch() -> None:
    code = "import cnnart, sys; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    assert cnnart_process(code=code).wait() == 0


def test_the_function_stays_the_function_whatever_is_imported() -> None:
    import cnnart.cli.stylize
    import cnnart.methods.stylize.transfer

    assert cnnart.stylize is api.stylize
    assert set(cnnart.__all__) <= set(dir(cnnart))
    with pytest.raises(AttributeError, match="no attribute 'stylise'"):
        cnnart.stylise  # noqa: B018


def test_paths_images_arrays_and_tensors_give_the_same_picture() -> None:
    photo, art = Image.open("photo.png"), Image.open("art.png")
    result = cnnart.stylize("photo.png", "art.png", **QUICK)
    assert (result.mode, result.size) == ("RGB", (32, 24))
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
    for other_photo, other_art in (
        (Path("photo.png"), Path("art.png")),
        (photo, art),
        (np.asarray(photo), np.asarray(art) / np.float32(255)),
        (tensor, art),
    ):
        other = cnnart.stylize(other_photo, other_art, **QUICK)
        assert np.array_equal(pixels(other), pixels(result))
    assert not np.array_equal(pixels(result), pixels(photo.resize((32, 24))))


def test_callbacks_see_every_step_and_can_stop() -> None:
    seen: list[Step] = []
    cnnart.stylize("photo.png", "mosaic", callback=seen.append, **QUICK)
    assert [step.index for step in seen] == list(range(1, seen[0].steps + 1))
    stopped: list[int] = []

    def stop(step: Step) -> bool:
        stopped.append(step.index)
        return step.index < 2

    result = cnnart.stylize("photo.png", "mosaic", callback=stop, **QUICK | {"steps": 9})
    assert stopped == [1, 2]
    assert result.size == (32, 24)


def test_weights_blend_styles() -> None:
    only = [pixels(cnnart.stylize("photo.png", name, **QUICK)) for name in ("art.png", "mosaic")]
    near = pixels(cnnart.stylize("photo.png", [("art.png", 99), "mosaic"], strength=0.6, **QUICK))
    assert abs(near - only[0]).mean() < abs(near - only[1]).mean()


def test_a_tuple_of_styles_is_a_list_and_a_pair_is_a_pair() -> None:
    first = cnnart.stylize("photo.png", ("art.png", "mosaic"), **QUICK)
    again = cnnart.stylize("photo.png", [("art.png", 1), ("mosaic", 1.0)], **QUICK)
    assert np.array_equal(pixels(first), pixels(again))
    assert cnnart.stylize("photo.png", ("mosaic", 2), **QUICK).size == (32, 24)


def test_alpha_is_kept_at_the_size_of_the_result() -> None:
    result = cnnart.stylize("alpha.png", "mosaic", **QUICK)
    assert (result.mode, result.size) == ("RGBA", (32, 24))
    alpha = pixels(result)[..., 3]
    assert alpha[0, 0] < 20
    assert alpha[0, -1] > 230


def test_a_built_in_style_recommends_and_the_caller_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strengths = []

    class Spy(transfer.StyleTransfer):
        def __init__(self, photo, styles, config, features, **more) -> None:
            strengths.append(config.strength)
            super().__init__(photo, styles, config, features, **more)

    monkeypatch.setattr(transfer, "StyleTransfer", Spy)
    cnnart.stylize("photo.png", "mosaic", **QUICK)
    cnnart.stylize("photo.png", "mosaic", strength=0.2, **QUICK)
    assert strengths == [0.6, 0.2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"styles": "mosaik"}, r"No style 'mosaik'.*Did you mean mosaic\?"),
        ({"styles": []}, "0 styles"),
        ({"styles": [("mosaic", 1, 2)]}, "is a pair"),
        ({"styles": ("mosaic", 0)}, "must be above zero"),
        ({"styles": "mosaic", "masks": ["art.png"] * 2}, "2 masks for 1 styles"),
        ({"styles": "mosaic", "strenght": 1}, r"Did you mean strength\?"),
        ({"styles": "mosaic", "style_layers": ["relu9_1"]}, "vgg19 has no layer 'relu9_1'"),
        ({"styles": "mosaic", "backbone": "vgg91"}, r"Unknown backbone 'vgg91'. Did you mean"),
        ({"styles": "mosaic", "device": "tpu"}, "Unknown device"),
    ],
)
def test_wrong_requests_are_refused_before_the_network_is_loaded(
    arguments: dict, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UsageError, match=sentence):
        cnnart.stylize("photo.png", **arguments)


def test_layers_of_every_backbone_are_known_without_loading_it() -> None:
    names = engine.layer_names("vgg16")
    assert names[:2] == ["conv1_1", "conv1_2"]
    assert {"relu4_3", "pool5"} <= set(names)
    assert "relu4_4" not in names
    features = Runtime(device="cpu", precision="fp32").features("max")
    assert set(engine.layer_names("vgg19")) == set(features.geometry)


def test_a_mask_that_selects_nothing_is_named() -> None:
    Image.new("L", (8, 8), 0).save("black.png")
    with pytest.raises(ImageError, match=r"The mask black.png selects nothing"):
        style_mask("black.png")
    assert float(style_mask("black.png", inverse=True).min()) == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_called_by_its_name(error: Exception) -> None:
    def steps():
        raise error
        yield

    with pytest.raises(OutOfMemory, match="choose a smaller `size`"):
        list(guarded(steps()))


def test_other_errors_stay_what_they_are() -> None:
    def steps():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        yield

    with pytest.raises(RuntimeError, match="mat1"):
        list(guarded(steps()))
