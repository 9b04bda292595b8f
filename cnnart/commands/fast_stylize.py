"""``cnnart fast-stylize``: photos in trained styles; and what else is done with these by name."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cnnart.builtin_styles import builtin_styles, styles_folder
from cnnart.commands.clips import open_clip
from cnnart.commands.style_args import (
    MaskInput,
    blend_label,
    describe_input,
    files_of,
    read_input,
    recorded_mask,
    with_masks,
)
from cnnart.errors import UsageError, WeightsError, did_you_mean
from cnnart.files import (
    READABLE,
    as_path,
    cache_folder,
    identity,
    is_file,
    obstacle,
    open_file,
    resolved,
    sha256_of,
    write_atomically,
)
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.header import FOREIGN, NotACheckpoint, paints_any, style_names
from cnnart.run.record import RecordedFiles
from cnnart.settings import is_number, make_config, parse_weight
from cnnart.video.config import WHOLE_CLIP, ClipConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.methods.fast.checkpoint import Checkpoint
    from cnnart.methods.fast.stylize import FastStyle, FastStylization, NetworkRunner
    from cnnart.methods.fast.train.trainer import Painting
    from cnnart.run.clip_task import ClipTask
    from cnnart.run.command import Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

KEPT = 3  # the way in which styles of pictures are kept; another one needs another number
BATCH = 8  # photos of one size at once, where that is faster than one by one
CELL = 384  # long side of a picture on a sheet
COLUMNS = 4
PICTURE_STYLE = "picture"  # what the style of a picture is called in the cache


@dataclass(frozen=True)
class TrainedStyle:
    """A style of a checkpoint, its part in the blend, and where it applies.

    ``path``: the checkpoint. ``picture``: what the style looks like (a file, or in memory) where
    it is none of those trained.
    """

    name: str
    path: Path
    weight: float = 1.0
    mask: MaskInput | None = None
    builtin: bool = False
    picture: Any = None

    def record(self) -> dict[str, Any]:
        """File, name, weight and mask, for the record."""
        facts = {
            **describe_input(self.path),
            "style": self.name,
            "builtin": self.builtin,
            "weight": self.weight,
            "mask": self.mask.record() if self.mask else None,
        }
        if self.picture is not None:
            facts["picture"] = describe_input(self.picture)
        return facts


@dataclass(frozen=True)
class FastStylize:
    """Photos in one trained style, or a blend of several; see ``run.command.Command``.

    ``batch``: photos of one size at once; None: as suits the device. ``clip``: what is taken of
    clips, and how they are written.
    """

    name: ClassVar[str] = "fast-stylize"
    program: ClassVar[str] = "fast-stylize"

    styles: tuple[TrainedStyle, ...]
    config: FastConfig
    batch: int | None = None
    clip: ClipConfig = WHOLE_CLIP

    @classmethod
    def make(
        cls,
        styles: Sequence[TrainedStyle],
        masks: Sequence[MaskInput | None],
        settings: Mapping[str, Any],
        batch: int | None = None,
        clip: ClipConfig = WHOLE_CLIP,
    ) -> FastStylize:
        """Pair styles with masks, the first with the first. Raises UsageError."""
        if not styles:
            raise UsageError("No style: give the name of a trained style or its checkpoint.")
        return cls(with_masks(styles, masks), make_config(FastConfig, settings), batch, clip)

    @property
    def label(self) -> str:
        """``candy``, or ``candy+waves`` for a blend, fit for a file name."""
        return blend_label([style.name for style in self.styles])

    def inputs(self) -> list[Path]:
        pictures = [s.picture for s in self.styles if isinstance(s.picture, Path)]
        return [*files_of(*self.styles, *(style.mask for style in self.styles)), *pictures]

    def batch_size(self, runtime: Runtime) -> int:
        """Photos of one size to compute at once. Not of use on a CPU, nor on a card where a pass
        over one photo is recorded and costs a single launch.
        """
        alone = runtime.device.type == "cpu" or (
            runtime.device.type == "cuda" and self.config.engine == "eager"
        )
        return self.batch or (1 if alone else BATCH)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        from cnnart.methods.fast.stylize import FastStylization
        from cnnart.optim.memory import memory_errors_named
        from cnnart.run.command import Run
        from cnnart.runtime import keep_freed_memory

        if runtime.device.type == "cpu":
            keep_freed_memory()
        checkpoints = [open_checkpoint(style.path) for style in self.styles]
        masks = [style.mask.read() if style.mask else None for style in self.styles]
        known = [
            open_style(style, made, runtime)
            for style, made in zip(self.styles, checkpoints, strict=True)
        ]
        runner = network_runner(runtime.device, runtime.dtype, self.config.engine == "compile")
        names = [style.name for style in self.styles]
        recorded, limits = self.record(), runtime.limits()

        def over(photo: Picture, name: str, moves: bool = False) -> list[FastStyle]:
            """The styles, where they apply to a photo."""
            return [
                replace(
                    opened,
                    mask=style.mask.over(photo, mask, name, moves) if style.mask else None,
                )
                for style, opened, mask in zip(self.styles, known, masks, strict=True)
            ]

        about: dict[str, Any] = {
            "about": f"style {' + '.join(names)}",
            "details": {"styles": names},
        }

        def open_one(task: Task) -> Run:
            if task.is_clip:
                return self._open_clip(
                    cast("ClipTask", task), runtime, runner, over, recorded, about
                )
            photo = task.source.read(runtime.max_pixels)
            styles = over(photo, task.source.given)
            with memory_errors_named():
                work = FastStylization(photo.rgb, styles, self.config, runner, limits)
            height, width = work.photo.shape[-2:]
            return Run(
                command=self,
                recorded=recorded,
                runtime=runtime,
                task=task,
                work=work,
                size=(height, width),
                asked=self.config.size,
                photo=photo,
                facts={"backbone": None},  # it brings its own network
                **about,
            )

        return open_one

    def _open_clip(
        self,
        task: ClipTask,
        runtime: Runtime,
        runner: NetworkRunner,
        over: Callable[[Picture, str, bool], Sequence[FastStyle]],
        recorded: Mapping[str, Any],
        about: Mapping[str, Any],
    ) -> Run:
        from cnnart.methods.fast.frames import FramePainter

        def painter(frame: Picture) -> FramePainter:
            styles = over(frame, task.source.given, True)
            alone = self.clip.stability == 0
            made = FramePainter(styles, self.config, runner, runtime.limits(), alone=alone)
            planned.append(made.planned(frame.rgb))
            return made

        planned: list[FastStylization] = []
        run = open_clip(
            *(self, recorded, runtime, task, self.clip, self.config.size, painter),
            **about,
            masks=[style.mask for style in self.styles],
        )
        run.work.features, run.work.memory = planned[0].features, planned[0].memory
        return run

    def record(self) -> dict[str, Any]:
        return {
            "styles": [style.record() for style in self.styles],
            "settings": asdict(self.config),
        }

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], files: RecordedFiles, styles: Sequence[TrainedStyle] = ()
    ) -> FastStylize:
        """What a record was made with; ``styles`` given anew replace what it names, under its
        masks."""
        masks = [recorded_mask(facts["mask"], files) for facts in record["styles"]]
        chosen = styles or [_recorded_style(facts, files) for facts in record["styles"]]
        made_of = with_masks(chosen, masks[: len(chosen)])
        clip = files.config(ClipConfig, record.get("clip", {}))
        return cls(made_of, files.config(FastConfig, record["settings"]), clip=clip)


def _recorded_style(facts: Mapping[str, Any], files: RecordedFiles) -> TrainedStyle:
    """A trained style of a record, without its mask."""
    picture = None
    if seen := facts.get("picture"):
        picture = files.find(seen, "--style FILE")
    usual = arbitrary_network() if picture else trained_styles().get(facts["style"])
    if facts["builtin"] and usual:
        files.compare(facts, path := usual)
    else:
        path = files.find(facts, "--style FILE")
    return TrainedStyle(
        facts["style"], path, facts["weight"], builtin=facts["builtin"], picture=picture
    )


# Trained styles by name


def trained_styles() -> dict[str, Path]:
    """The trained styles that cnnart brings, by name, with the checkpoint that holds each."""
    found: dict[str, Path] = {}
    for path in sorted(styles_folder().glob("*.safetensors")):
        for name in style_names(path):
            found.setdefault(name, path)
    return found


def arbitrary_network() -> Path | None:
    """The checkpoint that cnnart brings for styles that nobody trained, if there is one: one that
    predicts them, else the one with the most styles to find them between.
    """
    paths = sorted(styles_folder().glob("*.safetensors"))
    return max(paths, key=lambda path: (paints_any(path), len(style_names(path))), default=None)


def picture_style(picture: Any, name: str) -> TrainedStyle:
    """The style of a picture, a file or in memory. Raises UsageError without a network for it."""
    network = arbitrary_network()
    if network is None:
        raise UsageError(_not_trained(name))
    return TrainedStyle(name, network, builtin=True, picture=picture)


def parse_trained(text: str) -> TrainedStyle:
    """``NAME``, ``FILE`` (a checkpoint, or a picture that looks like the style) or ``FILE:NAME``,
    each perhaps with ``:WEIGHT``; ``CHECKPOINT:PICTURE`` for a network of one's own.

    Raises UsageError.
    """
    if found := _known(text):
        return found
    name, colon, weight = text.rpartition(":")
    if colon and is_number(weight) and (found := _known(name)):
        return replace(found, weight=parse_weight(weight, name))
    raise UsageError(_unknown(name if colon and is_number(weight) else text))


def _known(text: str) -> TrainedStyle | None:
    if text and is_file(path := as_path(text)):
        return _of_file(path, None)
    file, colon, name = text.rpartition(":")
    if colon and file and is_file(path := as_path(file)):
        return _of_file(path, name) if not is_number(name) else None
    builtin = trained_styles().get(text)
    return TrainedStyle(text, builtin, builtin=True) if builtin else None


def _of_file(path: Path, name: str | None) -> TrainedStyle:
    """A style of a checkpoint file; ``name`` may be left out where there is one alone."""
    if path.suffix.lower() in FOREIGN:
        names = [path.stem]
    elif name is None and path.suffix.lower() in READABLE:
        return picture_style(path, path.stem)
    else:
        try:
            names = style_names(path)
        except NotACheckpoint as error:
            raise UsageError(str(error)) from None
    if name is None and len(names) == 1:
        return TrainedStyle(names[0], path)
    if name in names:
        return TrainedStyle(str(name), path)
    if name and is_file(picture := as_path(name)):
        return TrainedStyle(picture.stem, path, picture=picture)
    hint = did_you_mean(name, names) if name else ""
    what = f"no style {name!r}" if name else f"{len(names)} styles"
    raise UsageError(
        f"{path} holds {what}: choose one, as in {path}:{names[0]}. There is {', '.join(names)}."
        f"{hint}"
    )


def _not_trained(name: str) -> str:
    return (
        f"{name} is a picture, and fast-stylize needs a trained style: `cnnart stylize` paints "
        "in the style of any picture, `cnnart train-style` trains one for it."
    )


def _unknown(text: str) -> str:
    if text in builtin_styles():
        return (
            f"The style {text!r} has no trained network here: `cnnart stylize` paints in it, and "
            f"`cnnart train-style {text}` trains one."
        )
    if text and "no such file" not in (why := obstacle(as_path(text))):
        return f"The trained style {text!r} cannot be read: {why}."
    known = list(trained_styles())
    there = f"There is {', '.join(known)}." if known else "No trained styles came with cnnart."
    return f"No trained style {text!r}: no such file or name.{did_you_mean(text, known)} {there}"


# Networks stay loaded for the next call of the Python API.


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, read once unless its file changes. Raises WeightsError."""
    try:
        facts = path.stat()
        changed = (facts.st_mtime_ns, facts.st_size)
    except OSError:  # reading it will tell
        changed = (0, 0)
    return _read_checkpoint(resolved(path), path, changed)


@functools.lru_cache(maxsize=8)
def _read_checkpoint(key: Path, path: Path, changed: tuple[int, int]) -> Checkpoint:
    from cnnart.methods.fast.checkpoint import load_checkpoint

    return load_checkpoint(path)


@functools.lru_cache(maxsize=4)
def network_runner(device: torch.device, dtype: torch.dtype, compiled: bool) -> NetworkRunner:
    """What runs networks on a device."""
    from cnnart.methods.fast.stylize import NetworkRunner

    return NetworkRunner(device, dtype, compiled=compiled)


def open_style(style: TrainedStyle, checkpoint: Checkpoint, runtime: Runtime) -> FastStyle:
    """A style, without its mask. With that of a picture goes what the checkpoint's predictor sees
    of it, and its fine detail, or, without a predictor, a network of its own; kept in the cache by
    the picture's content.

    Raises ImageError for a picture that cannot be read, and OutOfMemory.
    """
    from cnnart.methods.fast.stylize import FastStyle

    one = FastStyle(checkpoint, style.name, style.weight)
    if style.picture is None:
        return one
    if checkpoint.predictor is None:
        return replace(one, checkpoint=matched_network(style, checkpoint, runtime))
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    from cnnart.methods.fast.header import DETAIL
    from cnnart.methods.fast.predictor import at_style_size, describe_painting
    from cnnart.optim.detail import detail_of
    from cnnart.optim.memory import memory_errors_named

    shape = checkpoint.predictor.shape
    kept = _kept_at(style.picture, (shape.layers, shape.style_size), runtime)
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        open_file(kept).close()  # safetensors would wait for whoever writes into a pipe
        found = load_file(kept)
        described, detail = found["described"], found["detail"]
        if described.shape == (1, shape.inputs) and detail.shape == (1, DETAIL):
            return replace(one, described=described, painting_detail=detail)
    rgb = read_input(style.picture, runtime).rgb
    with memory_errors_named():
        features = runtime.features().with_dtype(torch.float32)
        described = describe_painting(features, rgb, shape).cpu()
        detail = detail_of(at_style_size(rgb, shape.style_size))
    _keep(kept, save({"described": described, "detail": detail}), runtime)
    return replace(one, described=described, painting_detail=detail)


def matched_network(style: TrainedStyle, checkpoint: Checkpoint, runtime: Runtime) -> Checkpoint:
    """The network of a picture's style; see ``match_style``. From the cache, if it is there; in a
    dry run that of another style, if it is not.
    """
    from cnnart.methods.fast.checkpoint import pack

    kept = _kept_at(style.picture, checkpoint.sha256, runtime)
    with contextlib.suppress(WeightsError):
        found = open_checkpoint(kept)
        if [each.name for each in found.styles] == [PICTURE_STYLE]:
            return _renamed(found, style.name, checkpoint)
    from cnnart.methods.fast.match import match_style
    from cnnart.optim.memory import memory_errors_named

    painting = as_painting(style, runtime, PICTURE_STYLE)
    if runtime.read_only:  # nothing will be painted: another style takes as long
        return _renamed(checkpoint, style.name, checkpoint)
    runtime.tell(f"{style.name}: learning this style once, for about a minute.")
    with memory_errors_named():
        made = match_style(
            checkpoint, painting, example_photos(), runtime.features(), runtime.dtype
        )
    _keep(kept, pack(made, "fp32"), runtime)
    return _renamed(made, style.name, checkpoint)


def as_painting(style: TrainedStyle, runtime: Runtime, name: str) -> Painting:
    """The picture of a style, for training. Raises ImageError."""
    from cnnart.methods.fast.train.trainer import Painting

    sha256 = sha256_of(style.picture) if isinstance(style.picture, Path) else ""
    return Painting(name, read_input(style.picture, runtime).rgb, sha256=sha256)


def example_photos() -> list[Path]:
    """The photos that cnnart brings, on which the styles of pictures are learnt."""
    from cnnart.weights.embedded import DATA

    return sorted((DATA / "photos").glob("*.jpg"))


def _renamed(found: Checkpoint, name: str, base: Checkpoint) -> Checkpoint:
    """In the cache, a picture is known by its content: it may be called otherwise each time."""
    styles = (replace(found.styles[0], name=name), *found.styles[1:])
    return replace(found, styles=styles, sha256=base.sha256)


def _kept_at(picture: Any, seen_by: Any, runtime: Runtime) -> Path:
    """The file of the cache for what is found of a picture."""
    if isinstance(picture, Path):
        content = sha256_of(picture)
    else:
        rgb = read_input(picture, runtime).rgb
        content = sha256_of(repr(rgb.shape).encode() + rgb.numpy().tobytes())
    key = sha256_of(repr((KEPT, content, seen_by)).encode())
    return cache_folder() / "styles" / f"{key[:32]}.safetensors"


def _keep(path: Path, data: bytes, runtime: Runtime) -> None:
    if not runtime.read_only:
        with contextlib.suppress(OSError):  # a cache: without it, it is only slower
            write_atomically(path, data)


# What else is done with trained styles


def style_sheet(photos: Sequence[Path], names: Sequence[str] = ()) -> Tensor:
    """Photos in the trained styles called so, or in all, on one labelled sheet: ``1x3xHxW``.

    Raises UsageError for an unknown name, or when no trained style is there.
    """
    from cnnart.image.contact_sheet import draw_sheet
    from cnnart.image.picture import fit_long_side, resize
    from cnnart.image.read import read_image
    from cnnart.methods.fast.stylize import FastStyle, FastStylization
    from cnnart.runtime import Runtime, keep_freed_memory

    chosen = [parse_trained(name) for name in names or trained_styles()]
    if not chosen:
        raise UsageError("No trained styles came with cnnart: train one with `cnnart train-style`.")
    runtime = Runtime()
    if runtime.device.type == "cpu":
        keep_freed_memory()
    runner = network_runner(runtime.device, runtime.dtype, False)
    cells: list[tuple[str, Tensor]] = []
    for path in photos:
        photo = read_image(path).rgb
        height, width = photo.shape[-2:]
        photo = resize(photo, *fit_long_side(height, width, min(CELL, max(height, width))))
        cells.append((path.name, photo))
        for style in chosen:
            one = FastStyle(open_checkpoint(style.path), style.name)
            work = FastStylization(photo, [one], FastConfig(), runner)
            cells.append((style.name, work.pictures()))
    per_photo = len(chosen) + 1
    return draw_sheet(cells, per_photo if len(photos) > 1 else min(COLUMNS, per_photo))


def export_styles(styles: Sequence[TrainedStyle], output: str, strength: float) -> float | None:
    """Write a network as .onnx, for one blend at one strength, or as a checkpoint of cnnart's.

    Returns the largest difference of the ONNX network from torch's. Raises UsageError for styles of
    several networks, and for an output that cannot be.
    """
    path = as_path(output)
    suffix = path.suffix.lower()
    if suffix not in (".onnx", ".safetensors"):
        raise UsageError(f"The output {output!r} must end in .onnx or .safetensors.")
    if len({style.path for style in styles}) > 1:
        raise UsageError("Styles of several networks cannot be written as one: name one file's.")
    if identity(path) == identity(styles[0].path):
        raise UsageError(f"The result would overwrite the input {output!r}: choose another -o.")
    from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(styles[0].path)
    if suffix == ".safetensors":
        save_checkpoint(path, checkpoint)
        return None
    from cnnart.methods.fast.onnx import export_onnx
    from cnnart.runtime import Runtime

    runtime = Runtime(device="cpu")
    chosen = [open_style(style, checkpoint, runtime) for style in styles]
    return export_onnx(chosen, path, strength)
