"""The Python API: each function makes the command that the command line would, and runs it once.

Torch is imported by the first call, and of the commands only the one that is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnart.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from cnnart.commands.fast_stylize import TrainedStyle
    from cnnart.commands.style_args import MaskInput, StyleInput
    from cnnart.optim.steps import Step
    from cnnart.run.command import Command, Run
    from cnnart.video.config import ClipConfig


def stylize(
    photo: Any,
    styles: Any,
    *,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    masks: Sequence[Any] | None = None,
    init: Any = None,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = "vgg19",
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Image:
    """Paint a photo in one style or a blend of several.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]).
        styles: one or a list of: the like, the name of a built-in style, or a (style, weight) pair.
        callback: called with each ``Step``; returning False stops early and keeps the picture.
        progress: show a bar; in a notebook also the picture so far.
        masks: for each style where it applies, or None: a picture (white) over the photo, or
            ``subject``, ``background``, ``person``, ``face``, ``class:NAME``, ``inverse:...``.
        init: what to start from: ``content``, ``noise``, ``fast`` (what ``fast_stylize`` paints)
            or a picture.
        device, precision, backbone, max_memory, time_budget: see ``cnnart.runtime.Runtime``.
        settings: the fields of ``StylizeConfig``: ``strength=0.7``, ``size=512`` (the long side, or
            a (height, width) pair), ...

    Returns an RGB image, RGBA if the photo has alpha. Raises CnnartError with one clear line.
    """
    from cnnart.commands.style_args import memory_mask
    from cnnart.commands.stylize import Stylize
    from cnnart.methods.stylize.config import STARTS

    chosen = [_style(style) for style in _as_list(styles)]
    if not chosen or len(masks or ()) > len(chosen):
        raise UsageError(f"{len(masks or ())} masks for {len(chosen)} styles: one each at most.")
    start = None if init is None or (isinstance(init, str) and init in STARTS) else init
    settings["init"] = init if start is None else None
    command = Stylize.make(chosen, [memory_mask(mask) for mask in masks or ()], settings, start)
    return _make(
        command,
        photo,
        callback,
        progress,
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )


def styles() -> list[str]:
    """The names of the trained styles that cnnart brings."""
    from cnnart.commands.fast_stylize import trained_styles

    return list(trained_styles())


def fast_stylize(
    photo: Any,
    styles: Any,
    *,
    masks: Sequence[Any] | None = None,
    progress: bool = False,
    device: str = "auto",
    precision: str = "auto",
    max_memory: float | None = None,
    **settings: Any,
) -> Any:
    """Paint a photo, or a list of photos, in one trained style or a blend of several.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]); or a list of these. Those of one size are computed together.
        styles: one or a list of: a trained style's name, a checkpoint's path, ``path:name``, any
            picture (a path, or as ``photo``), or a (style, weight) pair.
        masks: for each style where it applies, or None: a picture (white) over the photo, or
            ``subject``, ``background``, ``person``, ``face``, ``class:NAME``, ``inverse:...``.
        progress: show a bar, in a terminal or a notebook.
        device, precision, max_memory: see ``cnnart.runtime.Runtime``.
        settings: the fields of ``FastConfig``: ``strength=0.7``, ``stroke=1.5``, ``color="keep"``.

    Returns an RGB image (RGBA for a photo with alpha), or a list of them. Raises CnnartError with
    one clear line. Networks stay loaded: a second call is quicker.
    """
    from cnnart.commands.fast_stylize import FastStylize
    from cnnart.commands.style_args import memory_mask
    from cnnart.image.write import to_pil
    from cnnart.optim.memory import memory_errors_named
    from cnnart.run.inputs import Source
    from cnnart.run.outputs import Task
    from cnnart.run.prefetch import pictures_of, work_of
    from cnnart.runtime import Runtime

    chosen = [_trained(style) for style in (styles if isinstance(styles, list) else [styles])]
    command = FastStylize.make(chosen, [memory_mask(mask) for mask in masks or ()], settings)
    runtime = Runtime(device=device, precision=precision, max_memory=max_memory)
    open_one = command.open(runtime)
    photos = photo if isinstance(photo, list) else [photo]
    runs = [open_one(Task(Source(None, "photo", picture=p), None, "png")) for p in photos]
    images: list[Any] = [None] * len(runs)
    bar = _photo_bar(len(runs)) if progress else None
    try:
        for group in _joinable(runs):
            with memory_errors_named():
                pictures = pictures_of(work_of([runs[i] for i in group]))
            for i, rgb in zip(group, pictures, strict=True):
                images[i] = to_pil(rgb, runs[i].alpha(rgb))
                if bar:
                    bar.update()
    finally:
        if bar:
            bar.close()
    return images if isinstance(photo, list) else images[0]


def fast_stylize_clip(
    clip: str | os.PathLike[str],
    styles: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    masks: Sequence[Any] | None = None,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    fresh: bool = False,
    device: str = "auto",
    precision: str = "auto",
    max_memory: float | None = None,
    **settings: Any,
) -> Path:
    """Paint a clip in one trained style or a blend of several, so that it holds still.

    Args:
        clip: a video, an animated picture, or numbered pictures (``frames/%04d.png``).
        styles: as for ``fast_stylize``.
        output: the clip to write; None: ``CLIP-STYLE.mp4`` beside it.
        masks: as for ``fast_stylize``; one may also be a clip, with a frame for each.
        callback: called with each frame's ``Step``; returning False stops, and writes what there
            is.
        progress: show a bar, in a terminal or a notebook.
        fresh: begin anew where a call that was cut off has left pieces, rather than go on.
        device, precision, max_memory: see ``cnnart.runtime.Runtime``.
        settings: the fields of ``FastConfig`` and of ``ClipConfig``: ``strength=0.7``,
            ``stability=1``, ``start=10``, ``end=25``, ...

    Returns the path of the result. Raises CnnartError with one clear line.
    """
    from cnnart.commands.fast_stylize import FastStylize
    from cnnart.commands.style_args import memory_mask

    chosen = [_trained(style) for style in (styles if isinstance(styles, list) else [styles])]
    config = _clip_config(settings)
    command = FastStylize.make(
        chosen, [memory_mask(mask) for mask in masks or ()], settings, clip=config
    )
    return _make_clip(
        command,
        [style.mask for style in command.styles],
        config,
        clip,
        output,
        callback,
        progress,
        fresh,
        device=device,
        precision=precision,
        max_memory=max_memory,
    )


def stylize_clip(
    clip: str | os.PathLike[str],
    styles: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    masks: Sequence[Any] | None = None,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    fresh: bool = False,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = "vgg19",
    max_memory: float | None = None,
    **settings: Any,
) -> Path:
    """Paint a clip in the style of any picture by optimization, each frame held to the one before.

    Args:
        styles: as for ``stylize``.
        settings: the fields of ``StylizeConfig`` and of ``ClipConfig``.
        clip, output, masks, callback, progress, fresh: see ``fast_stylize_clip``.
        device, precision, backbone, max_memory: see ``cnnart.runtime.Runtime``.

    Returns the path of the result. Raises CnnartError with one clear line.
    """
    from cnnart.commands.style_args import memory_mask
    from cnnart.commands.stylize import Stylize

    chosen = [_style(style) for style in _as_list(styles)]
    config = _clip_config(settings)
    given = [memory_mask(mask) for mask in masks or ()]
    command = Stylize.make(chosen, given, settings, clip=config)
    return _make_clip(
        command,
        [style.mask for style in command.styles],
        config,
        clip,
        output,
        callback,
        progress,
        fresh,
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
    )


def dream_clip(
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    guide: Any = None,
    mask: Any = None,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    fresh: bool = False,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = "vgg19",
    max_memory: float | None = None,
    **settings: Any,
) -> Path:
    """Let a network paint what it sees into a clip, each frame dreaming on from the one before.

    Args:
        guide: as for ``dream``.
        mask: as for ``dream``; it may also be a clip, with a frame for each.
        settings: the fields of ``DreamConfig`` and of ``ClipConfig``.
        clip, output, callback, progress, fresh: see ``fast_stylize_clip``.
        device, precision, backbone, max_memory: see ``cnnart.runtime.Runtime``.

    Returns the path of the result. Raises CnnartError with one clear line.
    """
    from cnnart.commands.dream import Dream
    from cnnart.commands.style_args import memory_mask

    config = _clip_config(settings)
    command = Dream.make(settings, guide, memory_mask(mask), config)
    return _make_clip(
        command,
        [command.mask],
        config,
        clip,
        output,
        callback,
        progress,
        fresh,
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
    )


def _clip_config(settings: dict[str, Any]) -> ClipConfig:
    """The settings of clips, taken out. Raises UsageError."""
    from cnnart.settings import make_config, settings_of
    from cnnart.video.config import ClipConfig

    names = [each.name for each, _ in settings_of(ClipConfig)]
    return make_config(ClipConfig, {name: settings.pop(name, None) for name in names})


def _make_clip(
    command: Any,
    masks: Sequence[MaskInput | None],
    config: ClipConfig,
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    callback: Callable[[Step], object] | None,
    progress: bool,
    fresh: bool,
    **runtime: Any,
) -> Path:
    """Run a command on one clip, to the end or until ``callback`` returns False."""
    from cnnart.commands.clips import check_clip_masks, plan_clips
    from cnnart.commands.style_args import MEMORY
    from cnnart.run.inputs import expand
    from cnnart.runtime import Runtime

    if output == "-":
        raise UsageError("The clip is written to a file, not to standard output: name it.")
    open_one = command.open(Runtime(**runtime))
    # What lies in memory has no checksum by which pieces could be told from those of another.
    fresh = fresh or MEMORY in repr(command.record())
    tasks = plan_clips(
        expand([os.fspath(clip)], clips=True),
        None if output is None else os.fspath(output),
        config,
        style=command.label,
        protected=command.inputs(),
        fresh=fresh,
    )
    if len(tasks) != 1 or not tasks[0].is_clip:
        raise UsageError(f"{os.fspath(clip)!r} is no clip: name one video or its frames.")
    check_clip_masks(masks, tasks)
    run = open_one(tasks[0])
    for step in _followed(run, callback, progress):
        last = step
    target = tasks[0].target
    assert target is not None
    stopped = last.index if last.index < last.steps else None
    run.write(target, run.finish(last.image), stopped)
    return target


def _joinable(runs: Sequence[Run]) -> list[list[int]]:
    """The numbers of runs, those together that can be computed as one batch."""
    groups: list[list[int]] = []
    for number, run in enumerate(runs):
        for group in groups:
            if runs[group[0]].work.can_join(run.work):  # type: ignore[attr-defined]
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _photo_bar(count: int) -> Any:
    from cnnart.run.bar import count_bar

    return count_bar(count, "photo")


def _trained(style: Any) -> TrainedStyle:
    """A trained style as given, perhaps with a weight."""
    from dataclasses import replace

    from cnnart.commands.fast_stylize import parse_trained, picture_style

    style, weight = _without_weight(style)
    if isinstance(style, str | os.PathLike):
        found = parse_trained(str(style))
    else:
        found = picture_style(style, "style")
    return found if weight is None else replace(found, weight=weight)


def texture(
    exemplars: Any,
    *,
    guide: Any = None,
    guide_target: Any = None,
    inpaint: Any = None,
    companions: Sequence[Any] = (),
    ladder: bool = False,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = "vgg19",
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Any:
    """Make more of a texture, or one texture of several.

    Args:
        exemplars: one or a list of: a path, a PIL image, an array (HxWx3 or 4, uint8 or float in
            [0, 1]), a tensor (``1x3xHxW`` in [0, 1]), or an (exemplar, weight) pair of those.
        guide: what is where in the exemplar, in colors; of several exemplars a list.
        guide_target: what is to be where in the result; both or none.
        inpaint: a mask or its name: what is white there is made anew in the (first) exemplar, all
            else stays.
        companions: maps of the exemplar's size that are to be copied as it is (patch methods).
        ladder: a sheet of what each layer contributes in place of the texture.
        callback: called with each ``Step``; returning False stops early and keeps the texture.
        progress: show a bar, in a terminal or a notebook.
        device, precision, backbone, max_memory, time_budget: see ``cnnart.runtime.Runtime``.
        settings: the fields of ``TextureConfig``: ``size=(768, 1024)``, ``tileable="both"``, ...

    Returns an RGB image, RGBA if an exemplar has alpha; with ``companions`` a list of images, the
    texture first. Raises CnnartError with one clear line.
    """
    from cnnart.commands.style_args import named_mask_input
    from cnnart.commands.texture import Texture
    from cnnart.methods.texture.config import TextureConfig
    from cnnart.settings import make_config

    given = exemplars if isinstance(exemplars, list) else [exemplars]
    pairs = [_exemplar(exemplar) for exemplar in given]
    if not pairs:
        raise UsageError("No exemplar given: name a picture of the texture.")
    command = Texture(
        make_config(TextureConfig, settings),
        mixed=tuple(exemplar for exemplar, _ in pairs[1:]),
        weights=tuple(weight for _, weight in pairs),
        guides=() if guide is None else tuple(guide if isinstance(guide, list) else [guide]),
        guide_target=guide_target,
        inpaint=(named_mask_input(inpaint) if isinstance(inpaint, str) else None) or inpaint,
        companions=tuple(companions),
        ladder=ladder,
    )

    def with_companions(run: Any, image: Image) -> list[Image]:
        from cnnart.image.write import to_pil

        return [image, *(to_pil(run.work.follow(other)) for _, other in run.companions)]

    return _make(
        command,
        pairs[0][0],
        callback,
        progress,
        with_companions if companions else None,
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )


def _exemplar(given: Any) -> tuple[Any, float]:
    """An exemplar as given, perhaps with a weight -> (exemplar, weight)."""
    from cnnart.settings import parse_weight

    if isinstance(given, tuple) and len(given) == 2:
        return given[0], parse_weight(str(given[1]), "an exemplar")
    return given, 1.0


def dream(
    photo: Any,
    *,
    guide: Any = None,
    mask: Any = None,
    callback: Callable[[Step], object] | None = None,
    progress: bool = False,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = "vgg19",
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Image:
    """Let a network paint what it sees into a photo.

    Args:
        photo: a path, a PIL image, an array (HxWx3, uint8 or float in [0, 1]) or a tensor
            (``1x3xHxW`` in [0, 1]).
        guide: the like: dream of what is in this picture.
        mask: the like, or the name of one: dream only where it is white.
        callback: called with each ``Step``; returning False stops early and keeps the picture.
        progress: show a bar, in a terminal or a notebook.
        device, precision, backbone, max_memory, time_budget: see ``cnnart.runtime.Runtime``.
        settings: the fields of ``DreamConfig``: ``preset="eyes"``, ``layers={"relu3_3": 1}``, ...

    Returns an RGB image, RGBA if the photo has alpha. Raises CnnartError with one clear line.
    """
    from cnnart.commands.dream import Dream
    from cnnart.commands.style_args import memory_mask

    return _make(
        Dream.make(settings, guide, memory_mask(mask)),
        photo,
        callback,
        progress,
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )


def _make(
    command: Command,
    picture: Any,
    callback: Callable[[Step], object] | None,
    progress: bool,
    finished: Callable[[Run, Image], Any] | None = None,
    **runtime: Any,
) -> Any:
    """Run a command on one picture, to the end or until ``callback`` returns False.

    Args:
        picture: the photo or exemplar, as ``cnnart.image.read.to_picture`` takes it.
        finished: from the run and its image to what is returned; None: the image.
        runtime: see ``cnnart.runtime.Runtime``.
    """
    from cnnart.image.write import to_pil
    from cnnart.run.inputs import Source
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

    run = command.open(Runtime(**runtime))(
        Task(Source(None, "photo", picture=picture), None, "png")
    )
    for step in _followed(run, callback, progress):
        image = step.image
    rgb = run.finish(image)
    result = to_pil(rgb, run.alpha(rgb))
    return finished(run, result) if finished else result


def _followed(
    run: Run, callback: Callable[[Step], object] | None, progress: bool
) -> Iterator[Step]:
    """The steps of a run, shown in a bar if wanted, until ``callback`` returns False."""
    bar = _bar(run) if progress else None
    try:
        for step in run.steps():
            if bar:
                bar.step(step)
            yield step
            if callback is not None and callback(step) is False:
                return
    finally:
        if bar:
            bar.stop()


def _bar(run: Run) -> Any:
    from cnnart.run.bar import Bar
    from cnnart.run.notebook import NotebookBar, in_notebook

    bar = NotebookBar(run.finish) if in_notebook() else Bar(paths=False)
    bar.start(run.start())
    return bar


def _as_list(styles: Any) -> list[Any]:
    """One style, a (style, weight) pair or several of either -> a list."""
    if isinstance(styles, tuple) and not _is_pair(styles):
        return list(styles)
    return styles if isinstance(styles, list) else [styles]


def _is_pair(style: Any) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], int | float)


def _style(style: Any) -> StyleInput:
    """A style as given, perhaps with a weight."""
    from dataclasses import replace

    from cnnart.commands.style_args import StyleInput, choose_style

    style, weight = _without_weight(style)
    if isinstance(style, str | os.PathLike):
        return replace(choose_style(style), weight=weight or 1.0)
    return StyleInput("style", style, weight or 1.0)


def _without_weight(style: Any) -> tuple[Any, float | None]:
    """A (style, weight) pair, or a style alone, with None. Raises UsageError for another tuple."""
    from cnnart.settings import parse_weight

    if not isinstance(style, tuple):
        return style, None
    if not _is_pair(style):
        raise UsageError("A style with a weight is a pair: (style, weight).")
    return style[0], parse_weight(str(style[1]), "a style")
