"""Clips among a command's inputs: which are some, what their results are called, how one is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import UsageError
from cnnart.files import FORMATS as PICTURE_FORMATS
from cnnart.files import is_folder, resolved
from cnnart.run.inputs import Source
from cnnart.run.outputs import AS_USUAL, OutputOptions, Task, overwritten, plan
from cnnart.video.config import ClipConfig
from cnnart.video.formats import (
    CLIPS,
    CONTAINERS,
    FORMATS,
    PICTURES,
    SUFFIX_OF,
    is_animated,
    leads_to_frames,
    names_frames,
    number_in,
    output_kind,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from cnnart.commands.clip_masks import FrameMasks
    from cnnart.commands.style_args import MaskInput
    from cnnart.image.picture import Picture
    from cnnart.optim.flow import Motion
    from cnnart.run.clip_run import Begin, ClipRun
    from cnnart.run.clip_task import ClipTask
    from cnnart.run.command import Command
    from cnnart.run.report import Finding
    from cnnart.runtime import Runtime


def is_clip(source: Source, output: str | None, format: str | None = None) -> bool:
    """Whether a source is a clip. An animated picture is one where it is named itself, and its
    result may be animated; on standard output, where ``format`` says so.
    """
    if source.path is None:
        return False
    if leads_to_frames(source.path) or source.path.suffix.lower() in CLIPS:
        return True
    if output == "-" or format is not None:
        animates = format in FORMATS
    else:
        suffix = Path(output or "").suffix.lower()
        animates = suffix in ("", *CONTAINERS, *PICTURES) or names_frames(output or "")
    return source.root is None and animates and is_animated(source.path)


def plan_clips(
    sources: Sequence[Source],
    output: str | None,
    config: ClipConfig,
    *,
    style: str | tuple[str, ...],
    format: str | None = None,
    protected: Sequence[Path] = (),
    options: OutputOptions = AS_USUAL,
    fresh: bool = False,
) -> list[Task]:
    """``run.outputs.plan`` for sources some of which are clips, which get a ``ClipTask``.

    ``format``: of pictures or of clips, whichever it is one of. Raises UsageError.
    """
    clips = {id(source) for source in sources if is_clip(source, output, format)}
    of_clips = format if format in FORMATS else None
    of_pictures = format if format in PICTURE_FORMATS else None

    def suffix(source: Source) -> str:
        if id(source) not in clips:
            return f".{of_pictures or 'png'}"
        assert source.path is not None
        if of_clips:
            return f".{of_clips}"
        if config.codec is None and is_animated(source.path):
            return ".gif" if source.path.suffix.lower() == ".gif" else ".webp"
        return SUFFIX_OF.get(config.codec or "", ".mp4")

    def place(source: Source, target: Path | None) -> Task | None:
        if id(source) not in clips:
            return None
        named = target.suffix if target else suffix(source)
        if of_clips and named.lower() != f".{of_clips}":
            raise UsageError(
                f"The output {str(target)!r} and `format` {format} contradict each other."
            )
        return _task(source, target, named, config, options, fresh)

    if clips:
        _check(sources, clips, output, format, options)
    elif of_clips and not of_pictures:
        raise UsageError(f"`format` {format} is a clip's, and every input is a photo.")
    tasks = plan(
        sources,
        output,
        style=style,
        format=of_pictures,
        protected=protected,
        options=options,
        suffix=suffix,
        place=place,
    )
    _refuse_overwriting(tasks, protected)
    return tasks


def _check(
    sources: Sequence[Source],
    clips: set[int],
    output: str | None,
    format: str | None,
    options: OutputOptions,
) -> None:
    if len(clips) == len(sources):
        if format and format not in FORMATS:
            raise UsageError(f"`format` {format} is for photos: of clips it is {_listed(FORMATS)}.")
        if options.bit_depth != AS_USUAL.bit_depth:
            raise UsageError("`bit_depth` is of pictures: clips are written with 8 bits.")
        video = output in (None, "-") or Path(output).suffix.lower() in CONTAINERS
        if options.quality is not None and (f".{format}" in CONTAINERS if format else video):
            raise UsageError("`quality` is of JPEG and WebP: a video has `crf`.")


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _task(
    source: Source,
    target: Path | None,
    suffix: str,
    config: ClipConfig,
    options: OutputOptions,
    fresh: bool,
) -> Task:
    from cnnart.run.clip_task import NUMBERED, ClipTask

    if find_spec("av") is None:
        from cnnart.image.animation import import_av

        import_av("A clip")  # which says so
    if target and names_frames(target.name):
        if target.suffix.lower() != ".png" or config.codec:
            raise UsageError(f"Frames are written as PNG, without a codec, not {str(target)!r}.")
        return ClipTask(source, target, NUMBERED, options, fresh=fresh)
    format, codec = output_kind(suffix, config.codec)
    if codec:
        config.quality(codec)  # which says what does not fit
    elif config.crf is not None:
        raise UsageError(f"`crf` is for videos, and {suffix} has none: leave it out.")
    return ClipTask(source, target, format, options, codec=codec, fresh=fresh)


def _refuse_overwriting(tasks: Sequence[Task], protected: Sequence[Path]) -> None:
    """Raise UsageError where one of many frames would replace an input."""
    inputs = [*protected, *(task.source.path for task in tasks if task.source.path)]
    for task in tasks:
        if task.target and names_frames(task.target.name):
            for path in inputs:
                number = number_in(path.name, task.target.name)
                if resolved(path).parent == resolved(task.target).parent and number is not None:
                    raise UsageError(overwritten(path))


def check_clip_masks(masks: Sequence[MaskInput | None], tasks: Sequence[Task]) -> None:
    """Raise UsageError for a mask that frames cannot have, and for a clip as that of a photo."""
    for mask in masks:
        if mask is None:
            continue
        if any(task.is_clip for task in tasks):
            if mask.picture is None and mask.named is None:
                raise UsageError(
                    f"`mask` {mask.given} is of photos: frames of clips have no transparency."
                )
            if mask.show and (mask.named or mask.is_filmed):
                raise UsageError("`show_mask` shows masks of photos: a clip's is another in each.")
        if mask.is_filmed and any(not task.is_clip for task in tasks):
            kind = "a folder" if mask.path and is_folder(mask.path) else "a clip"
            raise UsageError(
                f"`mask` {mask.given} is {kind}, and photos are to be painted: give a picture."
            )


@dataclass(frozen=True)
class FrameAhead:
    """What is known of a frame before those before it are done.

    ``where``: it is painted at all; None: everywhere. ``painted``: its picture, waited for; None
    where that takes the result of the frame before. ``states``: of painter and masks, after it.
    """

    motion: Motion | None
    where: Tensor | None
    painted: Callable[[], Tensor] | None
    states: Mapping[str, Any]


class SteadyPainter:
    """Frames painted by ``paint``, which has a state of its own, and held steady.

    ``masks``: those that are others in each frame; ``guided``, ``blend``: see ``Steady``. Unless it
    is guided, ``paint.begin`` is ahead of what is held (see ``methods.fast.frames``): the state
    that is kept of it is that of the frame last held.
    """

    def __init__(
        self,
        paint: Any,
        stability: float,
        masks: FrameMasks,
        *,
        guided: bool = False,
        blend: bool = True,
    ) -> None:
        from cnnart.methods.video.steady import Steady

        self.ahead_of_results = not guided
        self._paint, self._masks = paint, masks
        own = paint if guided else self._painted
        self._steady = Steady(own, stability, guided=guided, blend=blend)
        self._ahead: FrameAhead | None = None  # of the frame that is being held
        self._states: Mapping[str, Any] = self._states_now(masks.state_dict())

    def _states_now(self, masks: Any) -> dict[str, Any]:
        return {"paint": self._paint.state_dict(), "masks": masks}

    def _painted(self, frame: Tensor) -> Tensor:
        assert self._ahead is not None
        assert self._ahead.painted is not None
        return self._ahead.painted()

    def look_ahead(self) -> Any:
        motion_of, masks = self._steady.motions(), self._masks

        def look(pixels: np.ndarray) -> tuple[Motion | None, Any, Any]:
            motion = motion_of(pixels)
            found = masks(pixels, motion) if masks else ()
            return motion, found, masks.state_dict()

        return look

    def paint_ahead(
        self, frame: Tensor, seen: tuple[Motion | None, Any, Any], begin: Begin
    ) -> FrameAhead:
        motion, found, masks = seen
        if found:
            from cnnart.commands.clip_masks import mask_tensor

            self._paint.masks = [mask_tensor(mask, frame.device) for mask in found]
        where, painted = self._paint.where(frame), None
        if self.ahead_of_results:
            if motion is not None and motion.cut:
                self._paint.restart()
            painted = begin(self._paint.begin(frame))
        return FrameAhead(motion, where, painted, self._states_now(masks))

    def __call__(self, frame: Tensor, ahead: FrameAhead) -> Tensor:
        self._ahead, self._states = ahead, ahead.states
        return self._steady(frame, ahead.motion, ahead.where)

    def state_dict(self) -> dict[str, Any]:
        return {**self._states, "steady": self._steady.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._paint.load_state_dict(state["paint"])
        self._steady.load_state_dict(state["steady"], device)
        self._masks.load_state_dict(state["masks"])
        self._states = {"paint": state["paint"], "masks": state["masks"]}

    def findings(self) -> list[Finding]:
        """The warping error of the result beside that of the clip."""
        from cnnart.run.report import Finding

        told = [
            Finding(f"warning: nothing found for the mask {name}.", {"mask_not_found": name})
            for name in self._masks.never_found()
        ]
        if (errors := self._steady.warping_error) is None:
            return told
        source, result = (255 * error for error in errors)
        text = (
            f"warping error {result:.2f} of 255, the clip's own is {source:.2f} "
            f"({self._steady.cuts} cuts)."
        )
        facts = {"warping_error": result / 255, "source_warping_error": source / 255}
        return [*told, Finding(text, {**facts, "cuts": self._steady.cuts})]


def open_clip(
    command: Command,
    recorded: Mapping[str, Any],
    runtime: Runtime,
    task: ClipTask,
    config: ClipConfig,
    size: Any,
    make_painter: Callable[[Picture], Any],
    about: str,
    details: Mapping[str, Any],
    *,
    masks: Sequence[MaskInput | None] = (),
    guided: bool = False,
    blend: bool = True,
    features: Any = None,
) -> ClipRun:
    """A clip ready to be painted.

    Args:
        recorded: what the result is made with, for the record; the clip's settings are added.
        size: of the result, as it was asked for.
        make_painter: for frames like this one, which is black: see ``SteadyPainter``.
        about, details: see ``Run``.
        masks: of the painter's styles.
        guided, blend: whether the painter is told what a frame is to be held to, and whether what
            it paints is blended with that, see ``Steady``.
        features: the network, where it is the runtime's; None: the painter brings its own.

    Raises CnnartError.
    """
    import torch

    from cnnart.commands.clip_masks import FrameMasks
    from cnnart.files import Scratch
    from cnnart.image.picture import Picture, output_size
    from cnnart.image.read import MAX_PIXELS
    from cnnart.run.clip_run import ClipPainting, ClipRun, describe_clip
    from cnnart.run.pieces import CLIP, Pieces, pieces_folder
    from cnnart.video.read import ClipReader, open_source
    from cnnart.video.write import ClipFormat

    assert task.source.path
    name = "<stream>" if task.source.kept else None
    most = runtime.max_pixels or MAX_PIXELS
    source = open_source(task.source.path, config.fps, most, name)
    height, width = output_size(*source.size, size)
    reader = ClipReader(source, config, (height, width))
    made = ClipFormat(
        task.format,
        task.codec,
        config.quality(task.codec) if task.codec else None,
        (height, width),
        reader.time_base,
        reader.rate,
        source.aspect,
    )
    black = Picture(torch.zeros(1, 3, height, width))
    moving = FrameMasks(masks, task.source.given, config, (height, width), float(reader.rate))
    how = {"guided": guided, "blend": blend}
    painter = SteadyPainter(make_painter(black), config.stability, moving, **how)
    recorded = {**recorded, "clip": asdict(config)}
    facts: dict[str, Any] = {CLIP: describe_clip(task.source)["sha256"], "recorded": recorded}
    facts |= {"format": [task.format, task.codec], "device": str(runtime.device)}
    # Bits hang on these, too: by them memory decides on tiles, and torch on its kernels.
    facts |= {"precision": str(runtime.dtype), "max_memory": runtime.limits().memory}
    facts["torch"] = torch.__version__
    if features is not None:
        facts["network"] = features.sha256
    scratch = None if task.target else Scratch()
    target = scratch.folder / "result" if scratch else task.target
    assert target
    pieces = Pieces(pieces_folder(target), facts, fresh=task.fresh)
    work = ClipPainting(
        *(reader, painter, pieces, made, runtime.device),
        features=features,
        limit=runtime.limits().memory,
    )
    return ClipRun(
        command=command,
        recorded=recorded,
        runtime=runtime,
        task=task,
        work=work,
        size=(height, width),
        about=about,
        scratch=scratch,
        details={**details, "frames": reader.expected},
        facts={"backbone": None} if features is None else {},
    )
