"""The files of ``integrations/``: their hosts are stubs, what they have cnnart do is real."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.__main__ import main
from cnnart.image.read import read_image
from tests.helpers.files import save_picture

FOLDER = Path(__file__).parents[2] / "integrations"
STYLE = "great-wave"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART", raising=False)
    save_picture("photo.png", 40, 32)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The command lines that were run, each in this process."""
    ran: list[list[str]] = []

    def run(line: list[str], check: bool = False, **more: Any) -> subprocess.CompletedProcess[str]:
        ran.append(line)
        if line[0] != "cnnart":
            raise FileNotFoundError(line[0])
        capfd.readouterr()
        code = main(line[1:])
        told = capfd.readouterr()
        if check and code:
            raise subprocess.CalledProcessError(code, line, told.out, told.err)
        return subprocess.CompletedProcess(line, code, told.out, told.err)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def load(path: str, monkeypatch: pytest.MonkeyPatch, **stubs: Any) -> ModuleType:
    """An integration's file, with its host's modules in ``stubs``."""
    for name, stub in stubs.items():
        monkeypatch.setitem(sys.modules, name.replace("__", "."), stub)
    spec = importlib.util.spec_from_file_location(Path(path).stem, FOLDER / path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KritaDocument:
    """A document of Krita with one picture, as far as the script asks for it."""

    def __init__(self, path: str) -> None:
        self.pixels = np.asarray(Image.open(path).convert("RGB"))
        self.layers: list[SimpleNamespace] = []
        self.batchmode = False
        self.space: tuple[str, ...] = ()

    def setBatchmode(self, on: bool) -> None:
        self.batchmode = on

    def exportImage(self, path: str, info: Any) -> None:
        assert self.batchmode
        Image.fromarray(self.pixels).save(path)

    def width(self) -> int:
        return self.pixels.shape[1]

    def height(self) -> int:
        return self.pixels.shape[0]

    def colorModel(self) -> str:
        return "RGBA"

    def colorDepth(self) -> str:
        return "U8"

    def colorProfile(self) -> str:
        return "sRGB"

    def setColorSpace(self, *space: str) -> None:
        self.space = space

    def pixelData(self, x: int, y: int, width: int, height: int) -> bytes:
        assert self.space == ("RGBA", "U8", "sRGB")
        assert self.pixels.shape == (height, width, 3)
        return self.pixels.tobytes()

    def close(self) -> None:
        self.pixels = self.pixels[:0]

    def createNode(self, name: str, kind: str) -> SimpleNamespace:
        node = SimpleNamespace(name=name, kind=kind)
        node.setPixelData = lambda *given: setattr(node, "given", given)
        return node

    def rootNode(self) -> SimpleNamespace:
        return SimpleNamespace(addChildNode=lambda node, above: self.layers.append(node))

    def refreshProjection(self) -> None:
        assert self.layers


def krita(document: KritaDocument | None, warned: list[str], chosen: bool = True) -> dict[str, Any]:
    application = SimpleNamespace(activeDocument=lambda: document, openDocument=KritaDocument)
    dialogs = SimpleNamespace(
        QInputDialog=SimpleNamespace(
            getItem=lambda a, b, c, names, *more: (names[names.index("night-swirls")], chosen),
            getDouble=lambda *given: (0.5, True),
        ),
        QMessageBox=SimpleNamespace(warning=lambda a, b, text: warned.append(text)),
    )
    host = SimpleNamespace(Krita=SimpleNamespace(instance=lambda: application), InfoObject=object)
    return {"krita": host, "PyQt5": SimpleNamespace(), "PyQt5__QtWidgets": dialogs}


def test_krita_gets_a_layer(lines: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    document, warned = KritaDocument("photo.png"), list[str]()
    load("krita_cnnart.py", monkeypatch, **krita(document, warned))
    assert not warned
    (layer,) = document.layers
    assert (layer.name, layer.kind) == ("cnnart: night-swirls", "paintlayer")
    pixels, *place = layer.given
    assert place == [0, 0, 40, 32]
    painted = np.frombuffer(pixels, np.uint8).reshape(32, 40, 3).astype(int)
    difference = abs(painted - document.pixels).mean()
    assert difference > 5
    assert "0.5" in lines[-1]


def test_krita_tells_what_is_wrong(lines: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    load("krita_cnnart.py", monkeypatch, **krita(None, warned))
    monkeypatch.setenv("CNNART", "/opt/cnnart")
    load("krita_cnnart.py", monkeypatch, **krita(KritaDocument("photo.png"), warned))
    monkeypatch.delenv("CNNART")
    save_picture("tiny.png", 4, 4)
    tiny = KritaDocument("tiny.png")
    load("krita_cnnart.py", monkeypatch, **krita(tiny, warned))
    assert warned[:2] == [
        "Open a picture first.",
        "There is no command /opt/cnnart: set CNNART to it.",
    ]
    assert warned[2].startswith("cnnart: error: ")
    assert not tiny.layers
    load("krita_cnnart.py", monkeypatch, **krita(tiny, warned, chosen=False))
    assert len(warned) == 3


class GimpImage:
    def __init__(self, path: str) -> None:
        self.path, self.layers, self.deleted = path, list[Any](), False

    def duplicate(self) -> GimpImage:
        return GimpImage(self.path)

    def flatten(self) -> None: ...

    def delete(self) -> None: ...

    def undo_group_start(self) -> None: ...

    def undo_group_end(self) -> None: ...

    def insert_layer(self, layer: Any, parent: Any, position: int) -> None:
        self.layers.insert(position, layer)


def gimp(run: list[type], dialog: Callable[[], bool]) -> dict[str, Any]:
    """What GIMP gives a plug-in; ``run``: gets the class that ``Gimp.main`` would start."""

    class Procedure(SimpleNamespace):
        @classmethod
        def new(cls, plug_in: Any, name: str, kind: Any, run: Any, data: Any) -> Procedure:
            return cls(name=name, arguments=[])

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name.endswith("_argument"):
                return lambda *given: self.arguments.append(given[0])
            return lambda *given: None

        def new_return_values(self, status: str, error: Any) -> tuple[str, Any]:
            return status, error

    def load(mode: str, image: GimpImage, path: str) -> SimpleNamespace:
        layer = SimpleNamespace(picture=read_image(path).rgb)
        layer.set_name = lambda name: setattr(layer, "name", name)
        return layer

    class PlugIn:
        __gtype__ = property(lambda self: type(self))

        def __init_subclass__(cls) -> None:
            cls.__gtype__ = cls  # type: ignore[assignment,method-assign]

        @staticmethod
        def error_quark() -> int:
            return 7

    statuses = {name: name for name in ("SUCCESS", "CANCEL", "EXECUTION_ERROR")}
    repository = SimpleNamespace(
        Gimp=SimpleNamespace(
            PlugIn=PlugIn,
            ImageProcedure=Procedure,
            PDBProcType=SimpleNamespace(PLUGIN=1),
            PDBStatusType=SimpleNamespace(**statuses),
            RunMode=SimpleNamespace(INTERACTIVE="ask", NONINTERACTIVE="go"),
            progress_init=lambda text: None,
            displays_flush=lambda: None,
            file_save=lambda mode, image, path, options: Image.open(image.path).save(path),
            file_load_layer=load,
            main=lambda kind, arguments: run.append(kind),
        ),
        GimpUi=SimpleNamespace(
            init=lambda name: None,
            ProcedureDialog=SimpleNamespace(
                new=lambda *given: SimpleNamespace(
                    fill=lambda names: None, run=dialog, destroy=lambda: None
                )
            ),
        ),
        Gio=SimpleNamespace(File=SimpleNamespace(new_for_path=lambda path: path)),
        GLib=SimpleNamespace(
            Error=SimpleNamespace(new_literal=lambda quark, text, code: (quark, text))
        ),
        GObject=SimpleNamespace(ParamFlags=SimpleNamespace(READWRITE=3)),
    )
    versions = SimpleNamespace(require_version=lambda name, version: None)
    return {"gi": versions, "gi__repository": repository}


def test_gimp_gets_a_layer(lines: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[type] = []
    module = load("gimp/cnnart/cnnart.py", monkeypatch, **gimp(started, lambda: False))
    plug_in: Any = started[0]()
    (name,) = plug_in.do_query_procedures()
    procedure = plug_in.do_create_procedure(name)
    assert procedure.arguments == ["style", "strength"]
    assert plug_in.do_set_i18n(name) is False

    def run(mode: str, **settings: Any) -> tuple[Any, GimpImage]:
        image = GimpImage("photo.png")
        config = SimpleNamespace(get_property=settings.get)
        return plug_in.run(procedure, mode, image, [], config, None), image

    result, image = run("go", style=STYLE, strength=1.0)
    assert result == ("SUCCESS", None)
    (layer,) = image.layers
    assert layer.name == f"cnnart: {STYLE}"
    assert layer.picture.shape == (1, 3, 32, 40)
    assert (layer.picture - read_image("photo.png").rgb).abs().mean() > 0.02
    assert run("ask", style=STYLE, strength=1.0)[0] == ("CANCEL", None)
    (status, (_, said)), image = run("go", style="gerat-wave", strength=1.0)
    assert status == "EXECUTION_ERROR"
    assert "Did you mean great-wave?" in said
    assert not image.layers
    monkeypatch.setattr(module, "CNNART", "nowhere")
    assert "set CNNART" in run("go", style=STYLE, strength=1.0)[0][1][1]


def test_comfyui_has_two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("comfyui_cnnart.py", monkeypatch)
    batch = torch.rand(2, 32, 40, 3, generator=torch.Generator().manual_seed(1))
    trained = module.NODE_CLASS_MAPPINGS["CnnartTrainedStyle"]
    names, *_ = trained.INPUT_TYPES()["required"]["style"]
    assert STYLE in names
    (painted,) = getattr(trained(), trained.FUNCTION)(batch, STYLE, 1.0)
    assert painted.shape == batch.shape
    assert painted.dtype == torch.float32
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1
    assert not torch.equal(painted[0], painted[1])
    given: dict[str, Any] = {}

    def stylize(photo: np.ndarray, painting: np.ndarray, **settings: Any) -> Image.Image:
        given.update(settings, painting=painting.shape)
        return Image.fromarray((photo * 255).round().astype(np.uint8))

    monkeypatch.setattr(module.cnnart, "stylize", stylize)
    optimized = module.NODE_CLASS_MAPPINGS["CnnartStyleOfAPicture"]
    assert set(optimized.INPUT_TYPES()["required"]) >= {"image", "style", "preset", "seed"}
    (same,) = getattr(optimized(), optimized.FUNCTION)(batch, batch[:1, :16], 0.4, "draft", 7)
    assert (same - batch).abs().max() < 1 / 255
    assert given == {"strength": 0.4, "preset": "draft", "seed": 7, "painting": (16, 40, 3)}
    assert set(module.NODE_DISPLAY_NAME_MAPPINGS) == set(module.NODE_CLASS_MAPPINGS)


STUB = """
return function(run)
  local kept = { style = %r, folder = "o'ut//" }
  local registered = {}
  os.execute = run
  package.preload["darktable"] = function()
    return {
      new_widget = function(kind) return function(made) made.kind = kind; return made end end,
      preferences = {
        read = function(domain, name) return kept[name] end,
        write = function(domain, name, kind, value) kept[name] = value end,
      },
      print = function(text) registered.said = text end,
      register_storage = function(...) registered.storage = { ... } end,
    }
  end
  return registered
end
"""


def test_darktable_paints_what_it_exports(capfd: pytest.CaptureFixture[str]) -> None:
    lupa = pytest.importorskip("lupa")
    ran: list[list[str]] = []

    def run(line: str) -> bool:
        ran.append(shlex.split(line))
        return main(ran[-1][1:]) == 0

    def start(style: str) -> Any:
        lua = lupa.LuaRuntime()
        registered = lua.execute(STUB.replace("%r", f'"{style}"'))(run)
        lua.execute((FOLDER / "darktable_cnnart.lua").read_text())
        return lua, registered

    for name in ("a's photo.png", "b.png"):
        save_picture(name, 40, 32)
    lua, registered = start(STYLE)
    exported = lua.table_from({1: "a's photo.png", 2: "b.png"})
    registered.storage[3](None, None, None, "b.png", 1, 2)
    assert registered.said == "cnnart: exported 1 of 2"
    registered.storage[4](None, exported)
    assert registered.said == "cnnart: the paintings are in o'ut/"
    made = sorted(path.name for path in Path("o'ut").iterdir())
    assert made == [f"a's photo-{STYLE}.png", f"b-{STYLE}.png"]
    assert not Path("b.png").exists()  # darktable's copy
    assert len(ran) == 1
    lua, registered = start("no such style")
    registered.storage[4](None, lua.table_from({1: "photo.png"}))
    assert registered.said.startswith("cnnart failed")


def test_an_external_editor_gets_the_painting_beside_the_photo(tmp_path: Path) -> None:
    command = tmp_path / "a command"
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> said\n')
    command.chmod(0o755)
    environment = {**os.environ, "CNNART": str(command), "CNNART_STYLE": "night-swirls"}
    script = FOLDER / "rawtherapee_cnnart.sh"
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", script, "my photo.tif"], check=True, env=environment)
    said = Path("said").read_text().splitlines()
    assert said[:4] == ["fast-stylize", "my photo.tif", "--style", "night-swirls"]
    assert said[4:] == ["-o", "my photo-painted.png", "--open"]
